"""What computing costs on some device: the face that every source of compute terms shows to the pricing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.terms import Terms, larger
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute, Size


class ComputeTime(NamedTuple):
    """One run of an operation. lead_s, a part of its kernel_s: what is done between the operation before and this one.

    host_s, no part of the terms: what the host needs to launch it, ahead of the device where it can.
    """

    terms: Terms
    lead_s: Size = 0.0
    host_s: Size = 0.0


class Processor(Protocol):
    """A source of compute terms: an accelerator's datasheet, or a calibration's laws."""

    @property
    def name(self) -> str: ...

    def check(self, precision: Precision) -> None:
        """Raise InputError for a precision this source knows nothing of."""
        ...

    def times(self, calls: Sequence[Call], precision: Precision) -> list[ComputeTime]:
        """Time of each call on each rank. Those of kind glue are what an engine does at the ends of a step.

        Raises InputError for a precision this source knows nothing of.
        """
        ...

    def notes(self, calls: Sequence[Call], precision: Precision) -> list[str]:
        """What to know of these times, in words, each once: where they leave what was measured."""
        return []

    def relative_error(self, calls: Sequence[Call], precision: Precision) -> float | None:
        """How far the times may be off at 95 %, as a fraction; None where nothing says so; 0 of figures that are given."""
        return 0.0


@dataclass(frozen=True)
class Datasheet(Processor):
    """An accelerator's sustained rates, one kernel launch for every operation.

    An operation reads its bytes while it calculates: it takes the longer of both.
    """

    accelerator: Accelerator

    @property
    def name(self) -> str:
        return self.accelerator.name

    def check(self, precision: Precision) -> None:
        """Raises InputError as flop_per_s does."""
        for bits in (precision.attention_bits, precision.matmul_bits):
            flop_per_s(self.accelerator, bits)

    def times(self, calls: Sequence[Call], precision: Precision) -> list[ComputeTime]:
        """Times at the sustained rates; a datasheet says nothing of glue. Raises InputError as flop_per_s does."""
        device = self.accelerator
        memory_rate = device.memory_bytes_per_s * device.memory_fraction
        rates = {bits: flop_per_s(device, bits) for bits in {precision.attention_bits, precision.matmul_bits}}
        found = []
        for op, *_ in calls:
            if op.kind == "glue":
                found.append(ComputeTime(Terms(kernel_s=0.0)))
                continue
            bits = precision.attention_bits if op.kind == "attention" else precision.matmul_bits
            if isinstance(op, Compute) and op.bits is not None:
                bits = multiplied_bits(device, op.bits)
            rate = rates.get(bits) or flop_per_s(device, bits)
            memory, arithmetic = op.memory_bytes / memory_rate, op.flop / rate
            roof = larger(memory, arithmetic)
            found.append(ComputeTime(Terms(kernel_s=device.kernel_s, memory_s=memory, arithmetic_s=arithmetic, roof_s=roof)))
        return found


def multiplied_bits(accelerator: Accelerator, bits: int) -> int:
    """The width in which stored weights of so many bits are multiplied: without 4-bit units they are widened to 16."""
    return 16 if bits == 4 and 4 not in accelerator.flop_per_s else bits


def flop_per_s(accelerator: Accelerator, bits: int) -> float:
    """Sustained FLOP/s for operands of so many bits; a width without a rate of its own runs at the next wider one's.

    Raises InputError if the accelerator has no rate for that width or any wider one.
    """
    wider = [width for width in accelerator.flop_per_s if width >= bits]
    if not wider:
        have = ", ".join(f"{width}-bit" for width in sorted(accelerator.flop_per_s))
        raise InputError(f"{accelerator.name}: no FLOP/s for {bits}-bit operands: it has {have}")
    return accelerator.flop_per_s[min(wider)] * accelerator.flop_fraction
