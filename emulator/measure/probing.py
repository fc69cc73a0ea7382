"""Probe the compute side of one launch: every rank computes alone, several of them at the same time.

That is the state a sharded model runs in: ranks share memory channels, caches, perhaps cores. No rank waits for another
within a probe; they begin together and each goes on for about as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from inferometer.emulator.calibrate.computerecords import BEGIN, END
from inferometer.emulator.execute.engine import Engine
from inferometer.emulator.execute.run import Stamps
from inferometer.emulator.measure.method import ITEMSIZE, Probes
from inferometer.emulator.measure.probes import (
    MatmulProbe,
    ModelProbe,
    Probe,
    features,
    operations,
    participants,
    probes_of,
)
from inferometer.emulator.measure.timing import collector_off
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    from inferometer.emulator.measure.runner import Launch
    from inferometer.parallel.communicator import Communicator

SHARE = 0.5
"""Of a launch's time: what probes may take at most."""
LEAST, MOST = 4, 100
"""Iterations of a probe, whatever they take; within its seconds."""

Times = list[int]
Record = dict[str, Any]


def probe_all(
    launch: Launch,
    names: Collection[str] | None,
    skip: Collection[str],
    deadline: float | None,
    stop_asked: Callable[[], bool],
    done: Callable[[Record], None],
) -> tuple[str | None, list[str]]:
    """Make the probes of the sweep, or those named, but for those to skip; on rank 0 ``done`` gets each one's record.

    Rank 0's names, skip and deadline (of time.monotonic) count; at most SHARE of the time until then is taken, the rest is
    left to the collectives. Returns "interrupted" where rank 0 was asked to stop, else None; and the probes not reached.
    Collective over the world.
    """
    if launch.method.sweep.compute is None:
        return None, []
    assert launch.solo is not None
    prober = Prober(launch.method.sweep.compute, launch.solo)
    most = max(launch.placement.ranks_per_node(range(launch.world.size)))
    cores = min(launch.control.gather_all("cores", launch.cores))  # they may differ, where ranks are bound to some
    known = {probe.id: probe for probe in probes_of(launch.method, most, cores)}
    wanted = [name for name in known if (names is None or name in names) and name not in skip]
    last = None if deadline is None else time.monotonic() + SHARE * (deadline - time.monotonic())
    wanted = launch.control.share("probes", wanted)
    for index, name in enumerate(wanted):
        probe = known[name]
        launch.doing = f"waiting for {probe.id}"
        end = "interrupted" if stop_asked() else "time" if last is not None and time.monotonic() > last else None
        end = launch.control.agree(probe.id, probe.id, then=end)
        if end:
            return ("interrupted" if end == "interrupted" else None), wanted[index:]
        ranks = participants(launch.placement.node_of, probe.at_once)
        if launch.world.rank not in ranks:
            continue
        launch.doing = f"in {probe.id}"
        launch.busy_since = time.monotonic()
        take = prober.prepare(probe)
        launch.busy_since = None
        # Together, or ranks would still make their weights while others compute.
        launch.control.share(f"{name} begins", launch.control.gather(f"{name} prepared", None, among=ranks), among=ranks)
        launch.busy_since = time.monotonic()
        ops = take()
        launch.busy_since = None
        of_rank = launch.control.gather(name, ops, among=ranks)
        if of_rank is not None:
            done(_record(launch, probe, ranks, of_rank, prober.working_set_bytes))
    return None, []


