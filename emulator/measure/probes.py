"""Which probes of the compute side a launch makes: matmuls on a grid of sizes, and steps of whole models by operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from inferometer.emulator.measure.method import LEAST_PROBES, Method, ProbeModel
from inferometer.emulator.measure.plan import coarse_to_fine
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Collective, Compute, Program
from inferometer.emulator.workload.step import Step
from inferometer.parallel.dtypes import DTYPES, EXECUTED

Phase = Literal["prefill", "decode"]
TURN_STEPS = 2
"""Steps of a model in one turn, after the first turn."""


@dataclass(frozen=True)
class MatmulProbe:
    """Rows by inner by outer, for every number of rows in turn, each time with another matrix."""

    dtype: str
    concurrent_ranks: int
    """Ranks of a node that compute at the same time."""
    rows: tuple[int, ...]
    inner: int
    outer: int

    @property
    def id(self) -> str:
        """The same probe in every launch."""
        return f"compute/{self.dtype}/{self.concurrent_ranks}/matmul/{self.inner}x{self.outer}"


@dataclass(frozen=True)
class ModelProbe:
    """Steps of a small model, or of one rank's shard of it: the time of every operation and of the glue between them."""

    dtype: str
    concurrent_ranks: int
    model: ProbeModel
    phase: Phase
    batch: int
    """Sequences whose attention this rank shares in."""
    tokens: int
    """Of the context in decode, of the prompt in prefill."""

    @property
    def id(self) -> str:
        """The same probe in every launch."""
        layers = f"-{self.model.layers}" if self.model.layers else ""
        layout = self.model.layout
        shard = "" if self.model.whole else f"-{layout.describe().replace(' ', '-')}"
        model = f"{self.model.model}-{self.model.scale:g}{layers}{shard}"
        return f"compute/{self.dtype}/{self.concurrent_ranks}/{model}/{self.phase}/{self.batch}x{self.tokens}"

    @property
    def sequences(self) -> int:
        """Of all ranks that would share them."""
        return self.batch * self.model.layout.sequence_shares

    @property
    def step(self) -> Step:
        kind = Step.decode if self.phase == "decode" else Step.prefill
        return kind(self.sequences, self.tokens)

    @property
    def step_tokens(self) -> int:
        """New tokens of one step on this rank."""
        return self.batch * (self.tokens if self.phase == "prefill" else 1)


Probe = MatmulProbe | ModelProbe


def probes_of(method: Method, per_node: Sequence[int], cores: int) -> list[Probe]:
    """Every probe the sweep asks for and the backend runs: on one rank of each node, on two, four, … and on all, at once.

    per_node: ranks of each. Never on more ranks than cores: a rank that waits for its turn on a core takes now one probe's
    time, now a time slice more, which a few iterations do not show. Sharded models only where their shards take up the whole
    world, none of them over several nodes.
    """
    wanted = method.sweep.compute
    if wanted is None:
        return []
    dtypes = [name for name in method.dtypes if name in probed_dtypes(method.backend)]
    most = max(1, min(max(per_node), cores // method.threads))
    steps: list[tuple[Phase, int, int]] = [("prefill", *sizes) for sizes in wanted.prefills]
    steps += [("decode", *sizes) for sizes in product(wanted.batches, wanted.contexts)]
    steps = [steps[at] for at in coarse_to_fine(list(range(len(steps))))]
    # In the order of importance: the probes that the time does not suffice for should not all be of one model. So a model's
    # steps run in several turns, the corners first, at several moments of the machine; the first turn suffices for a law.
    # Several whole models at once run the corners only: one model and sharded ones show how times depend on sizes.
    corners = steps[: max((len(steps) + 1) // 2, LEAST_PROBES)]
    later = range(LEAST_PROBES, len(steps), TURN_STEPS)
    turns = [steps[:LEAST_PROBES], *(steps[at : at + TURN_STEPS] for at in later)]
    found: list[Probe] = []
    for some in ({1, most}, set(levels(most)) - {1, most}):
        places = list(product(sorted(some), dtypes))
        for concurrent_ranks, dtype in places:
            found += [
                MatmulProbe(dtype, concurrent_ranks, tuple(wanted.rows), *sizes)
                for sizes in product(wanted.inner, wanted.outer)
            ]
        for turn, (concurrent_ranks, dtype), model in product(turns, places, wanted.models):
            if model.whole or shared_out(model, per_node, concurrent_ranks):
                chosen = turn if concurrent_ranks == 1 or not model.whole else [step for step in turn if step in corners]
                # Prefills before decode steps, as a model runs.
                chosen = sorted(chosen, key=lambda step: step[0] == "decode")
                found += [ModelProbe(dtype, concurrent_ranks, model, *step) for step in chosen]
    return found


def probed_dtypes(backend: str) -> set[str]:
    """Those in which models run on the backend's devices; none on GPUs, where no model is run yet."""
    if backend == "nccl":
        return set()
    return {dtype.name for dtype in EXECUTED.values() if backend in dtype.summed_by}


def kept_bytes(probes: Iterable[Probe]) -> int:
    """What a rank that has a part in all of them keeps of their models' weights: each model is made once."""
    models = {(probe.model, probe.dtype) for probe in probes if isinstance(probe, ModelProbe)}
    total = 0.0
    for model, dtype in models:
        bits = DTYPES[dtype].bits
        program = build(model.shape(), model.layout, Step.decode(1, 0), precision=Precision(bits, bits, bits))
        total += resident(program, 1, 0).weights_bytes
    return int(total)


def shared_out(model: ProbeModel, per_node: Sequence[int], concurrent_ranks: int) -> bool:
    """Whether the shards of model fall to concurrent_ranks ranks of every node, and to no others."""
    return all(ranks == concurrent_ranks for ranks in per_node) and concurrent_ranks % model.layout.gpus == 0


def levels(most: int) -> list[int]:
    """1, 2, 4, … and most itself."""
    return sorted({*(2**k for k in range(most.bit_length())), most})


def participants(node_of: Sequence[int], concurrent_ranks: int) -> list[int]:
    """The first ranks of every node, concurrent_ranks of each."""
    return [rank for rank, node in enumerate(node_of) if node_of[:rank].count(node) < concurrent_ranks]


def operations(program: Program) -> dict[str, Compute]:
    """The computations of a one-stage program by name, in the order of execution."""
    return {op.name: op for _, op in program.stages[0].counted() if isinstance(op, Compute)}


def sent(program: Program) -> dict[str, dict[str, object]]:
    """What the collectives of a one-stage program send, by name."""
    return {
        op.name: {"collective": op.collective, "bytes": float(op.bytes), "ranks": op.ranks, "nodes": op.nodes}
        for _, op in program.stages[0].counted()
        if isinstance(op, Collective)
    }
