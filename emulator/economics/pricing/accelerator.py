"""An accelerator: the rates, the memory, the links, the price of one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Accelerator:
    """One device. Datasheet rates and the fraction of them that long kernels sustain are kept apart.

    Links are one-way and per device. A figure that is not known is None.
    """

    name: str
    flop_per_s: dict[int, float]
    """Dense datasheet FLOP/s by bits of the operands; a width that is missing runs at the next wider one's rate."""
    flop_fraction: float
    memory_bytes: float
    memory_bytes_per_s: float
    memory_fraction: float
    intra_bytes_per_s: float | None
    inter_bytes_per_s: float | None
    node_size: int
    usd_per_hour: float | None
    kernel_s: float
    """Host-side cost of launching one kernel that nothing hides."""
    collectives: Literal["nccl", "ring"] = "nccl"
    """Which family of constants prices its collectives under epoch-2025."""
    all_reduce_bytes_per_s: float | None = None
    """What an all_reduce over a ring reaches, for accelerators of which nothing else is known of their links."""
    sources: dict[str, str] | None = None
    """Where each figure comes from, by field."""
