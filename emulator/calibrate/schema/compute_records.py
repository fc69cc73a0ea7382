"""The records of what computing costs: compute[] of a calibration."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from inferometer.emulator.calibrate.schema.records import FromList, HeldOutError, Pair, Parameter, Record
from inferometer.emulator.workload.kernels.formats import KernelFormat

SURFACE = "t(rows, inner, outer): ln t linear in ln of each between the knots; beyond the last ones t ∝ each"
LINE = "t = o + activations·activation_bytes + streamed·(activation_bytes above 1 MiB) + cache·kv_bytes + arithmetic·flop"
#: Activations beyond this do not pass from one operation to the next in a core's own cache, and need fresh memory from the
#: system.
STREAMED_BYTES = 1 << 20
#: Parameter of a line: (the size it multiplies, its unit, µs in one unit of parameter × size).
LINE_UNITS: dict[str, tuple[str, str, float]] = {
    "activations": ("activation_bytes", "ns/byte", 1e-3),
    "streamed": ("streamed_bytes", "ns/byte", 1e-3),
    "cache": ("kv_bytes", "ns/byte", 1e-3),
    "arithmetic": ("flop", "ns/kFLOP", 1e-6),
}


class KernelFormula(Record):
    """The terms of a roofline: t = o + l·chain + transfer, for one kernel of a device.

    chain: what grows one after the other inside the kernel and no further bytes or FLOP hide: a product's inner dimension
    (inner/1024), the splits of a long context (log2(1 + context/256)), a prompt's longest row (context/1024). memory: the
    sizes whose bytes pass at B. arithmetic: whether FLOP at F take time too. overlap: how both go together: ((bytes/B)^q +
    (FLOP/F)^q)^(1/q), or the longer of the two.
    """

    chain: Literal["inner", "splits", "context"] | None = None
    memory: Annotated[tuple[Literal["weight_bytes", "activation_bytes", "kv_bytes"], ...], FromList] = ()
    arithmetic: bool = False
    overlap: Literal["smooth", "longer"] = "longer"

    def parameters(self) -> dict[str, str]:
        """The units of the parameters by their names."""
        found = {"o": "us"} | ({"l": "us"} if self.chain else {}) | ({"B": "GB/s"} if self.memory else {})
        found |= {"F": "GFLOP/s"} if self.arithmetic else {}
        return found | ({"q": "1"} if self.arithmetic and self.memory and self.overlap == "smooth" else {})


SizeAxis = Literal[
    "rows", "rows_64", "inner", "outer", "matrices", "rows/matrices", "weight_bytes/matrices", "context", "kv_bytes/context",
    "flop/kv_bytes", "activation_bytes/context", "activation_bytes/kv_bytes",
]  # fmt: skip


class Correction(Record):
    """What a roofline's time is multiplied by: exp of values, linear in ln of each axis between its knots, constant beyond.

    axes: sizes or ratios of sizes; rows_64: above 16 rows whole 64s, as tiles of a matmul have them. unaligned: holds for
    more than 16 rows that are no multiple of 8, and for nothing else. values: the last axis fastest.
    """

    axes: Annotated[tuple[SizeAxis, ...], FromList]
    knots: list[list[FiniteFloat]]
    unaligned: bool = False
    values: list[FiniteFloat]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.axes or len(self.axes) != len(self.knots):
            raise ValueError(f"knots: {len(self.knots)} lists for {len(self.axes)} axes")
        if any(len(axis) < 2 or sorted(set(axis)) != axis or axis[0] <= 0 for axis in self.knots):
            raise ValueError("knots: each axis needs two or more above 0, in rising order")
        wanted = prod(len(axis) for axis in self.knots)
        if len(self.values) != wanted:
            raise ValueError(f"values: {len(self.values)}, and the knots are {wanted}")
        return self


class ComputeAlternative(Record):
    """A formula that was fitted too: its errors in sample and held out, and whether it is the law's.

    correction: the axes of what its time is multiplied by.
    """

    formula: KernelFormula
    correction: str | None = None
    medape: FiniteFloat
    held_out: HeldOutError
    chosen: bool


class ComputeTarget(Record):
    """What a law of computing belongs to. concurrent_ranks: ranks of a node that compute at the same time.

    launch_mode: how operations get onto the device: host (CPUs), eager, stream, graph. dtype: of a matmul's operands, of an
    attention's cache, of the activations of a pass.
    """

    backend: str
    device: str
    launch_mode: str
    dtype: KernelFormat
    scheduler: str
    threads: int = Field(ge=1)
    concurrent_ranks: int = Field(ge=1)


class ComputeDomain(Record):
    """Where it was measured: [smallest, largest] of each size that occurs.

    working_set_bytes: of the weights one matmul after another ran through; a smaller one may stay in a cache.
    """

    rows: Pair | None = None
    inner: Pair | None = None
    outer: Pair | None = None
    matrices: Pair | None = None
    context: Pair | None = None
    activation_bytes: Pair | None = None
    kv_bytes: Pair | None = None
    flop: Pair | None = None
    working_set_bytes: int | None = None


class MatmulResidual(Record):
    """A matmul of a probed model: rows of each matrix, one matrix or several (grouped), in a whole or a sharded model.

    several: the part of its time, by the surface, that matrices of two rows or more take. ratio: its measured time over the
    time by the surface.
    """

    rows: FiniteFloat = Field(ge=1)
    inner: int = Field(ge=1)
    outer: int = Field(ge=1)
    grouped: bool
    sharded: bool
    several: FiniteFloat = Field(default=1.0, ge=0, le=1)
    ratio: FiniteFloat = Field(gt=0)


class SizesResidual(Record):
    """An operation of a probed model, or the glue before one, by its sizes. ratio: its time over that by the line.

    matrices: of glue before a matmul, those that its rows are spread over; else 0. tokens: of the step.
    """

    activation_bytes: FiniteFloat = Field(ge=0)
    kv_bytes: FiniteFloat = Field(ge=0)
    flop: FiniteFloat = Field(ge=0)
    matrices: FiniteFloat = Field(default=0.0, ge=0)
    tokens: FiniteFloat = Field(default=0.0, ge=0)
    ratio: FiniteFloat = Field(gt=0)


RESIDUAL_SIZES = tuple(name for name in SizesResidual.model_fields if name != "ratio")


class ComputeFit(Record):
    """Relative errors. held_out: of matmuls, leave-one-model-out; of a line, leave-one-probe-out; of a roofline, every third
    shape left out.

    whole_steps, of matmuls: of the sum over each step of the model left out.
    """

    n_points: int
    n_launches: int
    medape: FiniteFloat | None
    held_out: HeldOutError
    whole_steps: HeldOutError | None = None
    alternatives: Annotated[tuple[ComputeAlternative, ...], FromList] = ()


class ComputeLaw(Record):
    """The time of one kind of operation on one rank, µs.

    kind: "matmul", "attention", "stream" (a pass over activations), or "glue" (what the engine does between two operations:
    activation functions, residual sums, top-k, Python). op: the operation this law is for, null for every one of the kind;
    of glue, the operation that follows, whose input is activation_bytes. predecessors: what ran just before op, the last
    computation and the collectives after it ("moe.router, moe.counts"), "" at the beginning of a step, null for any.
    sharded: the law of steps with collectives, after which cores and caches are cold; a matmul's law holds for both.
    params: of a surface one per knot, "ROWSxINNERxOUTER"; of a line those of LINE_UNITS and o. A parameter that is not
    identified adds nothing: o then holds what it adds at the one size measured; of a roofline those of its formula. rows,
    inner, outer: the knots of a surface. A roofline is of one kernel on a device: op is its function (rms_norm, decode),
    null the mean of those measured; kind null is a kernel that does nothing, eager what one call costs the host. A matmul
    of op experts is of an expert layer's, with what routes its rows. corrections: what its time is multiplied by where a few
    terms do not say enough. head_dim: of an attention, null for every one; of a latent one what is cached of a token.
    rates: the surface in the terms of a datasheet. residuals: measured/predicted of operations in models' steps.
    """

    target: ComputeTarget
    kind: Literal["matmul", "attention", "stream", "glue", "null"]
    op: str | None = None
    predecessors: str | None = None
    sharded: bool = False
    form: Literal["surface", "line", "roofline"]
    equation: str
    formula: KernelFormula | None = None
    corrections: Annotated[tuple[Correction, ...], FromList] = ()
    head_dim: int | None = None
    rows: list[int] | None = None
    inner: list[int] | None = None
    outer: list[int] | None = None
    params: dict[str, Parameter]
    rates: dict[str, Parameter] | None = None
    residuals: list[MatmulResidual] | list[SizesResidual] | None = None
    domain: ComputeDomain
    fit: ComputeFit

    def knots(self) -> list[tuple[int, int, int]]:
        """Rows, inner, outer of a surface's parameters, outer fastest."""
        return list(product(self.rows or [], self.inner or [], self.outer or []))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.form == "roofline") != (self.formula is not None):
            raise ValueError("formula: a roofline has one, nothing else")
        if self.formula is not None:
            if self.params.keys() != self.formula.parameters().keys():
                raise ValueError(f"params: this formula needs {', '.join(self.formula.parameters())}")
            if any(p.value is None or p.value < 0 for p in self.params.values()):
                raise ValueError("params: a roofline's are numbers of 0 or more")
            return self
        if (self.form == "surface") != (self.kind == "matmul"):
            raise ValueError(f"form: {self.kind} cannot be a {self.form}")
        if self.form == "surface":
            rates = {name: rate.value for name, rate in (self.rates or {}).items()}
            if not {"smallest_us", "memory_gb_per_s", "gflops"} <= rates.keys() or not all(
                v and v > 0 for v in rates.values()
            ):
                raise ValueError("rates: smallest_us, memory_gb_per_s and gflops are needed, each above 0")
            if min((self.rows or [0])[0], (self.inner or [0])[0], (self.outer or [0])[0]) < 1:
                raise ValueError("rows, inner and outer begin at 1 or above")
            if any(
                axis is None or len(axis) < 2 or sorted(set(axis)) != axis for axis in (self.rows, self.inner, self.outer)
            ):
                raise ValueError("a surface needs two or more rows, inner and outer, in rising order")
            wanted = {knot(*sizes) for sizes in self.knots()}
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


def knot(rows: int, inner: int, outer: int) -> str:
    """The name of a surface's parameter."""
    return f"{rows}x{inner}x{outer}"
