"""What the records of a samples file must look like, checked when a file is read: it may come from anywhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from inferometer.emulator.checked import first_error

NonNegativeNumber = Annotated[FiniteFloat | int, Field(ge=0)]


class Record(BaseModel):
    """Further keys are kept: only what the reader relies on is named, with its type, no conversions."""

    model_config = ConfigDict(defer_build=True, extra="allow", strict=True)


class Environment(Record):
    hardware: dict[str, Any] | None = None
    software: dict[str, Any] | None = None
    variables: dict[str, Any] | None = None


class Header(Record):
    record: Literal["header"]
    created: str = ""
    environment: Environment = Environment()
    method: dict[str, Any] = {}


class Conditions(Record):
    load_1m: FiniteFloat | None = None


class Rank(Record):
    involuntary_switches: NonNegativeInt


class LaunchStart(Record):
    record: Literal["launch"]
    launch: NonNegativeInt
    node_of: list[NonNegativeInt]
    conditions: Conditions


class LaunchEnd(Record):
    record: Literal["launch_end"]
    launch: NonNegativeInt
    reason: str
    dropped: list[str] = []
    steal_fraction: FiniteFloat | None = None
    others_fraction: FiniteFloat | None = None
    ranks: list[Rank] | None = None


class Reference(Record):
    """A look at the network in the middle of a launch; changed: cells next to it were measured on another one."""

    record: Literal["reference"]
    launch: NonNegativeInt
    us: FiniteFloat
    changed: bool


class Cell(Record):
    """``start_ns`` and ``stop_ns``: [ranks][iterations]; null for an imported cell, which has ``us`` and ``statistic``.

    ``ranks`` and ``nodes`` are null only where the source of an imported cell does not tell.
    """

    record: Literal["cell"]
    cell: str
    launch: NonNegativeInt
    collective: str
    implementation: str | None = None
    backend: str | None = None
    launch_mode: str | None = None
    timing: str | None
    dtype: str | None
    concurrent_groups: int | str | None = None
    scheduler: str | None = None
    bytes: NonNegativeInt
    ranks: PositiveInt | None
    nodes: PositiveInt | None
    wrong: NonNegativeInt | None = None
    requested_compute_gap_us: FiniteFloat | None = None
    compute_gap_us: FiniteFloat | None = None
    flags: list[str] = []
    participants: list[NonNegativeInt] = []
    groups_ranks: list[list[NonNegativeInt]] = []
    operations: PositiveInt = 1
    time_definition: str = ""
    origin_ns: int = 0
    start_ns: list[list[int]] | None = None
    stop_ns: list[list[int]] | None = None
    us: FiniteFloat | None = None
    n: NonNegativeInt | None = None
    statistic: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Cell:
        if self.start_ns is None:
            if self.us is None or self.statistic is None:
                raise ValueError("a cell without start_ns needs us and statistic")
            return self
        if self.ranks is None or self.nodes is None:
            raise ValueError("a cell with start_ns needs ranks and nodes")
        if self.timing == "in_step" and (self.requested_compute_gap_us is None or self.compute_gap_us is None):
            raise ValueError("a cell timed in_step needs requested_compute_gap_us and compute_gap_us")
        shapes = {len(row) for row in [*self.start_ns, *(self.stop_ns or [])]}
        rows = len(self.participants)
        if len(self.start_ns) != rows or len(self.stop_ns or []) != rows or len(shapes) != 1 or 0 in shapes:
            raise ValueError(f"start_ns and stop_ns need a row for each of {rows} participants, all of one length")
        if not self.groups_ranks or not {r for group in self.groups_ranks for r in group} <= set(self.participants):
            raise ValueError("groups_ranks holds no rank, or one that is not among the participants")
        return self


class UnmeasuredCell(Record):
    record: Literal["cell"]
    cell: str
    launch: NonNegativeInt
    unmeasured: str


class Operation(Record):
    """An operation of a probe: what it works on, and its times in ns, [ranks][iterations].

    ns is null for an imported operation, which has ``us`` and ``statistic``. Of the kind ``glue``: what runs between the
    predecessors and op. null: a kernel that does nothing; memory: a pass over activation_bytes that op reads, or copies.
    context, one_tensor: of attention, tokens of one sequence; 1 where keys and values were the same tensor.
    """

    op: str
    predecessors: str | None = None
    kind: Literal["matmul", "attention", "stream", "glue", "null", "memory"]
    rows: NonNegativeNumber = 0.0
    inner: NonNegativeNumber = 0.0
    outer: NonNegativeNumber = 0.0
    matrices: NonNegativeNumber = 0.0
    routed: NonNegativeNumber = 0.0
    flop: NonNegativeNumber = 0.0
    weight_bytes: NonNegativeNumber = 0.0
    activation_bytes: NonNegativeNumber = 0.0
    kv_bytes: NonNegativeNumber = 0.0
    context: NonNegativeNumber = 0.0
    one_tensor: NonNegativeNumber = 0.0
    ns: list[list[PositiveInt]] | None
    us: FiniteFloat | None = Field(default=None, gt=0)
    statistic: str | None = None

    @model_validator(mode="after")
    def _sized(self) -> Operation:
        if self.ns is None and (self.us is None or self.statistic is None):
            raise ValueError(f"{self.op} without ns needs us and statistic")
        if self.op == "matmul" and min(self.rows, self.inner, self.outer) < 1:
            raise ValueError("a matmul needs rows, inner and outer of 1 or more")
        return self


class Exchange(Record):
    """A collective in a sharded model's steps. compute_gap_us: time since the previous one; ns: as in Operation."""

    op: str
    kind: Literal["collective"]
    collective: str
    bytes: NonNegativeNumber
    ranks: int = Field(ge=2)
    nodes: PositiveInt
    compute_gap_us: NonNegativeNumber
    ns: list[list[PositiveInt]]


class Compute(Record):
    """A probe of the compute side: operations on ``concurrent_ranks`` ranks of each node at the same time."""

    record: Literal["compute"]
    cell: str
    launch: NonNegativeInt
    backend: str
    device: str
    launch_mode: str
    """How operations get onto the device: host, eager, stream, graph."""
    dtype: str
    scheduler: str
    threads: PositiveInt
    concurrent_ranks: PositiveInt
    model: str | None
    """Whose steps they are; None of matmuls by themselves."""
    sharded: bool
    tokens: NonNegativeNumber
    """New ones of a step on one rank; 0 of matmuls by themselves."""
    participants: list[NonNegativeInt] = Field(min_length=1)
    working_set_bytes: PositiveInt | None
    ops: list[Annotated[Operation | Exchange, Field(discriminator="kind")]]

    @model_validator(mode="after")
    def _whole(self) -> Compute:
        for op in self.ops:
            if op.ns is not None and (len(op.ns) != len(self.participants) or not all(op.ns)):
                raise ValueError(f"ns of {op.op} needs times of each of {len(self.participants)} participants")
        return self


KINDS: dict[str, type[Record]] = {
    "header": Header,
    "launch": LaunchStart,
    "launch_end": LaunchEnd,
    "cell": Cell,
    "reference": Reference,
    "compute": Compute,
}


def complaint(record: dict[str, Any]) -> str | None:
    """The first thing wrong with a record, as ``key: what``; None for a good one."""
    kind = KINDS.get(record["record"]) if isinstance(record["record"], str) else None
    if kind is None:
        return f"record: {record['record']!r} is none of {', '.join(KINDS)}"
    try:
        (UnmeasuredCell if "unmeasured" in record else kind).model_validate(record)
    except ValidationError as error:
        return first_error(error)
    return None
