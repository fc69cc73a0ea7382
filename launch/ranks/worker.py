"""The life of one rank in one launch: ``python -m inferometer.launch.ranks.worker JOB.json``, or called by a command that
torchrun or mpiexec started on every rank.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import scheduler
from inferometer.emulator.measure.awake import bind
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.environment import cgroup_cpu_limit, software
from inferometer.emulator.samples.lab import lab_own_cores
from inferometer.emulator.validate.campaign import Matrix
from inferometer.launch.ranks.devices import QUIET_WATCHDOG
from inferometer.launch.ranks.environment import keep_memory, rank_environment
from inferometer.launch.ranks.events import Listener, pipe_writer
from inferometer.launch.ranks.identity import Identity, identity_from
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.logs import redirect_output, remove_log

if TYPE_CHECKING:
    import torch

    from inferometer.parallel.communicator import Communicator
    from inferometer.parallel.control import Control
    from inferometer.parallel.placement import HostReport, Placement

EVENTS_VARIABLE = "INFEROMETER_EVENTS"
"""The named pipe of the process that started the ranks."""
PARENT_VARIABLE = "INFEROMETER_PARENT"
"""Its process id."""


def take_part(job: Job, identity: Identity, listener: Callable[[], Listener], parent: int | None = None) -> int:
    """Be a rank of this launch. Returns the exit status, on every rank; a failure ends the process instead.

    ``listener``: makes the sink of events, on the rank that has some (rank 0, or whoever reports a failure).
    """
    # Before torch starts any thread: threads inherit the class of the one that makes them.
    scheduler.set_class(job.method.scheduler)
    _quiet_libraries(job.method.threads, job.method.backend)
    keep_memory()

    import torch

    from inferometer.launch.ranks import failure
    from inferometer.launch.ranks.devices import check_sharing, rank_device, sharing, sharing_words
    from inferometer.launch.ranks.rendezvous import meet
    from inferometer.launch.ranks.watch import Watch
    from inferometer.parallel.device.here import device_of
    from inferometer.parallel.placement import HostReport, Placement, this_host

    torch.set_num_threads(job.method.threads)
    store, control = meet(identity, job.method.timeout_s)
    # From here on Python gets to see a signal; a handler set earlier would wait for ever behind a call that hangs.
    interrupted = _catch_signals(identity.rank)
    task: RankTask | None = None
    hosts: list[HostReport] = []
    logs = {rank: job.log_of(rank) for rank in range(identity.world_size)}

    def fail(plane: Control, error: BaseException) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher may not end us before we have spoken
        text = None
        doing = task.work.doing if task else "starting up"
        try:
            text = failure.report_failure(plane, error, doing, hosts, logs)
        except Exception:  # where the ranks meet is gone, and with it what the others say
            if identity.local_rank == 0:
                text = failure.meeting_lost(identity.rank, doing, error, logs)
        finally:
            if text:
                listener()({"event": "fault", "text": text})
            with contextlib.suppress(Exception):  # the others may be gone already
                plane.leave_after_fault(failure.GRACE_S)
            failure.end_process(1)

    def expired(seconds: float) -> None:
        error = failure.NoProgress(f"no collective has returned for {seconds:.0f} s")
        fail(control.for_thread(), error)

    watch = Watch(lambda: task.work.busy_since if task else None, job.method.timeout_s, expired, parent)
    watch.start()
    try:
        device = rank_device(job.method.device, identity.local_rank)
        gpu = device_of(device).identity().get("uuid") or ""
        here = replace(this_host(), core_limit=cgroup_cpu_limit(), gpu=gpu, own_cores=lab_own_cores(os.environ))
        hosts.extend(HostReport(**report) for report in control.gather_all("hosts", asdict(here)))
        control.agree("method", job.method.model_dump(mode="json"))
        if len({host.node for host in hosts}) > 1:  # nodes have installations of their own
            control.agree("software", software())
        sink = listener() if identity.rank == 0 else None
        shared = sharing(hosts)
        check_sharing(job.method.backend, shared)
        if sink and shared:
            sink({"event": "note", "text": sharing_words(shared)})
        if job.method.scheduler == "rr-awake":
            bind(hosts, identity.rank)
        world = _world(job, identity, store, device)
        placement = Placement.from_reports(hosts)
        if isinstance(job.method, Method) and job.method.two_level:
            from inferometer.parallel.two_level import TwoLevelCommunicator

            world = TwoLevelCommunicator.over(world, placement.node_of)
        task = _task(job, control, placement, world)
        status = task.carry_out(hosts, sink, interrupted)
        task.work.doing = "leaving"
        control.barrier("closing")
        watch.stop()
        world.close()
        control.leave()
    except BaseException as error:
        try:
            fail(control, error)
        except failure.Terminated:  # it came before SIGTERM was put off
            fail(control, error)
        raise
    remove_log(logs[identity.rank])
    return status


def _world(job: Job, identity: Identity, store: Any, device: torch.device) -> Communicator:
    if job.method.backend == "mpi":
        from inferometer.parallel.mpi_communicator import MpiCommunicator

        return MpiCommunicator.world()
    import torch

    from inferometer.parallel.torch_communicator import TorchCommunicator

    staged = job.method.backend == "gloo" and device.type != "cpu"
    lies = torch.device("cpu") if staged else device
    world = TorchCommunicator.world(
        job.method.backend, store, identity.rank, identity.world_size, lies, job.method.timeout_s
    )
    if not staged:
        return world
    from inferometer.parallel.device.staged import StagedCommunicator

    return StagedCommunicator(world, device)


class RankTask(Protocol):
    """What a launch has this rank do."""

    @property
    def work(self) -> Work: ...

    def carry_out(self, hosts: Sequence[HostReport], listener: Listener | None, interrupted: Callable[[], bool]) -> int: ...


class Work(Protocol):
    """How far a rank is, for whoever has to explain a failure. busy_since: of its present collectives, time.monotonic()."""

    doing: str

    @property
    def busy_since(self) -> float | None: ...


def _task(job: Job, control: Control, placement: Placement, world: Communicator) -> RankTask:
    """What the job wants, about to begin."""
    if isinstance(job.method, Matrix):
        from inferometer.emulator.validate.series import Series
        from inferometer.launch.ranks.emulation_rank import EmulationRank

        return EmulationRank(job, job.method, Series(job.method, control, placement, world))
    from inferometer.emulator.measure.runner import Launch
    from inferometer.launch.ranks.measurement_rank import MeasurementRank

    launch = Launch(job.method, control, placement, world, cores=placement.cores, number=job.launch)
    return MeasurementRank(job, job.method, launch)


def _quiet_libraries(threads: int, backend: str) -> None:
    os.environ.update(rank_environment(os.environ, threads))
    # c10d warns about host names that do not resolve; what matters of its messages comes as exceptions.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if backend == "nccl":
        os.environ.update(QUIET_WATCHDOG)


def _catch_signals(rank: int) -> Callable[[], bool]:
    """Ctrl-C reaches every rank: rank 0 ends the launch in order, the others leave that to it. Returns rank 0's wish."""
    asked: list[bool] = []

    def terminate(signum: int, frame: Any) -> None:
        from inferometer.launch.ranks.failure import Terminated

        raise Terminated("terminated by the launcher")

    signal.signal(signal.SIGINT, lambda signum, frame: asked.append(True))
    signal.signal(signal.SIGTERM, terminate)
    return lambda: bool(asked) and rank == 0


def main(job_file: str) -> int:
    """A rank that `local` has started: the job is a file, events go through the pipe, output goes to the rank's log."""
    job = Job.model_validate_json(Path(job_file).read_text())
    identity = identity_from(os.environ)
    if identity is None:
        raise InputError("no launcher has started this rank")
    redirect_output(job.log_of(identity.rank))
    pipe = Path(os.environ[EVENTS_VARIABLE])
    return take_part(job, identity, lambda: pipe_writer(pipe), int(os.environ[PARENT_VARIABLE]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
