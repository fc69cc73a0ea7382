"""Measured cells as text: rows in nccl-tests' columns as they come, and one table of all at the end."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from inferometer.emulator.units import format_bytes, format_time, format_us
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.dtypes import DTYPES

HEADER = (
    "#       size         count      type   redop    root     time   algbw   busbw  #wrong"
    "   median      p95   ±95%     n  collective            ranks nodes groups timing\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)        "
    "     (us)     (us)"
)

LEGEND = (
    "# time: mean over the iterations, as in nccl-tests; median, p95: over the iterations. An iteration lasts from the\n"
    "# last rank's start to the last rank's end (in_step: mean over the ranks of each one's own time, waiting included).\n"
    "# algbw, busbw: from the median; ±95%: half width of the median's 95 % interval."
)


def row(cell: dict[str, Any]) -> str:
    """One cell as a line. ``cell``: a cell record with the numbers of `statistics.summary`."""
    where = f"  {cell['collective']:<21} {cell['ranks']:>5} {cell['nodes']:>5} {cell['groups']:>6} {cell['timing']}"
    if cell.get("requested_compute_gap_us"):
        where += f", {cell['requested_compute_gap_us']:g} µs compute gap"
    if "unmeasured" in cell:
        return f"# {where.strip()} {cell['requested_bytes']} B {cell['dtype']}: not measured: {cell['unmeasured']}"
    record = COLLECTIVES[cell["collective"]]
    algbw, busbw = bandwidths(cell["bytes"], cell["median"], cell["bus_factor"])
    wrong = "N/A" if cell["wrong"] is None else str(cell["wrong"])
    interval = cell["ci95"]
    half = f"{(interval[1] - interval[0]) / 2 / cell['median']:.1%}" if interval else "–"
    dtype = DTYPES[cell["dtype"]].nccl_tests
    nccl = (
        f"{cell['bytes']:>12} {cell['count']:>13} {dtype:>9} {record.nccl_redop:>7} {record.nccl_root:>7}"
        f" {format_us(cell['mean']):>8} {algbw:>7.3f} {busbw:>7.3f} {wrong:>7}"
    )
    extra = f" {format_us(cell['median']):>8} {format_us(cell['p95']):>8} {half:>6} {cell['n']:>5}"
    flags = f"  [{', '.join(cell['flags'])}]" if cell.get("flags") else ""
    return nccl + extra + where + flags


def bandwidths(size_bytes: int, median_us: float, bus_factor: float) -> tuple[float, float]:
    """algbw and busbw in GB/s (1e9 bytes per second), from the median time."""
    algbw = size_bytes / median_us / 1e3
    return algbw, algbw * bus_factor


class Cells:
    """All cells of a measurement, as one table sorted by collective, ranks and size: 80 columns hold it.

    time: the median over the launches of each launch's median; ±95%: of one launch the half width of the median's interval,
    of several half the difference of the highest and the lowest; algbw, busbw in GB/s from the time.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._unmeasured: dict[str, None] = {}
        self._wrong = 0

    def add(self, cell: dict[str, Any]) -> None:
        """A cell record with the numbers of `statistics.summary`, or with the reason why there are none."""
        if "unmeasured" in cell:
            self._unmeasured[row(cell)] = None
            return
        self._wrong += cell["wrong"] or 0
        key = (cell["dtype"], cell["collective"], cell["ranks"], cell["nodes"], cell["groups"], cell["timing"])
        self._rows.setdefault((*key, cell.get("requested_compute_gap_us") or 0.0, cell["bytes"]), []).append(cell)

    def lines(self) -> Iterator[str]:
        if self._rows:
            yield f"{'collective':<15}{'timing':<16}{'ranks':>7}{'size':>7}{'time':>10}{'±95%':>7}{'algbw':>8}{'busbw':>8}"
        dtypes = {key[0] for key in self._rows}
        shown = None
        for key, cells in sorted(self._rows.items()):
            if len(dtypes) > 1 and key[0] != shown:
                shown = key[0]
                yield f"{shown}:"
            yield _line(cells)
        yield from self._unmeasured
        if self._rows:
            yield f"wrong data: {self._wrong or 'none'}"


def _rate(gb_per_s: float) -> str:
    return f"{gb_per_s:.3f}" if gb_per_s < 10 else f"{gb_per_s:.4g}"


def _line(cells: list[dict[str, Any]]) -> str:
    """One cell over its launches."""
    cell, medians = cells[0], [each["median"] for each in cells]
    us = statistics.median(medians)
    low, high = (min(medians), max(medians)) if len(cells) > 1 else cell["ci95"] or (None, None)
    spread = "–" if low is None else f"{(high - low) / 2 / us:.0%}"
    gap = cell.get("requested_compute_gap_us")
    timing = cell["timing"] + (f" {format_time(gap).replace(' ', '')}" if gap else "")
    ranks = f"{cell['ranks']}" + (f"/{cell['nodes']}" if cell["nodes"] > 1 else "")
    ranks = f"{cell['groups']}×{ranks}" if cell["groups"] > 1 else ranks
    size = format_bytes(cell["bytes"]) if cell["bytes"] else "–"
    algbw, busbw = bandwidths(cell["bytes"], us, cell["bus_factor"])
    rates = f"{_rate(algbw):>8}{_rate(busbw):>8}" if cell["bytes"] else f"{'–':>8}{'–':>8}"
    wrong = sum(each["wrong"] or 0 for each in cells)
    text = f"{cell['collective']:<15}{timing:<16}{ranks:>7}{size:>7}{format_time(us):>10}{spread:>7}{rates}"
    return f"{text}  {wrong} WRONG" if wrong else text
