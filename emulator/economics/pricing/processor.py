"""What computing costs on some device: the face that every source of compute terms shows to the pricing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute, Size


@dataclass(frozen=True)
class ComputeTime:
    """One operation, in seconds; arrays of the common shape.

    kernel_s: what starting it costs; memory_s, arithmetic_s: its bytes and FLOP at the device's best rates. roof_s: what it
    takes beyond kernel_s where a law says so; None where only the best rates are known, of which the larger sum over a step
    holds. lead_s: what is done between the operation before and this one.
    """

    kernel_s: Size
    memory_s: Size
    arithmetic_s: Size
    roof_s: Size | None = None
    lead_s: Size = 0.0

    @property
    def total_s(self) -> Size:
        roof = np.maximum(self.memory_s, self.arithmetic_s) if self.roof_s is None else self.roof_s
        return self.lead_s + self.kernel_s + roof


class State(NamedTuple):
    """What a rank computes among. concurrent_ranks: ranks of a node that compute at the same time; sharded: with
    collectives between its computations, after which core and caches are cold; tokens: new ones in the step (Program): the
    more there are, the colder the caches for operations that run once a step."""

    concurrent_ranks: int = 1
    sharded: bool = False
    tokens: Size = 1


class Processor(Protocol):
    """A source of compute terms: an accelerator's datasheet, or a calibration's laws."""

    @property
    def name(self) -> str: ...

    def time(self, op: Compute, precision: Precision, state: State, after: Sequence[str]) -> ComputeTime:
        """Time of one operation on each rank.

        after: the computation before it and the collectives since; nothing for the first of a step.

        Raises InputError for a precision this source knows nothing of.
        """
        ...

    def begin_s(self, precision: Precision, state: State) -> Size:
        """What lies before the first operation of a step."""
        ...

    def end_s(self, logits_bytes: Size, precision: Precision, state: State, after: Sequence[str]) -> Size:
        """What lies after the last: the choice of tokens from logits, nothing where there are none. after: as of time."""
        ...


@dataclass(frozen=True)
class Datasheet:
    """An accelerator's sustained rates, one kernel launch for every operation."""

    accelerator: Accelerator

    @property
    def name(self) -> str:
        return self.accelerator.name

    def time(self, op: Compute, precision: Precision, state: State, after: Sequence[str]) -> ComputeTime:
        """Time at the sustained rates. Raises InputError as flop_per_s does."""
        device = self.accelerator
        bits = precision.attention_bits if op.kind == "attention" else precision.matmul_bits
        memory_rate = device.memory_bytes_per_s * device.memory_fraction
        return ComputeTime(device.kernel_s, op.memory_bytes / memory_rate, op.flop / flop_per_s(device, bits))

    def begin_s(self, precision: Precision, state: State) -> Size:
        """Nothing: a datasheet says nothing of it."""
        return 0.0

    def end_s(self, logits_bytes: Size, precision: Precision, state: State, after: Sequence[str]) -> Size:
        """Nothing: a datasheet says nothing of it."""
        return 0.0


def flop_per_s(accelerator: Accelerator, bits: int) -> float:
    """Sustained FLOP/s for operands of so many bits; a width without a rate of its own runs at the next wider one's.

    Raises InputError if the accelerator has no rate for that width or any wider one.
    """
    wider = [width for width in accelerator.flop_per_s if width >= bits]
    if not wider:
        have = ", ".join(f"{width}-bit" for width in sorted(accelerator.flop_per_s))
        raise InputError(f"{accelerator.name}: no FLOP/s for {bits}-bit operands: it has {have}")
    return accelerator.flop_per_s[min(wider)] * accelerator.flop_fraction
