"""Network terms from named constants: the latencies of NCCL's protocols on an accelerator's links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, passes_of
from inferometer.emulator.calibrate.laws.paper import PAPER_PROTOCOLS, Protocol
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network
from inferometer.emulator.errors import InputError

#: The collectives of the convention, and two that only layouts to be started need: m = 1, as for any but an all_reduce.
COLLECTIVES = ("all_reduce", "all_to_all", "send_recv", "all_gather", "reduce_scatter")
#: One hop of the ring of a TPU or LPU.
HOP_S = 1e-6


class ConstantNetwork(Network):
    """The fastest of some protocols on the links of an accelerator, each collective with its own bus factors.

    Bytes inside a node and between nodes overlap: the slower of the two counts.
    """

    def __init__(self, accelerator: Accelerator, protocols: tuple[Protocol, ...] = PAPER_PROTOCOLS) -> None:
        self._accelerator = accelerator
        self._protocols = protocols

    @property
    def name(self) -> str:
        return f"the paper's constants on the links of {self._accelerator.name}"

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Raises InputError for an unknown collective, or a link whose speed is not known."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        inside, between = bus_factors(collective, r, N)
        per_byte = np.maximum(
            self._seconds_per_byte(inside, self._accelerator.intra_bytes_per_s, "inside a node"),
            self._seconds_per_byte(between, self._accelerator.inter_bytes_per_s, "between nodes"),
        )
        latencies = np.array([p.latency_s(passes_of(collective), r, N) for p in self._protocols])
        transfers = np.array([n * per_byte / p.link_fraction for p in self._protocols])
        best = np.argmin(latencies + transfers, axis=0)[None]
        several = r > 1
        latency, transfer = (np.take_along_axis(v, best, axis=0)[0] for v in (latencies, transfers))
        return CollectiveTime(np.where(several, latency, 0.0), np.where(several, transfer, 0.0))

    def _seconds_per_byte(self, factor: Array, link_bytes_per_s: float | None, where: str) -> Array:
        if link_bytes_per_s is not None:
            return np.asarray(factor / link_bytes_per_s)
        if np.any(factor > 0):
            raise InputError(f"{self._accelerator.name}: the speed of its link {where} is not known; give a calibration")
        return np.zeros_like(factor)


@dataclass(frozen=True)
class RingNetwork(Network):
    """m (R − 1) hops of 1 µs, and (m/2)(R − 1) X / (R W) with W what an all_reduce reaches; blind to nodes."""

    accelerator: Accelerator

    @property
    def name(self) -> str:
        return f"ring of {self.accelerator.name}"

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        check_paper_collective(collective)
        if self.accelerator.all_reduce_bytes_per_s is None:
            raise InputError(f"{self.accelerator.name}: a ring needs all_reduce_bytes_per_s")
        X, R, _ = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (bytes, ranks, nodes)))
        m = passes_of(collective)
        hops = np.maximum(R - 1, 0.0)
        return CollectiveTime(m * hops * HOP_S, m / 2 * hops * X / (R * self.accelerator.all_reduce_bytes_per_s))


def check_paper_collective(collective: str) -> None:
    """Raise InputError for a collective the paper has no constants for."""
    if collective not in COLLECTIVES:
        raise InputError(f"epoch-2025 has no constants for '{collective}': it has {', '.join(COLLECTIVES)}")
