"""Vidur's profiles data/profiling/network/DEVICE/{all_reduce,send_recv}.csv: ms, bytes, fp16.

Its predictor (execution_time_predictor/sklearn_…) trains a random forest on num_tokens = size / embedding / 2, median alone,
from rows with num_workers == devices_per_node == TP (send_recv: devices_per_node 2 inside a node, 1 across).
"""

from __future__ import annotations

import csv
import io

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.exporters.loss import Carried, Made, Times
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.table import Table, table_of
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.dtypes import DTYPES

FILES = {name: record.tools.vidur for name, record in COLLECTIVES.items() if record.tools.vidur}
STATISTICS = ("min", "max", "mean", "median", "std")
PLACE = ("rank", "num_workers", "size", "collective", "devices_per_node", "max_devices_per_node")
DTYPE = DTYPES["float16"]
#: Dense, because a forest does not interpolate.
PER_OCTAVE = 8


def write(query: Query, suffix: str) -> Made:
    """One collective, all_reduce unless the key says send_recv: Vidur keeps each in a file of its own."""
    collective = query.collectives(list(FILES))[0]
    model = query.law(collective)
    table = table_of(query, model, PER_OCTAVE, DTYPE.itemsize)
    most = int(max(model.domain.ranks_per_node))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["", *(f"time_stats.{collective}.{name}" for name in STATISTICS), *PLACE])
    for index, (r, N, n, us) in enumerate(table.rows()):
        times = [f"{us / 1000:.9g}" if name == "median" else "" for name in STATISTICS]
        writer.writerow([index, *times, 0, r, n, collective, r // N, most])
    dropped = [*table.missing, "min, max, mean, std are empty: a law has one time; Vidur reads the median alone"]
    if model.target.dtype != DTYPE.name:
        dropped.append(
            f"measured with {model.target.dtype or 'an unknown dtype'}; Vidur counts {DTYPE.itemsize} bytes an element"
        )
    use = [
        f"name it {collective}.csv",
        "set nccl_cpu_launch_overhead_ms and nccl_cpu_skew_overhead_per_device_ms to 0 unless this was measured without "
        "launch and in-step overhead",
        "below, the row nearest in size stands for its random forest",
    ]
    silent = "Vidur reads rows of one node only" if collective == "all_reduce" else "no such row"
    return Made(stream.getvalue().encode(), [Carried(model, _times(table, collective), silent)], dropped, use, {})


def _times(table: Table, collective: str) -> Times:
    def times(n: Array, r: int, N: int) -> Array:
        if (r, N) not in table.times or (collective == "all_reduce" and N > 1):
            return np.full(n.shape, np.nan)
        sizes, us = table.times[r, N]
        return np.asarray(us[np.abs(sizes[:, None] - n).argmin(axis=0)])

    return times
