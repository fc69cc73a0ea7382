"""Who this process is among the ranks, from the variables that the launcher set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.lab import LAB_VARIABLE

# launcher: rank, world size, local rank, local world size
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "openmpi": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "mpich": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
}


@dataclass(frozen=True)
class Identity:
    launcher: str
    rank: int
    world_size: int
    local_rank: int

    @property
    def by_mpiexec(self) -> bool:
        return self.launcher in ("openmpi", "mpich")


def identity_from(variables: Mapping[str, str]) -> Identity | None:
    """This process's identity; None where no launcher started it.

    A shell inside a Slurm allocation has SLURM_PROCID too, but no step: only tasks that srun started count.
    Raises ``InputError`` where a launcher's variables are incomplete or no numbers.
    """
    for launcher, (rank_key, size_key, local_key, _) in LAUNCHERS.items():
        if rank_key not in variables or (launcher == "slurm" and "SLURM_STEP_ID" not in variables):
            continue
        try:
            rank, size = int(variables[rank_key]), int(variables[size_key])
            local = int(variables.get(local_key, _local_in_step(variables, rank)))
        except (KeyError, ValueError):
            keys = f"{rank_key}, {size_key} and {local_key}"
            raise InputError(f"{launcher}: the variables {keys} must be set to whole numbers") from None
        if not 0 <= rank < size:
            raise InputError(f"{launcher}: {rank_key} = {rank} is not below {size_key} = {size}")
        return Identity("lab" if LAB_VARIABLE in variables else launcher, rank, size, local)
    return None


def _local_in_step(variables: Mapping[str, str], rank: int) -> str | int:
    """Where a launcher does not say which of its node's ranks this is (srun with PMI 2): Slurm does; else the rank."""
    return variables.get("SLURM_LOCALID", rank) if "SLURM_STEP_ID" in variables else rank
