"""What one launch of the ranks has to do: handed to them as a file, or made by each from the same command line."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from inferometer.emulator.measure.method import Method
from inferometer.emulator.validate.campaign import Matrix


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)  # built at import: once for all ranks that are forked

    method: Method | Matrix
    """What is to be done: a measurement, or emulations."""
    samples: Path
    """The samples file, with its header already written."""
    launch: int
    """The launch slot that the cells count towards."""
    cells: list[str] | None = None
    """Ids of the cells to visit, in any order; None: all that the sweep allows, until the deadline."""
    skip: list[str] = []
    """Ids of cells that an earlier start of the ranks has done for this slot."""
    node_of: list[int] | None = None
    """The node of each rank as earlier launches of the file had it; None: there is none."""
    deadline: float | None = None
    """Of time.monotonic() on rank 0's machine."""
    variables: dict[str, str] = {}
    """Of the ranks' environment, beside the command's own."""
    logs: Path
    """The folder of this launch's logs."""

    def log_of(self, rank: int) -> Path:
        return self.logs / f"rank-{rank}.log"
