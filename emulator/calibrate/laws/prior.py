"""The constants the *inference economics* paper takes for t_reduce: the only numbers here that nobody measured."""

from __future__ import annotations

from types import MappingProxyType

from inferometer.emulator.calibrate.laws.bus_factors import passes_of

#: Latency of NCCL's tree with the LL protocol: a base, then per further rank of a node and per doubling of the nodes,
#: once for each pass over the data (an all_reduce makes two).
BASE_US = 6.8
PER_LOCAL_RANK_US = 0.6
PER_LOG2_NODE_US = 5.0
LATENCY_SOURCE = "Erdil 2025, eq. 23 and 40; NCCL src/graph/tuning.cc, tree with LL, 2.18.1 to 2.30.7"

#: H100: 450 GB/s of NVLink and 50 GB/s of InfiniBand per GPU and direction; LL moves 4 bytes of data in 8.
LL_EFFICIENCY = 0.5
INTRA_GBS = 450.0 * LL_EFFICIENCY
INTER_GBS = 50.0 * LL_EFFICIENCY
BANDWIDTH_SOURCE = "Erdil 2025, H100 SXM with NVLink 4 and 400 Gb/s InfiniBand, LL protocol"

SOURCES = MappingProxyType(
    {
        "a": LATENCY_SOURCE,
        "b": LATENCY_SOURCE,
        "c": LATENCY_SOURCE,
        "B_intra": BANDWIDTH_SOURCE,
        "B_inter": BANDWIDTH_SOURCE,
    }
)


def paper_parameters(collective: str) -> dict[str, float]:
    """The paper's a, b, c [µs] and B_intra, B_inter [GB/s, bus bandwidth] for one collective.

    a = 6.8, b = 0.6 m, c = 5 m with m = 2 passes for an all_reduce and 1 for any other, as the paper's code has it.
    """
    passes = float(passes_of(collective))
    return {
        "a": BASE_US,
        "b": PER_LOCAL_RANK_US * passes,
        "c": PER_LOG2_NODE_US * passes,
        "B_intra": INTRA_GBS,
        "B_inter": INTER_GBS,
    }
