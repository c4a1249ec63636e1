"""Non-negative matrix factorization. Knows matrices only, not audio."""

from __future__ import annotations

from audiosep.nmf.divergence import beta_divergence
from audiosep.nmf.factorize import factorize

__all__ = ["beta_divergence", "factorize"]
