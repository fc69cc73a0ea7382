"""What is emulated, how it is timed: everything the ranks must agree on."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator

from inferometer.emulator.engine.check_deployment import check_start
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Backend, Scheduler, Stop, Strict
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import AXES, FIELDS, Layout
from inferometer.emulator.workload.memory import Resident, resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.scaled import Scaled, scaled
from inferometer.emulator.workload.step import Step
from inferometer.parallel.device.device import LaunchMode
from inferometer.parallel.dtypes import EXECUTED

Phase = Literal["prefill", "decode"]
SCHEMA = "inferometer/emulation/1"
"""Of the file of an emulation, see records.py."""

PHASES: tuple[Phase, ...] = ("prefill", "decode")


def scale_of(text: str) -> float:
    """``1/16`` or ``0.0625``. Raises ValueError for what is no fraction."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is not a fraction such as 1/16") from None


class Configuration(Strict):
    """What is emulated. batch: sequences of the whole deployment; context: tokens of each in the cache."""

    model: str
    scale: float = Field(1.0, gt=0, le=1)
    """As text, also a fraction such as 1/16."""
    layers: PositiveInt | None = None
    tp: PositiveInt = 1
    ep: PositiveInt = 1
    pp: PositiveInt = 1
    dp: PositiveInt = 1
    attention: Literal["tensor", "data"] = "tensor"
    tensor: Literal["1d", "2d"] = "1d"
    batch: PositiveInt = 1
    context: PositiveInt = 512
    micro_batches: PositiveInt = 1
    bits: Literal[16, 32] = 32
    only: Phase | None = None
    """The phase to repeat; None for both. Where it is decode, the cache's tokens were never computed: a step takes as long.
    """

    @field_validator("scale", mode="before")
    @classmethod
    def _fraction(cls, scale: Any) -> Any:
        return scale_of(scale) if isinstance(scale, str) else scale

    @property
    def layout(self) -> Layout:
        """Raises InputError as Layout does."""
        return Layout(**{name: getattr(self, name) for name in FIELDS})

    @property
    def phases(self) -> tuple[Phase, ...]:
        return PHASES if self.only is None else (self.only,)

    def law_key(self, phase: Phase, calibrated: bool = True) -> dict[str, Any]:
        """Which of a calibration's laws price a phase: of a processor, whose calls all return when they are done, any."""
        return {}

    @property
    def replica_batch(self) -> int:
        return self.batch // self.dp

    @property
    def cache_tokens(self) -> int:
        """Room for the context and the token that a decode step adds."""
        return self.context + 1

    @property
    def precision(self) -> Precision:
        return Precision(self.bits, self.bits, self.bits)

    def small(self) -> Scaled:
        """The shape that runs. Raises InputError as load_shape and scaled do."""
        return scaled(load_shape(self.model), self.scale, self.layers)

    def step(self, phase: Phase) -> Step:
        """The step of one replica that a phase repeats."""
        if phase == "prefill":
            return Step.prefill(self.replica_batch, self.context)
        return Step.decode(self.replica_batch, self.context)

    def program(self, phase: Phase, node_size: int, routing: Routing = "uniform") -> Program:
        """The program of a phase's step. routing: see workload.build."""
        return build(
            self.small().shape, self.layout, self.step(phase),
            precision=self.precision, micro_batches=self.micro_batches, node_size=node_size, routing=routing,
        )  # fmt: skip

    def resident(self) -> Resident:
        """Memory of the fullest rank."""
        return resident(self.program("decode", self.ranks), self.replica_batch, self.cache_tokens)

    @property
    def ranks(self) -> int:
        """How many ranks the layout takes."""
        return prod(getattr(self, axis) for axis in AXES)

    def words(self) -> str:
        """``llama-3-70b · 0.0625, 4 layers, tp2, batch 8, context 256``: the configuration in a line."""
        shape = self.small().shape
        parts = "" if self.micro_batches == 1 else f" in {self.micro_batches}"
        width = "" if self.bits == 32 else f", {self.bits} bits"
        layers = f"{shape.layers} layer{'s' if shape.layers > 1 else ''}"
        load = f"batch {self.batch}{parts}, context {self.context}{width}"
        return f"{shape.name}, {layers}, {self.layout.describe()}, {load}"


