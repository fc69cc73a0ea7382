"""The NVIDIA GPUs of this machine, read from the driver's files and tools. Imports no torch, makes no CUDA context, sets
nothing.

Names and UUIDs come from /proc/driver/nvidia; clocks, power, temperature and MIG slices from NVML where Python's binding is
installed (nvidia-ml-py), else from nvidia-smi. Whatever cannot be read is None.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc/driver/nvidia")
ASK_S = 10.0
"""nvidia-smi answers within a second, unless a GPU hangs."""
LISTED = ("index", "name", "uuid", "memory.total", "memory.free", "driver_version", "mig.mode.current", "compute_mode")
STATE = {
    "sm_clock_mhz": "clocks.sm",
    "sm_clock_max_mhz": "clocks.max.sm",
    "memory_clock_mhz": "clocks.mem",
    "power_w": "power.draw",
    "power_limit_w": "power.limit",
    "temperature_c": "temperature.gpu",
    "throttle_reasons": "clocks_event_reasons.active",
}
"""What is read before and after a measurement, by nvidia-smi's names."""
REASONS = {
    0x1: "idle", 0x2: "application clocks", 0x4: "power cap", 0x8: "hardware slowdown", 0x10: "sync boost",
    0x20: "software thermal", 0x40: "hardware thermal", 0x80: "power brake", 0x100: "display clocks",
}  # fmt: skip
"""The bits of clocks_event_reasons (nvml.h)."""

Ask = Callable[[Sequence[str]], "list[list[str]] | None"]
"""Arguments of nvidia-smi → the rows of its CSV; None where it gives none."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG slice. free_bytes: at this moment."""

    index: int
    name: str
    uuid: str | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None
    driver: str | None = None
    mig: bool = False
    """It is cut into slices (MIG mode), which are what a process gets."""
    exclusive: bool = False
    """Compute mode: one process at a time, or none."""


def nvidia_smi(arguments: Sequence[str]) -> list[list[str]] | None:
    """The rows that nvidia-smi prints; None where there is none, it fails, or does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [[field.strip() for field in row] for row in csv.reader(io.StringIO(done.stdout)) if row]


def named_gpus(root: Path = PROC) -> list[Gpu]:
    """Name and UUID of each GPU that the driver lists, from files alone."""
    found: list[Gpu] = []
    for information in sorted((root / "gpus").glob("*/information")):
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError):
            for line in information.read_text().splitlines():
                name, _, value = line.partition(":")
                fields[name.strip()] = value.strip()
        if "Model" in fields:
            found.append(Gpu(len(found), fields["Model"], fields.get("GPU UUID") or None, driver=driver_version(root)))
    return found


def driver_version(root: Path = PROC) -> str | None:
    """Of the kernel module, such as 580.159.04."""
    with contextlib.suppress(OSError):
        words = (root / "version").read_text().split()
        return next((word for word in words if word[:1].isdigit() and word.count(".") >= 1), None)
    return None


def gpus(variables: Mapping[str, str] | None = None, ask: Ask = nvidia_smi, root: Path = PROC) -> list[Gpu]:
    """The GPUs that a process with these variables (None: this one's) may use, with their memory where it can be read."""
    variables = os.environ if variables is None else variables
    named = named_gpus(root)
    if not named:
        return []
    rows = ask([f"--query-gpu={','.join(LISTED)}", "--format=csv,noheader,nounits"]) or []
    listed = [_gpu(row) for row in rows if len(row) == len(LISTED)]
    return visible(listed or named, variables.get("CUDA_VISIBLE_DEVICES"))


def visible(found: Sequence[Gpu], chosen: str | None) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order: numbers or beginnings of UUIDs, up to the first unknown one.

    A slice (MIG-…) is not listed by name: it stands for one GPU of its own.
    """
    if chosen is None:
        return list(found)
    left: list[Gpu] = []
    for name in filter(None, (part.strip() for part in chosen.split(","))):
        if name.startswith("MIG-"):
            left.append(Gpu(len(left), "MIG slice", name, mig=True))
            continue
        known = [gpu for gpu in found if str(gpu.index) == name or (gpu.uuid or "").startswith(name)]
        if not known or (not name.isdecimal() and not name.startswith("GPU-")):
            break
        left.append(known[0])
    return left


def _gpu(row: Sequence[str]) -> Gpu:
    values: dict[str, str] = dict(zip(LISTED, row))
    return Gpu(
        int(_number(values["index"]) or 0), values["name"], values["uuid"] or None, _mebibytes(values["memory.total"]),
        _mebibytes(values["memory.free"]), values["driver_version"] or None, values["mig.mode.current"] == "Enabled",
        values["compute_mode"] in ("Exclusive_Process", "Prohibited"),
    )  # fmt: skip


def _mebibytes(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number * 2**20)


def _number(text: str) -> float | None:
    """A number with or without a unit; None for [N/A] and the like."""
    with contextlib.suppress(ValueError, IndexError):
        return float(text.split()[0])
    return None


def state_of(uuid: str | None, ask: Ask = nvidia_smi) -> dict[str, Any]:
    """Clocks, power, temperature and throttle reasons of a GPU now; None each where they cannot be read."""
    unknown: dict[str, Any] = dict.fromkeys(STATE)
    if uuid is None:
        return unknown
    through_nvml = _nvml_state(uuid)
    if through_nvml is not None:
        return unknown | through_nvml
    rows = ask([f"--id={uuid}", f"--query-gpu={','.join(STATE.values())}", "--format=csv,noheader,nounits"])
    if not rows or len(rows[0]) != len(STATE):
        return unknown
    values: dict[str, str] = dict(zip(STATE, rows[0]))
    numbers: dict[str, Any] = {name: _number(text) for name, text in values.items()}
    return numbers | {"throttle_reasons": reasons_of(_bits(values["throttle_reasons"]))}


def reasons_of(bits: int | None) -> list[str] | None:
    """The names of throttle reasons; none while the GPU is only idle."""
    if bits is None:
        return None
    return [name for bit, name in REASONS.items() if bits & bit and name != "idle"]


def _bits(text: str) -> int | None:
    with contextlib.suppress(ValueError):
        return int(text, 0)
    return None


def _nvml_state(uuid: str) -> dict[str, Any] | None:
    """As state_of, through NVML; None where its binding is not installed or does not answer."""
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    except Exception:  # NVMLError of many kinds, or a binding that takes bytes
        return None

    def read(ask: Callable[[], Any], scale: float = 1.0) -> float | None:
        try:
            return float(ask()) * scale
        except Exception:
            return None

    reasons = read(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    return {
        "sm_clock_mhz": read(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
        "sm_clock_max_mhz": read(lambda: pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)),
        "memory_clock_mhz": read(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
        "power_w": read(lambda: pynvml.nvmlDeviceGetPowerUsage(handle), 1e-3),
        "power_limit_w": read(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle), 1e-3),
        "temperature_c": read(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "throttle_reasons": None if reasons is None else reasons_of(int(reasons)),
    }
