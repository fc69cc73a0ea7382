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
from inferometer.parallel.dtypes import common_name

_ROW = re.compile(
    r"COMMS-RES(?:-(?P<name>[a-z_0-9]+?))?(?:-(?P<dtype>(?:b?float|u?int|half|double)\w*))?[:\s]+(?P<cells>\d.*)$"
)
_HEAD = re.compile(r"COMMS-RES.*(?:size|Latency)", re.IGNORECASE)
_RANKS = re.compile(r"(?:world[_ ]?size|num(?:ber)?[_ ]?(?:of[_ ])?ranks?|nRanks)\W{1,4}(\d{1,7})", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
CELLS = ("size", "elements", "p50", "p75", "p95", "min", "max", "algbw", "busbw")
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
            if len(cells) != len(CELLS) or not all(map(_NUMBER.fullmatch, cells)):
                near = near or f": line {number} has {len(cells)} cells after COMMS-RES, not {len(CELLS)}"
                continue
            readings.append(_reading(dict(zip(CELLS, cells)), found["name"], found["dtype"], ranks))
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
            ratio = ratio_of((row.extra.pop("algbw"), row.extra.pop("busbw")) for row in run.rows)
            span = ratio.ranks(run.tool_collective) if ratio.known else None
            if span and span[0] == span[1]:
                run.ranks = span[0]
                run.flag("inferred", f"{run.ranks} ranks inferred from busbw/algbw")
        for row in run.rows:
            row.extra.pop("algbw", None)
            row.extra.pop("busbw", None)
    return runs


def _reading(cells: dict[str, str], name: str | None, dtype: str | None, ranks: int | None) -> Reading:
    size, us, algbw = int(cells["size"]), float(cells["p50"]), float(cells["algbw"])
    row = Row(size, us, common_name(dtype) if dtype else None)
    row.extra = {f"rank_{kind}_us": float(cells[kind]) for kind in ("p75", "p95", "min", "max")}
    row.extra |= {"algbw": cells["algbw"], "busbw": cells["busbw"]}
    if us > 0 and algbw > 0.1 and not 1 - SLACK < size / us / 1e3 / algbw < 1 + SLACK:
        row.excluded = "time_contradicted"
    collective = tool_name(name) if name else None
    return Reading(row, collective, ranks, None, "nccl", "nccl", "stream", "pipelined")
