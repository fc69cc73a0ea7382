"""What a machine's GPUs settle of a run before any rank starts: how many ranks, which backend, whether some share a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.environment import environment
from inferometer.launch.ranks.identity import Identity
from inferometer.parallel.device.gpus import Gpu, gpus

CONTEXT_BYTES = 1536 << 20
"""What a rank takes of its GPU beside its tensors: CUDA's context, NCCL's buffers, cuBLAS's workspace."""


def usable_gpus() -> list[Gpu]:
    """Those that ranks of this process may compute on; none where torch was built without CUDA."""
    return [] if without_cuda() else gpus()


def without_cuda() -> bool:
    """Whether the installed torch is a build for processors, by its version alone."""
    return "+cpu" in (environment(os.environ)["software"]["torch"] or "")


def require_gpus(found: Sequence[Gpu]) -> None:
    """Raise InputError where there is no GPU to use, with the reason."""
    if found:
        return
    if gpus():
        raise InputError("--backend nccl: this torch was built without CUDA: install one that was built with it")
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        raise InputError("--backend nccl: CUDA_VISIBLE_DEVICES is empty: no GPU may be used")
    raise InputError("--backend nccl: there is no NVIDIA GPU here that the driver knows of")


def local_ranks(world: int, identity: Identity | None) -> int:
    """How many ranks of the world are on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world)) if identity else world


def sharing_note(found: Sequence[Gpu], local: int) -> str:
    """In words, that ranks will share GPUs; empty where each has its own."""
    if not found or local <= len(found):
        return ""
    return (
        f"{local} ranks share {len(found)} GPU{'' if len(found) == 1 else 's'}: their times hold for nothing else, "
        "and a calibration of them is unsuitable_for_calibration"
    )


def check_device_memory(needed_bytes: float, found: Sequence[Gpu], local: int, what: str) -> None:
    """Raise InputError where what the ranks of a GPU need exceeds what the fullest one has free. needed_bytes: of a rank."""
    free = [gpu.free_bytes for gpu in found if gpu.free_bytes is not None]
    if not free:
        return
    each = -(-local // len(found))
    need = each * (needed_bytes + CONTEXT_BYTES)
    if need > min(free):
        raise InputError(
            f"{what}: {needed_bytes / 2**30:.2f} GiB + {CONTEXT_BYTES / 2**30:.2f} for CUDA and NCCL a rank, × {each} rank"
            f"{'' if each == 1 else 's'} of a GPU = {need / 2**30:.1f} GiB, but {min(free) / 2**30:.1f} GiB are free on it"
        )
