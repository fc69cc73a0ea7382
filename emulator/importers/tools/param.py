"""PARAM's comms benchmark (facebookresearch/param, ``comms.py``): its rows ``COMMS-RES-all_reduce-float32 …``.

Sizes are of one rank's buffer (the total for all_gather, reduce_scatter and all_to_all, as nccl-tests'); the percentiles are
over RANKS, of each rank's mean, so that p50 is the typical rank's mean and Max the slowest's.
"""

from __future__ import annotations

import re

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.implied import ratio_of
from inferometer.emulator.importers.run import Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.parallel.dtypes import NAMED, common_name

_ROW = re.compile(
    r"COMMS-RES(?:-(?P<name>[a-z_0-9]+?))?(?:-(?P<dtype>(?:b?float|u?int|half|double|long|char|byte)\d*)\S*?)?"
    r"[:\s]+(?P<cells>\d.*)$"
)
_HEAD = re.compile(r"COMMS-RES.*(?:size|Latency)", re.IGNORECASE)
_RANKS = re.compile(r"(?:world[_ ]?size|num(?:ber)?[_ ]?(?:of[_ ])?ranks?|nRanks)\W{1,4}(\d{1,7})", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
CELLS = ("size", "elements", "p50", "p75", "p95", "min", "max", "algbw", "busbw")
BESIDE = ("total_p50", "compute_p50", "tflops")
"""Further cells, where computing ran beside the collective."""
FORMS = {
    7: tuple(name for name in CELLS if name not in ("min", "max")),
    9: CELLS,
    10: (*CELLS, BESIDE[2]),
    11: (*CELLS, *BESIDE[:2]),
    12: (*CELLS, *BESIDE),
}
"""By their number: the first versions had no extremes."""
PAIR_CELLS = (
    "size", "ping_p50", "ping_p75", "ping_p95", "p50", "p75", "p95", "mean_one_way", "mean_both", "one_way", "both",
)  # fmt: skip
"""Of pt2pt: p50 is of a round trip."""
ALIASES = {"pt2pt": "send_recv", "all_to_all_single": "alltoall", "all_gather_base": "all_gather",
           "reduce_scatter_base": "reduce_scatter"}  # fmt: skip
SLACK = 0.1


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where no row is in it."""
    readings: list[Reading] = []
    ranks: int | None = None
    near = ""
    for number, raw in source.lines():
        line = prefix.strip(raw[:2000])[1]
        if found := _ROW.search(line):
            cells = found["cells"].split()
            names = PAIR_CELLS if found["name"] == "pt2pt" else FORMS.get(len(cells), ())
            if len(cells) != len(names) or not all(map(_NUMBER.fullmatch, cells)):
                near = near or f": line {number} has {len(cells)} cells after COMMS-RES, not {len(names) or len(CELLS)}"
                continue
            readings.append(_reading(dict(zip(names, cells)), found["name"], found["dtype"], ranks))
        elif found := _RANKS.search(line):
            ranks = int(found[1]) or None
    if not readings:
        raise InputError(f"{source}: no row COMMS-RES of PARAM's comms benchmark in it{near}")
    runs = runs_from(source, readings, statistic="mean")
    for run in runs:
        run.flag("percentiles_over_ranks", "p50 to p95 are over ranks: the time is the typical rank's mean")
        if bad := sum(row.excluded == "time_contradicted" for row in run.rows):
            run.flag("time_contradicted", f"{bad} rows whose size over time is not the bandwidth they print")
        if run.ranks is None and run.tool_collective:
            ratio = ratio_of((row.extra["algbw"], row.extra["busbw"]) for row in run.rows if "algbw" in row.extra)
            span = ratio.ranks(run.tool_collective) if ratio.known else None
            if span and span[0] == span[1]:
                run.ranks = span[0]
                run.flag("inferred", f"{run.ranks} ranks inferred from busbw/algbw")
        for row in run.rows:
            row.extra.pop("algbw", None)
            row.extra.pop("busbw", None)
    return runs


def _reading(cells: dict[str, str], name: str | None, dtype: str | None, ranks: int | None) -> Reading:
    size, us = int(cells["size"]), float(cells["p50"])
    row = Row(size, us, common_name(dtype) if dtype else None)
    row.extra = {f"rank_{kind}_us": float(cells[kind]) for kind in ("p75", "p95", "min", "max") if kind in cells}
    if "algbw" not in cells:
        row.us = us / 2
        return Reading(row, "send_recv", 2, None, "nccl", "nccl", "stream", "isolated")
    algbw = float(cells["algbw"])
    row.extra |= {"algbw": cells["algbw"], "busbw": cells["busbw"]}
    if us > 0 and algbw > 0.1 and not 1 - SLACK < size / us / 1e3 / algbw < 1 + SLACK:
        row.excluded = "time_contradicted"
    collective = ALIASES.get(name) or tool_name(name) if name else None
    variant = "beside_compute" if "compute_p50" in cells else ""
    if ranks is None and dtype and collective and collective not in ("all_reduce", "broadcast", "reduce"):
        ranks = _ranks(size, int(cells["elements"]), row.dtype)
    return Reading(row, collective, ranks, None, "nccl", "nccl", "stream", "pipelined", variant=variant)


def _ranks(size: int, elements: int, dtype: str | None) -> int | None:
    """Of a collective whose size is the total, and whose elements are one rank's; None where that does not tell."""
    item = NAMED[dtype].itemsize if dtype and dtype in NAMED else 0
    whole, rest = divmod(size, elements * item) if elements * item else (0, 1)
    return whole if rest == 0 and whole > 1 else None
