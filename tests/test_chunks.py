"""Where chunks lie and how they fade: properties that hold for any recording."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiosep.chunks import (
    CHUNK_S,
    EXCERPT_S,
    FADE_S,
    MARGIN_S,
    Chunk,
    chunks_of,
    excerpts_of,
    joined,
)

LAYOUTS = st.tuples(
    st.integers(1, 200_000),
    st.sampled_from([100, 1000, 8000, 44100]),
    st.integers(1, 3000),
    st.one_of(st.floats(0.5, 200.0), st.floats(1e-4, 0.5)),
).filter(lambda layout: layout[0] / (layout[3] * layout[1]) < 2000)


def layout_of(layout):
    n_samples, sr, hop_length, chunk_s = layout
    return chunks_of(n_samples, sr, hop_length, chunk_s)


@given(LAYOUTS)
def test_own_samples_cover_the_recording_once(layout):
    chunks = layout_of(layout)
    assert chunks[0].start == 0
    assert chunks[-1].end == layout[0]
    assert all(a.end == b.start for a, b in pairwise(chunks))
    assert all(chunk.start < chunk.end for chunk in chunks)


@given(LAYOUTS)
def test_weights_sum_to_one_everywhere(layout):
    total = np.zeros(layout[0])
    for chunk in layout_of(layout):
        gain = chunk.gain()
        assert gain.dtype == np.float32
        assert gain.min() >= 0.0
        assert gain.max() <= 1.0
        total[chunk.heard] += gain
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(LAYOUTS)
def test_no_sample_comes_from_more_than_two_chunks(layout):
    heard = [chunk.heard for chunk in layout_of(layout)]
    assert all(a.stop <= b.start for a, b in zip(heard, heard[2:], strict=False))


@given(LAYOUTS)
def test_a_chunk_is_given_all_that_is_heard_of_it(layout):
    for chunk in layout_of(layout):
        assert 0 <= chunk.first <= chunk.heard.start <= chunk.start
        assert chunk.end <= chunk.heard.stop <= chunk.last <= layout[0]


@given(LAYOUTS)
def test_frames_are_the_same_in_all_chunks(layout):
    n_samples, _, hop_length, _ = layout
    for chunk in layout_of(layout):
        for bound in (chunk.start, chunk.end, chunk.first, chunk.last):
            assert bound % hop_length == 0 or bound == n_samples


@given(LAYOUTS)
def test_chunks_are_about_as_long_as_each_other_and_no_longer_than_asked(layout):
    _, sr, hop_length, chunk_s = layout
    lengths = [chunk.end - chunk.start for chunk in layout_of(layout)]
    assert max(lengths) - min(lengths) < 2 * hop_length
    # By less than a hop, because bounds lie on hops; and no chunk is shorter than one hop.
    assert max(lengths) <= max(chunk_s * sr, hop_length) + hop_length


@given(LAYOUTS)
def test_neighbours_agree_about_their_fade(layout):
    chunks = layout_of(layout)
    assert chunks[0].fade == chunks[-1].fade_out == 0
    assert all(a.fade_out == b.fade for a, b in pairwise(chunks))


def test_a_recording_as_long_as_a_chunk_is_one_chunk():
    sr, hop = 8000, 128
    whole = chunks_of(int(CHUNK_S * sr), sr, hop)
    n = int(CHUNK_S * sr)
    assert whole == (Chunk(start=0, end=n, first=0, last=n, fade=0, fade_out=0),)
    assert len(chunks_of(n + 1, sr, hop)) == 2


def test_one_sample_is_one_chunk():
    (chunk,) = chunks_of(1, 44100, 1024)
    assert (chunk.start, chunk.end, chunk.first, chunk.last) == (0, 1, 0, 1)
    np.testing.assert_array_equal(chunk.gain(), [1.0])


def test_chunks_shorter_than_a_hop_become_hops():
    chunks = chunks_of(10_000, 8000, 1000, chunk_s=1e-6)
    assert [chunk.start for chunk in chunks] == list(range(0, 10_000, 1000))


def test_usual_chunks_have_the_margins_and_fades_that_are_promised():
    sr, hop = 44100, 1024
    before, chunk, after = chunks_of(250 * sr, sr, hop)
    assert abs((chunk.start - chunk.first) / sr - MARGIN_S) < hop / sr
    assert abs((chunk.last - chunk.end) / sr - MARGIN_S) < hop / sr
    assert abs(chunk.fade / sr - FADE_S) < 2 / sr
    assert before.first == 0
    assert after.last == 250 * sr


@given(st.integers(1, 10_000_000), st.sampled_from([100, 8000, 44100]), st.floats(1.0, 200.0))
def test_excerpts_are_apart_spread_and_as_long_as_asked(n_samples, sr, total_s):
    spans = excerpts_of(n_samples, sr, total_s)
    assert all(0 <= first < last <= n_samples for first, last in spans)
    assert all(a[1] <= b[0] + 1 for a, b in pairwise(spans))
    if n_samples <= total_s * sr:
        assert spans == ((0, n_samples),)
        return
    total = sum(last - first for first, last in spans)
    assert abs(total - total_s * sr) <= len(spans)
    assert len(spans) == max(1, round(total_s / EXCERPT_S))
    # As much of the recording lies before the first as behind the last.
    assert abs(spans[0][0] - (n_samples - spans[-1][1])) <= 2


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6), st.sampled_from([100, 8000, 44100]))
def test_joined_excerpts_keep_their_length_and_their_sources(lengths, sr):
    parts = [np.full((2, n), index + 1.0, dtype=np.float32) for index, n in enumerate(lengths)]
    out = joined(parts, sr)
    assert out.shape == (2, sum(lengths))
    assert all((part == index + 1.0).all() for index, part in enumerate(parts))
    levels = np.repeat(np.arange(len(lengths)) + 1.0, lengths)
    assert (out <= levels + 1e-6).all()
    assert (out >= 0.0).all()


def test_joints_are_silent_and_nothing_else_is_changed():
    sr = 8000
    out = joined([np.ones((1, sr), dtype=np.float32)] * 2, sr)[0]
    assert out[sr - 1] < 0.001
    assert out[sr] < 0.001
    fade = round(0.02 * sr)
    assert (out[: sr - fade] == 1.0).all()
    assert (out[sr + fade :] == 1.0).all()


def test_a_single_excerpt_is_the_recording_itself():
    part = np.ones((1, 10), dtype=np.float32)
    assert joined([part], 8000) is part
