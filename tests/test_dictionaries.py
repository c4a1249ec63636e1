"""Dictionaries: on disk, hostile files, any grid, and the content of those in the package."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audiosep import separate
from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import builtin_names, load_builtin, load_dictionary, save_dictionary
from audiosep.errors import DictionaryError, OutputError, ParameterError

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000)
KEY = "audiosep_dictionary"


def make(**changes):
    rng = np.random.default_rng(0)
    values = {
        "templates": rng.random((50, 4)).astype(np.float32),
        "frequencies_hz": np.linspace(0.0, 8000.0, 50),
        "labels": ("kick", "kick", "snare", "voice"),
        "provenance": "random numbers",
    }
    return Dictionary(**(values | changes))


def make_patches(**changes):
    rng = np.random.default_rng(3)
    values = {
        "templates": rng.uniform(0.1, 1.0, (50, 3, 12)).astype(np.float32),
        "labels": ("kick", "snare", "hihat"),
        "step_s": 0.01,
    }
    return make(**(values | changes))


@pytest.fixture(scope="module")
def script():
    folder = Path(__file__).resolve().parent.parent / "scripts"
    spec = importlib.util.spec_from_file_location(
        "make_dictionaries", folder / "make_dictionaries.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.fixture(scope="module")
def drum_script(script):
    return sys.modules["_make_drums"]


def description(**changes):
    fields = {"version": 1, "labels": ["a", "b"], "provenance": "test"} | changes
    return {KEY: json.dumps(fields)}


def tensors(**changes):
    good = {
        "templates": np.ones((3, 2), dtype=np.float16),
        "frequencies_hz": np.array([0.0, 100.0, 200.0]),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def test_round_trip(tmp_path):
    made = make()
    save_dictionary(made, tmp_path / "d.safetensors")
    found = load_dictionary(tmp_path / "d.safetensors")
    assert found.labels == made.labels
    assert found.provenance == made.provenance
    np.testing.assert_array_equal(found.frequencies_hz, made.frequencies_hz)
    np.testing.assert_allclose(found.on_bins(16000, 256), made.on_bins(16000, 256), rtol=2e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["d.safetensors"]


def test_a_second_round_trip_changes_nothing(tmp_path):
    save_dictionary(make(), tmp_path / "a")
    save_dictionary(load_dictionary(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sources_are_the_labels_in_order():
    assert make().sources == ("kick", "snare", "voice")
    assert make().n_components == 4


def test_level_does_not_matter(tmp_path):
    quiet = make(templates=make().templates * np.float32(1e-20))
    save_dictionary(quiet, tmp_path / "q")
    expected = make().on_bins(16000, 512)
    np.testing.assert_allclose(load_dictionary(tmp_path / "q").on_bins(16000, 512), expected, 2e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"templates": np.ones((50, 4))}, "float32"),
        ({"templates": np.ones(50, dtype=np.float32)}, "float32 .bands"),
        ({"templates": np.ones((50, 4, 3, 2), dtype=np.float32)}, "float32 .bands"),
        ({"templates": np.ones((50, 4, 0), dtype=np.float32)}, "float32 .bands"),
        ({"templates": np.ones((50, 4, 3), dtype=np.float32)}, "patches need a step_s"),
        ({"templates": np.ones((50, 4, 3), dtype=np.float32), "step_s": 0.0}, "0.0001 to 1"),
        ({"templates": np.ones((50, 4, 3), dtype=np.float32), "step_s": "1"}, "0.0001 to 1"),
        ({"templates": np.ones((50, 4, 3), dtype=np.float32), "step_s": np.nan}, "0.0001 to 1"),
        ({"templates": np.zeros((50, 4, 3), dtype=np.float32), "step_s": 0.1}, "zero everywhere"),
        ({"step_s": 0.01}, "these templates are spectra"),
        ({"templates": np.ones((50, 0), dtype=np.float32), "labels": ()}, "float32 .bands"),
        ({"templates": np.ones((50, 10_001), dtype=np.float32)}, "too many"),
        ({"templates": np.full((50, 4), np.nan, dtype=np.float32)}, "non-finite"),
        ({"templates": np.full((50, 4), -1, dtype=np.float32)}, "negative"),
        ({"templates": np.zeros((50, 4), dtype=np.float32)}, "zero everywhere"),
        ({"labels": ("a", "b")}, "2 labels for 4 templates"),
        ({"labels": ("a", "b", "c", "")}, "label"),
        ({"labels": ("a", "b", "c", 3)}, "label"),
        ({"frequencies_hz": np.linspace(0, 8000, 49)}, "one for each of"),
        ({"frequencies_hz": np.zeros(50)}, "increasing"),
        ({"frequencies_hz": np.linspace(-1, 8000, 50)}, "increasing"),
        ({"frequencies_hz": np.append(np.arange(49.0), np.inf)}, "increasing"),
        (
            {"templates": np.ones((1, 4), dtype=np.float32), "frequencies_hz": np.zeros(1)},
            "two or more",
        ),
    ],
)
def test_wrong_values_are_refused(changes, message):
    with pytest.raises(DictionaryError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("content", "metadata", "message"),
    [
        (tensors(templates=None), description(), "lacks 'templates'"),
        (tensors(frequencies_hz=None), description(), "lacks 'frequencies_hz'"),
        (tensors(templates=np.ones((3, 2), dtype=np.int64)), description(), "numbers of F16"),
        (tensors(templates=np.ones((4, 2), dtype=np.float16)), description(), "one for each of"),
        (tensors(templates=np.ones(3, dtype=np.float16)), description(), "float32 .bands"),
        (tensors(templates=np.full((3, 2), np.inf, dtype=np.float16)), description(), "finite"),
        (tensors(templates=np.full((3, 2), np.nan, dtype=np.float32)), description(), "finite"),
        (tensors(templates=-np.ones((3, 2), dtype=np.float32)), description(), "negative"),
        (tensors(frequencies_hz=np.zeros(3)), description(), "increasing"),
        (tensors(), description(labels=["a"]), "1 labels for 2"),
        (tensors(), description(labels="ab"), "description"),
        (tensors(), description(labels=[["a"], "b"]), "label"),
        (tensors(), description(version=2), "newer audiosep"),
        (tensors(), description(provenance=None), "description"),
        (tensors(), description(step_s=0.01), "these templates are spectra"),
        (tensors(templates=np.ones((3, 2, 4), dtype=np.float16)), description(), "step_s"),
        (
            tensors(templates=np.ones((3, 2, 4), dtype=np.float16)),
            description(step_s="soon"),
            "step_s",
        ),
        (tensors(templates=np.ones((3, 2, 4), dtype=np.float16)), description(step_s=-1), "step_s"),
        (
            tensors(templates=np.ones((3, 2, 4), dtype=np.float16)),
            description(step_s=True),
            "step_s",
        ),
        (tensors(), {KEY: "{"}, "description"),
        (tensors(), {KEY: "[" * 100_000}, "description"),
        (tensors(), {KEY: "3"}, "description"),
        (tensors(), None, "description"),
    ],
)
def test_hostile_files_are_refused_by_name(tmp_path, content, metadata, message):
    path = tmp_path / "hostile.safetensors"
    save_file(content, path, metadata=metadata)
    with pytest.raises(DictionaryError, match=message) as caught:
        load_dictionary(path)
    assert str(caught.value).startswith(str(path))


def test_a_step_of_very_many_digits(tmp_path):
    path = tmp_path / "hostile.safetensors"
    for digits in (400, 5000):
        text = description(step_s=0)[KEY].replace('"step_s": 0', '"step_s": ' + "9" * digits)
        save_file(tensors(templates=np.ones((3, 2, 4), np.float16)), path, metadata={KEY: text})
        with pytest.raises(DictionaryError, match=r"step_s|description"):
            load_dictionary(path)


NOT_NAMES = (
    "../x",
    "/tmp/x",
    "a/b",
    "a\\b",
    "C:",
    "a*",
    "a?",
    'a"',
    "a<b",
    "a>b",
    "a|b",
    ".",
    "..",
    ".hidden",
    "end.",
    " start",
    "end ",
    "one-shot-kick-1",
    "One-Shot-kick-1",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 65,
    "x" * 300,
    "\U0001f941" * 51,
    "CON",
    "nul",
    "com1.x",
    "LPT\u00b2",
    "aux .y",
    "",
    3,
)


@pytest.mark.parametrize("label", NOT_NAMES, ids=ascii)
def test_labels_that_cannot_name_a_stem(label):
    with pytest.raises(DictionaryError, match=r"^the label .* cannot name a stem; use ") as caught:
        make(labels=("kick", "kick", "snare", label))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("one", "two"), [("Kick", "kick"), ("\u00e9", "e\u0301"), ("STRASSE", "stra\u00dfe")]
)
def test_labels_that_differ_by_case_alone(one, two):
    with pytest.raises(DictionaryError, match="differ by case alone"):
        make(labels=(one, one, two, "voice"))


def test_labels_that_can_name_a_stem():
    labels = ("bass drum", "x" * 64, "Trommel \u00e9", "a.b-c_1 (2)")
    assert make(labels=labels).sources == labels
    labels = ("con brio", "x.con", "com", "lpt10")  # Windows keeps "con", and "lpt1"
    assert make(labels=labels).sources == labels


@pytest.mark.parametrize("n", [64, 65])
def test_at_most_64_kinds(n):
    changes = {
        "templates": np.ones((50, 2 * n), dtype=np.float32),
        "labels": tuple(f"kind {i % n}" for i in range(2 * n)),
    }
    if n == 64:
        assert len(make(**changes).sources) == n
        return
    with pytest.raises(DictionaryError, match="65 different labels are too many; at most 64"):
        make(**changes)


def test_a_crafted_label_writes_nothing(tmp_path):
    found = load_builtin("drums")
    text = description(
        labels=["../x", *found.labels[1:]], provenance="crafted", step_s=found.step_s
    )
    content = {"templates": found.templates, "frequencies_hz": found.frequencies_hz}
    path = tmp_path / "in" / "crafted.safetensors"
    path.parent.mkdir()
    save_file(content, path, metadata=text)
    mixture = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    with pytest.raises(DictionaryError, match="cannot name a stem"):
        separate(mixture, 8000, preset="drums", dictionary=path).save(tmp_path / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "crafted.safetensors"]


def test_truncated_at_any_length(tmp_path):
    save_dictionary(make(), tmp_path / "d")
    whole = (tmp_path / "d").read_bytes()
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(DictionaryError, match="cut: ") as refused:
            load_dictionary(tmp_path / "cut")
        assert "header" not in str(refused.value)  # the words of safetensors
        assert length < 9 or "cut or damaged; restore it from a" in str(refused.value)


def test_not_a_dictionary(tmp_path):
    (tmp_path / "sound.wav").write_bytes(b"RIFF" + bytes(1000))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(DictionaryError, match=r"empty: not a dictionary, but empty \(0 bytes\); "):
        load_dictionary(tmp_path / "empty")
    for path, why in (
        (tmp_path / "absent", "absent: cannot read the dictionary: No such file or directory"),
        (tmp_path, "cannot read the dictionary: it is a folder"),
        (tmp_path / "sound.wav", "sound.wav: not a dictionary"),
        (Path("a\0b"), "cannot read the dictionary"),
    ):
        with pytest.raises(
            DictionaryError, match=f"{why}; give a .safetensors file made by audiosep.$"
        ):
            load_dictionary(path)


def test_too_large(tmp_path, monkeypatch):
    save_dictionary(make(), tmp_path / "d")
    monkeypatch.setattr("audiosep.dictionary_files.MAX_FILE_BYTES", 100)
    with pytest.raises(DictionaryError, match="e: 0 MB are too large for a dictionary"):
        save_dictionary(make(), tmp_path / "e")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    with pytest.raises(DictionaryError, match="too large"):
        load_dictionary(tmp_path / "d")


def test_unwritable(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        save_dictionary(make(), tmp_path / "absent" / "d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("n_fft", [16, 256, 2048, 16384])
def test_on_bins_of_every_grid(sr, n_fft):
    W = load_builtin("band").on_bins(sr, n_fft)
    assert W.shape == (1 + n_fft // 2, 80)
    assert W.dtype == np.float32
    assert np.isfinite(W).all()
    assert (W > 0).all()
    np.testing.assert_allclose(W.sum(axis=0, dtype=np.float64), 1.0, rtol=1e-5)


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("n_fft", [128, 2048, 16384])
def test_on_frames_of_every_grid(sr, n_fft):
    W = load_builtin("drums").on_frames(sr, n_fft, n_fft // 4, longest_s=0.3)
    assert W.shape == (1 + n_fft // 2, 5, max(1, round(0.3 * sr / (n_fft // 4))))
    assert W.dtype == np.float32
    assert np.isfinite(W).all()
    assert (W > 0).all()
    np.testing.assert_allclose(W.sum(axis=(0, 2), dtype=np.float64), 1.0, rtol=1e-5)


def test_on_bins_is_exact_on_its_own_grid():
    rng = np.random.default_rng(1)
    templates = rng.uniform(0.1, 1.0, (129, 3)).astype(np.float32)
    made = make(
        templates=templates, frequencies_hz=np.arange(129) * 16000 / 256, labels=("a", "b", "c")
    )
    np.testing.assert_allclose(made.on_bins(16000, 256), templates / templates.sum(axis=0), 1e-5)


def test_on_bins_averages_over_wide_bins():
    # One line among 4096-sample bins, seen by a window 8 times shorter: kept, and 8 times wider.
    frequencies = np.arange(2049) * 44100 / 4096
    templates = np.full((2049, 1), 1e-6, dtype=np.float32)
    templates[800] = 1.0
    made = make(templates=templates, frequencies_hz=frequencies, labels=("line",))
    W = made.on_bins(44100, 512)[:, 0]
    assert W.argmax() == 100
    assert W[100] > 0.9


def test_on_bins_without_any_content_below_nyquist():
    templates = np.zeros((50, 1), dtype=np.float32)
    templates[-1] = 1.0
    W = make(templates=templates, labels=("high",)).on_bins(4000, 64)
    np.testing.assert_allclose(W, 1 / 33, rtol=1e-5)


def test_on_frames_is_exact_on_its_own_grid():
    rng = np.random.default_rng(1)
    templates = rng.uniform(0.1, 1.0, (129, 3, 7)).astype(np.float32)
    made = make_patches(
        templates=templates, frequencies_hz=np.arange(129) * 16000 / 256, step_s=64 / 16000
    )
    W = made.on_frames(16000, 256, 64)
    np.testing.assert_allclose(W, templates / templates.sum(axis=(0, 2), keepdims=True), 1e-5)
    short = made.on_frames(16000, 256, 64, longest_s=3 * 64 / 16000)
    want = templates[:, :, :3] / templates[:, :, :3].sum(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(short, want, 1e-5)


def test_on_frames_keeps_times_in_seconds():
    # A patch that swells linearly does so on any grid.
    swell = np.broadcast_to(np.arange(1.0, 13.0), (50, 3, 12)).astype(np.float32)
    made = make_patches(templates=np.ascontiguousarray(swell))
    for hop in (40, 80, 240):
        W = made.on_frames(16000, 256, hop).sum(axis=0)
        n = W.shape[1]
        assert n == round(0.12 * 16000 / hop)
        want = np.minimum(1 + np.arange(n) * hop / 16000 / 0.01, 12.0)
        np.testing.assert_allclose(W[0] / W[0, 0], want, rtol=1e-4)


def test_one_step_and_one_frame():
    made = make_patches(templates=np.ones((50, 3, 1), dtype=np.float32))
    assert made.on_frames(16000, 256, 64).shape == (129, 3, 2)
    assert made.on_frames(16000, 256, 8000).shape == (129, 3, 1)


def test_on_frames_without_any_content_below_nyquist():
    templates = np.zeros((50, 1, 4), dtype=np.float32)
    templates[-1] = 1.0
    W = make_patches(templates=templates, labels=("high",)).on_frames(4000, 64, 16)
    np.testing.assert_allclose(W, 1 / W.size, rtol=1e-5)


def test_patches_and_spectra_are_not_taken_for_each_other():
    with pytest.raises(DictionaryError, match="patches in time, and spectra are needed"):
        load_builtin("drums").on_bins(44100, 4096)
    with pytest.raises(DictionaryError, match="spectra, and patches in time are needed"):
        load_builtin("band").on_frames(44100, 2048, 512)


@pytest.mark.parametrize(("hop_length", "longest_s"), [(0, None), (-1, None), (64, 0.0), (64, -1)])
def test_on_frames_wrong_time(hop_length, longest_s):
    with pytest.raises(ParameterError, match="longest_s"):
        make_patches().on_frames(16000, 256, hop_length, longest_s=longest_s)


def test_patches_round_trip(tmp_path):
    made = make_patches()
    save_dictionary(made, tmp_path / "a")
    found = load_dictionary(tmp_path / "a")
    assert found.step_s == made.step_s
    assert found.labels == made.labels
    want = made.on_frames(16000, 256, 64)
    np.testing.assert_allclose(found.on_frames(16000, 256, 64), want, rtol=4e-3)
    save_dictionary(found, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("sr", "n_fft"), [(0, 1024), (-1, 1024), (44100, 0), (44100, 1023)])
def test_on_bins_wrong_grid(sr, n_fft):
    with pytest.raises(ParameterError, match="even window"):
        make().on_bins(sr, n_fft)
    with pytest.raises(ParameterError, match="even window"):
        make_patches().on_frames(sr, n_fft, 256)


def test_arrays_of_the_caller_are_unchanged(tmp_path):
    templates = np.random.default_rng(2).random((50, 4)).astype(np.float32) * 1000
    frequencies = np.linspace(0.0, 8000.0, 50)
    copies = templates.copy(), frequencies.copy()
    made = make(templates=templates, frequencies_hz=frequencies)
    made.on_bins(44100, 4096)
    save_dictionary(made, tmp_path / "d")
    np.testing.assert_array_equal(templates, copies[0])
    np.testing.assert_array_equal(frequencies, copies[1])


def test_builtin_names():
    assert builtin_names() == ("band", "drums", "speech")
    with pytest.raises(DictionaryError, match="use one of band, drums, speech"):
        load_builtin("orchestra")
    with pytest.raises(DictionaryError, match="no dictionary"):
        load_builtin("../data/band")


def test_content_of_band():
    # Judged by where the energy is, as the sounds were: nothing depends on a name.
    found = load_builtin("band")
    assert found.sources == ("drums", "bass", "other")
    labels = np.array(found.labels)
    assert [(labels == s).sum() for s in found.sources] == [20, 20, 40]
    assert "audiosep" in found.provenance
    W = found.on_bins(22050, 1024)
    frequency = np.arange(513) * 22050 / 1024
    low, high = W[frequency < 200].sum(axis=0), W[frequency > 2000].sum(axis=0)
    drums = labels == "drums"
    kicks = drums & (low > 0.5) & (high < 0.25)
    hats = drums & (high > 0.6) & (low < 0.1)
    assert kicks.sum() >= 4
    assert hats.sum() >= 4
    mean_hz = (frequency[:, np.newaxis] * W).sum(axis=0)
    assert np.median(mean_hz[labels == "bass"]) < 0.5 * np.median(mean_hz[labels == "other"])
    assert (high[labels == "bass"] < 0.2).all()
    assert np.median(low[labels == "other"]) < 0.3


@pytest.mark.parametrize(("sr", "n_fft"), [(44100, 2048), (22050, 1024), (16000, 1024)])
def test_content_of_drums(sr, n_fft):
    found = load_builtin("drums")
    assert found.labels == ("kick", "snare", "hihat", "tom", "cymbal")
    assert found.templates.shape[2] * found.step_s > 0.3
    assert "Rumpf" in found.provenance
    W = dict(zip(found.labels, found.on_frames(sr, n_fft, n_fft // 4).swapaxes(0, 1), strict=True))
    hz = np.arange(1 + n_fft // 2) * sr / n_fft
    steps = {name: np.arange(patch.shape[1]) for name, patch in W.items()}
    low = {name: patch[hz < 200].sum() for name, patch in W.items()}
    high = {name: patch[hz > 2000].sum() for name, patch in W.items()}
    middle = {name: (patch.sum(axis=0) * steps[name]).sum() for name, patch in W.items()}
    assert low["kick"] > 0.5
    assert high["kick"] < 0.22
    assert high["hihat"] > 0.6
    assert low["hihat"] < 0.1
    assert low["hihat"] < low["snare"] < low["tom"] < low["kick"]
    assert high["kick"] < high["snare"] < high["hihat"]
    assert low["snare"] < 0.35
    assert high["tom"] < 0.3
    assert high["cymbal"] > 0.5
    assert low["cymbal"] < 0.1
    assert middle["cymbal"] > 1.5 * middle["hihat"]
    for name, patch in W.items():
        assert patch.sum(axis=0).argmax() * n_fft / 4 / sr < 0.05, name  # the stroke comes first


def test_no_two_builtin_templates_are_the_same():
    for name in builtin_names():
        found = load_builtin(name)
        if found.step_s is None:
            W = found.on_bins(44100, 4096)
        else:
            W = found.on_frames(44100, 2048, 512)
            W = W.swapaxes(1, 2).reshape(-1, W.shape[1])
        W = W / np.linalg.norm(W, axis=0)
        similarity = W.T @ W - np.eye(W.shape[1])
        assert similarity.max() < 0.999


def test_the_package_stays_small():
    from importlib import resources

    folder = resources.files("audiosep") / "data"
    sizes = [len(f.read_bytes()) for f in folder.iterdir() if f.name.endswith(".safetensors")]
    assert sum(sizes) < 1_300_000
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for name in builtin_names():
        assert f"`{name}.safetensors`" in readme
    for word in ("CC-BY 3.0", "CC0 1.0", "MIT", "Frank Wen", "Emanuel Rumpf"):
        assert word in readme


def test_synthetic_drums_are_what_they_are_called(script):
    drums = script.synthetic_drums(np.random.default_rng(0))
    script.check_synthesis(drums)
    by_content = script.by_content(drums)
    for sound in by_content["kick"]:
        assert sys.modules["_drum_sounds"].shares(sound)[0] > 0.5
    for sound in by_content["hat"]:
        low, high = sys.modules["_drum_sounds"].shares(sound)
        assert high > 0.6
        assert low < 0.1
    assert sum(map(len, by_content.values())) == sum(map(len, drums.values()))


def test_synthetic_drum_pieces_are_what_they_are_called(drum_script):
    rng = np.random.default_rng(1)
    for piece, synthesise in drum_script.SYNTHESISED.items():
        sounds = synthesise(rng)
        assert len(sounds) >= 8
        assert all(drum_script.content_fits(piece, sound) for sound in sounds), piece
        others = [name for name in ("kick", "snare", "hihat", "tom", "cymbal") if name != piece]
        if piece in ("kick", "snare", "hihat"):
            wrong = {name: drum_script.content_fits(name, sounds[0]) for name in others[:2]}
            assert not any(wrong.values()), (piece, wrong)


def test_a_patch_begins_at_the_stroke(drum_script):
    sound = np.zeros(44100)
    sound[9000:12000] = np.sin(np.arange(3000) * 0.1) * np.exp(-np.arange(3000) / 600)
    patch = drum_script.patch_of(sound)
    assert patch.shape == (1025, drum_script.N_TAPS)
    assert patch.sum() == pytest.approx(1.0)
    assert patch.sum(axis=0).argmax() <= 3
    np.testing.assert_allclose(drum_script.patch_of(0.01 * sound[5000:]), patch, atol=1e-6)


def test_interpolated_templates_agree_with_those_learnt_directly(script):
    # Stored from 44.1 kHz and 4096 samples, used at 22.05 kHz and 2048.
    import scipy.signal

    from audiosep.transform import stft_frames

    rng = np.random.default_rng(0)
    sounds = [
        *(sounds[0] for sounds in script.synthetic_drums(rng).values()),
        script.note(55.0, 0.8, cutoff_hz=(800, 300)),
        script.note(220.0, 0.8, shape="square"),
        script.note(330.0, 0.8, cents=(-9, 8), vibrato=10),
        script.fm(440.0, 0.8, 3.5, 2.0, 2.0),
        script.string(rng, 147.0, 0.8, 0.3),
    ]
    similarities = []
    for sound in sounds:
        stored = Dictionary(
            templates=script.learn([sound], 1).astype(np.float32),
            frequencies_hz=script.axis()[0],
            labels=("x",),
            provenance="test",
        )
        half = scipy.signal.resample_poly(sound, 1, 2)
        direct = np.abs(stft_frames(half, 0, 1 + len(half) // 512, n_fft=2048, hop_length=512))
        loudness = direct.sum(axis=1)
        direct = direct[loudness > script.QUIET * loudness.max()].sum(axis=0)
        interpolated = stored.on_bins(22050, 2048)[:, 0]
        norms = np.linalg.norm(direct) * np.linalg.norm(interpolated)
        similarities.append(direct @ interpolated / norms)
    assert np.median(similarities) > 0.98
    assert min(similarities) > 0.9


def test_missing_packages_are_named(script, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.argv", ["make_dictionaries.py", "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match="fluidsynth, fluid-soundfont-gm, hydrogen-drumkits"):
        script.main()


def test_a_dictionary_with_a_damage_inside_is_to_be_learnt_again(tmp_path):
    """What the numbers are is said by us, not by safetensors; and what to do about it."""
    save_dictionary(make(), tmp_path / "d")
    data = bytearray((tmp_path / "d").read_bytes())
    data[-2:] = b"\xff\xff"  # not a number, as float16
    (tmp_path / "d").write_bytes(data)
    with pytest.raises(DictionaryError, match=r"; learn it again\.$"):
        load_dictionary(tmp_path / "d")
