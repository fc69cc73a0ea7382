"""How a rank's memory is kept: what a step gives back, the next one gets again.

glibc returns large pieces to the kernel as they are freed, and how large "large" is depends on what was freed before:
the same step takes now page faults for all its activations, now none. Serving engines keep their memory; so do ranks.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h): from which free size on the heap is cut, how many pieces lie outside of it."""
NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Let this process keep what it has once had. False where the C library has no such setting (it is not glibc)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
