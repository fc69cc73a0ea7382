"""What a collective costs under epoch-2025: the fastest of NCCL's protocols, or a ring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import passes_of
from inferometer.emulator.calibrate.laws.paper import PAPER_PROTOCOLS, Protocol
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.constants import RingNetwork, check_paper_collective
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network
from inferometer.emulator.errors import InputError


@dataclass(frozen=True)
class PaperNetwork(Network):
    """Over R ranks on M nodes, m = 2 for an all_reduce and 1 for any other:

        latency = base + m [a (R/M − 1) + c log2 M]
        t_in = m (R − M) X / (R W_intra φ),  t_out = m (M − 1) X / (R W_inter φ)

    of the protocol with the least sum. Bytes inside a node and between nodes overlap: max(t_in, t_out) counts, their
    sum with overlap=False (the paper's eq. 28 and 39). Every collective moves its bytes as a ring would, an
    all_to_all and a send_recv too: that is the paper's code, not what such a collective does.
    """

    accelerator: Accelerator
    protocols: tuple[Protocol, ...] = PAPER_PROTOCOLS
    overlap: bool = True

    @property
    def name(self) -> str:
        protocols = ", ".join(protocol.name for protocol in self.protocols)
        return f"constants of {self.accelerator.name}, best of {protocols}" if protocols else self.accelerator.name

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        costs = self._costs(collective, ranks, nodes)
        X = np.asarray(bytes, dtype=float)
        parts = [np.broadcast_arrays(latency_s, X * s_per_byte) for latency_s, s_per_byte in costs]
        latency_s, bandwidth_s = (np.array(part) for part in zip(*parts))
        best = np.argmin(latency_s + bandwidth_s, axis=0)[None]
        return CollectiveTime(*(np.take_along_axis(part, best, axis=0)[0] for part in (latency_s, bandwidth_s)))

    def total_s(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> Array:
        """Seconds as `time` has them, without the split."""
        X = np.asarray(bytes, dtype=float)
        totals = (X * s_per_byte + latency_s for latency_s, s_per_byte in self._costs(collective, ranks, nodes))
        best = next(totals)
        for total_s in totals:
            best = np.minimum(best, total_s)
        return best

    def _costs(self, collective: str, ranks: ArrayLike, nodes: ArrayLike) -> list[tuple[Array, Array]]:
        """Seconds of an empty message, seconds per byte, for each protocol."""
        check_paper_collective(collective)
        intra, inter = self.accelerator.intra_bytes_per_s, self.accelerator.inter_bytes_per_s
        if intra is None or inter is None:
            raise InputError(f"{self.accelerator.name}: the paper's protocols need the bandwidth of both its links")
        R, M = np.asarray(ranks, dtype=float), np.asarray(nodes, dtype=float)
        m, several = passes_of(collective), R > 1
        inside, between = (R - M) / intra, (M - 1) / inter
        s_per_byte = several * m / R * (np.maximum(inside, between) if self.overlap else inside + between)
        per_node, doublings = R / M - 1, np.log2(M)
        return [
            (
                several * (p.base_s + m * (p.per_rank_s * per_node + p.per_doubling_s * doublings)),
                s_per_byte / p.link_fraction,
            )
            for p in self.protocols
        ]


def network_of(accelerator: Accelerator) -> Network:
    """The constants that price an accelerator's collectives under epoch-2025."""
    return RingNetwork(accelerator) if accelerator.collectives == "ring" else PaperNetwork(accelerator)
