"""The constants of the *inference economics* paper and of the code behind it: the only numbers here that nobody measured."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import passes_of

LATENCY_SOURCE = "Erdil 2025, eq. 23 and 40; NCCL src/graph/tuning.cc, tree with LL, 2.18.1 to 2.30.7"
BANDWIDTH_SOURCE = "Erdil 2025, H100 SXM with NVLink 4 and 400 Gb/s InfiniBand, LL protocol"
#: H100: NVLink and InfiniBand per GPU and direction.
NVLINK_GBS = 450.0
INFINIBAND_GBS = 50.0


@dataclass(frozen=True)
class Protocol:
    """base + m·[per_rank·(r/N − 1) + per_doubling·log2 N], m passes over the data; link_fraction of a link's bandwidth."""

    name: str
    base_s: float
    per_rank_s: float
    per_doubling_s: float
    link_fraction: float

    def latency_s(self, passes: int, ranks: Array, nodes: Array) -> Array:
        inside = self.per_rank_s * (ranks / nodes - 1)
        return np.asarray(self.base_s + passes * (inside + self.per_doubling_s * np.log2(nodes)))


#: NCCL's tree with LL, which moves 4 bytes of data in 8: eq. 23 and 40.
LL = Protocol("LL", 6.8e-6, 0.6e-6, 5e-6, 0.5)
#: What the code behind the paper takes the fastest of.
PAPER_PROTOCOLS = (
    LL,
    Protocol("LL128", 14e-6, 1.25e-6, 8.5e-6, 0.95),
    Protocol("Simple", 0.0, 28e-6, 28e-6, 1.0),
)

SOURCES = MappingProxyType(
    {
        "a": LATENCY_SOURCE,
        "b": LATENCY_SOURCE,
        "c": LATENCY_SOURCE,
        "B_intra": BANDWIDTH_SOURCE,
        "B_inter": BANDWIDTH_SOURCE,
    }
)


def paper_parameters(collective: str, protocol: Protocol = LL) -> dict[str, float]:
    """a, b, c [µs] and B_intra, B_inter [GB/s, bus bandwidth] of one collective with one protocol.

    With LL a = 6.8, b = 0.6 m, c = 5 m and 225 and 25 GB/s, m = passes_of(collective): the paper's t_reduce.
    """
    passes = passes_of(collective)
    return {
        "a": protocol.base_s * 1e6,
        "b": passes * protocol.per_rank_s * 1e6,
        "c": passes * protocol.per_doubling_s * 1e6,
        "B_intra": NVLINK_GBS * protocol.link_fraction,
        "B_inter": INFINIBAND_GBS * protocol.link_fraction,
    }
