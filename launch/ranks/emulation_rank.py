"""A launch of emulations on one rank; rank 0 writes everybody's steps down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferometer.emulator.measure.awake import kept_awake
from inferometer.emulator.samples.environment import rank_usage
from inferometer.emulator.samples.samples import SamplesFile
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.series import Series
from inferometer.emulator.validate.settings import Phase
from inferometer.launch.ranks.environment import rank_report
from inferometer.launch.ranks.events import Listener
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.recorder import LaunchRecorder, Record
from inferometer.parallel.device.here import device_of
from inferometer.parallel.placement import HostReport


@dataclass(frozen=True)
class EmulationRecorder:
    """Takes what a series of emulations has to say on rank 0."""

    matrix: Matrix
    recorder: LaunchRecorder

    def began(self, cell: int, phase: Phase) -> None:
        """The ranks are about to repeat a phase of the cell."""
        words = self.matrix.cells[cell].words()
        self.recorder.doing(f"in {phase} steps of {words}", cell=cell, phase=phase)

    def done(self, record: Record) -> None:
        """A record for the file."""
        self.recorder.record(record["record"], **{name: value for name, value in record.items() if name != "record"})


@dataclass(frozen=True)
class EmulationRank:
    """One rank's part in it."""

    job: Job
    matrix: Matrix
    work: Series

    def carry_out(self, hosts: Sequence[HostReport], listener: Listener | None, interrupted: Callable[[], bool]) -> int:
        """Run the cells; the exit status, 0. listener: rank 0's."""
        control = self.work.control
        ranks = control.gather("ranks", rank_report(self.matrix.threads, device_of(self.work.world.device).identity()))
        awake = kept_awake(self.matrix.scheduler == "rr-awake", hosts, self.work.world.rank)
        if listener is None:
            with awake:
                self.work.carry_out(self.job.launch, lambda: False, None)
            control.gather("usage", rank_usage())
            return int(control.share("status"))
        assert ranks is not None
        recorder = LaunchRecorder(self.job, listener, SamplesFile.reopen(self.job.samples))
        recorder.begin(self.work, ranks, hosts, len(self.matrix.cells))
        with awake:
            reason = self.work.carry_out(self.job.launch, interrupted, EmulationRecorder(self.matrix, recorder))
        recorder.end(reason, control.gather("usage", rank_usage()))
        return int(control.share("status", 0))
