"""What a collective costs on some network: the face that every source of network terms shows to the pricing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.workload.program import Size


@dataclass(frozen=True)
class CollectiveTime:
    """Time of one collective in seconds, split at the time of an empty message; arrays of the common shape."""

    latency_s: Array
    bandwidth_s: Array

    @property
    def total_s(self) -> Array:
        return self.latency_s + self.bandwidth_s


@dataclass(frozen=True)
class Deviations:
    """What leaves the logarithm of times [m] open: 95 % half widths [s, m] of sources that err independently.

    law: whose they are; collectives that one law prices err together. The first source errs by itself at each rank and
    node count, the others have the sign of what they do to each time. The 95 % interval of a time t is [t e^−h, t e^h], h
    the root of the sum of their squares; NaN where nothing says so. freedom [s]: of the Student's t by which a
    source is known; inf: normal.
    """

    law: str
    half_widths: Array
    freedom: Sequence[float]

    @property
    def whole(self) -> Array:
        """h [m]."""
        return np.asarray(np.sqrt((self.half_widths**2).sum(axis=0)))


class Network(Protocol):
    """A source of network terms: named constants, or a calibration file.

    Arguments everywhere: a collective of bytes (nccl-tests' convention) on ranks spread over nodes; these broadcast, and
    ranks and nodes may be real-valued.
    """

    @property
    def name(self) -> str: ...

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Time of one collective; one rank costs 0. NaN where this network does not determine it.

        Raises InputError for a collective this network knows nothing of.
        """
        ...

    def knows(self, collective: str) -> bool:
        """False where `time` refuses the collective, whatever its bytes and ranks."""
        return True

    def notes(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> list[str]:
        """What to know of such a time, in words: where it leaves what was measured, what stands in."""
        return []

    def deviations(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> Deviations | None:
        """What leaves the logarithm of such a time open; None of a network that states no errors at all."""
        return None

    def narrowing(self, collective: str, bytes: float, ranks: float, nodes: float) -> str:
        """Which measurement would narrow the interval of this time most, in words; empty where none is known to."""
        return ""

    def gaps(self, collectives: Sequence[str]) -> str:
        """Why times of these collectives may be NaN, in words; empty where that does not happen."""
        return ""


class Sent(NamedTuple):
    """A collective in a step: after compute_gap_s seconds of computing; isolated_s: what it takes by itself."""

    collective: str
    bytes: Size
    ranks: int
    nodes: int
    compute_gap_s: Size
    isolated_s: Size


class InStepOverhead(Protocol):
    """What collectives take in a step beyond their isolated time."""

    def overhead_s(self, sent: Sequence[Sent]) -> list[Size | None]:
        """Of each, seconds beyond its isolated time; None where nothing is known."""
        ...

    def notes(self, sent: Sequence[Sent]) -> list[str]:
        """What to know of these, in words, each once: what stands in, what is left out or extrapolated."""
        return []
