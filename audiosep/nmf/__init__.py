"""Non-negative matrix factorization. Knows matrices only, not audio.

Names are imported when first used: most of them bring compiled code along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# Now: the module of this name must not take the function's place later.
from audiosep.nmf.factorize import factorize

if TYPE_CHECKING:
    from audiosep.nmf.convolutive import ConvolutiveFactorization, factorize_convolutive
    from audiosep.nmf.divergence import beta_divergence
    from audiosep.nmf.estimator import NMF
    from audiosep.nmf.graphs import GraphFactorization, factorize_symmetric, factorize_tri
    from audiosep.nmf.initialize import harmonic_combs
    from audiosep.nmf.online import OnlineNMF
    from audiosep.nmf.penalties import (
        L1,
        L2,
        Decorrelation,
        GroupSparsity,
        Orthogonality,
        Prior,
        Relevance,
        Smoothness,
    )
    from audiosep.nmf.rank import RankSuggestion, suggest_rank
    from audiosep.nmf.restarts import Restarts, factorize_restarts
    from audiosep.nmf.tensor import TensorFactorization, factorize_tensor

_HOMES = {
    "ConvolutiveFactorization": "convolutive",
    "Decorrelation": "penalties",
    "GraphFactorization": "graphs",
    "GroupSparsity": "penalties",
    "L1": "penalties",
    "L2": "penalties",
    "NMF": "estimator",
    "OnlineNMF": "online",
    "Orthogonality": "penalties",
    "Prior": "penalties",
    "RankSuggestion": "rank",
    "Relevance": "penalties",
    "Restarts": "restarts",
    "Smoothness": "penalties",
    "TensorFactorization": "tensor",
    "beta_divergence": "divergence",
    "factorize_convolutive": "convolutive",
    "factorize_restarts": "restarts",
    "factorize_symmetric": "graphs",
    "factorize_tensor": "tensor",
    "factorize_tri": "graphs",
    "harmonic_combs": "initialize",
    "suggest_rank": "rank",
}

__all__ = [
    "L1",
    "L2",
    "NMF",
    "ConvolutiveFactorization",
    "Decorrelation",
    "GraphFactorization",
    "GroupSparsity",
    "OnlineNMF",
    "Orthogonality",
    "Prior",
    "RankSuggestion",
    "Relevance",
    "Restarts",
    "Smoothness",
    "TensorFactorization",
    "beta_divergence",
    "factorize",
    "factorize_convolutive",
    "factorize_restarts",
    "factorize_symmetric",
    "factorize_tensor",
    "factorize_tri",
    "harmonic_combs",
    "suggest_rank",
]


# A type checker knows the names from above, and that there are no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'audiosep.nmf' has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"audiosep.nmf.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
