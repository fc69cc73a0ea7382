"""Cores that do not sleep while ranks wait for each other.

A core with nothing to run is halted. To wake it costs tens of microseconds, on a virtual machine an interrupt by way of the
hypervisor, which looks for some time before it halts a core, by rules of its own: the same all_reduce of two ranks took 110
or 250 us, by the second in which it ran. In a model's step the cores are busy with computing, and do not sleep either.
So a process of the idle class computes on each core, nothing of use: any other process, a rank first of all, has the core as
soon as it wants it. (sched(7), SCHED_IDLE; the kernel's parameter idle=poll does the same for a whole machine.)
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.emulator.samples.environment import affinity, cgroup_cpu_limit

if TYPE_CHECKING:
    from inferometer.parallel.placement import HostReport

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
COMPUTE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent, core = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
os.write(1, b".")
some = range(100_000)
while os.getppid() == parent:
    for _ in some:
        pass
"""
"""A few milliseconds at a time, for as long as the process that started it is there."""


def reason_against() -> str | None:
    """Why the cores are better left to sleep here, in words; None where they can be kept awake."""
    if not hasattr(os, "SCHED_IDLE"):
        return "no idle class here"
    limit = cgroup_cpu_limit()
    if limit is not None:
        return f"a cgroup limits this to {limit:g} CPUs, which keeping cores awake would use up"
    for core in affinity():
        with contextlib.suppress(OSError):  # not told: a virtual machine without a topology
            siblings = Path(SIBLINGS.format(core)).read_text().strip()
            if not siblings.isdigit():
                return f"cores {siblings} are threads of one, and would take from each other"
    return None


def bind(hosts: Sequence[HostReport], rank: int) -> None:
    """Bind this thread, and those it starts from now on, to a core of its own, or to an equal share of the cores.

    Two ranks' threads that find themselves on one core wake each other there in turn, for seconds on end: a second value of
    the same operation, twice the first. Where a launcher has bound the machine's ranks differently, its binding stays.
    """
    here = [other for other, host in enumerate(hosts) if host.boot_id == hosts[rank].boot_id]
    cores = sorted(hosts[rank].cores)
    if any(sorted(hosts[other].cores) != cores for other in here):
        return
    place, share = here.index(rank), max(1, len(cores) // len(here))
    os.sched_setaffinity(0, {cores[(place * share + at) % len(cores)] for at in range(share)})


@contextlib.contextmanager
def kept_awake(wanted: bool, hosts: Sequence[HostReport], rank: int) -> Iterator[None]:
    """Keep the cores that this machine's ranks may run on awake, meanwhile. hosts: of all ranks.

    The first rank on each machine does it for all; nothing happens where it is not wanted. Raises ChildProcessError where
    such a process does not start.
    """
    here = [other for other, host in enumerate(hosts) if host.boot_id == hosts[rank].boot_id]
    cores = sorted({core for other in here for core in hosts[other].cores}) if wanted and rank == here[0] else []
    with contextlib.ExitStack() as stack:
        for core, process in [(core, stack.enter_context(_computing(core))) for core in cores]:
            assert process.stdout is not None
            # It starts in the class of this rank, and is not to be in the way of the first cell.
            if not process.stdout.read(1):
                raise ChildProcessError(f"what keeps core {core} awake has ended at once; --scheduler rr does without")
        yield


@contextlib.contextmanager
def _computing(core: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-S", "-c", COMPUTE, str(os.getpid()), str(core)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
