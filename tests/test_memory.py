"""Memory is asked for before work is done."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import audiosep
from audiosep import memory
from audiosep.errors import RefusedError
from audiosep.memory import available_bytes, bytes_per_sample


def test_more_channels_and_more_sources_take_more():
    assert bytes_per_sample(1, 2, 44100) < bytes_per_sample(2, 2, 44100)
    assert bytes_per_sample(2, 8, 44100) > bytes_per_sample(2, 2, 44100)


def test_a_voice_takes_more_and_most_where_all_bins_may_be_sung():
    without = bytes_per_sample(2, 2, 44100)
    at_high_rate = bytes_per_sample(2, 2, 44100, voice=True)
    at_low_rate = bytes_per_sample(2, 2, 8000, voice=True)
    assert without < at_high_rate < at_low_rate


def test_every_stem_takes_its_samples_at_least():
    few, many = (bytes_per_sample(2, n, 8000) for n in (20, 60))
    assert many >= few + 40 * 2 * 4 - 1


def test_what_is_free_is_read_from_the_system(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_bytes() == 1_024_000
    (tmp_path / "memory.max").write_text("900000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300000\nactive_file 7\n")
    assert available_bytes() == 800_000  # pages of files that were read can be taken back
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() == 1_024_000
    meminfo.unlink()
    assert available_bytes() is None


def test_a_recording_that_does_not_fit_is_refused_before_it_is_separated(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros((80_000, 2)), 8000)
    monkeypatch.setattr("audiosep.loading.available_bytes", lambda: 20_000 * 150)
    with pytest.raises(RefusedError, match=r"long\.wav is longer than the .* s that fit"):
        audiosep.separate(path)
    part = audiosep.separate(path, duration=1.0, preset="components", max_iter=1)
    assert part.mixture.n_samples == 8000