class Prober:
    """Makes probes on one rank. alone: its communicator with itself."""

    def __init__(self, wanted: Probes, alone: Communicator) -> None:
        self.wanted = wanted
        self.alone = alone
        self._pool: torch.Tensor | None = None
        self.working_set_bytes = 0
        """Of the weights that the last probe ran through, again and again."""

    def prepare(self, probe: Probe) -> Callable[[], list[Record]]:
        """Make the probe's weights. Calling what is returned takes the times, in ns, of each of its operations."""
        return self._matmuls(probe) if isinstance(probe, MatmulProbe) else self._model(probe)

    def _matmuls(self, probe: MatmulProbe) -> Callable[[], list[Record]]:
        size, width = probe.inner * probe.outer, ITEMSIZE[probe.dtype]
        pool = self._matrices(probe.dtype, size)
        matrices = [part.view(probe.inner, probe.outer) for part in pool.split(size) if len(part) == size]
        self.working_set_bytes = pool.nbytes

        def take() -> list[Record]:
            self._repeat(torch.ones(probe.rows[0], probe.inner, dtype=pool.dtype), matrices)  # out of the sleep of waiting
            ops = []
            for rows in probe.rows:
                sizes = {"rows": rows, "inner": probe.inner, "outer": probe.outer, "matrices": 1, "kv_bytes": 0}
                sizes |= {"flop": 2 * rows * size, "weight_bytes": size * width}
                sizes |= {"activation_bytes": rows * (probe.inner + probe.outer) * width}
                x = torch.ones(rows, probe.inner, dtype=pool.dtype)
                ops.append({"op": "matmul", "kind": "matmul", **sizes, "ns": self._repeat(x, matrices)})
            return ops

        return take

    @torch.inference_mode()
    def _repeat(self, x: torch.Tensor, matrices: Sequence[torch.Tensor]) -> Times:
        for matrix in matrices[-2:]:
            x @ matrix
        ns: Times = []
        last = time.monotonic() + self.wanted.seconds
        with collector_off():
            while len(ns) < LEAST or (len(ns) < MOST and time.monotonic() < last):
                matrix = matrices[len(ns) % len(matrices)]
                begin = perf_counter_ns()
                x @ matrix
                ns.append(perf_counter_ns() - begin)
        return ns

    def _matrices(self, dtype: str, least: int) -> torch.Tensor:
        """[elements] that fill the working set, made once; at least two matrices of least elements."""
        length = max(self.wanted.working_set_bytes // ITEMSIZE[dtype], 2 * least)
        if self._pool is None or self._pool.dtype != getattr(torch, dtype) or len(self._pool) < length:
            self._pool = torch.linspace(-1, 1, length).to(getattr(torch, dtype))
        return self._pool

    def _model(self, probe: ModelProbe) -> Callable[[], list[Record]]:
        bits = 8 * ITEMSIZE[probe.dtype]
        engine = Engine(
            probe.shape(), Layout(), self.alone, batch=probe.batch, cache_tokens=probe.tokens + 1,
            precision=Precision(bits, bits, bits),
        )  # fmt: skip
        program = engine.program(probe.step)
        self.working_set_bytes = int(program.total("weight_bytes"))
        decoding = probe.phase == "decode"
        lines = engine.lines(probe.tokens) if decoding else engine.lines(0, probe.tokens)
        source = torch.Generator().manual_seed(0)  # different tokens: equal ones would all go to the same experts
        prompts = torch.randint(engine.shape.vocab, (probe.batch, probe.tokens), generator=source)

        def step() -> None:
            engine.context = probe.tokens if decoding else 0
            engine.decode(prompts[:, 0]) if decoding else engine.prefill(prompts)

        def take() -> list[Record]:
            readings = self._readings(engine, step)
            sizes = {name: {"kind": op.kind, **features(op)} for name, op in operations(program).items()}
            return apart([line.name for line in lines], readings, sizes, ITEMSIZE[probe.dtype])

        return take

    def _readings(self, engine: Engine, step: Callable[[], None]) -> np.ndarray:
        """[steps, 2 + 2·operations] in ns: the step's begin, start and stop of every operation, the end."""
        engine.tape.observer = stamps = Stamps()
        warm = time.monotonic() + self.wanted.seconds / 2
        step()
        while time.monotonic() < warm:
            step()
        readings: list[list[int]] = []
        last = time.monotonic() + self.wanted.seconds
        with collector_off():
            while len(readings) < LEAST or (len(readings) < MOST and time.monotonic() < last):
                stamps.ns = []
                begin = perf_counter_ns()
                step()
                readings.append([begin, *stamps.ns, perf_counter_ns()])
        engine.close()
        return np.array(readings)


def apart(names: list[str], readings: np.ndarray, sizes: dict[str, Record], width: int) -> list[Record]:
    """Steps taken apart: each operation, and each way from one to the next, as the mean over its occurrences in a step.

    names: of the operations as executed; readings [steps, 2 + 2·operations]: the beginning of the step, start and stop of
    every operation, the end. sizes: of each operation its kind and features; width: bytes of an element.
    """
    own = readings[:, 2:-1:2] - readings[:, 1:-1:2]
    edges = readings.reshape(len(readings), -1, 2)
    before = edges[:, :, 1] - edges[:, :, 0]  # one more than there are operations
    found: list[Record] = []
    for name, its in sizes.items():
        at = [index for index, other in enumerate(names) if other == name]
        found.append({"op": name, **its, "ns": _means(own, at)})
    found.append({"op": BEGIN, "kind": "between", "ns": _means(before, [0])})
    ways = list(zip(names, names[1:]))
    for after, name in dict.fromkeys(ways):
        at = [index + 1 for index, way in enumerate(ways) if way == (after, name)]
        entering = {"activation_bytes": entering_bytes(sizes[name], width)}
        found.append({"op": name, "after": after, "kind": "between", **entering, "ns": _means(before, at)})
    logits = sizes[names[-1]]  # a matmul, whose product is what tokens are chosen from
    chosen = {"activation_bytes": logits["rows"] * logits["outer"] * width}
    found.append({"op": END, "after": names[-1], "kind": "between", **chosen, "ns": _means(before, [len(names)])})
    return found


def entering_bytes(sizes: Record, width: int) -> float:
    """What an operation is handed: the rows of a matmul; else all it moves."""
    return float(sizes["rows"] * sizes["inner"] * width or sizes["activation_bytes"])


def _means(times: np.ndarray, at: list[int]) -> Times:
    """Of each step the mean over some of its operations, in whole ns."""
    return [round(mean) for mean in times[:, at].mean(axis=1).tolist()]


def _record(launch: Launch, probe: Probe, ranks: list[int], of_rank: list[list[Record]], working_set_bytes: int) -> Record:
    """The record of a probe: of every operation the times [ranks][iterations]."""
    ops = [{**same[0], "ns": [op["ns"] for op in same]} for same in zip(*of_rank)]
    return {
        "cell": probe.id,
        "backend": launch.world.backend,
        "device": str(launch.world.device.type),
        "dtype": probe.dtype,
        "scheduler": launch.method.scheduler,
        "threads": launch.method.threads,
        "at_once": probe.at_once,
        "participants": ranks,
        "working_set_bytes": working_set_bytes,
        "ops": ops,
    }
