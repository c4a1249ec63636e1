"""Stems as the channels of one file, sample for sample, or a sentence that says why not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from audiosep.errors import InputError, OutputError
from audiosep.io import multitrack
from audiosep.io.multitrack import write_multitrack

SUBTYPES = {16: "PCM_16", 24: "PCM_24", "float": "FLOAT"}


def stems(folder, bits=16, lengths=(500, 500), channels=(2, 2)):
    found = []
    for number, (n, c) in enumerate(zip(lengths, channels, strict=True)):
        path = folder / f"stem-{number}.wav"
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, (n, c))
        sf.write(path, noise, 8000, subtype=SUBTYPES[bits])
        found.append(path)
    return found


def joined(path, sources, bits=16, n_channels=2, n_samples=500):
    return write_multitrack(
        path, sources, bits=bits, sr=8000, n_channels=n_channels, n_samples=n_samples
    )


@pytest.mark.parametrize("bits", [16, 24, "float"])
def test_channels_stand_beside_each_other(tmp_path, monkeypatch, bits):
    monkeypatch.setattr(multitrack, "_BLOCK_VALUES", 300)  # several blocks
    sources = stems(tmp_path, bits)
    assert joined(tmp_path / "all.wav", sources, bits) == "WAV"
    together, sr = sf.read(tmp_path / "all.wav", dtype="int32")
    apart = np.concatenate([sf.read(path, dtype="int32")[0] for path in sources], axis=1)
    assert sr == 8000
    np.testing.assert_array_equal(together, apart)


def test_a_source_that_is_gone_or_no_sound(tmp_path):
    sources = stems(tmp_path)
    sources[1].write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"stem-1\.wav'? cannot be read"):
        joined(tmp_path / "all.wav", sources)
    sources[1].unlink()
    with pytest.raises(InputError, match=r"stem-1\.wav"):
        joined(tmp_path / "all.wav", sources)


def test_a_source_that_ends_early(tmp_path):
    sources = stems(tmp_path, lengths=(500, 400))
    with pytest.raises(InputError, match=r"stem-1\.wav.* ends before the other stems do"):
        joined(tmp_path / "all.wav", sources)


def test_a_source_of_other_channels(tmp_path):
    sources = stems(tmp_path, channels=(2, 1))
    with pytest.raises(InputError, match=r"beside .*stem-0\.wav.* are not of one shape"):
        joined(tmp_path / "all.wav", sources)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write all\.wav"):
        joined(tmp_path / "nowhere" / "all.wav", stems(tmp_path))


def test_what_does_not_read_back_is_told(tmp_path, monkeypatch):
    sources = stems(tmp_path)
    right, passes = multitrack._blocks, []

    def changing(*arguments):
        passes.append(arguments)
        for block in right(*arguments):
            yield block + 1 if len(passes) > 1 else block

    monkeypatch.setattr(multitrack, "_blocks", changing)
    with pytest.raises(OutputError, match="does not read back as it was written"):
        joined(tmp_path / "all.wav", sources)


def test_a_file_that_came_out_shorter_is_told(tmp_path, monkeypatch):
    sources = stems(tmp_path)
    right = multitrack._blocks
    monkeypatch.setattr(multitrack, "_blocks", lambda *a: (block[:-1] for block in right(*a)))
    with pytest.raises(OutputError, match="does not read back as it was written"):
        joined(tmp_path / "all.wav", sources)


FULL = """
import resource
from pathlib import Path
from audiosep.io.multitrack import write_multitrack

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
stems = [Path("stem-0.wav"), Path("stem-1.wav")]
write_multitrack(Path("all.wav"), stems, bits=16, sr=8000, n_channels=2, n_samples=50_000)
"""


def test_a_disk_that_is_full(tmp_path):
    stems(tmp_path, lengths=(50_000, 50_000))
    ended = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "OutputError: cannot write all.wav" in ended.stderr
