"""Separations and factorizations that are known, for the tests of what is shown of them."""

from __future__ import annotations

import numpy as np

import audiosep
from audiosep.types import Factorization, Stop

SR = 8000


def audio_of(samples, sr=SR):
    return audiosep.Audio(samples=np.atleast_2d(np.asarray(samples, dtype=np.float32)), sr=sr)


def separation_of(stems, sr=SR, record=None, **others):
    audios = {name: audio_of(samples, sr) for name, samples in stems.items()}
    mixture = audio_of(np.sum([a.samples for a in audios.values()], axis=0), sr)
    return audiosep.Separation(
        stems=audios,
        mixture=mixture,
        factorization=None,
        grouping=None,
        record={"preset": "x", "method": "x", "input": {"path": None}} | (record or {}),
        **others,
    )


def factorization_of(W, H):
    return Factorization(
        templates=np.asarray(W, dtype=np.float32),
        activations=np.asarray(H, dtype=np.float32),
        losses=np.array([10.0, 1.0]),
        n_iter=1,
        stop=Stop.MAX_ITER,
        beta=1.0,
    )


ODD = {
    "silence": np.zeros((1, SR)),
    "one sample": np.ones((1, 1)),
    "one frame": np.ones((1, 100)),
    "sixteen channels": np.ones((16, 3000)),
    "very loud": np.full((1, 3000), 9e29),
    "very quiet": np.full((1, 3000), 1e-35),
}
