"""Probe the compute side of one launch: every rank computes by itself, several of them at the same time.

That is the state a sharded model runs in: ranks share memory channels, caches, perhaps cores. Ranks begin a probe together
and each goes on for about as long. They wait for each other only in a sharded model's collectives, which are timed as well:
they take another time in a step than alone, and leave a rank's core and caches cold, so that what is computed next takes
longer, too.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.engine.stamps import Stamps
from inferometer.emulator.measure.method import ProbeModel, Probes
from inferometer.emulator.measure.probes import (
    MatmulProbe,
    ModelProbe,
    Probe,
    operations,
    participants,
    probes_of,
    sent,
)
from inferometer.emulator.measure.rests import Rests
from inferometer.emulator.measure.step_breakdown import collective_breakdown, numbers, step_breakdown
from inferometer.emulator.measure.timing import collector_off
from inferometer.emulator.workload.features import input_sizes, operation_sizes
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import logits_bytes
from inferometer.parallel.device.device import Clock, Device
from inferometer.parallel.device.here import device_of
from inferometer.parallel.dtypes import DTYPES

if TYPE_CHECKING:
    from inferometer.emulator.measure.runner import Launch
    from inferometer.parallel.communicator import Communicator

SHARE = 0.75
"""Of a launch's time: what probes may take at most."""
LEAST, MOST = 2, 100
"""Iterations of a probe, whatever they take; within its seconds."""
LEAST_STEPS = 2
"""Steps of a model's probe, whatever they take."""
WARM_UP, WARM_UP_S = 5, 0.05
"""Steps after a pause, and their time, at most, that warm up and are not counted: a long step does so itself."""
BLOCK_S = 0.4
"""Between two pauses."""

Times = list[int]
Record = dict[str, Any]
Take = Callable[[float], list[Record]]
"""The times, in ns, of each of a probe's operations; of a model whose steps last so many seconds."""


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
    if launch.device.queued:
        from inferometer.emulator.measure.kernels.probing import probe_kernels

        last = None if deadline is None else time.monotonic() + SHARE * (deadline - time.monotonic())
        return probe_kernels(launch, names, skip, last, stop_asked, done)
    if launch.method.sweep.compute is None:
        return None, []
    assert launch.solo is not None
    seed = launch.method.seed + launch.number
    prober = Prober(launch.method.sweep.compute, launch.world, launch.solo, launch.rests, seed)
    per_node = launch.placement.ranks_per_node(range(launch.world.size))
    cores = min(launch.control.gather_all("cores", launch.cores))  # they may differ, where ranks are bound to some
    known = {probe.id: probe for probe in probes_of(launch.method, per_node, cores)}
    wanted = [name for name in known if (names is None or name in names) and name not in skip]
    last = None if deadline is None else time.monotonic() + SHARE * (deadline - time.monotonic())
    wanted = launch.control.share("probes", wanted)
    for index, name in enumerate(wanted):
        probe = known[name]
        launch.doing = f"waiting for {probe.id}"
        end = "interrupted" if stop_asked() else "time" if last is not None and time.monotonic() > last else None
        end = launch.control.agree(probe.id, probe.id, then=end)
        if end:
            prober.close()
            return ("interrupted" if end == "interrupted" else None), wanted[index:]
        ranks = participants(launch.placement.node_of, probe.concurrent_ranks)
        if launch.world.rank not in ranks:
            continue
        launch.doing = f"in {probe.id}"
        launch.busy_since = time.monotonic()
        take, step_s = prober.prepare(probe)
        launch.busy_since = None
        # Together, or ranks would still make their weights while others compute; and all of them the same number of steps.
        all_s = launch.control.gather(f"{name} prepared", step_s, among=ranks)
        step_s = launch.control.share(f"{name} begins", None if all_s is None else max(all_s), among=ranks)
        launch.busy_since = time.monotonic()
        ops = take(step_s)
        launch.busy_since = None
        of_rank = launch.control.gather(name, ops, among=ranks)
        if of_rank is not None:
            done(_record(launch, probe, ranks, of_rank, prober))
    prober.close()
    return None, []


