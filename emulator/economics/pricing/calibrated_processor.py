"""Compute terms from a calibration: every operation priced by the law that the calibration chooses for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inferometer.emulator.calibrate.evaluate.compute_choice import Widths
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.processor import ComputeTime, Processor
from inferometer.emulator.economics.pricing.terms import Terms
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


class CalibrationProcessor(Processor):
    """The compute laws of one calibration. key narrows their choice (backend, scheduler, …) as that of a network's laws.

    Raises InputError where the calibration holds no compute laws, or several kinds that match.
    """

    def __init__(self, calibration: Calibration, key: Mapping[str, Any] | None = None) -> None:
        self._id = calibration.id[:12]
        self._laws = calibration.evaluator.compute(key or {})

    @property
    def name(self) -> str:
        target = self._laws.target
        how = f"{target.backend}, launch mode {target.launch_mode}"
        if target.launch_mode == "host":
            how = f"{target.backend} ranks, {target.threads} thread{'' if target.threads == 1 else 's'} each"
        return f"measured {target.device} of calibration {self._id} ({how})"

    def check(self, precision: Precision) -> None:
        self._laws.check(_widths(precision))

    def times(self, calls: Sequence[Call], precision: Precision) -> list[ComputeTime]:
        """By the calibration's laws and their residuals. Raises InputError for widths in which nothing was measured."""
        return [
            ComputeTime(
                Terms(
                    kernel_s=time.lead_s + time.start_s,
                    memory_s=time.memory_s,
                    arithmetic_s=time.arithmetic_s,
                    compute_s=time.beyond_s,
                ),
                time.lead_s,
                time.host_s,
            )
            for time in self._laws.times(calls, _widths(precision))
        ]

    def notes(self, calls: Sequence[Call], precision: Precision) -> list[str]:
        return self._laws.notes(calls, _widths(precision))

    def relative_error(self, calls: Sequence[Call], precision: Precision) -> float | None:
        return self._laws.relative_error(calls, _widths(precision))

    @property
    def device(self) -> str:
        """What was measured: cpu, or a GPU's name."""
        return self._laws.target.device

    def accelerator(self, memory_bytes: float, node_size: int, usd_per_hour: float | None = None) -> Accelerator:
        """The device as a datasheet would have it: measured rates with all its ranks at work."""
        rates = self._laws.rates_by_bits()
        widest = rates[max(rates)]
        return Accelerator(
            name=self.name,
            flop_per_s={bits: own["gflops"] * 1e9 for bits, own in rates.items()},
            flop_fraction=1.0,
            memory_bytes=memory_bytes,
            memory_bytes_per_s=widest["memory_gb_per_s"] * 1e9,
            memory_fraction=1.0,
            intra_bytes_per_s=None,
            inter_bytes_per_s=None,
            node_size=node_size,
            usd_per_hour=usd_per_hour,
            kernel_s=widest["smallest_us"] * 1e-6,
        )

    def measured_precision(self) -> Precision:
        """The widths measured, of a device's kernels the widest. Raises InputError where they have to be given."""
        widths = self._laws.measured_widths()
        if widths is None:
            measured = ", ".join(self._laws.dtypes)
            raise InputError(f"calibration {self._id}: computing was measured in {measured}: say how many bits")
        return Precision(*widths)


def _widths(precision: Precision) -> Widths:
    return Widths(precision.weight_bits, precision.activation_bits, precision.kv_bits)
