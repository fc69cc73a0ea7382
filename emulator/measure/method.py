"""How a measurement is made: everything that must agree before two sets of samples may be mixed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from inferometer.configs import folder
from inferometer.emulator.checked import checked
from inferometer.emulator.documents import read_text, toml_of
from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.workload.layout import Layout
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.device.device import LaunchMode
from inferometer.parallel.dtypes import ExecutedDtype, MeasuredDtype

if TYPE_CHECKING:
    from inferometer.emulator.workload.shape import Shape

Timing = Literal["isolated", "pipelined", "in_step"]
Groups = Literal["alone", "all"]
Backend = Literal["gloo", "nccl", "mpi"]
Scheduler = Literal["rr-awake", "rr", "batch", "other"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stop(Strict):
    """When a cell has enough iterations. All limits are decided by rank 0 and shared outside the timed region."""

    relative_interval: float = Field(0.05, gt=0)
    min_iterations: int = Field(20, ge=6)
    """Six is the fewest for which the order-statistic interval of a median exists at 95 %."""
    max_iterations: int = Field(200, ge=6)
    cell_seconds: float = Field(0.4, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Stop:
        if self.max_iterations < self.min_iterations:
            raise ValueError(f"max_iterations = {self.max_iterations} < min_iterations = {self.min_iterations}")
        return self


class Decode(Strict):
    batches: list[PositiveInt] = Field([1, 8, 64], min_length=1)
    d_models: list[PositiveInt] = Field([4096, 8192], min_length=1)


class InStep(Strict):
    compute_gap_us: list[Annotated[float, Field(gt=0, le=1e6)]] = Field([300.0, 5000.0], min_length=1)
    """About how long a rank computes between two collectives of an ``in_step`` cell; up to a second."""


class Tier(Strict):
    """A set of cells of equal importance: the product of its lists."""

    collectives: list[str] = Field(min_length=1)
    timings: list[Timing] = Field(["isolated"], min_length=1)
    groups: list[Groups] = Field(["alone"], min_length=1)
    sizes: Literal["sweep", "decode"] | list[PositiveInt] = "sweep"
    """Those of the sweep, those of a decode step, or these in bytes; never beyond the range asked for."""
    why: str = ""

    @model_validator(mode="after")
    def _known(self) -> Tier:
        for name in self.collectives:
            if name not in COLLECTIVES:
                raise ValueError(f"unknown collective {name!r}: known are {', '.join(COLLECTIVES)}")
        return self


#: Different probes below which an operation gets no line of its own.
LEAST_PROBES = 4
MAX_SIZES = 100_000


class ProbeModel(Strict):
    """A model whose steps are probed by operation (see workload.scaled), whole on one rank or sharded over several."""

    model: str
    scale: float = Field(1.0, gt=0, le=1)
    layers: PositiveInt | None = None
    tp: PositiveInt = 1
    ep: PositiveInt = 1
    attention: Literal["tensor", "data"] = "tensor"

    @property
    def layout(self) -> Layout:
        """Raises InputError as Layout does."""
        return Layout(tp=self.tp, ep=self.ep, attention=self.attention)

    @property
    def whole(self) -> bool:
        """On one rank, without collectives."""
        return self.layout.gpus == 1

    def shape(self) -> Shape:
        """Raises InputError as load_shape, scaled and check_layout do."""
        from inferometer.emulator.workload.catalogue import load_shape
        from inferometer.emulator.workload.scaled import scaled
        from inferometer.emulator.workload.stages import check_layout

        shape = scaled(load_shape(self.model), self.scale, self.layers).shape
        check_layout(shape, self.layout)
        return shape


class Probes(Strict):
    """What of the compute side is measured, on one rank and on several at once: see probing.py."""

    rows: list[PositiveInt] = Field(min_length=2)
    inner: list[PositiveInt] = Field(min_length=2)
    outer: list[PositiveInt] = Field(min_length=2)
    """Of the matmuls: every rows × inner by inner × outer."""
    working_set_bytes: PositiveInt = 128 * 2**20
    """Of different matrices, one used after the other: a model's weights are streamed from memory, not kept in a cache."""
    models: list[ProbeModel] = Field(min_length=1)
    """Their names are looked up before any rank is started."""
    batches: list[PositiveInt] = Field(min_length=2)
    contexts: list[PositiveInt] = Field(min_length=2)
    prompts: list[PositiveInt | tuple[PositiveInt, PositiveInt]] = Field(min_length=2)
    """Tokens of one sequence's, or so many sequences of so many tokens each."""
    seconds: float = Field(0.1, gt=0)
    """Soft limit of one matmul's probe; a few iterations come first."""
    step_seconds: float = Field(0.25, gt=0)
    """Soft limit of one probe of a model's steps."""

    @property
    def prefills(self) -> list[tuple[int, int]]:
        """Sequences, and tokens of each."""
        return [(1, prompt) if isinstance(prompt, int) else prompt for prompt in self.prompts]

    @model_validator(mode="after")
    def _known(self) -> Probes:
        for probe in self.models:
            try:
                probe.shape()
            except InputError as error:
                raise ValueError(str(error)) from None
        return self


