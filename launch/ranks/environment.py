"""The environment variables that a rank starts with."""

from __future__ import annotations

from collections.abc import Mapping


def rank_environment(variables: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a rank: this process's, with so many OpenMP threads and huge pages unless the user said otherwise.

    Where torch's large tensors lie on small pages, which of them share a cache's sets is drawn by lot for every allocation,
    and with it how long the same step takes (docs/measuring.md; benchmarks/weight_pages.py).
    """
    return {"OMP_NUM_THREADS": str(threads), "THP_MEM_ALLOC_ENABLE": "1", **variables}
