"""A launch's cells on one rank, one emulation after another."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.run import Record, Run
from inferometer.emulator.validate.settings import Phase
from inferometer.parallel.communicator import Communicator
from inferometer.parallel.control import Control
from inferometer.parallel.placement import Placement


class Sink(Protocol):
    """Takes what rank 0 has to tell."""

    def began(self, cell: int, phase: Phase) -> None:
        """The ranks are about to repeat a phase of the cell."""

    def done(self, record: Record) -> None:
        """A record for the file."""


@dataclass
class Series:
    """What a rank needs to take part, and where it is."""

    matrix: Matrix
    control: Control
    placement: Placement
    world: Communicator
    _run: Run | None = None
    _at: str = "starting up"

    @property
    def doing(self) -> str:
        """What this rank is at, for whoever has to explain a failure."""
        return self._run.doing if self._run else self._at

    @doing.setter
    def doing(self, text: str) -> None:
        self._at = text

    @property
    def busy_since(self) -> float | None:
        """Since when (time.monotonic) this rank has been in its present step; None: it waits or reckons."""
        return self._run.busy_since if self._run else None

    def carry_out(self, launch: int, stop_asked: Callable[[], bool], sink: Sink | None) -> str:
        """Every cell, in the launch's order; returns why it ended. sink: on rank 0 only.

        Each cell makes its model anew, gives its groups and memory back. Raises as Run.carry_out does.
        """
        for cell in self.control.share("order", self.matrix.order(launch)):
            method = self.matrix.cells[cell]
            # Other weights and prompts in every launch: what one draw of them makes routers choose is nobody's expectation.
            method = method.model_copy(update={"seed": method.seed + launch})
            self._run = run = Run(method, self.control, self.placement, self.world)
            ranks = self.control.gather("cell", run.prepare())
            if sink and ranks is not None:
                sink.done({"record": "cell", "cell": cell, "ranks": ranks})
            reason = run.carry_out(stop_asked, *_of_cell(cell, sink))
            self._run, self._at = None, "between two cells"
            del run
            gc.collect()  # layers and tape know each other: the weights would stay until Python happens to look
            if reason == "interrupted":
                return reason
        return "complete"


def _of_cell(cell: int, sink: Sink | None) -> tuple[Callable[[Record], None], Callable[[Phase], None]]:
    """What a Run tells: the record of each step, the phase that begins."""
    if sink is None:
        return lambda record: None, lambda phase: None

    def done(record: dict[str, Any]) -> None:
        sink.done({"record": "step", "cell": cell, **record})

    return done, lambda phase: sink.began(cell, phase)
