"""Sizes and times as people write them. The only place that knows that 1K is 1024 bytes and 1 GB/s is 1e9 bytes/s."""

from __future__ import annotations

import math
import re

LARGEST = 1 << 62
_SUFFIX = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"\s*(\d+)\s*([KMGT]?)(?:I?B)?\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """``8``, ``8B``, ``64K``, ``64k``, ``64KiB``, ``16M``, ``1G`` → bytes. Suffixes are binary, as in nccl-tests.

    Raises ``ValueError`` naming the text.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a size: write 8, 64K, 16M or 1G (binary)")
    size = int(found[1]) * _SUFFIX[found[2].upper()] if len(found[1]) < 20 else LARGEST + 1
    if size > LARGEST:
        raise ValueError(f"{text[:40]!r} is larger than {LARGEST} bytes")
    return size


def format_bytes(count: float) -> str:
    """65536 → ``64K``; a size that is no whole number of a unit stays in the next smaller one."""
    value = int(count)
    for suffix in ("G", "M", "K"):
        unit = _SUFFIX[suffix]
        if value >= unit and value % unit == 0:
            return f"{value // unit}{suffix}"
    return str(value)


def format_us(value_us: float | None) -> str:
    """Microseconds with three significant digits at least; a dash where there is no number."""
    if value_us is None or not math.isfinite(value_us):
        return "–"
    if value_us >= 1000:
        return f"{value_us:.0f}"
    return f"{value_us:.3g}" if value_us < 100 else f"{value_us:.1f}"


def format_time(value_us: float) -> str:
    """A measured time in the unit that suits it: ``4.25 µs``, ``915 ms``, ``1.2 s``, with three significant digits."""
    for factor, unit in ((1.0, "µs"), (1e3, "ms"), (1e6, "s")):
        if abs(value_us) < 999.5 * factor or unit == "s":
            break
    value = value_us / factor
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def format_seconds(value_s: float) -> str:
    """``47 s`` or ``2 min 05 s``: for progress lines."""
    whole = round(value_s)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
