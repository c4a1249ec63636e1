"""Stems out: they add up when read again, and nothing half-written is left behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.errors import OutputError, ParameterError, RefusedError
from audiosep.io import formats, placing, stem_writer, writing
from audiosep.types import Audio

SR = 8000


def stems_of(mixture, n_stems=3, *, seed=1):
    """Share a mixture out at random; in float32 the stems sum to it up to rounding."""
    weights = np.random.default_rng(seed).dirichlet(np.ones(n_stems), mixture.shape)
    parts = [(mixture * weights[..., i]).astype(np.float32) for i in range(n_stems)]
    return {f"stem-{i}": Audio(samples=part, sr=SR) for i, part in enumerate(parts)}


def write_stems(folder, mixture, stems=None, **how):
    stems = stems_of(mixture) if stems is None else stems
    how = {"bits": 16, "format_": "wav"} | how
    return writing.write_stems(folder, stems, Audio(samples=mixture, sr=SR), **how)


@pytest.mark.parametrize("n_stems", [1, 2, 5])
@pytest.mark.parametrize("format_", ["wav", "flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_integers_add_up_exactly(tmp_path, format_, bits, n_stems):
    mixture = files.integers(3000, n_bits=bits)
    stems = stems_of(mixture, n_stems)
    written = write_stems(tmp_path, mixture, stems, bits=bits, format_=format_)
    assert written.bits == bits
    assert written.warnings == ()
    assert written.null_test_db == -300.0
    assert written.files == {f"stem-{i}": f"stem-{i}.{format_}" for i in range(n_stems)}
    total = sum(files.whole_numbers(tmp_path / name) for name in written.files.values())
    np.testing.assert_array_equal(total, (mixture.astype(np.float64) * 2**31).astype(np.int64))
    for name, file in written.files.items():
        about = sf.info(tmp_path / file)
        assert (about.format, about.subtype) == (format_.upper(), f"PCM_{bits}")
        assert (about.samplerate, about.channels, about.frames) == (SR, 2, 3000)
        error = files.sounds(tmp_path / file) - stems[name].samples
        assert np.abs(error).max() <= 1.01 / 2 ** (bits - 1)


def test_lossy_input_rounds_to_24_bits_and_still_adds_up(tmp_path):
    mixture = files.noise(3000, seed=5)  # between the steps
    written = write_stems(tmp_path, mixture, bits=24)
    assert written.null_test_db == pytest.approx(-144.5, abs=0.5)  # half a step
    assert written.warnings == ()
    total = sum(files.whole_numbers(tmp_path / f) for f in written.files.values()) >> 8
    np.testing.assert_array_equal(total, np.rint(mixture.astype(np.float64) * 2**23))


@pytest.mark.parametrize("format_", ["wav", "flac"])
def test_a_finer_recording_in_16_bits_is_measured_unrounded_and_it_is_said(tmp_path, format_):
    mixture = files.integers(3000, n_bits=24) / 2
    written = write_stems(tmp_path, mixture, bits=16, format_=format_)
    total = sum(files.whole_numbers(tmp_path / f) for f in written.files.values()) >> 16
    np.testing.assert_array_equal(total, np.rint(mixture.astype(np.float64) * 2**15))
    measured = 20 * np.log10(np.abs(total / 2**15 - mixture).max())
    assert measured == pytest.approx(-96.3, abs=0.1)
    assert written.null_test_db == pytest.approx(measured, abs=0.06)
    assert written.warnings == (
        "the recording has finer steps than 16 bits, so the stems add up to it rounded to 16 bits.",
    )


@pytest.mark.parametrize("bits", [16, 24])
def test_integers_one_step_off_are_an_error(tmp_path, monkeypatch, bits):
    real = stem_writer.quantise

    def off(*given):
        out = real(*given)
        out[0][0, 7] += 1
        return out

    monkeypatch.setattr(stem_writer, "quantise", off)
    mixture = files.noise(1000)  # between the steps, so that rounding could hide it
    with pytest.raises(OutputError, match="the written stems differ from the mixture by"):
        write_stems(tmp_path, mixture, bits=bits)


@pytest.mark.parametrize("peak", [1e-6, 0.5, 30.0])
def test_floats_are_kept_bit_for_bit_and_null_below_120_db(tmp_path, peak):
    mixture = files.noise(3000, peak=peak)
    stems = stems_of(mixture)
    written = write_stems(tmp_path, mixture, stems, bits="float")
    assert written.null_test_db < -120
    read = {name: files.sounds(tmp_path / file) for name, file in written.files.items()}
    for name, samples in read.items():
        np.testing.assert_array_equal(samples, stems[name].samples)
    error = np.abs(sum(s.astype(np.float64) for s in read.values()) - mixture).max()
    measured = 20 * np.log10(error / max(1.0, peak))
    assert written.null_test_db == pytest.approx(measured, abs=0.06)


def test_the_null_test_measures_and_refuses_what_does_not_add_up(tmp_path):
    mixture = files.noise(1000)
    stems = stems_of(mixture)
    stems["stem-0"].samples[0, 500] += 5e-7  # 126 dB below full scale
    null_test_db = write_stems(tmp_path, mixture, stems, bits="float").null_test_db
    assert null_test_db == pytest.approx(-126.0, abs=1.0)
    stems["stem-0"].samples[0, 500] += 0.01
    with pytest.raises(OutputError, match=r"differ from the mixture by 0\.01"):
        write_stems(tmp_path, mixture, stems, bits="float")


@pytest.mark.parametrize(("bits", "format_"), [(16, "wav"), (24, "wav"), (16, "flac")])
def test_beyond_the_integer_range_all_stems_become_float_and_it_is_said(tmp_path, bits, format_):
    mixture = files.noise(3000, peak=0.5)
    stems = {
        "a": Audio(samples=3 * mixture, sr=SR),
        "b": Audio(samples=-2 * mixture, sr=SR),
        "c": Audio(samples=np.zeros_like(mixture), sr=SR),
    }
    written = write_stems(tmp_path, mixture, stems, bits=bits, format_=format_)
    assert written.bits == "float"
    (warning,) = written.warnings
    assert warning.startswith(f"a stem is beyond the {bits}-bit range, so all stems")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "b.wav", "c.wav"]
    assert {sf.info(tmp_path / f).subtype for f in written.files.values()} == {"FLOAT"}
    assert written.null_test_db < -120


def test_full_scale_stays_integer(tmp_path):
    mixture = files.integers(3000)
    assert mixture.min() == -1.0
    assert write_stems(tmp_path, mixture, {"all": Audio(samples=mixture, sr=SR)}).bits == 16


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_lengths_around_a_block(tmp_path, monkeypatch, extra):
    monkeypatch.setattr(stem_writer, "_BLOCK_SAMPLES", 256)
    mixture = files.integers(512 + extra)
    written = write_stems(tmp_path, mixture)
    total = sum(files.whole_numbers(tmp_path / f) for f in written.files.values()) >> 16
    np.testing.assert_array_equal(total, np.rint(mixture * 2**15))


@pytest.mark.parametrize("n_channels", [1, 3, 8, 16])
def test_channels(tmp_path, n_channels):
    mixture = files.integers(100, n_channels)
    written = write_stems(tmp_path, mixture)
    assert written.null_test_db == -300.0
    total = sum(files.whole_numbers(tmp_path / f) for f in written.files.values()) >> 16
    np.testing.assert_array_equal(total, np.rint(mixture * 2**15))


def test_one_sample(tmp_path):
    mixture = files.integers(1, 1)
    written = write_stems(tmp_path, mixture)
    assert sf.info(tmp_path / written.files["stem-0"]).frames == 1


def test_silence_stays_silence(tmp_path):
    mixture = np.zeros((2, 1000), dtype=np.float32)
    for bits in (16, 24, "float"):
        written = write_stems(tmp_path, mixture, bits=bits)
        assert written.null_test_db == -300.0
        for file in written.files.values():
            assert not files.whole_numbers(tmp_path / file).any()


def test_flac_of_16_channels_is_refused_with_a_sentence(tmp_path):
    words = "at most 8 channels .* this recording has 16 channels at 8000 Hz; use format=.wav."
    with pytest.raises(ParameterError, match=words):
        write_stems(tmp_path, files.integers(100, 16), format_="flac")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [16, 24, "float"])
def test_rf64_beyond_the_limit(tmp_path, monkeypatch, bits):
    mixture = files.integers(1000)
    size = 1000 * 2 * (4 if bits == "float" else bits // 8)
    monkeypatch.setattr(formats, "RIFF_LIMIT", size)
    assert write_stems(tmp_path, mixture, bits=bits).warnings == ()
    assert (tmp_path / "stem-0.wav").read_bytes()[:4] == b"RIFF"
    monkeypatch.setattr(formats, "RIFF_LIMIT", size - 1)
    written = write_stems(tmp_path, mixture, bits=bits)
    assert written.warnings == ("the stems are larger than 4 GiB, so they are RF64 WAV files.",)
    assert (tmp_path / "stem-0.wav").read_bytes()[:4] == b"RF64"
    assert written.null_test_db <= (-120 if bits == "float" else -300)
    total = sum(audiosep.read(tmp_path / f).samples for f in written.files.values())
    np.testing.assert_allclose(total, mixture, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_really_more_than_4_gib(tmp_path):
    n_samples = 2**30 + 1000
    if shutil.disk_usage(tmp_path).free < 6 * 4 * n_samples // 4:
        pytest.skip("needs 7 GB of disk")
    samples = np.zeros((1, n_samples), dtype=np.float32)  # untouched pages cost no memory
    samples[0, -1] = 0.5
    audiosep.write(tmp_path / "x.wav", Audio(samples=samples, sr=48000))
    assert (tmp_path / "x.wav").stat().st_size > 2**32
    about = audiosep.io.info(tmp_path / "x.wav")
    assert (about.format, about.n_samples) == ("RF64", n_samples)
    end = audiosep.read(tmp_path / "x.wav", start=(n_samples - 1000) / 48000)
    assert end.samples[0, -1] == 0.5
    assert end.n_samples <= 1001


@pytest.mark.parametrize(("bits", "format_"), [(16, "wav"), ("float", "wav"), (16, "flac")])
def test_the_same_bytes_at_another_time(tmp_path, bits, format_):
    mixture = files.integers(1000)
    trees = []
    for pause in (1.1, 0.0):  # longer than the resolution of the time in a PEAK chunk
        write_stems(tmp_path, mixture, bits=bits, format_=format_)
        trees.append(files.tree(tmp_path))
        time.sleep(pause)
    assert trees[0] == trees[1]
    assert all(b"PEAK" not in data[:200] for data in trees[0].values())


@pytest.mark.parametrize(
    ("bits", "format_", "subtype"),
    [
        (16, "wav", "PCM_16"),
        ("24", "wav", "PCM_24"),
        ("float", "wav", "FLOAT"),
        (24, "flac", "PCM_24"),
    ],
)
def test_write_and_read(tmp_path, bits, format_, subtype):
    samples = files.integers(1000, 2)
    path = tmp_path / "below" / f"any name.{format_}"
    audiosep.write(path, Audio(samples=samples, sr=SR), bits=bits, format=format_)
    about = audiosep.io.info(path)
    assert (about.format, about.subtype, about.sr) == (format_.upper(), subtype, SR)
    np.testing.assert_array_equal(audiosep.read(path).samples, samples)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_write_defaults_to_float(tmp_path):
    samples = files.noise(1000, peak=7.0)
    audiosep.write(tmp_path / "x.wav", Audio(samples=samples, sr=SR))
    np.testing.assert_array_equal(audiosep.read(tmp_path / "x.wav").samples, samples)


@pytest.mark.parametrize("name", ["audio.wav", "naïve 🎵", "n" * 255, os.fsdecode(b"\xff\n.wav")])
def test_write_under_any_name(tmp_path, name):
    audiosep.write(tmp_path / name, Audio(samples=files.noise(), sr=SR))
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - names as the system keeps them


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "a\0b"])
def test_a_stem_stays_in_its_folder(tmp_path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    mixture = np.zeros((1, 100), np.float32)
    stems = {name: Audio(samples=mixture, sr=SR)}
    with pytest.raises(ParameterError, match="cannot be the name of a file"):
        write_stems(folder, mixture, stems, bits="float", format_="wav")
    assert [p.name for p in tmp_path.rglob("*")] == ["run"]


def test_write_refuses_what_integers_cannot_hold(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"before")
    for format_ in ("wav", "flac"):
        with pytest.raises(ParameterError, match=r"reach 1\.5, beyond the 16-bit range"):
            audiosep.write(
                path, Audio(samples=files.noise(peak=1.5), sr=SR), bits=16, format=format_
            )
    assert files.tree(tmp_path) == {"x.wav": b"before"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"bits": 8}, "use 16, 24 or float"),
        ({"format": "mp3"}, "use wav or flac"),
        ({"format": "flac", "bits": "float"}, "flac holds no float"),
    ],
)
def test_write_refuses_unknown_ways(tmp_path, more, words):
    with pytest.raises(ParameterError, match=words):
        audiosep.write(tmp_path / "x", Audio(samples=files.noise(), sr=SR), **more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "format_", "subtype"),
    [("x.flac", "FLAC", "PCM_24"), ("x.FLAC", "FLAC", "PCM_24"), ("x.wav", "WAV", "FLOAT")],
)
def test_write_takes_the_format_from_the_name(tmp_path, name, format_, subtype):
    audiosep.write(tmp_path / name, Audio(samples=files.noise(), sr=SR))
    about = sf.info(tmp_path / name)
    assert (about.format, about.subtype) == (format_, subtype)


def test_write_onto_a_folder_or_below_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "x.wav"):
        with pytest.raises(OutputError, match="cannot write"):
            audiosep.write(path, Audio(samples=files.noise(), sr=SR))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "a\0b.wav", "a\0b/x.wav", "x" * 300 + "/x"])
def test_write_under_a_name_that_cannot_be(tmp_path, name):
    with pytest.raises(OutputError, match="cannot write"):
        audiosep.write(tmp_path / name, Audio(samples=files.noise(), sr=SR))
    assert list(tmp_path.iterdir()) == []


def test_beside_is_on_the_same_file_system_and_gone_afterwards(tmp_path):
    place = tmp_path / "deep" / "place"
    with placing.beside(place) as folder:
        assert folder.parent.parent == place.parent
        (folder / "x").touch()
    assert list(place.parent.iterdir()) == []
    interrupted = placing.beside(place)
    (interrupted.__enter__() / "x").touch()
    assert interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is not True
    assert list(place.parent.iterdir()) == []


def test_a_disk_that_fills_up_at_the_temporary_folder(tmp_path, monkeypatch):
    def full(path, *_, **more):
        if not more:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(placing.Path, "mkdir", full)
    words = "No space left on device; choose another"
    with pytest.raises(OutputError, match=words), placing.beside(tmp_path / "place"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_check_writable(tmp_path):
    placing.check_writable(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"there is a file where a folder should be; choose"):
            placing.check_writable(place)
    with pytest.raises(OutputError, match="cannot write to"):
        placing.check_writable(tmp_path / "a\0b")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")  # noqa: PTH112
def test_a_place_where_not_even_root_can_write():
    with pytest.raises(OutputError, match="cannot write to /proc"):
        placing.check_writable(placing.Path("/proc/audiosep"))


@files.needs_permissions
def test_a_place_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"cannot write to .*[Pp]ermission denied"):
        placing.check_writable(tmp_path / "x")
    tmp_path.chmod(0o700)


def test_a_stem_that_reads_back_differently_is_an_error(tmp_path, monkeypatch):
    mixture = files.integers(1000)

    def cut_short(path):
        path.write_bytes(path.read_bytes()[:1000])

    monkeypatch.setattr(stem_writer, "sync_file", cut_short)
    with pytest.raises(OutputError, match="reads back as"):
        write_stems(tmp_path, mixture)


FILL = """
import sys, resource, pathlib
import numpy as np
import audiosep
from audiosep.types import Audio
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 100_000)).astype(np.float32)
try:
    audiosep.write(sys.argv[1], Audio(samples=samples, sr=8000), bits=16, format=sys.argv[3])
