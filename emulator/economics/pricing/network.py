"""What a collective costs on some network: the face that every source of network terms shows to the pricing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array


@dataclass(frozen=True)
class CollectiveTime:
    """Time of one collective in seconds, split at the time of an empty message; arrays of the common shape."""

    latency_s: Array
    bandwidth_s: Array

    @property
    def total_s(self) -> Array:
        return self.latency_s + self.bandwidth_s


class Network(Protocol):
    """A source of network terms: named constants, or a calibration file."""

    @property
    def name(self) -> str: ...

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Time of one collective of bytes (nccl-tests' convention) on ranks spread over nodes; these broadcast.

        Real-valued ranks and nodes are allowed. One rank costs 0.

        Raises InputError for a collective this network knows nothing of.
        """
        ...
