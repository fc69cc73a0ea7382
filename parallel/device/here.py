"""The device of a rank, by what torch calls it."""

from __future__ import annotations

import torch

from inferometer.parallel.device.cuda import CudaDevice
from inferometer.parallel.device.device import Device
from inferometer.parallel.device.host import HostDevice


def device_of(torch_device: torch.device) -> Device:
    """Raises ValueError for a kind of device that nothing here runs on."""
    if torch_device.type == "cpu":
        return HostDevice()
    if torch_device.type == "cuda":
        return CudaDevice(torch_device)
    raise ValueError(f"no device of kind {torch_device.type}: cpu and cuda are known")
