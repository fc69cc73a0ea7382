"""A law as a table of times: what the targets share that keep rows instead of terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.query import Layout, Query, law_us, place


@dataclass(frozen=True)
class Table:
    """times: (sizes in bytes, µs) by layout, only what the law determines. missing: what it does not, in words."""

    times: dict[Layout, tuple[Array, Array]]
    missing: list[str]

    def rows(self) -> Iterator[tuple[int, int, int, float]]:
        """(ranks, nodes, bytes, µs), layout by layout."""
        for (r, N), (sizes, us) in self.times.items():
            for n, time in zip(sizes, us):
                yield r, N, int(n), float(time)


def table_of(query: Query, model: NetworkLaw, per_octave: int, item_bytes: int, one_node: bool = False) -> Table:
    """The law at the layouts and sizes asked for.

    Raises InputError where no layout is left, or the law determines no time at all.
    """
    name = model.target.collective
    layouts = [layout for layout in query.layouts(model) if layout[1] == 1 or not one_node]
    if not layouts:
        raise InputError(f"{name}: measured on no layout{' of one node' if one_node else ''} that is asked for")
    sizes = query.sizes(model, per_octave, item_bytes).astype(float)
    times: dict[Layout, tuple[Array, Array]] = {}
    missing = []
    for r, N in layouts:
        us = law_us(model, sizes, r, N)
        known = np.isfinite(us) & (us > 0)
        if known.any():
            times[r, N] = sizes[known], us[known]
        if not known.all():
            missing.append(f"{name}, {place(r, N)}: {int((~known).sum())} of {len(us)} times are not determined")
    if not times:
        why = "; ".join(f"{k}: {p.reason}" for k, p in model.params.items() if p.status == "not_identified")
        raise InputError(f"{name}: no time is determined ({why or 'the law says nothing of these rank counts'})")
    return Table(times, missing)
