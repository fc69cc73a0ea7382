"""What kernels of a device cost by a calibration: operations with the passes around them, and the host's calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.compute import FAR, US, CallTime
from inferometer.emulator.calibrate.evaluate.compute_choice import chosen_laws, dtype_of_widths
from inferometer.emulator.calibrate.laws.kernels import kernel_us
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw, ComputeTarget
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.features import operation_sizes
from inferometer.emulator.workload.kernels.executions import Execution, execution_of
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
        self._words = f"calibration {calibration_id[:12]}"
        laws = chosen_laws(self._words, laws, key, not_measured)
        self._laws: dict[tuple[str, str, str | None], ComputeLaw] = {
            (law.target.dtype, law.kind, law.op): law for law in laws
        }
        self._params = {
            id(law): {name: one.value for name, one in law.params.items() if one.value is not None} for law in laws
        }

    @property
    def target(self) -> ComputeTarget:
        return next(iter(self._laws.values())).target

    @property
    def dtypes(self) -> list[str]:
        return sorted({dtype for dtype, *_ in self._laws})

    @cached_property
    def execution(self) -> Execution:
        """Whose kernels these are."""
        return execution_of(self.target.backend)

    def dtype_of(self, weight_bits: int, activation_bits: int, kv_bits: int) -> str:
        """The dtype measured in which everything has these widths. Raises InputError where there is none."""
        return dtype_of_widths(self._words, self.dtypes, weight_bits, activation_bits, kv_bits)

    def rates(self, dtype: str) -> dict[str, float]:
        """smallest_us, memory_gb_per_s, gflops of matmuls."""
        found = self._laws[dtype, "matmul", None].rates or {}
        return {name: one.value for name, one in found.items() if one.value is not None}

    # -- what they say -------------------------------------------------------------------------------------------------

    def times(self, calls: Sequence[Call], dtype: str) -> list[CallTime]:
        """The device's time of each call with the passes around it; launched one by one also the host's."""
        rates = self.rates(dtype)
        memory_s, flop_s = 1 / (rates["memory_gb_per_s"] * 1e9), 1 / (rates["gflops"] * 1e9)
        host_us = self._host_us(dtype)
        found = []
        for op, *_ in calls:
            if op.kind == "glue":
                found.append(CallTime(0.0))
                continue
            law, params = self._of(dtype, op.kind, op.function or None)
            launches: Size = np.maximum(op.matrices, 1.0) if op.routed else 1.0
            own_us = _plain(kernel_us(law.formula, params, operation_sizes(op), launches))  # type: ignore[arg-type]
            start_us: Size = params["o"] * launches
            passes_us: Size = 0.0
            for kernel in self.execution.kernels(op):
                law, params = self._of(dtype, "stream", kernel.function)
                sizes = {"activation_bytes": kernel.moved_bytes}
                passes_us = passes_us + _plain(kernel_us(law.formula, params, sizes))  # type: ignore[arg-type]
                start_us = start_us + params["o"]
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

    def _host_us(self, dtype: str) -> float:
        """Of the host for one call; 0 where a graph launches everything."""
        if self.target.launch_mode != EAGER:
            return 0.0
        law = self._laws.get((dtype, "null", None))
        return 0.0 if law is None else self._params[id(law)]["o"]

    def _of(self, dtype: str, kind: str, op: str | None) -> tuple[ComputeLaw, dict[str, float]]:
        """The law of a function; where it was not measured, of its kind, or of the kind's first function."""
        law = self._laws.get((dtype, kind, op)) or self._laws.get((dtype, kind, None))
        if law is None:
            law = next(one for (of, other, _), one in self._laws.items() if (of, other) == (dtype, kind))
        return law, self._params[id(law)]

    def notes(self, calls: Sequence[Call], dtype: str) -> list[str]:
        """In words, each once, where the calls leave what was measured and what stands in."""
        return list(dict.fromkeys(self._notes(calls, dtype)))

    def _notes(self, calls: Sequence[Call], dtype: str) -> Iterator[str]:
        missing: dict[str, None] = {}
        for op, *_ in calls:
            if op.kind == "glue":
                continue
            functions = [kernel.function for kernel in self.execution.kernels(op)]
            functions += [op.function] if op.kind == "stream" else []
            missing |= {name: None for name in functions if (dtype, "stream", name) not in self._laws}
            yield from self._beyond(op, dtype)
            if op.routed or np.max(op.matrices) > 1:
                yield "matmuls over several matrices were not measured: each is priced as a launch of its own"
        if missing:
            yield f"{', '.join(sorted(filter(None, missing)))}: not measured, priced as the {STANDS_IN}"
        if self.target.launch_mode == EAGER and (dtype, "null", None) not in self._laws:
            yield "what one call costs the host was not measured, and is left out"

    def _beyond(self, op: Compute, dtype: str) -> Iterator[str]:
        law, _ = self._of(dtype, op.kind, op.function or None)
        if law.op is None and op.kind != "matmul":
            return
        sizes = operation_sizes(op)
        for name in ("rows", "inner", "outer", "kv_bytes", "flop"):
            low_high, value = getattr(law.domain, name), float(np.max(sizes[name]))
            if low_high and value > FAR * low_high[1] > 0:
                yield f"{law.op or op.kind}: {name} of {value:.3g} is beyond the {low_high[1]:.3g} measured"

    def relative_error(self, dtype: str, concurrent_ranks: int) -> float | None:
        """How far a step may be off, as a fraction: the laws' median errors on shapes left out, the largest of them.

        Errors of many different kernels largely cancel in a step, so that no 90th percentile is taken.
        """
        found = [law.fit.held_out.median for law in self._laws.values() if law.target.dtype == dtype and law.op is not None]
        found.append(self._laws[dtype, "matmul", None].fit.held_out.median)
        return max((one for one in found if one is not None), default=None)


def _plain(values: Any) -> Size:
    """A number where the array is of one."""
    return float(values.ravel()[0]) if values.size == 1 else values
