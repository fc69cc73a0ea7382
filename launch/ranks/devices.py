"""Which device a rank computes on, and whether ranks share one: settled before any group of ranks is made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inferometer.emulator.errors import RunFailed
from inferometer.parallel.nccl_library import SHARING_SINCE, SHARING_VARIABLE, loaded_version, may_share

if TYPE_CHECKING:
    import torch

    from inferometer.parallel.placement import HostReport

QUIET_WATCHDOG = {"TORCH_NCCL_ASYNC_ERROR_HANDLING": "0", "TORCH_NCCL_DUMP_ON_TIMEOUT": "0"}
"""torch's watchdog of NCCL says what hangs and leaves it to this program's own to end the rank, which names it first."""


def rank_device(kind: str, local_rank: int, cuda: Any = None) -> torch.device:
    """The device of a rank of this node: its own GPU, or one that it shares where there are fewer. cuda: torch.cuda.

    Makes it the current one. Raises RunFailed where torch sees no GPU, with the likeliest reason.
    """
    import torch

    if kind == "cpu":
        return torch.device("cpu")
    cuda = torch.cuda if cuda is None else cuda
    count = cuda.device_count() if cuda.is_available() else 0
    if count == 0:
        built = torch.version.cuda
        why = f"built for CUDA {built}; is the driver loaded, CUDA_VISIBLE_DEVICES empty?" if built else "built without CUDA"
        raise RunFailed(f"torch {torch.__version__} sees no GPU ({why})")
    device = torch.device("cuda", local_rank % count)
    cuda.set_device(device)
    return device


def sharing(hosts: Sequence[HostReport]) -> dict[str, list[int]]:
    """The ranks of each GPU (by UUID, or of a MIG slice by its own) that several of them compute on."""
    ranks: dict[str, list[int]] = {}
    for rank, host in enumerate(hosts):
        if host.gpu:
            ranks.setdefault(host.gpu, []).append(rank)
    return {gpu: of_gpu for gpu, of_gpu in ranks.items() if len(of_gpu) > 1}


def sharing_words(shared: Mapping[str, Sequence[int]]) -> str:
    """``ranks 0, 1 share GPU-5b1c…``: said before a run, whose times are then no times of a machine."""
    parts = [f"ranks {', '.join(map(str, ranks))} share {gpu}" for gpu, ranks in shared.items()]
    return (
        f"{'; '.join(parts)}: the GPU switches between them, so times hold for nothing else; "
        "a calibration of them is unsuitable_for_calibration"
    )


def check_sharing(backend: str, shared: Mapping[str, Sequence[int]], variables: Mapping[str, str] | None = None) -> None:
    """Raise RunFailed where NCCL would refuse the ranks of one GPU, or let them wait for each other for ever."""
    if backend != "nccl" or not shared:
        return
    variables = os.environ if variables is None else variables
    version = loaded_version()
    if may_share(version, variables):
        return
    gpu, ranks = next(iter(shared.items()))
    raise RunFailed(
        f"ranks {', '.join(map(str, ranks))} share {gpu}, which NCCL {version or '(version unknown)'} refuses: "
        f"start a rank for each GPU, or use NCCL {SHARING_SINCE} with {SHARING_VARIABLE}=1, or --backend gloo"
    )
