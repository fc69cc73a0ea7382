"""One emulation in a launch, on one rank: repeat prefill and decode steps, take clock readings, hand them to rank 0.

Blocks of instrumented steps alternate with blocks of plain ones, so that both see the same machine and what the
instruments cost is known. Blocks end with an exchange through the control plane, which disturbs a pipeline's rhythm: the
first step of each is the lead and is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from inferometer.emulator.engine.agreement import check
from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.engine.steps import Called, Reading, Replayed, Steps
from inferometer.emulator.measure.rests import Rests
from inferometer.emulator.measure.stopping import reason_to_end
from inferometer.emulator.measure.timing import collector_off
from inferometer.emulator.validate.settings import Emulation, Phase
from inferometer.parallel.communicator import Communicator
from inferometer.parallel.control import Control
from inferometer.parallel.device.device import Device, check_room
from inferometer.parallel.device.here import device_of
from inferometer.parallel.placement import Placement

BLOCK_STEPS = 10
BLOCK_S = 0.5
"""A block of decode steps lasts about this long, or BLOCK_STEPS steps if that is shorter."""
PREFILL_LEAST = 3

Record = dict[str, Any]


@dataclass
class Run:
    """What a rank needs to take part, and where it is."""

    method: Emulation
    control: Control
    placement: Placement
    world: Communicator
    busy_since: float | None = None
    """Since when (time.monotonic) this rank has been in its present step; None: it waits or computes nothing timed."""
    _engine: Engine | None = None
    _at: str = "starting up"
    _graphs: dict[bool, Replayed] = field(default_factory=dict)
    """Captured decode steps, by whether they are instrumented."""

    @property
    def doing(self) -> str:
        """What this rank is at, for whoever has to explain a failure."""
        if self._engine is None or self.busy_since is None:
            return self._at
        how = "queued up to" if self.device.queued else "at"  # the device may be at an earlier one
        return f"{self._at}, {how} {self._engine.tape.doing}"

    @doing.setter
    def doing(self, text: str) -> None:
        self._at = text

    @cached_property
    def device(self) -> Device:
        """That the model is on."""
        return device_of(self.world.device)

    def prepare(self) -> Record:
        """Make the model; the rank's place in it and the operations of its steps, by phase."""
        self._at = "making the weights"
        m = self.method
        check_room(self.device, float(m.resident().total_bytes), f"{m.small().shape.name}: weights and cache")
        self._engine = engine = Engine(
            m.small().shape, m.layout, self.world, batch=m.replica_batch, cache_tokens=m.cache_tokens,
            micro_batches=m.micro_batches, precision=m.precision, node_size=self.node_size, seed=m.seed,
            device=self.device,
        )  # fmt: skip
        lines = {"prefill": engine.lines(0, m.context), "decode": engine.lines(m.context)}
        groups = {name: list(axis.group.ranks) for name, axis in engine.axes.items() if axis.group}
        return {
            "stage": engine.stage_index,
            "groups": groups,
            "attention": {phase: engine.attention_of(phase, m.context) for phase in m.phases},
            "lines": {phase: [list(line) for line in of_phase] for phase, of_phase in lines.items()},
        }

    @property
    def node_size(self) -> int:
        return max(self.placement.ranks_per_node(range(self.world.size)))

    def carry_out(
        self, stop_asked: Callable[[], bool], done: Callable[[Record], None], began: Callable[[Phase], None]
    ) -> str:
        """Both phases; returns why it ended. On rank 0 ``done`` gets every rank's record of every step.

        Raises Disagreement and RunFailed as agreement.check does, OffTape, and whatever the collectives raise.
        """
        assert self._engine is not None
        reason = "complete"
        if "prefill" not in self.method.phases:
            self._engine.prefill(_prompts(self.method, self._engine.shape.vocab)[:, :1])
        for phase in self.method.phases:
            began(phase)
            if self._repeat(phase, stop_asked, done) == "interrupted":
                reason = "interrupted"
                break
        self._at = "leaving"
        self._graphs.clear()  # they hold the groups' buffers
        self._engine.finish()
        self._engine.close()
        self._engine = None
        return reason

    def _repeat(self, phase: Phase, stop_asked: Callable[[], bool], done: Callable[[Record], None]) -> str:
        stop, rank0 = self.method.stop, self.world.rank == 0
        least = PREFILL_LEAST if phase == "prefill" else stop.min_iterations
        rests = Rests.here(self.method.scheduler, self.node_size, self.method.threads, self.placement.cores)
        begun = time.monotonic()
        times: list[float] = []
        steps = 1 if phase == "prefill" else 1 + self.method.warmup
        block = -1  # warms up, and tells how long a step takes
        while True:
            instrumented = block % 2 == 0
            rests.rest()
            graph = block >= 0 and phase == "decode" and self.method.launch_mode == "graph"
            mine = self._block(phase, steps, instrumented, graph)
            of_rank = self.control.gather(f"{phase} {block}", mine)
            verdict: list[Any] = []
            if rank0 and of_rank is not None:
                spans = np.array([[end - begin for begin, end, _, _ in readings] for readings in of_rank])
                counted = spans.mean(axis=0)[int(phase == "decode") :] / 1e9
                if block >= 0:
                    self._record(phase, block, instrumented, of_rank, done)
                    times += counted.tolist() if instrumented else []
                reason = "interrupted" if stop_asked() else None
                if not instrumented and block > 0:  # never between an instrumented block and the plain one beside it
                    elapsed_s = time.monotonic() - begun
                    reason = reason or reason_to_end(np.array(times), elapsed_s, self.method.stop, least)
                if phase == "decode":
                    steps = 1 + max(1, min(BLOCK_STEPS, round(BLOCK_S / max(counted.mean(), 1e-9))))
                verdict = [reason, steps]
            check(self._engine_made, self.control)
            reason, steps = self.control.share(f"{phase} {block}", verdict)
            if reason:
                return str(reason)
            block += 1

    @property
    def _engine_made(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def _block(self, phase: Phase, steps: int, instrumented: bool, graph: bool) -> list[Reading]:
        """The readings of so many steps. graph: replay them."""
        engine = self._engine_made
        self._at = f"in a {phase} step"
        self.busy_since = time.monotonic()
        if phase == "prefill":
            engine.reset()
        engine.context = self.method.context if phase == "decode" else 0
        made = self._steps(phase, instrumented, graph)
        self.world.barrier()
        with collector_off():
            for _ in range(steps):
                engine.context = self.method.context if phase == "decode" else 0  # every step at the same context
                self.busy_since = time.monotonic()
                made.step()
            readings = made.read()
        self.busy_since = None
        return readings

    def _steps(self, phase: Phase, instrumented: bool, graph: bool) -> Steps:
        engine = self._engine_made
        if graph:
            if instrumented not in self._graphs:
                self._at = "capturing a decode step"
                self._graphs[instrumented] = Replayed(engine, instrumented=instrumented)
                self._at = "in a decode step"
            return self._graphs[instrumented]
        prompts = _prompts(self.method, engine.shape.vocab).to(engine.world.device)
        run = partial(engine.prefill, prompts) if phase == "prefill" else engine.decode
        return Called(engine, run, instrumented=instrumented)

    def _record(self, phase: Phase, block: int, instrumented: bool, of_rank: list, done: Callable[[Record], None]) -> None:
        for rank, readings in enumerate(of_rank):
            for step, (begin, end, stamps, varied) in enumerate(readings):
                done(
                    {
                        "rank": rank,
                        "phase": phase,
                        "block": block,
                        "step": step,
                        "lead": phase == "decode" and step == 0,
                        "instrumented": instrumented,
                        "begin_ns": begin,
                        "end_ns": end,
                        "stamps_ns": stamps if instrumented else None,
                        "executed": varied,
                    }
                )


def _prompts(method: Emulation, vocab: int) -> torch.Tensor:
    """The same on every rank."""
    source = torch.Generator().manual_seed(method.seed)
    return torch.randint(vocab, (method.replica_batch, method.context), generator=source)
