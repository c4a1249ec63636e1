"""The cut of the frames: complete, in order, and by shape alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.nmf.slabs import FRAMES_TOGETHER, Slabs


@given(
    n_frames=st.integers(1, 100_000), n_bins=st.integers(1, 20_000), K=st.integers(1, 500)
)  # fmt: skip
def test_every_frame_is_in_one_slab(n_frames, n_bins, K):
    slabs = Slabs.of(n_frames, n_bins, K)
    parts = slabs.parts
    assert parts[0].start == 0
    assert parts[-1].stop == n_frames
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert all(part.stop > part.start for part in parts)
    assert 1 <= len(parts) <= 16
    assert slabs.tile % 8 == 0
    assert 16 <= slabs.tile <= 256
    assert slabs == Slabs.of(n_frames, n_bins, K)
    lengths = [part.stop - part.start for part in parts]
    assert all(part.start % FRAMES_TOGETHER == 0 for part in parts)
    assert max(lengths) - min(lengths) < 2 * FRAMES_TOGETHER
    if len(parts) > 1:  # there is something to do for everyone
        assert min(lengths) > 2 * slabs.tile - FRAMES_TOGETHER


def test_tiles_shrink_with_bins_and_with_components():
    assert Slabs.of(1000, 10, 1).tile == 256
    assert Slabs.of(1000, 2049, 2).tile < 256
    assert Slabs.of(1000, 1025, 30).tile < Slabs.of(1000, 1025, 5).tile
    assert Slabs.of(1000, 10**6, 1000).tile == 16


@pytest.mark.parametrize("n_frames", [1, 5000])
@pytest.mark.parametrize("n_threads", [None, 1, 3])
def test_work_is_done_once_per_slab_and_comes_back_in_order(n_frames, n_threads):
    slabs = Slabs.of(n_frames, 300, 4)
    pool = None if n_threads is None else ThreadPoolExecutor(n_threads)
    done = list(slabs.map(lambda index, part: (index, part), pool))
    if pool is not None:
        pool.shutdown()
    assert done == list(enumerate(slabs.parts))


@pytest.mark.parametrize("n_threads", [None, 2])
def test_an_error_in_a_slab_reaches_the_caller(n_threads):
    pool = None if n_threads is None else ThreadPoolExecutor(n_threads)

    def work(index, part):
        if index == 1:
            raise KeyError("inside")
        return index

    with pytest.raises(KeyError, match="inside"):
        list(Slabs.of(5000, 300, 4).map(work, pool))
    if pool is not None:
        pool.shutdown()
