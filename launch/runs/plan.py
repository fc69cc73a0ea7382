"""What a calibration would do, without doing it."""

from __future__ import annotations

import os

from inferometer.emulator.calibrate.experiment.allocation import Allocation
from inferometer.emulator.calibrate.experiment.plan import Plan, plan_of
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.environment import usable_cores
from inferometer.emulator.samples.lab import lab_link, lab_own_cores
from inferometer.launch.ranks.environment import cores_given
from inferometer.launch.ranks.identity import Identity, identity_from
from inferometer.launch.runs.measure_settings import MeasureSettings


def plan(settings: MeasureSettings | None = None) -> Plan:
    """The plan of ``calibrate`` with these settings, as this process was started. Raises InputError as `measure` does."""
    identity = identity_from(os.environ)
    method, _ = (settings or MeasureSettings()).method(identity)
    return plan_of(method, allocation_of(method, identity))


def allocation_of(method: Method, identity: Identity | None) -> Allocation:
    """Of the ranks here; under a launcher as its variables have it, every node like this one."""
    cores = max(1, (usable_cores() if identity is None else cores_given(identity)) // method.threads)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", method.world_size))
    nodes = -(-method.world_size // max(local, 1))
    ranks = [min(local, method.world_size - node * local) for node in range(nodes)]
    shared = lab_link(os.environ) is not None and not lab_own_cores(os.environ)
    return Allocation(tuple(ranks), None if method.backend == "nccl" else cores, one_machine=shared)
