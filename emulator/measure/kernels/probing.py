"""The kernels of one launch on one rank's GPU, as compute records like those of an imported table."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import torch

from inferometer.emulator.measure.kernels.plan import Kernel, kernels_of
from inferometer.emulator.measure.kernels.taking import graph_ns, host_ns, settle, stream_ns
from inferometer.emulator.measure.kernels.work import L2_POLICY, Kernels
from inferometer.parallel.device.device import NoRoom, check_room

if TYPE_CHECKING:
    from inferometer.emulator.measure.runner import Launch

Record = dict[str, Any]
CHUNK = 16
"""Kernels between two agreements of the ranks on going on."""
MODES = ("graph", "stream", "eager")
SPARE_BYTES = 2 << 30
"""Of the device's memory, left for libraries and what activations need."""


def probe_kernels(
    launch: Launch,
    names: Collection[str] | None,
    skip: Collection[str],
    deadline: float | None,
    stop_asked: Callable[[], bool],
    done: Callable[[Record], None],
) -> tuple[str | None, list[str]]:
    """Time the sweep's kernels, each dtype's in graphs, the launch floor on the stream and by the host's calls too.

    names, skip: ids of records, as `probing.probe_all` has them, which this stands in for on a device with a queue. Returns
    "interrupted" where rank 0 was asked to stop, else None, and the kernels not reached. Collective over the world.
    """
    wanted = launch.method.sweep.kernels
    if wanted is None:
        return None, []
    left: list[str] = []
    device_name = str(launch.device.identity()["name"])
    for dtype in wanted.dtypes:
        ids = {mode: record_id(device_name, launch.world.backend, mode, dtype) for mode in MODES}
        asked = [mode for mode, name in ids.items() if (names is None or name in names) and name not in skip]
        asked = launch.control.share(f"kernels {dtype}", asked)
        if not asked:
            continue
        launch.doing = f"timing kernels in {dtype}"
        before = launch.device.state()
        kernels = Kernels(launch.device, getattr(torch, dtype))
        check_room(launch.device, kernels.pool_bytes + SPARE_BYTES, f"kernels in {dtype}")
        plan = kernels_of(wanted, dtype)
        matmul = next(kernel for kernel in plan if kernel.kind == "matmul")
        settle_s = settle(launch.device, kernels.calls(matmul)[0])
        found: dict[str, list[Record]] = {mode: [] for mode in MODES}
        attention: dict[str, None] = {}
        end = None
        for at in range(0, len(plan), CHUNK):
            if stop_asked():
                end = "interrupted"
            elif deadline is not None and time.monotonic() > deadline and at:
                end = "time"
            end = launch.control.share(f"kernels {dtype} {at}", end)
            if end:
                left += [f"{kernel.op} {kernel.shape}" for kernel in plan[at:]]
                break
            for kernel in plan[at : at + CHUNK]:
                launch.doing = f"timing {kernel.op} {'x'.join(map(str, kernel.shape))} in {dtype}"
                launch.busy_since = time.monotonic()
                _take(launch, kernels, kernel, wanted.seconds, found)
                if kernel.kind == "attention":
                    attention[kernels.attention_name(kernel)] = None
                launch.busy_since = None
        after = launch.device.state()
        about = {
            "settle_s": settle_s,
            "l2_policy": L2_POLICY,
            "attention": list(attention),
            "before": before,
            "after": after,
        }
        about |= {"working_set_bytes": kernels.working_set_bytes, "device": launch.device.identity()}
        of_rank = launch.control.gather(f"kernels {dtype}", [about, found])
        if of_rank is not None:
            for mode in asked:
                if any(ops[mode] for _, ops in of_rank):
                    done(_record(launch, ids[mode], mode, dtype, of_rank))
        if end == "interrupted":
            return "interrupted", left
    return None, left


def record_id(device: str, backend: str, mode: str, dtype: str) -> str:
    """As an imported table's record is called."""
    return f"kernels/{device}/{backend}/{mode}/{dtype}"


def _take(launch: Launch, kernels: Kernels, kernel: Kernel, seconds: float, found: dict[str, list[Record]]) -> None:
    """The times of one kernel; one that does not fit the memory beside the pool is left out, on this rank's device."""
    try:
        calls = kernels.calls(kernel)
        found["graph"].append(kernel.record | {"ns": graph_ns(launch.device, calls, seconds)})
        if kernel.kind == "null":
            found["stream"].append(kernel.record | {"ns": stream_ns(launch.device, calls, seconds)})
            found["eager"].append(kernel.record | {"ns": host_ns(launch.device, calls, seconds)})
    except (torch.OutOfMemoryError, NoRoom):
        found["graph"].append(kernel.record | {"ns": None})


def _record(launch: Launch, name: str, mode: str, dtype: str, of_rank: list[list[Any]]) -> Record:
    """All ranks' times, without kernels that one of them could not run. One that a rank lacks nobody has."""
    ops = []
    for same in zip(*(found[mode] for _, found in of_rank)):
        if all(op["ns"] for op in same):
            count = min(len(op["ns"]) for op in same)
            ops.append({**same[0], "ns": [op["ns"][:count] for op in same]})
    about = [said for said, _ in of_rank]
    return {
        "cell": name,
        "backend": launch.world.backend,
        "device": about[0]["device"]["name"],
        "launch_mode": mode,
        "dtype": dtype,
        "scheduler": launch.method.scheduler,
        "threads": launch.method.threads,
        "concurrent_ranks": 1,
        "model": None,
        "sharded": False,
        "tokens": 0.0,
        "participants": list(range(len(of_rank))),
        "working_set_bytes": min(said["working_set_bytes"] for said in about),
        "conditions": about,
        "ops": ops,
    }
