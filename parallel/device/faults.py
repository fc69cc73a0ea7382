"""What a device's error means, from the words of torch, CUDA and NCCL: out of memory, gone, broken."""

from __future__ import annotations

import re
from pathlib import Path

GONE = (
    "no cuda-capable device",
    "devices unavailable",
    "device(s) is/are busy or unavailable",
    "uncorrectable ecc",
    "fallen off the bus",
    "device is lost",
    "nvlink error",
    "unspecified launch failure",
    "mps client failed",
    "mps server",
)
"""After these the GPU, or the process's hold on it, is lost."""
OF_DEVICES = ("cuda error", "cuda out of memory", "cublas_status", "cudnn_status", "device-side assert", "cudaerror")
WATCHDOG = re.compile(r"Watchdog caught collective operation timeout: (WorkNCCL\([^)]*(?:\([^)]*\)[^)]*)*\)[^\n]*)")
"""What torch's NCCL watchdog logs of a collective that hangs."""
TAIL_BYTES = 1 << 20


def device_fault(error: BaseException) -> str | None:
    """``is out of memory``, ``is lost``, ``failed`` for an error of the device; None for any other."""
    name, text = type(error).__name__, str(error).lower()
    if name in ("OutOfMemoryError", "NoRoom") or "cuda out of memory" in text or "cuda error: out of memory" in text:
        return "is out of memory"
    if not (name == "AcceleratorError" or any(sign in text for sign in OF_DEVICES)):
        return None
    return "is lost" if any(sign in text for sign in GONE) else "failed"


def watchdog_text(log: Path) -> str | None:
    """What NCCL's watchdog has said in a rank's log, the last of it; None where it has said nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    found = WATCHDOG.findall(text)
    return str(found[-1]).strip() if found else None
