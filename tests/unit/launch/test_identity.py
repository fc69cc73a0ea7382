"""Who this process is, for every launcher."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.launch.ranks.identity import LAUNCHERS, Identity, identity_from


def variables_of(launcher, rank="5", size="8", local="1"):
    rank_key, size_key, local_key, _ = LAUNCHERS[launcher]
    step = {"SLURM_STEP_ID": "0"} if launcher == "slurm" else {}
    given = {rank_key: rank, size_key: size, local_key: local}
    return {key: value for key, value in given.items() if value is not None} | step


def test_a_process_that_nobody_launched_has_no_identity():
    assert identity_from({"PATH": "/bin", "WORLD_SIZE": "4"}) is None


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_each_launchers_variables(launcher):
    assert identity_from(variables_of(launcher)) == Identity(launcher, 5, 8, 1)
    assert identity_from(variables_of(launcher, local=None)) == Identity(launcher, 5, 8, 5)


def test_the_variables_are_those_the_launchers_document():
    """torchrun's and Open MPI's documentation, MPICH's hydra, Slurm's srun manual."""
    assert identity_from({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}) == Identity("torchrun", 1, 2, 0)
    open_mpi = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    assert identity_from(open_mpi) == Identity("openmpi", 1, 2, 1)
    assert identity_from({"PMI_RANK": "0", "PMI_SIZE": "3", "MPI_LOCALRANKID": "0"}) == Identity("mpich", 0, 3, 0)
    slurm = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_STEP_ID": "0"}
    assert identity_from(slurm) == Identity("slurm", 3, 4, 1)


def test_slurm_says_which_local_rank_its_mpi_ranks_are():
    """srun --mpi=pmi2 sets PMI_RANK and PMI_SIZE, and no local rank but its own."""
    given = variables_of("mpich", local=None) | {"SLURM_LOCALID": "2"}
    assert identity_from(given | {"SLURM_STEP_ID": "0"}) == Identity("mpich", 5, 8, 2)
    assert identity_from(given) == Identity("mpich", 5, 8, 5)


def test_a_shell_in_a_slurm_allocation_is_no_rank():
    assert identity_from({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}) is None


def test_torchrun_within_an_mpi_or_slurm_job_comes_first():
    given = variables_of("slurm", rank="0", size="1") | variables_of("mpich", rank="0", size="1") | variables_of("torchrun")
    assert identity_from(given) == Identity("torchrun", 5, 8, 1)


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("wrong", [{"rank": "five"}, {"size": "many"}, {"size": None}, {"local": ""}])
def test_incomplete_or_odd_variables_are_refused_by_name(launcher, wrong):
    rank_key, size_key, local_key, _ = LAUNCHERS[launcher]
    with pytest.raises(InputError, match=f"{launcher}: the variables {rank_key}, {size_key} and {local_key} must be"):
        identity_from(variables_of(launcher, **wrong))


@pytest.mark.parametrize(("rank", "size"), [("8", "8"), ("-1", "8"), ("0", "0")])
def test_a_rank_outside_the_world_shows_the_numbers(rank, size):
    with pytest.raises(InputError, match=f"torchrun: RANK = {rank} is not below WORLD_SIZE = {size}"):
        identity_from(variables_of("torchrun", rank=rank, size=size))


def test_which_launchers_are_mpi():
    by_mpiexec = {name for name in LAUNCHERS if identity_from(variables_of(name)).by_mpiexec}
    assert by_mpiexec == {"openmpi", "mpich"}
