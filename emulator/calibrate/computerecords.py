"""The records of what computing costs: compute[] of a calibration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import FiniteFloat, model_validator

from inferometer.emulator.calibrate.records import HeldOutError, Pair, Parameter, Record

SURFACE = "t(rows, elements): log t bilinear in log rows, log elements between the knots; beyond the last ones t ∝ both"
LINE = "t = o + activations·activation_bytes + cache·kv_bytes + arithmetic·flop"
#: Parameter of a line: (the size it multiplies, its unit, µs in one unit of parameter × size).
LINE_UNITS: dict[str, tuple[str, str, float]] = {
    "activations": ("activation_bytes", "ns/byte", 1e-3),
    "cache": ("kv_bytes", "ns/byte", 1e-3),
    "arithmetic": ("flop", "ns/kFLOP", 1e-6),
}


class ComputeTarget(Record):
    """What a law of computing belongs to. at_once: ranks of a node that compute at the same time."""

    backend: str
    device: str
    dtype: str
    scheduler: str
    threads: int
    at_once: int


class ComputeDomain(Record):
    """Where it was measured: [smallest, largest] of each size that occurs.

    working_set_bytes: of the weights one matmul after another ran through; a smaller one may stay in a cache.
    """

    rows: Pair | None = None
    elements: Pair | None = None
    activation_bytes: Pair | None = None
    kv_bytes: Pair | None = None
    flop: Pair | None = None
    working_set_bytes: int | None = None


class ComputeFit(Record):
    """Relative errors. held_out: operations of models that a surface has not seen; of a line, probes left out."""

    n_points: int
    n_launches: int
    medape: FiniteFloat | None
    held_out: HeldOutError


class ComputeLaw(Record):
    """The time of one kind of operation on one rank, µs.

    op: "matmul", "attention", "stream", or "between": what the engine does on the way to an operation (activation functions,
    residual sums, top-k, Python). before: the operation it leads to, null for the law over all of them.
    A parameter of a line that is not identified adds nothing: o then holds what it adds at the one size measured.
    rows, elements: the knots of a surface, whose params are named "ROWSxELEMENTS"; elements of one matrix.
    rates: what the knots say in words of an accelerator's datasheet.
    """

    target: ComputeTarget
    op: Literal["matmul", "attention", "stream", "between"]
    before: str | None = None
    form: Literal["surface", "line"]
    equation: str
    rows: list[int] | None = None
    elements: list[int] | None = None
    params: dict[str, Parameter]
    rates: dict[str, Parameter] | None = None
    domain: ComputeDomain
    fit: ComputeFit

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.form == "surface":
            if (
                not self.rows
                or not self.elements
                or sorted(self.rows) != self.rows
                or sorted(self.elements) != self.elements
            ):
                raise ValueError("a surface needs rows and elements in rising order")
            wanted = {knot(r, e) for r in self.rows for e in self.elements}
        else:
            wanted = {"o", *LINE_UNITS}
        if self.params.keys() != wanted:
            raise ValueError(f"params: a {self.form} here needs {', '.join(sorted(wanted))}")
        needed = wanted if self.form == "surface" else {"o"}
        if any(self.params[name].value is None for name in needed) or any(
            (p.value or 0.0) < 0 for p in self.params.values()
        ):
            raise ValueError("params: a time below 0, or none where the law needs one")
        if self.form == "surface" and not all(p.value for p in self.params.values()):
            raise ValueError("params: no matmul takes no time")
        return self


def knot(rows: int, elements: int) -> str:
    """The name of a surface's parameter."""
    return f"{rows}x{elements}"
