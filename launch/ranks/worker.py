"""The life of one rank in one launch: ``python -m inferometer.launch.ranks.worker JOB.json``, or called by a command that
torchrun or mpiexec started on every rank.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method
from inferometer.emulator.validate.campaign import Matrix
from inferometer.launch.ranks.environment import rank_environment
from inferometer.launch.ranks.events import Event, Listener, pipe_writer
from inferometer.launch.ranks.identity import Identity, identity_from
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.logs import redirect_output, remove_log
from inferometer.launch.ranks.memory import keep_memory
from inferometer.launch.ranks.place import placed

EVENTS_VARIABLE = "INFEROMETER_EVENTS"
"""The named pipe of the process that started the ranks."""
PARENT_VARIABLE = "INFEROMETER_PARENT"
"""Its process id."""


def take_part(job: Job, identity: Identity, listener: Callable[[], Listener], parent: int | None = None) -> int:
    """Be a rank of this launch. Returns the exit status, on every rank; a failure ends the process instead.

    ``listener``: makes the sink of events, on the rank that has some (rank 0, or whoever reports a failure).
    """
    from inferometer.emulator.measure import scheduler

    # Before torch starts any thread: threads inherit the class of the one that makes them.
    scheduler.set_class(job.method.scheduler)
    _quiet_libraries(job.method.threads)
    keep_memory()

    import torch

    from inferometer.launch.ranks import failure
    from inferometer.launch.ranks.rendezvous import meet
    from inferometer.launch.ranks.watch import Watch
    from inferometer.parallel.control import Control
    from inferometer.parallel.placement import HostReport, Placement, this_host

    torch.set_num_threads(job.method.threads)
    store, control = meet(identity, job.method.timeout_s)
    # From here on Python gets to see a signal; a handler set earlier would wait for ever behind a call that hangs.
    interrupted = _catch_signals(identity.rank)
    launch: Any = None
    hosts: list[HostReport] = []
    logs = {rank: job.log_of(rank) for rank in range(identity.world_size)}

    def fail(plane: Control, error: BaseException) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher may not end us before we have spoken
        text = None
        try:
            text = failure.report_failure(plane, error, launch.doing if launch else "starting up", hosts, logs)
        finally:
            if text:
                listener()({"event": "fault", "text": text})
            failure.end_process(1)

    def expired(seconds: float) -> None:
        error = failure.NoProgress(f"no collective has returned for {seconds:.0f} s")
        fail(control.for_thread(), error)

    watch = Watch(lambda: launch.busy_since if launch else None, job.method.timeout_s, expired, parent)
    watch.start()
    try:
        hosts.extend(HostReport(**report) for report in control.gather_all("hosts", asdict(this_host())))
        control.agree("method", job.method.model_dump(mode="json"))
        world = _world(job, identity, store)
        launch, carry_out = _task(job, control, Placement.from_reports(hosts), world)
        status = carry_out(job, launch, hosts, listener() if identity.rank == 0 else None, interrupted)
        launch.doing = "leaving"
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


def _world(job: Job, identity: Identity, store: Any) -> Any:
    import torch

    if job.method.backend == "mpi":
        from inferometer.parallel.mpi_communicator import MpiCommunicator

        return MpiCommunicator.world()
    from inferometer.parallel.torch_communicator import TorchCommunicator

    device = torch.device("cpu")
    if job.method.backend == "nccl":
        device = torch.device("cuda", identity.local_rank)
        torch.cuda.set_device(device)
    return TorchCommunicator.world(
        job.method.backend, store, identity.rank, identity.world_size, device, job.method.timeout_s
    )


def _task(job: Job, control: Any, placement: Any, world: Any) -> tuple[Any, Callable[..., int]]:
    """What the job wants, about to begin (it has ``doing`` and ``busy_since``), and the function that carries it out."""
    if isinstance(job.method, Matrix):
        from inferometer.emulator.validate.series import Series
        from inferometer.launch.ranks.emulation_rank import carry_out

        return Series(job.method, control, placement, world), carry_out
    from inferometer.emulator.measure.runner import Launch

    return Launch(job.method, control, placement, world, cores=_cores(), number=job.launch), _visit


def _visit(job: Job, launch: Any, hosts: list, listener: Listener | None, interrupted: Callable[[], bool]) -> int:
    """Measure the cells of the job; on rank 0 write them down. The exit status: 1 where data were wrong."""
    assert isinstance(job.method, Method)
    launch.connect()
    from inferometer.emulator.measure.plan import candidate_cells, shuffled
    from inferometer.emulator.measure.probing import probe_all
    from inferometer.emulator.samples.environment import conditions, rank_usage, steal_fraction
    from inferometer.emulator.samples.samples import SamplesFile

    control = launch.control
    known = {cell.id: cell for cell in candidate_cells(job.method, launch.meshes)}
    wanted = [known[name] for name in (job.cells or known) if name in known and name not in set(job.skip)]
    order = shuffled(wanted, job.method.seed, job.launch, by_tier=job.cells is None)
    order = [known[name] for name in control.share("order", [cell.id for cell in order])]
    ranks = control.gather("ranks", {"threads": job.method.threads, **placed(), **rank_usage()})
    before = conditions()
    outcome = {"wrong": 0}

    if listener is None:
        if not probe_all(launch, None, (), None, lambda: False, lambda record: None)[0]:
            launch.visit(order, None, lambda: False, lambda record: None)
        control.gather("usage", rank_usage())
        return int(control.share("status"))

    assert ranks is not None
    samples = SamplesFile.reopen(job.samples)
    samples.append(
        {
            "record": "launch",
            "launch": job.launch,
            "resumed": bool(job.skip),
            "node_of": list(launch.placement.node_of),
            "one_clock": launch.placement.one_clock,
            "implementation": launch.world.implementation,
            "ranks": ranks,
            "conditions": before,
            "cells": len(order),
            "started_unix_s": time.time(),
        }
    )
    listener({"event": "started", "pids": [host.pid for host in hosts], "cells": len(order)})

    def done(record: dict[str, Any]) -> None:
        samples.append({"record": "cell", "launch": job.launch, **record})
        outcome["wrong"] += record.get("wrong") or 0
        listener(_cell_event(record))

    def probed(record: dict[str, Any]) -> None:
        samples.append({"record": "compute", "launch": job.launch, **record})
        listener(_doing(f"after {record['cell']}"))

    dropped = order
    reason, unmade = probe_all(launch, job.cells, job.skip, job.deadline, interrupted, probed)
    if not reason:
        reason, dropped = launch.visit(order, job.deadline, interrupted, done, began=lambda doing: listener(_doing(doing)))
    usage = control.gather("usage", rank_usage())
    after = conditions()
    samples.append(
        {
            "record": "launch_end",
            "launch": job.launch,
            "reason": reason,
            "dropped": [*unmade, *(cell.id for cell in dropped)],
            "conditions": after,
            "steal_fraction": steal_fraction(before, after),
            "ranks": usage,
        }
    )
    samples.close()
    listener({"event": "ended", "reason": reason, "dropped": len(unmade) + len(dropped), "wrong": outcome["wrong"]})
    return int(control.share("status", int(outcome["wrong"] > 0)))


def _doing(text: str) -> Event:
    return {"event": "doing", "text": text}


def _cell_event(record: dict[str, Any]) -> Event:
    from inferometer.emulator.samples.samples import times_us
    from inferometer.emulator.samples.statistics import summary

    row = {key: value for key, value in record.items() if key not in ("start_ns", "stop_ns", "groups_ranks", "participants")}
    if "unmeasured" not in record:
        times = times_us(record)
        assert times is not None
        row |= summary(times)
    return {"event": "cell", "row": row}


def _cores() -> int:
    from inferometer.emulator.samples.environment import usable_cores

    return usable_cores()


def _quiet_libraries(threads: int) -> None:
    os.environ.update(rank_environment(os.environ, threads))
    # c10d warns about host names that do not resolve; what matters of its messages comes as exceptions.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


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