class KernelModel(Strict):
    """A model whose kernels are timed, at each of these tensor-parallel degrees."""

    model: str
    tp: list[PositiveInt] = Field([1], min_length=1)


class KernelProbes(Strict):
    """Which kernels are timed on a GPU: see kernels/plan.py."""

    models: list[KernelModel] = Field(min_length=1)
    rows: list[PositiveInt] = Field(min_length=2)
    """Of matmuls and passes: tokens of a step."""
    batches: list[PositiveInt] = Field(min_length=2)
    contexts: list[PositiveInt] = Field(min_length=2)
    """Of attention in decode."""
    prompts: list[PositiveInt | tuple[PositiveInt, PositiveInt]] = Field(min_length=2)
    """Tokens of one sequence's, or so many sequences of so many tokens each."""
    dtypes: list[ExecutedDtype] = ["bfloat16"]
    seconds: float = Field(0.05, gt=0)
    """Soft limit of one kernel's replays."""
    most_kv_bytes: PositiveInt = 4 << 30
    """Keys and values of one decode attention, at most."""

    @property
    def prefills(self) -> list[tuple[int, int]]:
        """Sequences, and tokens of each."""
        return [(1, prompt) if isinstance(prompt, int) else prompt for prompt in self.prompts]


class Sweep(Strict):
    """What is visited. Tiers stand in the order of importance."""

    name: str
    tier: list[Tier] = Field(min_length=1)
    stop: Stop = Field(default_factory=Stop)
    decode: Decode = Field(default_factory=Decode)
    compute: Probes | None = None
    kernels: KernelProbes | None = None
    """On GPUs, in the place of compute."""
    in_step: InStep = Field(default_factory=InStep)


class Method(Strict):
    """One measurement's settings, as resolved: no ``auto`` is left in it."""

    backend: Backend
    world_size: int = Field(ge=1)
    dtypes: list[MeasuredDtype] = ["float32"]
    sizes_bytes: list[int]
    sweep: Sweep
    warmup: int = Field(3, ge=1)
    check: int = Field(1, ge=0)
    """Operations whose result is compared before a cell is timed; 0: none, and the cell is marked unchecked."""
    seed: int = 0
    scheduler: Scheduler = "other"
    threads: int = Field(1, ge=1)
    two_level: bool = False
    """all_reduce by node, as an implementation of its own: parallel.two_level."""
    nccl_forced: list[str] = []
    """Algorithms and protocols, as Ring/LL, each alone in a launch of its own after the others."""
    launch_modes: list[LaunchMode] = Field(["host"], min_length=1)
    """How operations reach the device; host on CPUs, of graph, stream, eager on GPUs: see timing.py."""
    launches: int = Field(3, ge=1)
    budget_s: float | None = 300.0
    timeout_s: float = Field(60.0, gt=0, allow_inf_nan=False)

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What the ranks compute on, and where the collectives' buffers lie."""
        return "cuda" if self.backend == "nccl" else "cpu"

    def comparable(self) -> dict[str, Any]:
        """The fields that two sets of samples must share to be one measurement."""
        return self.model_dump(exclude={"launches", "budget_s", "timeout_s"})


def load_sweep(name_or_path: str) -> Sweep:
    """A built-in sweep by name, or a TOML file. Raises ``InputError`` naming the file and the key."""
    path = Path(name_or_path)
    try:
        if path.suffix == ".toml" and path.exists():
            text = read_text(path)
        else:
            text = folder("sweeps").joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        known = sorted(p.name[:-5] for p in folder("sweeps").iterdir() if p.name.endswith(".toml"))
        raise InputError(
            f"sweep {name_or_path}: neither a readable TOML file nor one of {', '.join(known)} ({reason_of(error)})"
        ) from None
    return checked(Sweep, toml_of(text, name_or_path), name_or_path)


def sizes_between(begin: int, end: int, factor: int | None = None, step: int | None = None) -> list[int]:
    """Sizes from ``begin`` to ``end`` bytes by a factor or a step, as nccl-tests' -b -e -f -i.

    Raises ``InputError`` with the arithmetic.
    """
    if begin < 1 or begin > end:
        raise InputError(f"-b {begin} -e {end}: the first size must be at least 1 byte and at most the last")
    if step is not None:
        if step < 1:
            raise InputError(f"-i {step}: the step must be at least 1 byte")
        count = (end - begin) // step + 1
        if count > MAX_SIZES:
            raise InputError(f"-b {begin} -e {end} -i {step}: {count} sizes, more than {MAX_SIZES}")
        return list(range(begin, end + 1, step))
    if factor is None or factor < 2:
        raise InputError(f"-f {factor}: the factor must be at least 2")
    sizes = [begin]
    while sizes[-1] * factor <= end:
        sizes.append(sizes[-1] * factor)
    return sizes
