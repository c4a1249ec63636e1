"""Stored factorizations: they survive a round trip, and damaged or hostile files are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from audiosep import factorization_files
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import DictionaryError, OutputError
from audiosep.factorization_files import (
    FACTORIZATION_NAME,
    StoredFactorization,
    load_factorization,
    problem_of_size,
    save_factorization,
)
from audiosep.types import Grouping

KEY = "audiosep_factorization"


def factors(K=3, n_fft=16, hop_length=4, n_samples=100, names=("low", "high"), seed=0, **changes):
    rng = np.random.default_rng(seed)
    weights = np.eye(len(names), dtype=np.float32)[rng.integers(len(names), size=K)]
    settings = {
        "templates": rng.random((1 + n_fft // 2, K), dtype=np.float32),
        "activations": rng.random((K, 1 + n_samples // hop_length), dtype=np.float32),
        "grouping": Grouping(
            weights=weights,
            names=tuple(names),
            confidence=np.linspace(0.0, 1.0, len(names), dtype=np.float32),
        ),
        "sr": 8000,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": "sqrt_hann",
        "n_samples": n_samples,
        "n_channels": 2,
        "mask_exponent": 1.0,
    }
    return StoredFactorization(**{**settings, **changes})


def same(one, other):
    for name in ("templates", "activations"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        assert getattr(other, name).dtype == np.float32
    assert one.grouping.names == other.grouping.names
    np.testing.assert_array_equal(one.grouping.weights, other.grouping.weights)
    np.testing.assert_array_equal(one.grouping.confidence, other.grouping.confidence)
    for name in ("sr", "n_fft", "hop_length", "window", "n_samples", "n_channels", "mask_exponent"):
        assert getattr(one, name) == getattr(other, name)


@given(
    K=st.integers(1, 5),
    n_fft=st.integers(1, 20).map(lambda n: 2 * n),
    n_samples=st.integers(1, 300),
    exponent=st.floats(0.1, 10.0),
    names=st.sampled_from([("a",), ("Stimme", "Vögel"), ("source-1", "🎵", "x y")]),
    seed=st.integers(0, 99),
)
def test_round_trip(tmp_path_factory, K, n_fft, n_samples, exponent, names, seed):
    hop = max(1, n_fft // 4)
    stored = factors(K, n_fft, hop, n_samples, names, seed, mask_exponent=exponent)
    path = tmp_path_factory.mktemp("f") / FACTORIZATION_NAME
    save_factorization(stored, path)
    same(stored, load_factorization(path))
    same(stored, load_factorization(path.parent))
    first = path.read_bytes()
    save_factorization(load_factorization(path), path)
    assert path.read_bytes() == first


def test_sizes_that_follow():
    stored = factors()
    assert (stored.n_components, stored.n_frames) == (3, 26)
    assert (stored.bin_hz, stored.frame_s) == (500.0, 0.0005)


def hostile(path, *, change=None, tensors=None, metadata=None):
    """Write a file whose description or numbers are changed."""
    stored = factors()
    save_factorization(stored, path)
    arrays = load_file(path)
    with opened(path) as content:
        described = json.loads(content.metadata()[KEY])
    described |= change or {}
    arrays |= tensors or {}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    text = {KEY: json.dumps(described)} if metadata is None else metadata
    save_file(arrays, path, metadata=text)
    return path


def opened(path):
    from safetensors import safe_open

    return safe_open(str(path), framework="numpy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "it is of version 2; install a newer audiosep"),
        ({"version": None}, "it is of version None"),
        ({"names": "low"}, "description is not that of a factorization"),
        ({"names": [1, 2]}, "description is not that of a factorization"),
        ({"names": ["low", "low"]}, "names of the stems are not different"),
        ({"names": ["low", "Low"]}, "names of the stems are not different"),
        ({"names": ["low", "com1"]}, "cannot name a stem"),
        ({"names": ["low", "\ud800"]}, "cannot name a stem"),
        ({"names": ["low", "a\0"]}, "cannot name a stem"),
        ({"names": ["low", "../high"]}, "cannot name a stem"),
        ({"names": ["low"]}, r"the shape \(3, 2\); a row for each component .* \(3, 1\)"),
        ({"names": []}, "there are no names of stems"),
        ({"sr": 0}, "sr=0 must be a whole number from 100"),
        ({"sr": 8000.0}, "sr=8000.0 must be a whole number"),
        ({"sr": True}, "sr=True must be a whole number"),
        ({"n_fft": 15}, "n_fft=15 and hop_length=4 are no analysis at 8000 Hz"),
        ({"n_fft": 2**20, "hop_length": 2**18}, "n_fft=1048576 and hop_length=262144 are no"),
        ({"n_fft": 4096, "hop_length": 1}, "n_fft=4096 and hop_length=1 are no analysis"),
        ({"n_fft": 2**40}, "n_fft=1099511627776 must be"),
        ({"hop_length": 0}, "hop_length=0 must be"),
        ({"hop_length": 9}, "are no analysis"),
        ({"n_samples": 10**30}, "n_samples=1000000000000000000000000000000 must be"),
        ({"n_samples": 200}, "must have the shapes"),
        ({"n_channels": -1}, "n_channels=-1 must be"),
        ({"window": "boxcar"}, "the window 'boxcar' is unknown"),
        ({"window": None}, "description is not that of a factorization"),
        ({"mask_exponent": 0.0}, "mask_exponent=0.0 must be a number from 0.1 to 10"),
        ({"mask_exponent": "1"}, "mask_exponent='1' must be"),
        ({"mask_exponent": 10**400}, "must be a number from 0.1 to 10"),
    ],
)
def test_descriptions_that_lie(tmp_path, change, message):
    with pytest.raises(DictionaryError, match=message):
        load_factorization(hostile(tmp_path / "f", change=change))


def one(values, where, value):
    out = np.array(values)
    out[where] = value
    return out


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("templates", lambda v: one(v, (0, 0), np.nan), "templates hold negative or non-finite"),
        ("templates", lambda v: one(v, (0, 0), -1e-9), "templates hold negative or non-finite"),
        ("activations", lambda v: one(v, (1, 2), np.inf), "activations hold negative"),
        ("activations", lambda v: one(v, (1, 2), 3e38), "their products are no numbers"),
        ("activations", lambda v: v[:, :-1].copy(), "must have the shapes"),
        ("activations", lambda v: v.ravel(), "must have the shapes"),
        ("templates", lambda v: v[np.newaxis], "are not 1 to 1000 spectra"),
        ("templates", lambda v: v[:, :0].copy(), "are not 1 to 1000 spectra"),
        ("templates", lambda v: v[:5].copy(), "must have the shapes"),
        ("weights", lambda v: 2 * v, "do not sum to one"),
        ("weights", lambda v: one(v, (0, 0), np.nan), "do not sum to one"),
        ("weights", lambda v: v - [[1, -1]], "F32"),
        ("weights", lambda v: np.float32(v - [[1, -1]]), "do not sum to one"),
        ("weights", lambda v: v[:2].copy(), "a row for each component"),
        ("confidence", lambda v: one(v, 0, 1.5), "must be 2 numbers from 0 to 1"),
        ("confidence", lambda v: one(v, 0, np.nan), "must be 2 numbers from 0 to 1"),
        ("confidence", lambda v: v[:1].copy(), "must be 2 numbers from 0 to 1"),
        ("templates", lambda v: v.astype(np.float64), "it lacks 'templates' as numbers of F32"),
        ("activations", lambda v: v.astype(np.int32), "it lacks 'activations' as numbers of F32"),
        ("weights", lambda v: None, "it lacks 'weights'"),
    ],
)
def test_numbers_that_cannot_be(tmp_path, name, change, message):
    values = {
        "templates": factors().templates,
        "activations": factors().activations,
        "weights": factors().grouping.weights,
        "confidence": factors().grouping.confidence,
    }
    path = hostile(tmp_path / "f", tensors={name: change(values[name])})
    with pytest.raises(DictionaryError, match=message) as raised:
        load_factorization(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "metadata", [None, {}, {KEY: "{"}, {KEY: "[]"}, {KEY: "{}"}, {KEY: "[" * 100_000}]
)
def test_files_that_tell_nothing(tmp_path, metadata):
    path = tmp_path / "f"
    if metadata is None:
        save_file({"x": np.zeros(1)}, path)
    else:
        hostile(path, metadata=metadata)
    with pytest.raises(DictionaryError, match="no factorization: the description"):
        load_factorization(path)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "f"
    save_factorization(factors(), path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 37):
        path.write_bytes(whole[:n])
        with pytest.raises(DictionaryError, match="no factorization, or damaged"):
            load_factorization(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x04.", b"\xff" * 200])
def test_files_of_other_kinds(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DictionaryError, match="no factorization, or damaged"):
        load_factorization(tmp_path / "f")


def test_what_a_file_says_itself_is_escaped_in_errors(tmp_path):
    """Found by scripts/fuzz.py: a type that does not exist, a control character in its name."""
    header = json.dumps({"x": {"dtype": "F32\x1b[2J", "shape": [1], "data_offsets": [0, 4]}})
    data = len(header).to_bytes(8, "little") + header.encode() + bytes(4)
    (tmp_path / "f").write_bytes(data)
    for load in (load_factorization, load_dictionary):
        with pytest.raises(DictionaryError, match="damaged") as refused:
            load(tmp_path / "f")
        assert str(refused.value).isprintable()
        assert "F32" not in str(refused.value)


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DictionaryError, match="cannot read the factorization: No such file"):
            load_factorization(path)
    with pytest.raises(DictionaryError, match="no factorization"):
        load_factorization("a\0b")


def test_a_file_too_large(tmp_path, monkeypatch):
    save_factorization(factors(), tmp_path / "f")
    monkeypatch.setattr(factorization_files, "MAX_FILE_BYTES", 100)
    with pytest.raises(DictionaryError, match="too large for a factorization"):
        load_factorization(tmp_path / "f")


def test_what_could_not_be_read_is_not_written(tmp_path, monkeypatch):
    stored = factors()
    assert problem_of_size(2**29) == ""
    monkeypatch.setattr(factorization_files, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(DictionaryError, match="too large to be stored, at most 1 MB are; use few"):
        save_factorization(stored, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="cannot write the factorization"):
        save_factorization(factors(), tmp_path / "none" / "f")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="cannot write the factorization"):
        save_factorization(factors(), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_values_are_checked_when_made():
    with pytest.raises(DictionaryError, match="the templates must be float32"):
        factors(templates=np.ones((9, 3)))
    with pytest.raises(DictionaryError, match="n_samples=0"):
        replace(factors(), n_samples=0)
