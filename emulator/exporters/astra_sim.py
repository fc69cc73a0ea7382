"""ASTRA-sim's analytical network YAML: a dimension of GPUs in a node, one of nodes, each a Switch.

bandwidth is called GB/s but is GiB/s (common/NetworkFunction.cc multiplies by 2^30/1e9); latency is in ns for a link, and a
message through a Switch crosses two (congestion_unaware: hops·latency + bytes/bandwidth, cut to whole ns). A ring all_reduce
over d GPUs takes 2(d − 1) messages of bytes/d (system/collective/Ring.cc).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.ends import ends_of, one_layout
from inferometer.emulator.exporters.loss import Carried, Made, unplaced
from inferometer.emulator.exporters.query import Layout, Query, place

COLLECTIVE = "all_reduce"
LINKS = 2  # of a message through a switch
GIB = 2**30 / 1e9


@dataclass(frozen=True)
class Dimension:
    """A Switch over count GPUs or nodes, whose ring moves share of the bytes. bandwidth in GiB/s, latency_ns of a link."""

    count: int
    share: float
    bandwidth: float
    latency_ns: float

    def us(self, n: Array) -> Array:
        """The simulator's time of a ring all_reduce of n bytes, µs."""
        message = np.floor(n * self.share / self.count)
        step_ns = np.floor(LINKS * self.latency_ns + message / (self.bandwidth * GIB))
        return np.asarray(2 * (self.count - 1) * step_ns * 1e-3)


def write(query: Query, suffix: str) -> Made:
    """One layout, the most ranks on one node unless asked otherwise; several nodes need the ranks of one measured too."""
    model = query.law(query.collectives([COLLECTIVE])[0])
    layout = one_layout(query, model)
    dimensions = _dimensions(model, layout)
    text = "".join(
        f"{name}: [ {', '.join(values)} ]{comment}\n"
        for name, values, comment in (
            ("topology", ["Switch"] * len(dimensions), ""),
            ("npus_count", [str(d.count) for d in dimensions], ""),
            ("bandwidth", [f"{d.bandwidth:.9g}" for d in dimensions], "  # GiB/s, which ASTRA-sim calls GB/s"),
            ("latency", [f"{d.latency_ns:.9g}" for d in dimensions], "  # ns, half of a step: a switch is two links"),
        )
    )

    def times(n: Array, r: int, N: int) -> Array:
        if (r, N) != layout:
            return np.full(n.shape, np.nan)
        return np.asarray(sum(d.us(n) for d in dimensions))

    ranks, nodes = layout
    dropped = [
        f"other layouts than {place(ranks, nodes)}",
        "a latency of its own for the call: it is spread over the ring's steps, right for this count of ranks alone",
        f"what bends: the line through the times at {model.domain.bytes[0]} and {model.domain.bytes[1]} bytes is kept",
        "other collectives: their steps would take this one's latency",
        *unplaced(model, {"a", "b", "c", "B_intra", "B_inter"}),
    ]
    use = [
        'all-reduce-implementation "ring" in every dimension, preferred-dataset-splits 1, endpoint-delay 0',
        "the congestion-unaware backend: the aware one stores and forwards, so the bytes take twice as long over two links",
    ]
    silent = f"npus_count is fixed: export again with --ranks for other than {ranks}/{nodes}"
    return Made(text.encode(), [Carried(model, times, silent)], dropped, use, {})


def _dimensions(model: NetworkLaw, layout: Layout) -> list[Dimension]:
    """The inner dimension from the law on one node, the outer one from what several nodes cost beyond it."""
    ranks, nodes = layout
    local = ranks // nodes
    latency_us, ns_per_byte = ends_of(model, layout).line
    if nodes == 1 or local == 1:
        return [_dimension(ranks, 1.0, latency_us, ns_per_byte)]
    if 1 not in model.domain.nodes or not min(model.domain.ranks) <= local <= max(model.domain.ranks):
        raise InputError(f"{place(ranks, nodes)}: the inner Switch needs {local} ranks on one node, which were not measured")
    inner_us, inner_ns = ends_of(model, (local, 1)).line
    if latency_us < inner_us or ns_per_byte <= inner_ns:
        raise InputError(
            f"{place(ranks, nodes)} cost no more than {local} on one ({latency_us:.4g} and {inner_us:.4g} µs, "
            f"{ns_per_byte:.4g} and {inner_ns:.4g} ns/byte): no outer Switch follows"
        )
    inner = _dimension(local, 1.0, inner_us, inner_ns)
    return [inner, _dimension(nodes, 1.0 / local, latency_us - inner_us, ns_per_byte - inner_ns)]


def _dimension(count: int, share: float, latency_us: float, ns_per_byte: float) -> Dimension:
    steps = 2 * (count - 1)
    bandwidth = steps * share / count / ns_per_byte  # bytes/ns, the same as GB/s
    return Dimension(count, share, bandwidth / GIB, latency_us * 1e3 / steps / LINKS)
