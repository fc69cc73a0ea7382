"""The table that runs along with a measurement: nccl-tests' columns first, so that what reads those can read it."""

from __future__ import annotations

from typing import Any

from inferometer.emulator.units import format_us
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


class Footer:
    """What nccl-tests prints last: data errors and the average of all bus bandwidths printed."""

    def __init__(self) -> None:
        self._wrong = 0
        self._busbw: list[float] = []

    def add(self, cell: dict[str, Any]) -> None:
        if "unmeasured" in cell:
            return
        self._wrong += cell["wrong"] or 0
        if cell["bytes"]:
            self._busbw.append(bandwidths(cell["bytes"], cell["median"], cell["bus_factor"])[1])

    def lines(self) -> str:
        average = sum(self._busbw) / len(self._busbw) if self._busbw else 0.0
        verdict = "OK" if self._wrong == 0 else "FAILED"
        return f"# Out of bounds values : {self._wrong} {verdict}\n# Avg bus bandwidth    : {average:g}\n#"
