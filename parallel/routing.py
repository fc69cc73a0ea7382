"""Seeded mixture-of-experts routings: how many elements each rank sends to each other rank in an uneven all_to_all."""

from __future__ import annotations

import numpy as np

EXPERTS_PER_RANK = 8
MAX_TOKENS = 4096
"""Finer routing than this changes no split by more than a few per cent and only costs time to draw."""


def split_matrix(kind: str, elements: int, size: int) -> np.ndarray:
    """Elements that rank i sends to rank j: int64 [size, size], every row sums to at most ``elements``.

    ``uniform``: every token picks one of the experts with equal chance, so that the splits differ by chance alone.
    ``skewed``: expert popularity falls as 1/k (Zipf), as it does in models without balancing; a seeded permutation puts
    the popular experts on different ranks. The draw depends on the arguments alone: all ranks make the same matrix.
    Raises ``ValueError`` for another kind.
    """
    if kind not in ("uniform", "skewed"):
        raise ValueError(f"routing {kind!r} is neither uniform nor skewed")
    unit = max(1, elements // MAX_TOKENS)
    tokens = elements // unit
    experts = EXPERTS_PER_RANK * size
    # The same experts are popular at every size: one law has to describe them all.
    order = np.random.default_rng(size).permutation(experts)
    popularity = np.ones(experts) if kind == "uniform" else 1.0 / (1 + order)
    to_rank = popularity.reshape(size, EXPERTS_PER_RANK).sum(axis=1)
    random = np.random.default_rng([size, elements, kind == "skewed"])
    return random.multinomial(tokens, to_rank / to_rank.sum(), size=size).astype(np.int64) * unit
