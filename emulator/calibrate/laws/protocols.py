"""The protocols of which the code behind the inference economics paper takes the fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array


@dataclass(frozen=True)
class Protocol:
    """base + m·[per_rank·(r/N − 1) + per_doubling·log2 N], m = 2 for an all_reduce and 1 for any other collective."""

    name: str
    base_s: float
    per_rank_s: float
    per_doubling_s: float
    link_fraction: float

    def latency_s(self, passes: int, ranks: Array, nodes: Array) -> Array:
        inside = self.per_rank_s * (ranks / nodes - 1)
        return np.asarray(self.base_s + passes * (inside + self.per_doubling_s * np.log2(nodes)))


#: What the code behind Erdil 2025 takes the fastest of; its eq. 23 and 40 are LL for an all_reduce.
PAPER_PROTOCOLS = (
    Protocol("LL", 6.8e-6, 0.6e-6, 5e-6, 0.5),
    Protocol("LL128", 14e-6, 1.25e-6, 8.5e-6, 0.95),
    Protocol("Simple", 0.0, 28e-6, 28e-6, 1.0),
)
