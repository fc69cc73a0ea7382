"""What an engine's matmuls take on a device where its own kernels were measured one by one: the laws of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.prices import loaded
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Size


class MeasuredKernels:
    """An engine's matmuls by the compute laws of a calibration, without the passes around them, which an engine fuses."""

    def __init__(self, processor: CalibrationProcessor | None) -> None:
        self._processor = processor

    def seconds(self, calls: Sequence[Call], precision: Precision) -> list[Size | None]:
        """Of each call; None of what is no matmul, and where nothing was measured in such a format."""
        if self._processor is None:
            return [None] * len(calls)
        places = [at for at, call in enumerate(calls) if call.op.kind == "matmul"]
        bare = [calls[at]._replace(op=replace(calls[at].op, passes=())) for at in places]
        found: list[Size | None] = [None] * len(calls)
        try:
            times = self._processor.times(bare, precision)
        except InputError:  # of one of them: ask for each
            for at, call in zip(places, bare):
                with suppress(InputError):
                    found[at] = self._processor.times([call], precision)[0].terms.total_s
            return found
        for at, time in zip(places, times):
            found[at] = time.terms.total_s
        return found


@lru_cache(maxsize=16)
def measured_kernels(calibration: str | None) -> MeasuredKernels:
    """Those of a built-in calibration; None: nothing was measured."""
    laws = loaded(calibration)
    try:
        return MeasuredKernels(None if laws is None else CalibrationProcessor(laws))
    except InputError:
        return MeasuredKernels(None)
