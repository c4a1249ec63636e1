"""The example recordings: complete, exact, small, licensed; and the tune they are rendered from."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "audio"
SOURCES = {
    "band": {"drums", "bass", "chords", "melody"},
    "bach_trio": {"flute", "clarinet", "cello"},
    "song": {"vocals", "drums", "bass", "chords"},
    "drum_loop": {"kick", "snare", "hihat"},
    "speech_printer": {"speech", "noise"},
}


def read(item):
    """Mixture and references of an item as 32-bit integers, and the rate."""
    mixture, sr = sf.read(FOLDER / item / "mixture.flac", dtype="int16")
    references = {}
    for path in sorted((FOLDER / item).glob("ref_*.flac")):
        samples, rate = sf.read(path, dtype="int16")
        assert rate == sr
        references[path.stem.removeprefix("ref_")] = samples.astype(np.int32)
    return mixture.astype(np.int32), references, sr


def script():
    path = ROOT / "scripts" / "make_examples.py"
    spec = importlib.util.spec_from_file_location("make_examples", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        spec.loader.exec_module(module)
    return module


def test_every_folder_is_an_item_and_every_item_a_folder():
    assert {p.name for p in FOLDER.iterdir() if p.is_dir()} == set(SOURCES)


@pytest.mark.parametrize("item", SOURCES)
def test_references_sum_to_the_mixture_exactly(item):
    mixture, references, sr = read(item)
    assert set(references) == SOURCES[item]
    assert sr in (16000, 22050)
    assert 5.0 < len(mixture) / sr < 15.0
    assert mixture.ndim == 1
    np.testing.assert_array_equal(sum(references.values()), mixture)


@pytest.mark.parametrize("item", SOURCES)
def test_references_are_audible_and_different(item):
    _, references, _ = read(item)
    for samples in references.values():
        assert 20 * np.log10(samples.std() / 32768) > -40
    normalised = np.array([s / np.linalg.norm(s) for s in references.values()])
    alike = np.abs(normalised @ normalised.T - np.eye(len(normalised)))
    assert alike.max() < 0.2


@pytest.mark.parametrize("item", SOURCES)
def test_nothing_is_clipped(item):
    mixture, references, _ = read(item)
    for samples in (mixture, *references.values()):
        assert np.abs(samples).max() < 32767


def test_band_peaks_at_3_db_below_full_scale():
    mixture, _, _ = read("band")
    assert 20 * np.log10(np.abs(mixture).max() / 32767) == pytest.approx(-3.0, abs=0.01)


def test_sizes():
    sizes = [p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()]
    assert max(sizes) < 2_000_000
    assert sum(sizes) < 4_000_000
    assert sum(p.stat().st_size for p in (FOLDER / "band").iterdir()) < 2_000_000


@pytest.mark.parametrize("item", SOURCES)
def test_every_item_has_its_line_with_a_licence(item):
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{item}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 8
    assert all(cells)
    assert any(licence in cells[5] for licence in ("MIT", "CC0", "CC-BY"))
    assert {name.strip() for name in cells[4].split(",")} == SOURCES[item]
    mixture, _, sr = read(item)
    assert cells[2] == f"{len(mixture) / sr:.1f} s"
    assert cells[3] == f"{sr / 1000:g} kHz"
    assert f"`{item}`" in (FOLDER / "LICENSES.md").read_text(encoding="utf-8")


def test_the_licence_text_of_the_soundfont_is_there():
    text = (FOLDER / "LICENSES.md").read_text(encoding="utf-8")
    for words in ("Frank Wen", "Permission is hereby granted", "without limitation the rights"):
        assert words in text


def test_notes_of_the_tune_are_sane():
    module = script()
    parts = module.band()
    assert set(parts) == SOURCES["band"]
    for part in parts.values():
        for start, length, pitch, velocity in part.notes:
            assert 0 <= start < module.BEATS
            assert start + length <= module.BEATS
            assert 24 <= pitch <= 90
            assert 1 <= velocity <= 127
    for name in ("bass", "melody"):  # one note at a time
        notes = parts[name].notes
        for (start, length, *_), (following, *_) in pairwise(notes):
            assert start + length <= following + 0.01


def test_the_singer_sings_what_is_written():
    module = script()
    _, references, sr = read("song")
    voice = references["vocals"] / 32768
    for syllable in module.lyrics():
        first = round((syllable.start_s + 0.4 * syllable.length_s) * sr)
        last = round((syllable.start_s + 0.9 * syllable.length_s) * sr)
        spectrum = np.abs(np.fft.rfft(voice[first:last], 1 << 16)) ** 2
        likeness = np.fft.irfft(spectrum)[: sr // 100]  # autocorrelation
        shortest = sr // 700
        period = shortest + np.argmax(likeness[shortest:])
        heard = 69 + 12 * np.log2(sr / period / 440)
        assert heard == pytest.approx(syllable.pitch, abs=0.7)


def test_the_singer_is_silent_between_phrases():
    module = script()
    voice = module.voice(8 * module.SR)
    assert np.abs(voice[: module.SR // 3]).max() == 0.0
    assert 20 * np.log10(voice.std()) == pytest.approx(module.SONG_VOICE_DB, abs=0.1)


def test_mix_is_exact():
    rng = np.random.default_rng(0)
    mixed = script().mix({"a": rng.standard_normal(1000), "b": rng.standard_normal(1000)})
    np.testing.assert_array_equal(mixed["a"] + mixed["b"], mixed["mixture"])
    peak = np.abs(mixed["mixture"]).max() / 32767
    assert 20 * np.log10(peak) == pytest.approx(-3.0, abs=0.01)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    module = script()
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert module.missing(tmp_path / "absent.sf2") == ["fluidsynth", "fluid-soundfont-gm"]
    monkeypatch.setattr(
        "sys.argv", ["make_examples.py", "--soundfont", str(tmp_path), "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit, match="missing Debian packages: fluidsynth, fluid-soundfont-gm"):
        module.main()
