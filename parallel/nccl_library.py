"""The NCCL that is loaded, which need not be the one that torch was built with."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

LIBRARY = "libnccl.so.2"


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
