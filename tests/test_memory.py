"""Memory is asked for before work is done."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile

import audiosep
from audiosep import memory
from audiosep.chunks import CHUNK_S, MARGIN_S, chunks_of
from audiosep.errors import RefusedError
from audiosep.memory import (
    LEAST_CHUNK_S,
    PROGRAM_BYTES,
    Work,
    available_bytes,
    chunk_s_within,
    longest_chunk_s,
    memory_of,
)
from audiosep.presets import preset_names
from audiosep.research.atoms import find_atoms

SR = 44_100
HOUR = 3600 * SR


def test_more_channels_and_more_sources_take_more():
    assert memory_of("components", HOUR, 1, 2, SR) < memory_of("components", HOUR, 2, 2, SR)
    few, many = (memory_of("components", 10 * 8000, 2, n, 8000) for n in (20, 60))
    assert many >= few + 10 * 8000 * 40 * 2 * 4 - 1


@pytest.mark.parametrize("seconds", [1.0, 100.0, 100.5, 150.0, 200.0, 333.0, 5000.0])
@pytest.mark.parametrize("chunk_s", [CHUNK_S, LEAST_CHUNK_S])
def test_what_is_there_at_once_is_the_longest_chunk(seconds, chunk_s):
    chunks = chunks_of(round(seconds * SR), SR, 1024, chunk_s)
    longest = max(chunk.last - chunk.first for chunk in chunks) / SR
    assert longest_chunk_s(seconds, chunk_s) == pytest.approx(longest, abs=0.1)
    assert longest <= chunk_s + 2 * MARGIN_S + 0.1


@pytest.mark.parametrize("preset", preset_names())
def test_memory_grows_up_to_a_chunk_and_then_no_more(preset):
    stems = 3
    short, chunk, hour, day = (
        memory_of(preset, n, 2, stems, SR) for n in (10 * SR, 100 * SR, HOUR, 24 * HOUR)
    )
    # Where training takes most, as with by-example, length does not show up to a chunk.
    assert short <= chunk
    assert short <= hour < 1.3 * chunk
    assert hour == pytest.approx(day, rel=1e-6)
    assert memory_of(preset, HOUR, 1, stems, SR) <= hour
    assert memory_of(preset, HOUR, 2, stems, 2 * SR) > hour


def test_chunks_get_shorter_with_less_memory():
    about = ("stems", HOUR, 2, 3, SR)
    sizes = [memory_of(*about, chunk_s=chunk_s) for chunk_s in (CHUNK_S, 70.0, LEAST_CHUNK_S)]
    assert sizes == sorted(sizes, reverse=True)
    assert chunk_s_within(sizes[0], *about) == CHUNK_S
    assert chunk_s_within(sizes[0] - 1, *about) == 70.0
    assert chunk_s_within(sizes[2], *about) == LEAST_CHUNK_S
    assert chunk_s_within(sizes[2] - 1, *about) is None


def test_the_program_itself_is_what_the_shortest_recording_takes_at_least():
    # 1 s of mono at 8 kHz: nearly nothing beside the program.
    assert 0 <= memory_of("score", 8000, 1, 2, 8000) < PROGRAM_BYTES


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


@pytest.mark.parametrize("preset", ["vocals", "components"])
@pytest.mark.parametrize("chunk_s", [CHUNK_S, math.inf])
@pytest.mark.parametrize("free", [0, 30e6, 300e6, 700e6, 2e9, 60e9])
def test_the_longest_that_fits_fits_and_what_is_longer_does_not(preset, chunk_s, free, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: int(free))
    work = Work(preset=preset, n_stems=3, chunk_s=chunk_s)
    most = work.most_samples(2, SR)
    assert work.needs(most, 2, SR) <= free or most == 0
    # Rather a little too short: chunks differ in length.
    assert work.needs(most + 5 * SR, 2, SR) > 0.95 * free


@pytest.mark.parametrize("preset", preset_names())
def test_what_is_kept_in_memory_takes_what_is_written_takes_and_its_samples(preset):
    work = Work(preset=preset, n_stems=3)
    assert work.needs(100 * SR, 2, SR) == memory_of(preset, 100 * SR, 2, 3, SR)
    assert work.needs(HOUR, 2, SR) == memory_of(preset, HOUR, 2, 3, SR) + HOUR * 2 * 4 * 4


def test_nothing_is_refused_where_nobody_can_tell_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    work = Work(preset="stems", n_stems=3)
    assert work.most_samples(2, SR) is None
    work.check(1000 * HOUR, 2, SR)


def test_a_recording_that_does_not_fit_is_refused_before_it_is_separated(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    samples = np.zeros((2, 800_000), dtype=np.float32)
    soundfile.write(path, samples.T, 8000)
    free = Work(preset="components", n_stems=2).needs(400_000, 2, 8000)
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    few = {"preset": "components", "max_iter": 1}
    with pytest.raises(RefusedError, match=r"long\.wav is longer than the 50 s that fit"):
        audiosep.separate(path, **few)
    with pytest.raises(RefusedError, match=r"the recording is longer than the 50 s that fit"):
        audiosep.separate(samples, 8000, **few)
    with pytest.raises(RefusedError, match=r"long\.wav is longer than the .* s that fit"):
        find_atoms(path, n_components=2, max_iter=1)
    part = audiosep.separate(path, duration=1.0, **few)
    assert part.mixture.n_samples == 8000
