"""A launch of a measurement on one rank: probes of computing, then the cells of the sweep; rank 0 writes them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferometer.emulator.calibrate.experiment.order import by_information
from inferometer.emulator.measure.awake import kept_awake
from inferometer.emulator.measure.method import Method
from inferometer.emulator.measure.plan import Cell, candidate_cells, shuffled
from inferometer.emulator.measure.probing import probe_all
from inferometer.emulator.measure.runner import Launch
from inferometer.emulator.samples.environment import rank_usage
from inferometer.emulator.samples.samples import SamplesFile
from inferometer.launch.ranks.environment import rank_report
from inferometer.launch.ranks.events import Listener
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.recorder import LaunchRecorder, Record
from inferometer.parallel.control import Disagreement
from inferometer.parallel.placement import HostReport


@dataclass(frozen=True)
class MeasurementRank:
    """One rank's part in it."""

    job: Job
    method: Method
    work: Launch

    def carry_out(self, hosts: Sequence[HostReport], listener: Listener | None, interrupted: Callable[[], bool]) -> int:
        """Visit the cells of the job; the exit status, on every rank: 1 where data were wrong. listener: rank 0's."""
        self._check_nodes()
        self.work.connect()
        order = self._order()
        ranks = self.work.control.gather("ranks", rank_report(self.method.threads, self.work.device.identity()))
        awake = kept_awake(self.method.scheduler == "rr-awake", hosts, self.work.world.rank)
        if listener is None:
            with awake:
                self._follow(order)
            self.work.control.gather("usage", rank_usage())
            return int(self.work.control.share("status"))
        assert ranks is not None
        recorder = LaunchRecorder(self.job, listener, SamplesFile.reopen(self.job.samples))
        recorder.begin(self.work, ranks, hosts, len(order), cells=len(order), resumed=bool(self.job.skip))
        with awake:
            reason, left, wrong = self._lead(order, recorder, interrupted)
        recorder.end(reason, self.work.control.gather("usage", rank_usage()), wrong, left)
        return int(self.work.control.share("status", int(wrong > 0)))

    def _check_nodes(self) -> None:
        """Raise Disagreement, on every rank, where the ranks are on other nodes than in the file's earlier launches."""
        here, before = list(self.work.placement.node_of), self.job.node_of
        complaint = None
        if before is not None and before != here:
            complaint = (
                f"node of each rank is {before} in {self.job.samples.name} and {here} here: no launch of the same cells"
            )
        if complaint := self.work.control.share("nodes", complaint):
            raise Disagreement(complaint)

    def _order(self) -> list[Cell]:
        """The cells to visit, as rank 0 has them."""
        job, launch = self.job, self.work
        known = {cell.id: cell for cell in candidate_cells(self.method, launch.meshes)}
        wanted = [known[name] for name in (job.cells or known) if name in known and name not in set(job.skip)]
        if job.cells is None and job.deadline is not None and launch.world.rank == 0:
            order = by_information(wanted)  # the time may end anywhere
        else:
            order = shuffled(wanted, self.method.seed, job.launch, by_tier=job.cells is None)
        return [known[name] for name in launch.control.share("order", [cell.id for cell in order])]

    def _follow(self, order: list[Cell]) -> None:
        """Do as rank 0 says."""
        if not probe_all(self.work, None, (), None, lambda: False, lambda record: None)[0]:
            self.work.visit(order, None, lambda: False, lambda record: None)

    def _lead(
        self, order: list[Cell], recorder: LaunchRecorder, interrupted: Callable[[], bool]
    ) -> tuple[str, list[str], int]:
        """Be rank 0: say what comes next, write it down. Returns why it ended, what was not reached, how much was wrong."""
        job, launch = self.job, self.work
        wrong: list[int] = []

        def probed(record: Record) -> None:
            recorder.record("compute", **record)
            recorder.doing(f"after {record['cell']}")

        def measured(record: Record) -> None:
            recorder.cell(record)
            wrong.append(record.get("wrong") or 0)

        dropped = order
        reason, unmade = probe_all(launch, job.cells, job.skip, job.deadline, interrupted, probed)
        if not reason:
            reason, dropped = launch.visit(
                order, job.deadline, interrupted, measured, began=recorder.doing, looked=recorder.looked
            )
        return reason, [*unmade, *(cell.id for cell in dropped)], sum(wrong)
