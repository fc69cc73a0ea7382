"""NCCL 2.30's own model of its collectives: the time it ranks algorithms and protocols by.

    t = latency + n/bandwidth,    the least over algorithms × protocols        (src/graph/tuning.cc, ncclTopoGetAlgoTime)

for nodes whose GPUs are joined by NVLink, a NIC per GPU. Rings, trees, NVLS, NVLSTree and (with one GPU per node) PAT, as
they are enabled by default; CollNet needs switches that reduce. Point-to-point and all_to_all are not in NCCL's table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.configs import folder
from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.query import query_arrays
from inferometer.emulator.errors import InputError
from inferometer.parallel.collectives import COLLECTIVES

KIND = "calibrations"
#: NCCL's own model gives a time for each case instead of a law to keep in a file (module `nccl_tuner`). A generation of GPUs
#: may follow, as in nccl-2.30-hopper.
TUNER = "nccl-2.30"

Constants = dict[str, Any]

PROTOCOLS = ("LL", "LL128", "Simple")
#: Those of NCCL's table, and the passes of those that go round a ring.
TUNED = tuple(name for name, record in COLLECTIVES.items() if record.tools.nccl_tuner)
RING_STEPS = {name: float(COLLECTIVES[name].traffic.passes) for name in TUNED if COLLECTIVES[name].traffic.pattern == "ring"}
#: More heads than this NVLS has only for an all_reduce.
MAX_NVLS_HEADS = 32
#: Channels of at least this bandwidth are split in two.
SPLIT_GBPS = 25.0
MAX_CHANNELS = 16


@lru_cache
def load_constants() -> Constants:
    """The figures of the packaged nccl-2.30.toml."""
    return tomllib.loads(folder(KIND).joinpath(f"{TUNER}.toml").read_text(encoding="utf-8"))


def generation_of(device: str) -> str | None:
    """The generation (volta, ampere, hopper, blackwell) of a built-in accelerator; None if it has none here."""
    found = load_constants()["generations"].items()
    return next((name for name, figures in found if device in figures["devices"]), None)


@dataclass(frozen=True)
class Estimate:
    """µs, arrays of the common shape of the queries; algorithm such as "Ring-LL", empty for one rank."""

    latency_us: Array
    transfer_us: Array
    algorithm: NDArray[np.str_]

    @property
    def us(self) -> Array:
        return self.latency_us + self.transfer_us


@dataclass(frozen=True)
class Graph:
    """Channels that a node's links and NICs give: their number and the bandwidth of each, GB/s."""

    channels: Array
    gbps: Array

    @property
    def bus(self) -> Array:
        return self.channels * self.gbps


@dataclass(frozen=True)
class Case:
    """One query, broadcast to [m]: bytes, ranks, nodes; local ranks per node; scale: 0, 1, 2 for 1, 2, more nodes."""

    collective: str
    n: Array
    r: Array
    N: Array

    @property
    def local(self) -> Array:
        return np.floor(self.r / self.N)

    @property
    def scale(self) -> NDArray[np.int64]:
        return np.where(self.N <= 1, 0, np.where(self.N <= 2, 1, 2))

    @property
    def doublings(self) -> Array:
        return np.floor(np.log2(self.N))

    @property
    def per_step(self) -> Array:
        """Algorithm bandwidth per bus bandwidth of a ring: ranks per step."""
        steps = RING_STEPS.get(self.collective)
        return np.ones_like(self.r) if steps is None else self.r / (steps * (self.r - 1))


#: Latency [m] in µs and algorithm bandwidth [m] in GB/s of one algorithm with a protocol, by its place in PROTOCOLS.
Price = Callable[[Case, int], tuple[Array, Array]]


