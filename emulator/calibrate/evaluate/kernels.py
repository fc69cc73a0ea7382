"""What kernels of a device cost by a calibration: operations with the passes around them, and the host's calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.compute import FAR, US, CallTime
from inferometer.emulator.calibrate.evaluate.compute_choice import Widths, chosen_laws
from inferometer.emulator.calibrate.evaluate.kernel_choice import KernelChoice, Ready
from inferometer.emulator.calibrate.laws.corrections import factor
from inferometer.emulator.calibrate.laws.kernels import kernel_us
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw, ComputeTarget
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.features import operation_sizes
from inferometer.emulator.workload.kernels.executions import WITH_EXPERTS, Execution, execution_of
from inferometer.emulator.workload.kernels.formats import FORMATS
from inferometer.emulator.workload.program import Compute, Size

EAGER = "eager"
STANDS_IN = "mean of the passes measured"


class KernelLaws:
    """The laws of one device and launch mode that a key chooses. Every rank has a device of its own.

    Raises InputError where the calibration holds none, or several kinds that match.
    """

    def __init__(
        self, calibration_id: str, laws: Sequence[ComputeLaw], key: Mapping[str, Any], not_measured: str | None = None
    ) -> None:
        words = f"calibration {calibration_id[:12]}"
        self._laws = chosen_laws(words, laws, key, not_measured)
        self._choice = KernelChoice(words, self._laws)

    @property
    def target(self) -> ComputeTarget:
        return self._laws[0].target

    @property
    def dtypes(self) -> list[str]:
        """The formats of matmuls."""
        return self._choice.measured("matmul")

    @cached_property
    def execution(self) -> Execution:
        """Whose kernels these are."""
        return execution_of(self.target.backend)

    def check(self, widths: Widths) -> None:
        """Raises InputError where nothing was measured that has these widths."""
        self._choice.check(widths)

    def widths_of(self, dtype: str) -> Widths:
        """Those of matmuls of a format, with a cache of the widest format that was measured."""
        cache = max(FORMATS[name].weight_bits for name in self._choice.measured("attention"))
        return Widths(FORMATS[dtype].weight_bits, FORMATS[dtype].activation_bits, cache)

    def measured_widths(self) -> Widths | None:
        """Those of the widest format of matmuls that was measured."""
        return max(map(self.widths_of, self.dtypes))

    def rates_by_bits(self) -> dict[int, dict[str, float]]:
        """The rates of matmuls by the bits of their operands; of several formats the one taken first."""
        found: dict[int, dict[str, float]] = {}
        for name, form in FORMATS.items():
            if name in self.dtypes and form.weight_bits == form.activation_bits:
                found.setdefault(form.weight_bits, self.rates(name))
        return found

    def rates(self, dtype: str) -> dict[str, float]:
        """smallest_us, memory_gb_per_s, gflops of matmuls of a format."""
        law = next(law for law in self._laws if law.kind == "matmul" and law.target.dtype == dtype and law.op is None)
        return {name: one.value for name, one in (law.rates or {}).items() if one.value is not None}

    # -- what they say -------------------------------------------------------------------------------------------------

    def times(self, calls: Sequence[Call], widths: Widths) -> list[CallTime]:
        """The device's time of each call with the passes around it; launched one by one also the host's."""
        rates = self.rates(self._choice.matmul_format(widths.weight_bits, widths.activation_bits))
        memory_s, flop_s = 1 / (rates["memory_gb_per_s"] * 1e9), 1 / (rates["gflops"] * 1e9)
        host_us = self._host_us()
        found = []
        for op, *_ in calls:
            if op.kind == "glue":
                found.append(CallTime(0.0))
                continue
            ready = self._choice.of(op, widths)
            experts = self._choice.experts(op, widths)
            launches: Size = np.maximum(op.matrices, 1.0) if op.routed and not experts else 1.0
            own_us = self._us(ready, op, launches)
            start_us: Size = np.minimum(ready.params["o"] * launches, own_us)
            passes_us: Size = 0.0
            for kernel in self.execution.kernels(op, WITH_EXPERTS if experts else ()):
                law = self._choice.stream(kernel.function)
                sizes = {"activation_bytes": kernel.moved_bytes}
                passes_us = passes_us + _plain(kernel_us(law.law.formula, law.params, sizes))  # type: ignore[arg-type]
                if kernel.launched:
                    start_us = start_us + law.params["o"]
                else:
                    passes_us = passes_us - law.params["o"]
            total_us = own_us + passes_us
            calls_of = self.execution.calls(op) - 1 + launches
            found.append(
                CallTime(
                    0.0,
                    start_us * US,
                    (total_us - start_us) * US,
                    op.memory_bytes * memory_s,
                    op.flop * flop_s,
                    host_us * calls_of * US,
                )
            )
        return found

    def _us(self, ready: Ready, op: Compute, launches: Size) -> Size:
        """Of an operation's own kernel."""
        assert ready.law.formula is not None
        sizes = operation_sizes(op)
        us = kernel_us(ready.law.formula, ready.params, sizes, launches)
        return _plain(us * factor(ready.corrections, sizes) if ready.corrections else us)

    def _host_us(self) -> float:
        """Of the host for one call; 0 where a graph launches everything."""
        null = self._choice.null()
        return 0.0 if self.target.launch_mode != EAGER or null is None else null.params["o"]

    def notes(self, calls: Sequence[Call], widths: Widths) -> list[str]:
        """In words, each once, where the calls leave what was measured and what stands in."""
        return list(dict.fromkeys(self._notes(calls, widths)))

    def _notes(self, calls: Sequence[Call], widths: Widths) -> Iterator[str]:
        missing: dict[str, None] = {}
        for op, *_ in calls:
            if op.kind == "glue":
                continue
            experts = self._choice.experts(op, widths)
            functions = [kernel.function for kernel in self.execution.kernels(op, WITH_EXPERTS if experts else ())]
            functions += [op.function] if op.kind == "stream" else []
            missing |= {name: None for name in functions if self._choice.stream(name).law.op != name}
            yield from self._choice.stands_in(op, widths)
            yield from self._beyond(op, widths)
            if np.max(op.matrices) > 1 and not experts:
                how = "each is priced as a launch of its own" if op.routed else "priced as one of as many rows"
                yield f"matmuls over several matrices were not measured: {how}"
        if missing:
            mean = self._choice.stream(None).law
            how = f"priced as the {STANDS_IN}" if mean.fit.n_points else mean.params["B"].source
            yield f"{', '.join(sorted(filter(None, missing)))}: not measured, {how}"
        if self.target.launch_mode == EAGER and self._choice.null() is None:
            yield "what one call costs the host was not measured, and is left out"

    def _beyond(self, op: Compute, widths: Widths) -> Iterator[str]:
        law = self._choice.of(op, widths).law
        if law.op is None and op.kind != "matmul":
            return
        sizes = operation_sizes(op)
        names = ("rows", "matrices") if law.op is not None and op.kind == "matmul" else ("rows", "inner", "outer")
        for name in (*names, "context", "kv_bytes", "flop"):
            low_high, value = getattr(law.domain, name), float(np.max(sizes[name]))
            if low_high and value > FAR * low_high[1] > 0:
                yield f"{law.op or op.kind}: {name} of {value:.3g} is beyond the {low_high[1]:.3g} measured"

    def relative_error(self, calls: Sequence[Call], widths: Widths) -> float | None:
        """How far a step may be off, as a fraction: median errors on shapes left out, the largest of the laws of its
        operations.

        Errors of many different kernels largely cancel in a step, so that no 90th percentile is taken.
        """
        laws = [self._choice.of(op, widths).law for op, *_ in calls if op.kind in ("matmul", "attention")]
        return max((law.fit.held_out.median for law in laws if law.fit.held_out.median is not None), default=None)


def _plain(values: Any) -> Size:
    """A number where the array is of one."""
    values = np.asarray(values)
    return float(values.ravel()[0]) if values.size == 1 else values
