"""The records of in-step overhead, what a collective costs in a step beyond its isolated time: in_step_laws[]."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from inferometer.emulator.calibrate.schema.records import Cell, FromList, HeldOutError, Pair, Parameter, Record, Target

EQUATION = "s = s0 + u·compute_gap + v·n"
#: Parameter: (unit, µs in one unit of parameter × quantity), of the quantities 1, µs of compute gap and bytes.
UNITS: dict[str, tuple[str, float]] = {"s0": ("us", 1.0), "u": ("1", 1.0), "v": ("ns/byte", 1e-3)}


class StepCell(Cell):
    """One cell timed in_step over all launches: us is the mean over ranks of their own durations.

    requested_compute_gap_us names the cell; compute_gap_us is the time its ranks really computed between two calls.
    isolated_medians: the isolated time of the same collective in the launch of each of launch_medians, null where it was not
    measured there.
    """

    requested_compute_gap_us: FiniteFloat = Field(gt=0)
    compute_gap_us: FiniteFloat = Field(gt=0)
    isolated_medians: list[FiniteFloat | None]


class StepDomain(Record):
    """Where collectives in steps were measured: [smallest, largest]."""

    bytes: Annotated[tuple[int, int], FromList]
    compute_gap_us: Pair


class StepFit(Record):
    """How well the law fits: relative errors of t_isolated + s against the in_step times, one per cell and launch.

    held_out: of cells left out, each predicted from the law and the residuals of the others. n_isolated_from_law: points
    whose isolated time was not measured in the same launch, and comes from the fitted isolated law.
    """

    residual: Literal["log"]
    loss: str
    f_scale: FiniteFloat
    n_points: int
    n_cells: int
    n_isolated_from_law: int
    n_excluded: dict[str, int]
    medape: FiniteFloat
    p90ape: FiniteFloat
    held_out: HeldOutError


class InStepResidual(Record):
    """One cell timed in_step, or one collective of a model's steps.

    ratio: of its median over launches to the isolated law plus s.
    """

    bytes: FiniteFloat = Field(ge=0)
    compute_gap_us: FiniteFloat = Field(ge=0)
    ratio: FiniteFloat = Field(gt=0)
    in_model: bool = False


class InStepLaw(Record):
    """s of one key on so many ranks and nodes: s0 + u·(compute gap) + v·bytes, added to the isolated time.

    A parameter that is not identified adds nothing: s0 then holds what it adds at the one compute gap or size measured.
    residuals: measured/predicted of the cells and of the collectives of models' steps; null without an isolated law.
    """

    target: Target
    ranks: int = Field(ge=2)
    nodes: int = Field(ge=1)
    equation: str
    params: dict[str, Parameter]
    domain: StepDomain
    fit: StepFit
    flags: list[str]
    residuals: list[InStepResidual] | None = None
    cells: list[StepCell]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.params.keys() != UNITS.keys():
            raise ValueError(f"params: an in-step law needs {', '.join(UNITS)}")
        if any((p.value or 0.0) < 0 for p in self.params.values()):
            raise ValueError("params: none is below 0")
        return self
