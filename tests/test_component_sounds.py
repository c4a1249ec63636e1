"""Sounds of single components at once: what regrouping would move."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import files
import numpy as np
import pytest
import scenes

import audiosep
from audiosep.errors import InputError, RefusedError, UsageError
from audiosep.research.component_sounds import open_component_sounds
from audiosep.research.regrouping import regroup

SR = 8000
STEP = 2.0**-15


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Stems of the same recording with mask exponents 1 and 2; no test changes them."""
    folder = tmp_path_factory.mktemp("sounds")
    stems = scenes.band(SR, 3.0)
    mixture = np.stack([sum(stems.values()), stems["bass"] + 0.5 * stems["drums"]])
    files.write_sound(folder / "mix.wav", 0.5 * mixture / np.abs(mixture).max(), SR)
    for exponent in (1, 2):
        audiosep.separate(
            folder / "mix.wav",
            preset="components",
            n_sources=2,
            n_components=6,
            max_iter=15,
            mask_exponent=exponent,
            n_threads=1,
        ).save(folder / f"by-{exponent}")
    return folder


@pytest.fixture(scope="module")
def sounds(home):
    return open_component_sounds(home / "by-1", n_threads=1)


def test_a_part_is_what_regrouping_moves(home, sounds, tmp_path):
    assert sounds.is_exact
    for component in (1, 4):
        out = tmp_path / str(component)
        stems = regroup(home / "by-1", move={component: "moved"}, out=out, n_threads=1).paths
        moved = audiosep.read(stems["moved"]).samples
        part = sounds.part(component, 0, 3)
        assert part.dtype == np.float32
        assert np.abs(part).max() > 100 * STEP
        assert np.abs(part - moved).max() <= STEP


def test_the_stem_it_leaves_is_heard_at_once_as_it_will_be(home, sounds, tmp_path):
    stem = next(s for s in sounds.stored.grouping.names if sounds.weight(3, s) == 1)
    before = audiosep.read(home / "by-1" / f"{stem}.wav").samples
    after = regroup(home / "by-1", move={3: "moved"}, out=tmp_path / "out", n_threads=1).paths
    left = before - sounds.part(3, 0, 3)
    assert np.abs(left - audiosep.read(after[stem]).samples).max() <= STEP


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(0, 0.5), (0.7, 1.9), (1.0003, 1.0004), (2.9, 3.0), (2.5, 9.0), (0, 3)]
)
def test_any_span_is_cut_out_of_the_whole(sounds, start_s, end_s):
    whole = sounds.part([2, 5], 0, 3)
    part = sounds.part([2, 5], start_s, end_s)
    first, last = round(start_s * SR), min(round(end_s * SR), 3 * SR)
    assert part.shape == (2, last - first)
    assert np.abs(part - whole[:, first:last]).max() < 1e-6


@pytest.mark.parametrize("exponent", [1, 2])
def test_all_parts_add_up_to_the_mixture(home, exponent):
    opened = open_component_sounds(home / f"by-{exponent}", n_threads=1)
    assert opened.is_exact is (exponent == 1)
    total = sum(opened.part(k, 0.5, 2) for k in range(1, 7))
    mixture = opened.mixture.samples[:, round(0.5 * SR) : 2 * SR]
    assert np.abs(total - mixture).max() < 1e-5
    assert np.abs(opened.part(range(1, 7), 0.5, 2) - mixture).max() < 1e-5


def test_with_another_exponent_a_part_is_near_to_what_regrouping_moves(home, tmp_path):
    opened = open_component_sounds(home / "by-2", n_threads=1)
    energy = [float(np.square(opened.part(k, 0, 3)).sum()) for k in range(1, 7)]
    loudest = int(np.argmax(energy)) + 1
    out = tmp_path / "out"
    stems = regroup(home / "by-2", move={loudest: "moved"}, out=out, n_threads=1).paths
    part = opened.part(loudest, 0, 3).ravel()
    moved = audiosep.read(stems["moved"]).samples.ravel()
    assert audiosep.si_sdr(moved, part) > 5


def test_parts_may_be_asked_for_at_the_same_time(sounds):
    alone = [sounds.part(k, 0.5, 1.5) for k in range(1, 7)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: sounds.part(k, 0.5, 1.5), range(1, 7)))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("component", "span", "words"),
    [
        (0, (0, 1), "no component 0; there are 1 to 6"),
        (7, (0, 1), "no component 7"),
        (True, (0, 1), "no component True"),
        ([], (0, 1), "no component is named"),
        (1, (3, 4), "nothing to hear from 3 to 4 s of a recording of 3.00 s"),
        (1, (1, 1), "nothing to hear"),
        (1, (-1, 1), "nothing to hear"),
        (1, (float("nan"), 1), "nothing to hear"),
    ],
)
def test_what_cannot_be_heard_is_refused(sounds, component, span, words):
    with pytest.raises(UsageError, match=words):
        sounds.part(component, *span)


def test_a_stem_that_is_not_there_is_refused(sounds):
    with pytest.raises(UsageError, match="there is no stem 'x'"):
        sounds.weight(1, "x")


def test_folders_that_cannot_be_opened_are_refused(home, tmp_path):
    with pytest.raises(InputError, match="holds no finished separation"):
        open_component_sounds(tmp_path)
    shutil.copytree(home / "by-1", tmp_path / "mix")
    stem = next((tmp_path / "mix").glob("*.wav"))
    stem.write_bytes(stem.read_bytes()[:-2] + b"\1\1")
    with pytest.raises(RefusedError, match="damaged or edited"):
        open_component_sounds(tmp_path / "mix")
