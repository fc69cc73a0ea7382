"""Which of a device's kernel laws prices an operation: by its kind, the widths of its numbers, its function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from inferometer.emulator.calibrate.evaluate.compute_choice import Widths
from inferometer.emulator.calibrate.laws.corrections import ReadyCorrection
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kernels.executions import EXPERTS
from inferometer.emulator.workload.kernels.formats import FORMATS, formats_of_widths
from inferometer.emulator.workload.program import Compute


class Ready:
    """A law made ready: its numbers by name, its corrections."""

    def __init__(self, law: ComputeLaw) -> None:
        self.law = law
        self.params = {name: one.value for name, one in law.params.items() if one.value is not None}
        self.corrections = [ReadyCorrection.of(one) for one in law.corrections]


class KernelChoice:
    """The laws of one device and launch mode, by what they are for. words: the calibration, for messages."""

    def __init__(self, words: str, laws: Sequence[ComputeLaw]) -> None:
        self._words = words
        self._laws: dict[tuple[str, str, str | None], list[Ready]] = {}
        for law in laws:
            self._laws.setdefault((law.target.dtype, law.kind, law.op), []).append(Ready(law))

    def measured(self, kind: str) -> list[str]:
        """The formats that a kind has laws in; of matmuls those that are no expert layer's."""
        return sorted({dtype for dtype, of, op in self._laws if of == kind and op != EXPERTS})

    def check(self, widths: Widths) -> None:
        """Raise InputError where matmuls of these widths, or attention on such a cache, were not measured."""
        self.matmul_format(widths.weight_bits, widths.activation_bits)
        self.cache_format(widths.kv_bits)

    def matmul_format(self, weight_bits: int, activation_bits: int, routed: bool = False) -> str:
        """The format of matmuls; narrower operands are widened where no kernel was measured that has them.

        routed: of an expert layer, where one was measured. Raises InputError where there is none as wide.
        """
        measured = self.measured("matmul")
        experts = [dtype for dtype, _, op in self._laws if op == EXPERTS]
        for name in formats_of_widths(weight_bits, activation_bits) if routed else ():
            if name in experts:
                return name
        widest = max(weight_bits, activation_bits)
        for pair in ((weight_bits, activation_bits), (widest, widest)):
            for name in formats_of_widths(*pair):
                if name in measured:
                    return name
        raise InputError(
            f"{self._words}: computing was measured in {', '.join(measured)}, "
            f"not with weights {weight_bits}, activations {activation_bits} bits: give these widths, or an --accelerator"
        )

    def cache_format(self, kv_bits: int) -> str:
        measured = self.measured("attention")
        found = [name for name in measured if FORMATS[name].weight_bits == kv_bits]
        if not found:
            raise InputError(
                f"{self._words}: computing was measured in {', '.join(measured)}, "
                f"not with a cache of {kv_bits} bits: give these widths, or an --accelerator"
            )
        return found[0]

    def of(self, op: Compute, widths: Widths) -> Ready:
        """The law of an operation itself."""
        if op.kind == "matmul":
            weight, activation = widths.weight_bits, widths.activation_bits
            if op.bits is not None:
                weight, activation = op.bits, min(16, op.bits) if formats_of_widths(op.bits, op.bits) else 16
            dtype = self.matmul_format(weight, activation, op.routed)
            return self._one(dtype, "matmul", EXPERTS if op.routed else None, None)
        if op.kind == "attention":
            return self._one(self.cache_format(widths.kv_bits), "attention", op.function or "decode", op.head_dim)
        return self.stream(op.function or None)

    def stream(self, function: str | None) -> Ready:
        """Of a pass over activations; the mean of those measured where this one was not."""
        dtype = self.measured("stream")[0]
        return self._one(dtype, "stream", function, None)

    def null(self) -> Ready | None:
        """Of the kernel that does nothing."""
        found = [some[0] for (_, kind, _), some in self._laws.items() if kind == "null"]
        return found[0] if found else None

    def experts(self, op: Compute, widths: Widths) -> bool:
        """Whether a routed operation has a law of its own."""
        return op.routed and self.of(op, widths).law.op == EXPERTS

    def stands_in(self, op: Compute, widths: Widths) -> Iterator[str]:
        """In words, where another law prices an operation than one of its own."""
        law = self.of(op, widths).law
        if op.kind == "attention" and not op.function:
            yield "layers with a state, or with compressed entries: not measured, priced as attention on a cache"
        if op.kind == "attention" and op.head_dim and law.head_dim and law.head_dim != op.head_dim:
            yield f"attention with heads of {op.head_dim}: not measured, priced as of {law.head_dim}"
        if op.kind == "matmul":
            form = FORMATS[law.target.dtype]
            bits = op.bits or widths.weight_bits
            if form.weight_bits > bits:
                yield f"weights of {bits} bits: no matmul was measured, priced as {law.target.dtype} that reads fewer bytes"

    def _one(self, dtype: str, kind: str, op: str | None, head_dim: int | None) -> Ready:
        """The law of a function; where it was not measured, of its kind, or of the kind's first function; of several head
        widths the nearest."""
        found = self._laws.get((dtype, kind, op)) or self._laws.get((dtype, kind, None))
        if found is None:
            found = next(some for (of, other, _), some in self._laws.items() if (of, other) == (dtype, kind))
        if len(found) == 1 or not head_dim:
            return found[0]
        return min(found, key=lambda one: abs(np.log((one.law.head_dim or head_dim) / head_dim)))