@dataclass(frozen=True)
class NcclTuner:
    """generation: volta, ampere, hopper, blackwell; nvlink_gbps: a GPU's NVLinks one way by datasheet; nic_gbps: a GPU's
    NIC, None where there is none; cpu: the vendor, which sets what LL reaches over several nodes."""

    generation: str
    nvlink_gbps: float
    nic_gbps: float | None
    cpu: Literal["intel", "amd"] = "intel"

    def __post_init__(self) -> None:
        known = load_constants()["generations"]
        if self.generation not in known:
            raise InputError(f"generation {self.generation!r}: {TUNER} knows {', '.join(known)}")
        for name in ("nvlink_gbps", "nic_gbps"):
            speed = getattr(self, name)
            if speed is not None and not (np.isfinite(speed) and speed >= 0):
                raise InputError(f"{name} must be finite and at least 0, got {speed:g}")

    def estimate(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike = 1) -> Estimate:
        """NCCL's time for bytes (nccl-tests' convention) on ranks spread evenly over nodes; these broadcast. One rank: 0.

        Raises InputError for a collective that is not in NCCL's table, for several nodes without NICs, and as
        `query_arrays` does.
        """
        n, r, N = query_arrays(bytes, ranks, nodes)
        several = r > 1
        table = self.table(collective, n.ravel(), r.ravel(), N.ravel())
        latencies, gbps = (np.array(part) for part in zip(*table.values()))
        with np.errstate(divide="ignore", invalid="ignore"):
            transfers = np.where(gbps > 0, n.ravel() / (1000 * gbps), np.inf)
        best = np.argmin(latencies + transfers, axis=0)[None]
        latency, transfer = (np.take_along_axis(v, best, axis=0).reshape(n.shape) for v in (latencies, transfers))
        algorithm = np.where(several, np.array(list(table))[best].reshape(n.shape), "")
        return Estimate(np.where(several, latency, 0.0), np.where(several, transfer, 0.0), algorithm)

    def table(self, collective: str, bytes: Array, ranks: Array, nodes: Array) -> dict[str, tuple[Array, Array]]:
        """What NCCL prints with NCCL_DEBUG_SUBSYS=TUNING, corrected for [m] sizes: latency in µs and algorithm bandwidth in
        GB/s, 0 where disabled, of each algorithm and protocol. Raises as `estimate` does; one rank counts as two."""
        if collective not in TUNED:
            raise InputError(f"{TUNER}: NCCL's tuner has no model of {collective}: it knows {', '.join(TUNED)}")
        if self.nic_gbps is None and np.any(nodes > 1):
            raise InputError(f"{TUNER}: the speed of the link between nodes is not known")
        case = Case(collective, bytes, np.maximum(ranks, 2.0), nodes)
        algorithms: dict[str, tuple[tuple[str, ...], Price]] = {
            "Ring": (PROTOCOLS, self._ring),
            "Tree": (PROTOCOLS, self._tree),
            "NVLS": (("Simple",), self._nvls),
            "NVLSTree": (("Simple",), self._nvls_tree),
            "PAT": (("Simple",), self._pat),
        }
        found = {}
        for algorithm, (protocols, price) in algorithms.items():
            for protocol in protocols:
                latency, gbps = np.broadcast_arrays(*price(case, PROTOCOLS.index(protocol)), case.n)[:2]
                found[f"{algorithm}-{protocol}"] = latency, gbps
        return found

    @property
    def _figures(self) -> Constants:
        return dict(load_constants()["generations"][self.generation])

    def _graph(self, case: Case) -> Graph:
        """What the topology search finds for rings and trees."""
        links = self.nvlink_gbps * self._figures["link_fraction"]
        inside = [(int(links // speed), speed) for speed in self._figures["speeds_inside"] if links // speed <= MAX_CHANNELS]
        channels, speed = max(inside, key=lambda found: (found[0] * found[1], found[1]))
        each = self._per_nic(case, links)
        channel, gbps = np.where(case.N > 1, case.local, float(channels)), np.where(case.N > 1, each, speed)
        split = np.where((gbps >= SPLIT_GBPS) & (channel <= MAX_CHANNELS), 2.0, 1.0)
        return Graph(channel * split, gbps / split)

    def _per_nic(self, case: Case, links: float) -> Array:
        """The speed of a channel per NIC: the NICs' own, or a share of the NVLinks."""
        limit = np.minimum(self.nic_gbps or 0.0, links / np.maximum(case.local, 1))
        return _fastest(self._figures["speeds_across"], limit)

    def _ring(self, case: Case, p: int) -> tuple[Array, Array]:
        constants, graph = load_constants(), self._graph(case)
        base = constants["base_us"]["Ring"][p]
        inside, across = (constants["hop_us"][where]["Ring"][p] for where in ("nvlink", "net"))
        overhead = constants["net_overhead_us"][self.cpu] * (3 if PROTOCOLS[p] == "Simple" else 1)
        steps = RING_STEPS.get(case.collective)
        if steps is None:
            latency = base + np.where(case.N > 1, across, inside)
        else:
            hop = np.where(case.N > 1, np.maximum(inside, overhead), inside)
            latency = base + steps * ((case.r - case.N) * hop + (case.N - 1) * across)
        plateau = (case.N > 1) & (case.n / (graph.channels * case.r) >= 64)
        if PROTOCOLS[p] == "Simple" and case.collective == "all_reduce":
            latency = latency * np.where(plateau, constants["plateau"], 1.0)
        bus = graph.bus
        if PROTOCOLS[p] == "LL":
            bus = np.minimum(self._ll_max(case), bus / 2)
        elif PROTOCOLS[p] == "LL128":
            bus = np.minimum(0.92 * bus, graph.channels * self._per_channel("ring_ll128", case))
        return latency, bus * case.per_step

    def _tree(self, case: Case, p: int) -> tuple[Array, Array]:
        constants, graph = load_constants(), self._graph(case)
        inside, across = (constants["hop_us"][where]["Tree"][p] for where in ("nvlink", "net"))
        latency = constants["base_us"]["Tree"][p] + 2 * ((case.local - 1) * inside + case.doublings * across)
        bus = np.minimum(0.92 * graph.bus, graph.channels * self._per_channel("tree", case))
        if PROTOCOLS[p] == "LL":
            bus = np.minimum(bus / 3.8, self._ll_max(case))
        elif PROTOCOLS[p] == "LL128":
            part = np.where(case.N > 1, 120 / 128, 7 / 9)
            bus = np.minimum(bus * part, graph.channels * self._per_channel("tree_ll128", case))
        return latency, 0.5 * bus * _correction(case.n, p) * (case.collective == "all_reduce")

    def _nvls(self, case: Case, p: int) -> tuple[Array, Array]:
        bus = self._multicast(case) * case.local
        few = (case.local <= MAX_NVLS_HEADS) | (case.collective == "all_reduce")
        enabled = (case.N == 1) & (case.local >= 2) & few & (case.collective in RING_STEPS)
        return np.full_like(case.n, load_constants()["hop_us"]["nvlink"]["NVLS"][p]), bus * case.per_step * enabled

    def _nvls_tree(self, case: Case, p: int) -> tuple[Array, Array]:
        hops = load_constants()["hop_us"]
        latency = hops["nvlink"]["NVLSTree"][p] + 2 * case.doublings * hops["net"]["NVLSTree"][p]
        links = self.nvlink_gbps * self._figures["link_fraction"]
        across = self._per_nic(case, links) * np.where(case.N <= 2, 2, 1)
        each = np.minimum(np.minimum(self._multicast(case), across), self._per_channel("nvls_tree", case))
        if self.generation == "blackwell":
            each = each * _correction(case.n, p)
        enabled = (
            (case.N > 1) & (case.local >= 2) & (case.collective == "all_reduce") & (self._figures["nvls_efficiency"] > 0)
        )
        return latency, each * case.local * case.per_step * enabled

    def _pat(self, case: Case, p: int) -> tuple[Array, Array]:
        constants = load_constants()
        across = constants["hop_us"]["net"]["PAT"][p]
        latency = constants["base_us"]["PAT"][p] + case.doublings * across / 3.5 + 2.8 * case.r
        enabled = (case.N > 1) & (case.r == case.N) & (case.collective in ("all_gather", "reduce_scatter"))
        return latency, 0.75 * self._graph(case).bus * case.per_step * enabled

    def _multicast(self, case: Case) -> Array:
        """Bus bandwidth per head of a reduction or broadcast in the switch; a head per GPU of the node."""
        figures, heads = self._figures, np.maximum(case.local, 1)
        speed = _fastest(figures["speeds_inside"], self.nvlink_gbps * figures["link_fraction"] / heads)
        share = 2.0 if case.collective == "all_reduce" else (heads - 1) / heads
        return np.asarray(speed * figures["nvls_efficiency"] * (heads - 1) / heads * share)

    def _ll_max(self, case: Case) -> Array:
        rows = [self._figures["ll_max_one_node"], *load_constants()["ll_max"][self.cpu]]
        return np.array(rows, dtype=float)[case.scale]

    def _per_channel(self, name: str, case: Case) -> Array:
        return np.array(self._figures[name], dtype=float)[case.scale]


def _fastest(speeds: list[float], limit: Array) -> Array:
    """The largest of the speeds that is within limit [m], 0 where none is."""
    rising = np.array([0.0, *sorted(speeds)])
    return rising[np.searchsorted(rising, limit, side="right") - 1]


def _correction(n: Array, p: int) -> Array:
    """What trees reach of their bandwidth at n bytes."""
    factors = np.array([*load_constants()["tree_correction"][PROTOCOLS[p]], 1.0])
    doublings = np.floor(np.log2(np.maximum(n, 64.0) / 64)).astype(int)
    return factors[np.minimum(doublings, len(factors) - 1)]
