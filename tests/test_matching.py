"""A dictionary held against recordings: what occurs when, and what does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import files
import numpy as np
import pytest
import scenes

from audiosep.cli.match import MatchOptions, match_recording
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import save_dictionary
from audiosep.errors import (
    DictionaryError,
    ExitCode,
    InputError,
    OutputError,
    ParameterError,
    RefusedError,
    UsageError,
)
from audiosep.nmf import factorize
from audiosep.research.matching import TABLES, match_dictionary, table_of
from audiosep.transform import stft
from audiosep.types import Audio

SR = 8000


def templates_of(samples, K, sr=SR):
    """Spectra of a sound, and where they lie."""
    spectrogram = stft(Audio(samples=np.float32(samples)[np.newaxis], sr=sr))
    W = factorize(spectrogram.magnitude(), K, max_iter=40, n_threads=1).templates
    return W, np.arange(len(W)) * spectrogram.bin_hz


@pytest.fixture(scope="module")
def known():
    """Two notes and noise, learnt from each alone."""
    stems = scenes.two_notes(SR, 2.0)
    parts = {"low": (stems["low"], 1), "high": (stems["high"], 1), "rough": (noise(), 2)}
    found = [templates_of(samples, K) for samples, K in parts.values()]
    return Dictionary(
        templates=np.hstack([W for W, _ in found]).astype(np.float32),
        frequencies_hz=found[0][1],
        labels=tuple(label for label, (_, K) in parts.items() for _ in range(K)),
        provenance="synthetic",
    )


def noise(seed=5):
    return files.noise(2 * SR, 1, seed=seed)[0]


def in_turn():
    """A second of the low note, one of the high one, one of noise, one of silence."""
    stems = scenes.two_notes(SR, 2.0)
    parts = (
        stems["low"][: SR // 2],
        stems["low"][: SR // 2],
        stems["high"][SR // 2 : SR // 2 + 3600],
        stems["high"][SR // 2 : SR // 2 + 3600],
        noise(seed=9)[:SR] * 0.3,
        np.zeros(SR, np.float32),
    )
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture(scope="module")
def match(known):
    return match_dictionary(known, in_turn(), SR, n_threads=1)


SPANS = {"low": (0.1, 0.9), "high": (1.1, 1.8), "rough": (2.0, 2.8)}
"""Seconds in which each sounds alone."""


@pytest.mark.parametrize("label", SPANS)
def test_each_sound_is_found_when_it_sounds(match, label):
    index = match.labels.index(label)
    inside = {name: (match.times_s > a) & (match.times_s < b) for name, (a, b) in SPANS.items()}
    assert match.similarity[index, inside[label]].mean() > 0.8
    assert match.shares[index, inside[label]].mean() > 0.8
    for other in SPANS.keys() - {label}:
        assert match.shares[index, inside[other]].mean() < 0.15
    assert SPANS[label][0] - 0.1 <= match.scores()[label]["best_s"] <= SPANS[label][1] + 0.1


def test_silence_is_like_nothing(match):
    quiet = match.times_s > 3.0
    assert not match.shares[:, quiet].any()
    assert not match.similarity[:, quiet].any()


def test_shapes_and_ranges(match, known):
    n = len(match.times_s)
    assert match.labels == ("low", "high", "rough")
    assert match.component_labels == known.labels
    assert match.activations.shape == (4, n)
    assert match.levels.shape == match.shares.shape == match.similarity.shape == (3, n)
    np.testing.assert_allclose(match.levels[2], match.activations[2:].sum(axis=0), rtol=1e-5)
    for values in (match.shares, match.similarity):
        assert values.min() >= 0.0
        assert values.max() <= 1.0 + 1e-6
    heard = match.similarity.any(axis=0)
    np.testing.assert_allclose(match.shares[:, heard].sum(axis=0), 1.0, rtol=1e-5)


def test_scores_tell_what_is_there_from_what_is_not(known):
    stems = scenes.two_notes(SR, 2.0)
    low = match_dictionary(known, stems["low"], SR, n_threads=1).scores()
    assert low["low"]["similarity"] > 0.95
    assert low["low"]["mean_share"] > 0.9
    assert low["high"]["mean_share"] < 0.1


def test_free_components_take_what_is_not_known(known):
    clicks = scenes.tones_and_clicks(SR, 2.0)["clicks"]
    strict = match_dictionary(known, clicks, SR, n_threads=1)
    free = match_dictionary(known, clicks, SR, n_free=6, n_threads=1)
    assert free.shares.sum(axis=0).max() <= 1.0 + 1e-5
    assert free.shares.sum() < 0.8 * strict.shares.sum()
    np.testing.assert_array_equal(free.similarity, strict.similarity)


@pytest.mark.parametrize("sr", [6000, 16000, 44100])
def test_other_rates_and_channels(known, sr):
    stems = scenes.two_notes(sr, 1.0)
    samples = np.stack([stems["low"], np.zeros_like(stems["low"]), -stems["low"]])
    scores = match_dictionary(known, samples, sr, n_threads=1).scores()
    assert scores["low"]["similarity"] > 0.9
    assert scores["low"]["mean_share"] > 0.85


@pytest.mark.parametrize("level", [1e-12, 1e-3, 1e12])
def test_the_level_does_not_matter(known, match, level):
    got = match_dictionary(known, in_turn() * np.float32(level), SR, n_threads=1)
    np.testing.assert_allclose(got.shares, match.shares, atol=1e-3)
    np.testing.assert_allclose(got.similarity, match.similarity, atol=1e-3)
    np.testing.assert_allclose(got.levels / level, match.levels, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("samples", [np.zeros(3000), np.ones(1), np.full(9000, 0.3)])
def test_recordings_that_are_unusual(known, samples):
    got = match_dictionary(known, samples.astype(np.float32), SR, n_threads=1)
    assert np.isfinite(got.activations).all()
    for score in got.scores().values():
        assert all(0.0 <= score[name] <= 1.0 + 1e-6 for name in ("similarity", "mean_share"))


def test_threads_do_not_matter(known):
    one, two = (match_dictionary(known, in_turn(), SR, n_free=2, n_threads=n) for n in (1, 3))
    for name in ("activations", "levels", "shares", "similarity"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_patches_are_refused():
    patches = Dictionary(
        templates=np.ones((5, 2, 3), np.float32),
        frequencies_hz=np.arange(5) * 100.0,
        labels=("a", "b"),
        provenance="synthetic",
        step_s=0.01,
    )
    with pytest.raises(DictionaryError, match="patches in time, and spectra are needed"):
        match_dictionary(patches, in_turn(), SR)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_free": -1}, ParameterError, "n_free=-1 must be"),
        ({"max_iter": 0}, ParameterError, "max_iter=0 must be"),
        ({"beta": "cosine"}, UsageError, "beta 'cosine' is unknown"),
        ({"window_s": 0.0}, ParameterError, "window of 0.0 s"),
        ({"duration": 1.0}, UsageError, "start and duration are for files"),
    ],
)
def test_settings_that_cannot_be(known, settings, error, message):
    with pytest.raises(error, match=message):
        match_dictionary(known, in_turn(), SR, **settings)


@pytest.mark.parametrize("columns", TABLES)
def test_tables(match, columns):
    names, values = table_of(match, columns)
    expected = {
        "labels": match.levels,
        "components": match.activations,
        "shares": match.shares,
        "similarity": match.similarity,
    }[columns]
    np.testing.assert_array_equal(values.T, expected)
    components = ["low-1", "high-1", "rough-1", "rough-2"]
    assert list(names) == (components if columns == "components" else ["low", "high", "rough"])


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(known, tmp_path, monkeypatch, capsys):
    """Call the command; return its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    save_dictionary(known, "known.safetensors")
    files.write_sound("new.wav", in_turn()[np.newaxis] / 2, SR)

    def call(dictionary="known.safetensors", source="new.wav", *, talk=None, **options):
        given = {
            "out": None,
            "columns": "labels",
            "n_free": 0,
            "start": 0.0,
            "duration": None,
            "n_threads": 1,
        } | options
        wanted = MatchOptions(**given)
        code = match_recording(Path(dictionary), Path(source), wanted, Talk(**(talk or {})))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_command_prints_scores_and_writes_a_table(run, known):
    code, out, err = run(out=Path("activations.csv"))
    assert code == ExitCode.DONE
    heads, *lines = out.splitlines()
    assert heads.split() == ["label", "similarity", "share", "mean", "share", "best", "at"]
    assert [line.split()[0] for line in lines] == ["low", "high", "rough"]
    head, *rows = csv.reader(Path("activations.csv").read_text().splitlines())
    assert head == ["time_s", "low", "high", "rough"]
    numbers = np.array(rows, dtype=float)
    got = match_dictionary("known.safetensors", "new.wav", n_threads=1)
    np.testing.assert_allclose(numbers[:, 0], got.times_s, atol=1e-6)
    np.testing.assert_array_equal(numbers[:, 1:].astype(np.float32), got.levels.T)
    assert f"labels of {len(rows)} frames" in err
    assert files.leftovers(Path()) == []


