"""What is emulated and how, as it is asked for; settled for this machine it is the `Emulation` all ranks agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.environment import available_memory
from inferometer.emulator.validate.settings import Emulation
from inferometer.emulator.workload.layout import AXES, spelt
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.runs.gpu_settings import check_device_memory, require_gpus, sharing_note, usable_gpus
from inferometer.launch.runs.rank_settings import RANK_BYTES, RankSettings, scheduler_class


@dataclass(frozen=True, kw_only=True)
class EmulateSettings(RankSettings):
    """The flags of `inferometer emulate`, whose names errors mention.

    model: a built-in name, a config.json or its folder; scale (of its shape) and layers make it small. tp, ep, pp, dp,
    attention, tensor: the layout, whose product is the number of ranks. batch: sequences of the whole deployment; context:
    tokens of each in the cache. micro_batches: None for pp where that divides. bits: 16 (bfloat16) or 32. only: one
    phase alone. steps: most timed steps of a phase and launch, None for 100. seed: of weights and prompts; launch i uses
    seed + i. backend: gloo, nccl or mpi. device: cpu or cuda, None for cuda with nccl and else cpu. launch_mode: of
    decode steps on a GPU, graph or eager, None for graph where the backend allows.
    """

    model: str | Path
    scale: float = 1.0
    layers: int | None = None
    tp: int = 1
    ep: int = 1
    pp: int = 1
    dp: int = 1
    attention: Literal["tensor", "data"] = "tensor"
    tensor: Literal["1d", "2d"] = "1d"
    batch: int = 1
    context: int = 512
    micro_batches: int | None = None
    bits: Literal[16, 32] = 32
    only: Literal["prefill", "decode"] | None = None
    steps: int | None = None
    seed: int = 0
    device: Literal["cpu", "cuda"] | None = None
    launch_mode: Literal["graph", "eager"] | None = None

    def emulation(self, identity: Identity | None = None) -> tuple[Emulation, str]:
        """The settings, fully resolved, and a sentence about the scheduler. identity: this process's, under a launcher.

        Raises InputError, before any rank is started, for what could not run.
        """
        self.refuse_under(identity, "give each run a file of its own with -o")
        degrees = {axis: getattr(self, axis) for axis in AXES}
        product = prod(degrees.values())
        world = identity.world_size if identity else product if self.ranks is None else self.ranks
        if world != product:
            raise InputError(f"{spelt(degrees)} but {world} ranks {'started' if identity else f'asked for with -n {world}'}")
        chosen, why = scheduler_class(self.scheduler, self.backend)
        found: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name in Emulation.model_fields
        }
        found |= {"model": str(self.model), "world_size": world, "scheduler": chosen}
        found |= launched(self.backend, self.device, self.launch_mode, world, self.pp)
        found["launches"] = self.launches_under(identity)
        found["micro_batches"] = self._micro_batches() if self.micro_batches is None else self.micro_batches
        if self.steps is not None:
            found["stop"] = _stop(self.steps)
        try:
            emulation = Emulation.model_validate(found)
        except ValidationError as error:
            raise InputError(first_error(error)) from None
        emulation.check()
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        if emulation.device == "cpu":
            emulation.check_memory(local, available_memory(), RANK_BYTES)
            return emulation, f"scheduler {chosen}: {why}"
        here = usable_gpus()
        require_gpus(here)
        needed = float(emulation.resident().total_bytes)
        check_device_memory(needed, here, local, f"{emulation.small().shape.name}: weights and cache")
        shared = sharing_note(here, local)
        return emulation, f"scheduler {chosen}: {why}{f'; {shared}' if shared else ''}"

    def _micro_batches(self) -> int:
        """As many as there are stages, where a replica's batch divides so."""
        replica = self.batch // max(self.dp, 1)
        shares = self.ep if self.attention == "data" else 1
        return self.pp if self.pp > 0 and replica % (self.pp * max(shares, 1)) == 0 else 1


def launched(backend: str, device: str | None, launch_mode: str | None, world: int, pp: int) -> dict[str, Any]:
    """Device and launch mode of an emulation, as far as they were not asked for."""
    on = device or ("cuda" if backend == "nccl" else "cpu")
    graphs = pp == 1 and (backend == "nccl" or world == 1)
    usual = "host" if on == "cpu" else "graph" if graphs else "eager"
    return {"device": on, "launch_mode": launch_mode or usual}


def _stop(steps: int) -> Any:
    """When a phase has enough steps, of which there are at most so many."""
    if steps < 6:
        raise InputError(f"--steps {steps}: the interval of a median needs at least 6")
    stop = Emulation.model_fields["stop"].default
    return stop.model_copy(update={"max_iterations": steps, "min_iterations": min(stop.min_iterations, steps)})
