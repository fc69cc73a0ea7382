"""The NCCL that is loaded, which need not be the one that torch was built with."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import Any

LIBRARY = "libnccl.so.2"
SHARING_SINCE = "2.30"
SHARING_VARIABLE = "NCCL_MULTI_RANK_GPU_ENABLE"
KEYED = (
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NCCL_MIN_NCHANNELS",
    "NCCL_MAX_NCHANNELS",
    "NCCL_MIN_CTAS",
    "NCCL_MAX_CTAS",
    "NCCL_NTHREADS",
    "NCCL_BUFFSIZE",
    "NCCL_NVLS_ENABLE",
    "NCCL_P2P_DISABLE",
    "NCCL_P2P_LEVEL",
    "NCCL_SHM_DISABLE",
    "NCCL_CUMEM_ENABLE",
    "NCCL_NET",
    "NCCL_IB_DISABLE",
    "NCCL_NET_GDR_LEVEL",
    "NCCL_CROSS_NIC",
    "NCCL_COLLNET_ENABLE",
    "NCCL_TUNER_PLUGIN",
    SHARING_VARIABLE,
)
"""Variables that change what a collective costs: one that is set is part of the implementation's name, so of the key."""


def loaded_version(open_library: Callable[..., Any] = ctypes.CDLL) -> str | None:
    """Of the NCCL in this process, as ``2.30.7``, by the library itself; None where none is loaded.

    A preloaded library answers in place of torch's own: both have one name.
    """
    try:
        library = open_library(LIBRARY, mode=os.RTLD_NOLOAD)
        number = ctypes.c_int()
        if library.ncclGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return spelt(number.value)


def spelt(number: int) -> str:
    """NCCL's own number of a version: 22807 is 2.28.7, and before 2.9 2804 was 2.8.4 (nccl.h, NCCL_VERSION)."""
    major, rest = divmod(number, 10_000 if number >= 10_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def implementation(version: str | None, variables: Mapping[str, str]) -> str:
    """``nccl 2.28.9``, with what steers it: ``nccl 2.28.9 (NCCL_ALGO=Ring, NCCL_PROTO=LL)``."""
    steered = ", ".join(f"{name}={variables[name]}" for name in KEYED if variables.get(name))
    return f"nccl {version or '(version unknown)'}{f' ({steered})' if steered else ''}"


def may_share(version: str | None, variables: Mapping[str, str]) -> bool:
    """Whether this NCCL takes several ranks on one GPU."""
    numbers = tuple(int(part) for part in (version or "0").split(".")[:2] if part.isdecimal())
    since = tuple(int(part) for part in SHARING_SINCE.split("."))
    return numbers >= since and variables.get(SHARING_VARIABLE) == "1"