def test_json(run):
    code, out, _ = run(talk={"json_lines": True}, duration=1.0)
    entry = json.loads(out)
    assert (code, entry["status"], entry["error"], entry["out"]) == (0, "done", None, None)
    assert entry["labels"].keys() == {"low", "high", "rough"}
    assert entry["labels"]["low"]["similarity"] > 0.9


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"dictionary": "none.safetensors"}, DictionaryError, "none.safetensors"),
        ({"dictionary": "new.wav"}, DictionaryError, "new.wav"),
        ({"source": "none.wav"}, InputError, "none.wav"),
        ({"source": "known.safetensors"}, InputError, "known.safetensors"),
        ({"out": Path("new.wav")}, RefusedError, "new.wav exists already"),
        ({"out": Path("none/a.csv")}, OutputError, "none is no folder"),
        ({"columns": "all"}, UsageError, "--columns 'all' is unknown; use labels, components"),
        ({"n_free": -2}, UsageError, "n_free=-2 must be"),
        ({"start": 60.0}, InputError, "before the start of 60 s"),
    ],
)
def test_mistakes_are_explained(run, tmp_path, capsys, given, error, message):
    with pytest.raises(error, match=message) as raised:
        run(**given, talk={"json_lines": True})
    assert json.loads(capsys.readouterr().out)["error"] == words_of(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.safetensors", "new.wav"]