class Prober:
    """Makes probes on one rank. alone: its communicator with itself. seed: of weights and tokens, so of routing."""

    def __init__(self, wanted: Probes, world: Communicator, alone: Communicator, rests: Rests, seed: int = 0) -> None:
        self.wanted = wanted
        self.world = world
        self.alone = alone
        self.rests = rests
        self.seed = seed
        self._pool: torch.Tensor | None = None
        self._engines: dict[tuple[ProbeModel, str], Engine] = {}
        """Each made once: models take turns, and each has several."""
        self.working_set_bytes = 0
        """Of the weights that the last probe ran through, again and again."""

    @cached_property
    def device(self) -> Device:
        """That the world's tensors are on, as everything that is probed is."""
        return device_of(self.world.device)

    @property
    def clock(self) -> Clock:
        return self.device.clock

    def prepare(self, probe: Probe) -> tuple[Take, float]:
        """Make the probe's weights. Returns what takes the times, and how many seconds a step of a model lasts (else 0).

        Of a sharded model collective over the world.
        """
        return (self._matmuls(probe), 0.0) if isinstance(probe, MatmulProbe) else self._model(probe)

    def close(self) -> None:
        """Give the models back, with their groups and memory. Collective over the world: ranks share the sharded ones."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        gc.collect()  # layers and tape know each other

    def _matmuls(self, probe: MatmulProbe) -> Take:
        size, width = probe.inner * probe.outer, DTYPES[probe.dtype].itemsize
        pool = self._matrices(probe.dtype, size)
        matrices = [part.view(probe.inner, probe.outer) for part in pool.split(size) if len(part) == size]
        self.working_set_bytes = pool.nbytes

        def take(step_s: float) -> list[Record]:
            self._repeat(
                torch.ones(probe.rows[0], probe.inner, dtype=pool.dtype, device=pool.device), matrices
            )  # out of the sleep of waiting
            ops = []
            for rows in probe.rows:
                sizes = {"rows": rows, "inner": probe.inner, "outer": probe.outer, "matrices": 1, "kv_bytes": 0}
                sizes |= {"flop": 2 * rows * size, "weight_bytes": size * width}
                sizes |= {"activation_bytes": rows * (probe.inner + probe.outer) * width}
                x = torch.ones(rows, probe.inner, dtype=pool.dtype, device=pool.device)
                ops.append({"op": "matmul", "kind": "matmul", **sizes, "ns": self._repeat(x, matrices)})
            return ops

        return take

    @torch.inference_mode()
    def _repeat(self, x: torch.Tensor, matrices: Sequence[torch.Tensor]) -> Times:
        until = time.monotonic() + self.wanted.seconds
        for matrix in matrices[-2:]:
            if time.monotonic() < until:
                x @ matrix
        mark = self.clock.mark
        begins: list[Any] = []
        ends: list[Any] = []
        last = time.monotonic() + self.wanted.seconds
        with collector_off():
            while len(ends) < LEAST or (len(ends) < MOST and time.monotonic() < last):
                if rested_s := self.rests.rest():
                    x @ matrices[len(ends) % len(matrices) - 1]
                    last += rested_s
                matrix = matrices[len(ends) % len(matrices)]
                begin = mark()
                x @ matrix
                end = mark()
                begins.append(begin)
                ends.append(end)
        readings = self.clock.ns([*begins, *ends])
        return [end - begin for begin, end in zip(readings, readings[len(begins) :])]

    def _matrices(self, dtype: str, least: int) -> torch.Tensor:
        """[elements] that fill the working set, made once; at least two matrices of least elements."""
        length = max(self.wanted.working_set_bytes // DTYPES[dtype].itemsize, 2 * least)
        if self._pool is None or self._pool.dtype != getattr(torch, dtype) or len(self._pool) < length:
            self._pool = torch.linspace(-1, 1, length, device=self.world.device).to(getattr(torch, dtype))
        return self._pool

    def _model(self, probe: ModelProbe) -> tuple[Take, float]:
        engine = self._engine_of(probe)
        engine.admit(probe.sequences, probe.tokens + 1)
        program = engine.program(probe.step)
        self.working_set_bytes = int(program.total("weight_bytes"))
        decoding = probe.phase == "decode"
        lines = engine.lines(probe.tokens) if decoding else engine.lines(0, probe.tokens)
        source = torch.Generator().manual_seed(self.seed)  # different tokens: equal ones would all go to the same experts
        prompts = torch.randint(engine.shape.vocab, (probe.sequences, probe.tokens), generator=source).to(self.world.device)

        def ready() -> None:
            engine.context = probe.tokens if decoding else 0
            engine.choose(prompts[:, 0])

        def step() -> None:
            engine.decode() if decoding else engine.prefill(prompts)

        def take(step_s: float) -> list[Record]:
            readings = self._readings(engine, ready, step, step_s)
            computes = operations(program)
            sizes = {name: {"kind": op.kind, **numbers(operation_sizes(op))} for name, op in computes.items()}
            inputs = {
                name: numbers(input_sizes(operation_sizes(op), program.precision.activation_bytes))
                for name, op in computes.items()
            }
            chosen = float(logits_bytes(program.stages[0], program.precision))
            uneven = {name for name, op in computes.items() if op.expected}
            names = [line.name for line in lines]
            engine.admit(engine.layout.sequence_shares, 1)  # the cache's memory goes to the next model
            found = step_breakdown(names, readings, sizes, inputs, chosen)
            return found + collective_breakdown(names, readings, sent(program), uneven)

        # By what the probe is, not by what a step took here: sharded ranks have to make as many steps as the others.
        for _ in range(2 if decoding else 1):  # the first makes what is made once, little beside a prefill
            ready()
            begin = time.monotonic()
            step()
            self.world.synchronize()
        return take, time.monotonic() - begin

    def _engine_of(self, probe: ModelProbe) -> Engine:
        key = probe.model, probe.dtype
        if key not in self._engines:
            layout, world, bits = probe.model.layout, self.alone, DTYPES[probe.dtype].bits
            if not probe.model.whole:
                layout, world = replace(layout, dp=self.world.size // layout.gpus), self.world
            self._engines[key] = Engine(
                probe.model.shape(), layout, world, batch=layout.sequence_shares, cache_tokens=1,
                precision=Precision(bits, bits, bits), seed=self.seed,
            )  # fmt: skip
        return self._engines[key]

    def _readings(self, engine: Engine, ready: Callable[[], None], step: Callable[[], None], step_s: float) -> np.ndarray:
        """[steps, 2 + 2·operations] in ns: the step's begin, start and stop of every operation, the end.

        Steps follow steps, as a model runs: after a pause the first take up to twice as long between operations.
        """
        engine.tape.observer = stamps = Stamps(self.clock)
        most = max(LEAST_STEPS, min(MOST, round(self.wanted.step_seconds / step_s)))
        warm_up = min(WARM_UP, round(WARM_UP_S / step_s))
        block = max(1, round(BLOCK_S / step_s))
        mark = self.clock.mark
        steps: list[list[Any]] = []
        with collector_off():
            for number in range(most):
                if number % block == 0:  # every rank at the same step: they wait for each other
                    self.rests.rest()
                    for _ in range(warm_up):
                        ready()
                        step()
                ready()
                stamps.marks = []
                begin = mark()
                step()
                steps.append([begin, *stamps.marks, mark()])
        engine.tape.observer = None
        return np.array([self.clock.ns(marks) for marks in steps])


def _record(launch: Launch, probe: Probe, ranks: list[int], of_rank: list[list[Record]], prober: Prober) -> Record:
    """The record of a probe: of every operation the times [ranks][iterations]."""
    ops = [{**same[0], "ns": [op["ns"] for op in same]} for same in zip(*of_rank)]
    return {
        "cell": probe.id,
        "backend": launch.world.backend,
        "device": str(launch.world.device.type),
        "launch_mode": prober.device.launch_modes[0],
        "dtype": probe.dtype,
        "scheduler": launch.method.scheduler,
        "threads": launch.method.threads,
        "concurrent_ranks": probe.concurrent_ranks,
        "model": probe.model.model if isinstance(probe, ModelProbe) else None,
        "sharded": isinstance(probe, ModelProbe) and not probe.model.whole,
        "tokens": float(probe.step_tokens) if isinstance(probe, ModelProbe) else 0.0,
        "participants": ranks,
        "working_set_bytes": prober.working_set_bytes,
        "ops": ops,
    }
