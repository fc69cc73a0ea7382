"""Whether a network was measured on the devices that it is priced with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def mismatch(calibration: Calibration, accelerator: str) -> str | None:
    """In words, that the calibration's collectives ran on other devices than the accelerator of this name.

    None where they did not, or where it does not say.

    A measurement without GPUs is one of processes on a CPU. A name like h100-sxm is looked for by its chip, h100.
    """
    devices, cpu = _devices(calibration), _cpu(calibration)
    if cpu is None and (not devices or any(_is(accelerator, device) for device in devices)):
        return None
    where = f"processes on {cpu}" if cpu else ", ".join(devices)
    return f"the network was measured between {where}, not between {accelerator}: the answer mixes two machines"


def measured_on(calibration: Calibration) -> str | None:
    """The devices that a calibration's collectives ran on; None where it does not say."""
    return _cpu(calibration) or ", ".join(_devices(calibration)) or None


def _devices(calibration: Calibration) -> list[str]:
    hardware = calibration.provenance.hardware or {}
    listed = hardware.get("gpus") or hardware.get("devices")
    return list(dict.fromkeys(str(device) for device in listed)) if isinstance(listed, list) else []


def _cpu(calibration: Calibration) -> str | None:
    """The processor, where a measurement ran without GPUs."""
    if calibration.provenance.kind != "measured" or _devices(calibration):
        return None
    return str((calibration.provenance.hardware or {}).get("cpu_model") or "a CPU")


def _is(name: str, device: str) -> bool:
    chip = next((part for part in name.lower().split("-") if re.search(r"\d", part)), None)
    return chip is None or re.search(rf"(?<![a-z0-9]){re.escape(chip)}(?!\d)", device.lower()) is not None