except audiosep.AudiosepError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("format_", ["wav", "flac"])
def test_a_limit_on_file_sizes(tmp_path, format_):
    pytest.importorskip("resource")
    path = tmp_path / "x"
    path.write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-c", FILL, path, "100000", format_],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("OutputError: cannot write the stems (")
    assert files.tree(tmp_path) == {"x": b"before"}
    assert files.leftovers(tmp_path) == []


@pytest.mark.parametrize("format_", ["wav", "flac"])
def test_a_full_disk(small_disk, format_):
    path = small_disk / "x"
    path.write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-c", FILL, path, "0", format_],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("OutputError: cannot write the stems (")
    assert done.stderr.strip().endswith("is the disk full?")
    assert files.tree(small_disk) == {"x": b"before"}
    assert files.leftovers(small_disk) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB, where the tests may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", place], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_stem_that_is_read_back_as_no_number_is_refused(tmp_path, monkeypatch):
    mixture = files.noise(1000)
    stems = stems_of(mixture)
    stems["stem-0"].samples[0, 500] = np.nan  # behind the back of Audio, which checks
    with pytest.raises(OutputError, match="samples that are no numbers"):
        write_stems(tmp_path, mixture, stems, bits="float")


def test_a_place_that_is_taken_meanwhile_is_not_replaced(tmp_path):
    place = tmp_path / "song"
    with placing.beside(place) as new:
        (new / "a.wav").write_bytes(b"mine")
        place.mkdir()
        (place / "a.wav").write_bytes(b"theirs")
        with pytest.raises(RefusedError, match="has appeared while the stems were made"):
            placing.move_run(new, place, ["a.wav"], [], fresh=True)
    assert files.tree(tmp_path) == {"song/a.wav": b"theirs"}


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("number", "fails"),
    [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False), (errno.ENOTSUP, False)],
)
def test_a_folder_that_does_not_reach_the_disk(tmp_path, monkeypatch, number, fails, existing):
    """A disk that fails is no file system that cannot: nothing is called written then."""
    place = tmp_path / "place"
    if existing:
        place.mkdir()
        (place / "a.wav").write_text("old")
    before = files.tree(tmp_path)
    sync = os.fsync
    home = place if existing else tmp_path

    def failing(handle):
        if Path(f"/proc/self/fd/{handle}").resolve() == home.resolve():
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with placing.beside(place) as new:
        (new / "a.wav").write_text("new")
        if fails:
            with pytest.raises(OutputError, match=os.strerror(number)):
                placing.move_run(new, place, ["a.wav"], [])
        else:
            placing.move_run(new, place, ["a.wav"], [])
    assert files.tree(tmp_path) == (before if fails else {"place/a.wav": b"new"})
