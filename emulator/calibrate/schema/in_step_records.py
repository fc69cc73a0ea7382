"""The records of the in-step overhead that a real step pays beyond the isolated time of its collectives: in-step overhead[] of a calibration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from inferometer.emulator.calibrate.schema.records import Cell, HeldOutError, Pair, Parameter, Record, Target

EQUATION = "s = s0 + u·t_apart + v·n"
#: Parameter: (unit, µs in one unit of parameter × quantity), of the quantities 1, µs apart and bytes.
UNITS: dict[str, tuple[str, float]] = {"s0": ("us", 1.0), "u": ("1", 1.0), "v": ("ns/byte", 1e-3)}


class StepCell(Cell):
    """One cell timed in_step over all launches: us is the mean over ranks of their own durations.

    requested_compute_gap_us names the cell; compute_gap_us is the time its ranks really computed between two calls. isolated_medians
    are what the same collective took isolated in the launch of each of launch_medians, null where it was not measured there.
    """

    requested_compute_gap_us: FiniteFloat = Field(gt=0)
    compute_gap_us: FiniteFloat = Field(gt=0)
    isolated_medians: list[FiniteFloat | None]


class StepDomain(Record):
    """Where collectives in steps were measured: [smallest, largest]."""

    bytes: tuple[int, int]
    compute_gap_us: Pair


class StepFit(Record):
    """How well the in-step overhead fits: relative errors of t_isolated + s against the in_step times, one per cell and launch.

    held_out: of cells left out, each predicted from the others and how they depart (seen). n_isolated_from_law: points whose
    isolated time was not measured in the same launch, and comes from the fitted isolated law.
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
    """s of one key on so many ranks and nodes: s0 + u·(time apart) + v·bytes, added to the isolated time.

    A parameter that is not identified adds nothing: s0 then holds what it adds at the one time apart or size measured.
    seen: how the cells, and collectives of models' steps, depart from that; null without an isolated law.
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
            raise ValueError(f"params: a in-step overhead needs {', '.join(UNITS)}")
        if any((p.value or 0.0) < 0 for p in self.params.values()):
            raise ValueError("params: none is below 0")
        return self