class Emulation(Configuration):
    """Fully resolved settings: what is emulated, on which ranks, how it is timed."""

    backend: Backend = "gloo"
    device: Literal["cpu", "cuda"] = "cpu"
    """What the ranks compute on. NCCL is for GPUs; gloo carries what is on a GPU through the host."""
    launch_mode: LaunchMode = "host"
    """Of decode steps. On a GPU: graph (captured once, replayed) or eager; a prompt's operations are called one by one."""
    world_size: PositiveInt
    scheduler: Scheduler = "other"
    threads: PositiveInt = 1
    launches: PositiveInt = 3
    warmup: PositiveInt = 2
    """Untimed decode steps; of prefills one."""
    stop: Stop = Stop(relative_interval=0.03, min_iterations=20, max_iterations=100, cell_seconds=6.0)
    """When a phase has enough instrumented steps."""
    seed: int = 0
    timeout_s: float = Field(60.0, gt=0, allow_inf_nan=False)

    def check(self) -> None:
        """Raise InputError, with the arithmetic, for what could not start."""
        if self.batch % self.dp:
            raise InputError(f"batch = {self.batch} does not divide by dp = {self.dp}")
        self._check_device()
        dtype = EXECUTED[self.bits]
        if self.backend not in dtype.summed_by:
            raise InputError(f"{self.backend.upper()} cannot sum {dtype.name}: use --bits 32, or --backend gloo")
        check_start(
            self.small().shape, self.layout, self.world_size, self.replica_batch, self.micro_batches, self.cache_tokens
        )

    def mode_of(self, phase: Phase) -> LaunchMode:
        """How a phase's operations reach the device."""
        return "eager" if phase == "prefill" and self.launch_mode == "graph" else self.launch_mode

    def law_key(self, phase: Phase, calibrated: bool = True) -> dict[str, Any]:
        """Which of a calibration's laws price a phase: those of its launch mode, where a device has several."""
        return {"launch_mode": self.mode_of(phase)} if calibrated and self.device != "cpu" else {}

    def _check_device(self) -> None:
        """Raise InputError for a backend, device and launch mode that do not go together."""
        if self.backend == "nccl" and self.device == "cpu":
            raise InputError("--device cpu: NCCL is for GPUs; use --backend gloo")
        if self.backend == "mpi" and self.device == "cuda":
            raise InputError("--device cuda: ranks under MPI run on processors; use --backend nccl or gloo")
        known = ("host",) if self.device == "cpu" else ("graph", "eager")
        if self.launch_mode not in known:
            raise InputError(f"--launch-mode {self.launch_mode}: on {self.device} known are {', '.join(known)}")
        if self.launch_mode == "graph" and self.pp > 1:
            raise InputError(
                f"--launch-mode graph: with pp = {self.pp} a step's tokens are sent in one replay and received in the next, "
                "so that none could be waited for"
            )
        if self.launch_mode == "graph" and self.backend == "gloo" and self.world_size > 1:
            raise InputError("--launch-mode graph: gloo carries messages through the host, which a graph cannot hold")

    def check_memory(self, local_ranks: int, free_bytes: int | None, process_bytes: int) -> None:
        """Raise InputError where the local ranks need more than is free. process_bytes: of a rank, beside the model."""
        if free_bytes is None:
            return
        need = self.resident()
        each = need.total_bytes + process_bytes
        if local_ranks * each > free_bytes:
            gib = [
                float(n) / 2**30 for n in (need.weights_bytes, need.kv_bytes, process_bytes, local_ranks * each, free_bytes)
            ]
            raise InputError(
                f"{self.small().shape.name}: {gib[0]:.2f} GiB weights + {gib[1]:.2f} cache + {gib[2]:.2f} process a rank, "
                f"× {local_ranks} ranks = {gib[3]:.1f} GiB, but {gib[4]:.1f} GiB are free; use a smaller --scale or --layers"
            )
