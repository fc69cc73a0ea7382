"""One latency and one bandwidth of a law on one layout, taken where its domain begins and ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.query import Layout, Query, law_us, place


@dataclass(frozen=True)
class Ends:
    """The law's times first_us and last_us at its smallest and largest size, bytes."""

    first_bytes: int
    last_bytes: int
    first_us: float
    last_us: float

    @property
    def line(self) -> tuple[float, float]:
        """(latency in µs, ns/byte) of the line through both ends, the latency at least 0."""
        slope = (self.last_us - self.first_us) / (self.last_bytes - self.first_bytes)
        latency = max(0.0, self.first_us - slope * self.first_bytes)
        return latency, (self.last_us - latency) / self.last_bytes * 1e3


def ends_of(model: NetworkLaw, layout: Layout) -> Ends:
    """Raises InputError where the law determines no time there, or none that grows with bytes."""
    first, last = max(1, model.domain.bytes[0]), model.domain.bytes[1]
    us = law_us(model, np.array([first, last], dtype=float), *layout)
    where = f"{model.target.collective} on {place(*layout)}"
    if not np.isfinite(us).all():
        raise InputError(f"{where}: its time is not determined")
    if not 0 < us[0] < us[1]:
        raise InputError(f"{where}: {us[0]:.4g} µs at {first} bytes, {us[1]:.4g} at {last}: no bandwidth follows from that")
    return Ends(first, last, float(us[0]), float(us[1]))


def one_layout(query: Query, model: NetworkLaw, one_node: bool = False) -> Layout:
    """The one layout asked for, else the most ranks of the fewest nodes. Raises InputError where several are asked for."""
    layouts = [layout for layout in query.layouts(model) if layout[1] == 1 or not one_node]
    if not layouts:
        raise InputError(f"{model.target.collective}: no layout on one node, which this format is of")
    if query.ranks and len(layouts) > 1:
        raise InputError(f"--ranks: this format holds one layout: choose among {', '.join(f'{r}/{N}' for r, N in layouts)}")
    fewest = min(N for _, N in layouts)
    return max(layout for layout in layouts if layout[1] == fewest)
