"""The records of network laws: network_laws[] of a calibration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from inferometer.emulator.calibrate.schema.records import FromList, HeldOutError, Pair, Parameter, Record, Target

RankLatency = Literal["local", "ring"]
NodeLatency = Literal["log2", "linear", "once"]


class Formula(Record):
    """The parts of a network law's formula. Unless a field says otherwise, t = L + W with

        L = a + b·σ(r, N) + c·g(N)          W = κ_intra·n/B_intra + κ_inter·n/B_inter

    n bytes, r ranks, N nodes, κ the bus factors of the collective.

    shape: "sum", t = L + W; "smooth", t = (L^q + W^q)^(1/q); "threshold", t = L + W + jump·[n > threshold]; "protocols",
    the least L + W of several protocols, each with its own a, B_intra and B_inter. protocols: how many there are.
    rank_latency: σ is r/N − 1 ("local", a chain inside each node), r − 1 ("ring", over all ranks), or nothing (null).
    node_latency: g is log2 N ("log2", a tree), N − 1 ("linear"), 1 from two nodes on ("once"), or nothing (null).
    overlap: transfers inside and between nodes run at the same time, so that W is the larger of the two.
    bandwidth_rank_counts: rank counts with a B_intra each ("B_intra@4"); the law then says nothing of other counts.
    slopes_per_protocol: b and c differ by protocol too. ring_bytes: every collective is charged the bytes of a ring.
    constants: "fitted", the paper's as published ("paper"), or the paper's times one fitted factor ("scaled").
    """

    shape: Literal["sum", "smooth", "threshold", "protocols"]
    protocols: int = Field(default=1, ge=1)
    rank_latency: RankLatency | None
    node_latency: NodeLatency | None
    overlap: bool = False
    bandwidth_rank_counts: Annotated[tuple[int, ...], FromList] = ()
    slopes_per_protocol: bool = False
    ring_bytes: bool = False
    constants: Literal["fitted", "scaled", "paper"] = "fitted"

    @property
    def bends(self) -> bool:
        """Whether the time is not linear in the parameters."""
        return self.shape != "sum" or self.overlap

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.shape == "protocols") != (self.protocols > 1):
            raise ValueError(f"protocols: {self.protocols} do not go with the shape '{self.shape}'")
        if self.constants != "fitted" and (self.bends or self.bandwidth_rank_counts):
            raise ValueError(f"constants: '{self.constants}' are of the paper's own formula, a plain sum")
        if list(self.bandwidth_rank_counts) != sorted(set(self.bandwidth_rank_counts)):
            raise ValueError("bandwidth_rank_counts: must rise")
        return self


class Combination(Record):
    """What a design determines of parameters that it cannot determine alone.

    value is Σ coefficient·θ with θ the latencies in µs and 1/B in ns/byte; unit is us or ns/byte.
    """

    expr: str
    coefficients: dict[str, FiniteFloat]
    value: FiniteFloat
    unit: str
    ci95: Pair | None
    ci95_reason: str | None = None
    ci95_over: Literal["launches", "cells"] | None = None
    within_launch_ci95: Pair | None = None


class Covariance(Record):
    """Covariance of the estimated quantities, of ln q (scale ln) or q (scale linear); dof for the t-quantile."""

    order: list[str]
    matrix: list[list[FiniteFloat]]
    dof: int = Field(ge=1)
    scale: list[Literal["ln", "linear"]]

    @model_validator(mode="after")
    def _one_row_each(self) -> Self:
        count = len(self.order)
        if len(self.scale) != count or len(self.matrix) != count or any(len(row) != count for row in self.matrix):
            raise ValueError(f"order, scale and matrix must be of the same {count} quantities")
        return self


Countable = Annotated[int, Field(ge=0, lt=1 << 62)]
"""What a float and a whole number of 64 bits hold."""


class Domain(Record):
    """Where the law was measured; bytes is [smallest, largest]."""

    bytes: Annotated[tuple[Countable, Countable], FromList]
    ranks: list[Countable] = Field(min_length=1)
    nodes: list[Countable] = Field(min_length=1)
    ranks_per_node: list[FiniteFloat] = Field(min_length=1)


class CrossValidation(Record):
    """Held-out errors by what was held out."""

    sizes: HeldOutError
    leave_rank_out: HeldOutError
    leave_node_out: HeldOutError
    leave_launch_out: HeldOutError


class Alternative(Record):
    """A law that was tried. score: mean |ln| held-out error by which laws compete, score_se its standard error.

    bic: Bayesian information criterion, which decides between laws whose scores are within one standard error. unfit: why
    a law that was fitted could not compete.
    """

    form: str
    free_parameters: int
    score: FiniteFloat | None
    score_se: FiniteFloat | None
    bic: FiniteFloat | None = None
    medape: FiniteFloat | None
    sizes: HeldOutError
    leave_rank_out: HeldOutError
    chosen: bool
    coincides_with: str | None = None
    unfit: str | None = None


class ErrorSpread(Record):
    """95th percentiles of |ln(predicted/measured)|: of the fitted points, and of what was held out by sizes, rank counts
    and node counts (null where nothing could be). They make the interval of a predicted time.

    With intervals over launches, measured is a cell's mean over launches, and what chance leaves in it is taken off."""

    sample: FiniteFloat
    sizes: FiniteFloat | None
    ranks: FiniteFloat | None
    nodes: FiniteFloat | None


class FitReport(Record):
    """How well a law fits: relative errors of the points (one per cell and launch), held-out errors, other laws.

    n_outlying: points far from the other launches of their cell, which count less (nothing is left out for that).
    """

    residual: str
    loss: str
    f_scale: FiniteFloat
    n_points: int
    n_cells: int
    n_outlying: int
    n_excluded: dict[str, int]
    condition: FiniteFloat | None
    medape: FiniteFloat
    p90ape: FiniteFloat
    maxape: FiniteFloat
    bias_by_decade: dict[str, FiniteFloat]
    cv: CrossValidation
    spread: ErrorSpread | None = None
    choice: str
    alternatives: list[Alternative]


class PaperLatency(Record):
    """t_reduce's latency, µs: base + per_local_rank·(r/N − 1) + per_log2_node·log2 N."""

    base: FiniteFloat | None
    per_local_rank: FiniteFloat | None
    per_log2_node: FiniteFloat | None


class PaperProjection(Record):
    """The paper's form fitted to the same points, and the error that form makes.

    ci95 and reasons go by the names of the other fields. medape, p90ape and maxape are against the measured cells;
    max_rel_dev_vs_full_model is the largest |projection/law − 1| over them. They are null for a published law, which has
    no cells.
    """

    t_reduce_us: PaperLatency
    intra_bw_GBs: FiniteFloat | None  # noqa: N815
    inter_bw_GBs: FiniteFloat | None  # noqa: N815
    ci95: dict[str, Pair | None]
    reasons: dict[str, str]
    identifiable_combinations: list[Combination]
    medape: FiniteFloat | None
    p90ape: FiniteFloat | None
    maxape: FiniteFloat | None
    max_rel_dev_vs_full_model: FiniteFloat | None


class NetworkLaw(Record):
    """The law of one key.

    formula: its parts, from which times are computed. form and equation: the same for people, in a word and in full.
    fit: null for published constants, which nobody fitted to anything that is known here.
    """

    target: Target
    form: str
    equation: str
    formula: Formula
    params: dict[str, Parameter]
    identifiable_combinations: list[Combination]
    cov: Covariance | None
    domain: Domain
    fit: FitReport | None
    paper_projection: PaperProjection
    flags: list[str]
