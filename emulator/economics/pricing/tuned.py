"""Network terms from NCCL's own model of its algorithms and protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.calibrate.laws.nccl_tuner import TUNED, TUNER, NcclTuner, generation_of
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network
from inferometer.emulator.errors import InputError


class TunerNetwork(Network):
    """The fastest way by NCCL's own account on the links of an accelerator, on hosts with Intel's CPUs.

    name: nccl-2.30 for the device's own generation, nccl-2.30-hopper for that one.
    """

    def __init__(self, name: str, device: Accelerator, key: Mapping[str, Any]) -> None:
        """Raises InputError for a key, a link whose speed is not known, and a generation that is not."""
        if key:
            raise InputError(f"{name}: has no laws to choose among by a key")
        generation = name.removeprefix(TUNER).removeprefix("-") or generation_of(device.name)
        if generation is None:
            raise InputError(f"{name}: of which generation is {device.name}? Say so, as in {TUNER}-hopper")
        if device.intra_bytes_per_s is None:
            raise InputError(f"{device.name}: the speed of its link inside a node is not known")
        nic = device.inter_bytes_per_s
        self._tuner = NcclTuner(generation, device.intra_bytes_per_s / 1e9, None if nic is None else nic / 1e9)
        self._device = device.name

    @property
    def name(self) -> str:
        return f"NCCL 2.30's own model ({self._tuner.generation}) on the links of {self._device}"

    def knows(self, collective: str) -> bool:
        return collective in TUNED

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Raises InputError for what is not in NCCL's table: send_recv, all_to_all."""
        found = self._tuner.estimate(collective, np.asarray(bytes), ranks, nodes)
        return CollectiveTime(found.latency_us * 1e-6, found.transfer_us * 1e-6)
