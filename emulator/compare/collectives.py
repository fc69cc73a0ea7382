"""Two calibrations side by side, collective by collective: measured cells where both have them, laws elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.network import FittedLaw
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.calibrate.schema.records import Cell
from inferometer.emulator.compare.significance import Over, Ratio, by_half_widths, by_launches, launch_means, significant

#: What two laws or cells must share to be compared. That they differ in the others (implementation, backend, scheduler) may
#: be what is asked.
SHARED = ("collective", "launch_mode", "timing", "dtype", "concurrent_groups", "oversubscribed")

Key = tuple[Any, ...]
Source = Literal["cells", "laws"]


@dataclass(frozen=True)
class Change:
    """One collective on so many ranks, at one size (bytes) or over all sizes that both know (bytes None), old to new.

    old_us, new_us: times, of all sizes their geometric mean. source: "cells" where both measured
    it, "laws" else; over: what interval and probability rest on, the spread of launches or the laws' own account.
    """

    collective: str
    launch_mode: str | None
    timing: str | None
    dtype: str | None
    concurrent_groups: int | str | None
    oversubscribed: bool | None
    ranks: int
    nodes: int
    bytes: int | None
    sizes: int
    old_us: float
    new_us: float
    ratio: float
    ci95: tuple[float, float] | None
    p_value: float | None
    source: Source
    over: Over | None
    significant: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """All changes between two calibrations, and what only one of them knows (words)."""

    changes: list[Change]
    only_old: list[str]
    only_new: list[str]

    @property
    def overall(self) -> list[Change]:
        """Of each collective and rank count, all sizes together."""
        return [change for change in self.changes if change.bytes is None]

    def beyond(self, share: float) -> list[Change]:
        """The changes for the worse by more than this share that chance does not explain, worst first."""
        found = [change for change in self.changes if change.significant and change.ratio > 1 + share]
        return sorted(found, key=lambda change: -change.ratio)


def compared(old: Calibration, new: Calibration) -> Compared:
    """Every collective, key, rank and node count that both know, by size and overall.

    Implementations of one name are compared with each other; where the names differ, the only one of each side.
    """
    sides = _grouped(old), _grouped(new)
    changes: list[Change] = []
    only: list[list[str]] = [[_words(key) for key in side if key not in other] for side, other in (sides, sides[::-1])]
    for key in (key for key in sides[0] if key in sides[1]):
        pair = sides[0][key], sides[1][key]
        common = [name for name in pair[0] if name in pair[1]]
        if common:
            paired = [(pair[0][name], pair[1][name]) for name in common]
        elif len(pair[0]) == len(pair[1]) == 1:
            paired = [(next(iter(pair[0].values())), next(iter(pair[1].values())))]
        else:
            paired = []
            for words, side in zip(only, pair):
                words.append(f"{_words(key)} ({', '.join(map(str, side))})")
        for one, other in paired:
            changes += _changes(key, one, other)
    marks = significant([Ratio(change.ratio, change.ci95, change.p_value) for change in changes])
    return Compared([replace(change, significant=mark) for change, mark in zip(changes, marks)], *only)


@dataclass
class _Known:
    """What one calibration knows of a key and implementation: cells by (ranks, nodes, bytes), and the law."""

    cells: dict[tuple[int, int, int], Cell]
    law: NetworkLaw | None = None


def _grouped(calibration: Calibration) -> dict[Key, dict[str | None, _Known]]:
    """By the fields SHARED, then by implementation."""
    found: dict[Key, dict[str | None, _Known]] = {}
    for law in calibration.network_laws:
        known = found.setdefault(_key(law.target), {}).setdefault(law.target.implementation, _Known({}))
        known.law = known.law or law
    for cell in calibration.cells:
        known = found.setdefault(_key(cell.target), {}).setdefault(cell.target.implementation, _Known({}))
        if cell.us.median:
            known.cells.setdefault((cell.ranks, cell.nodes, cell.bytes), cell)
    return found


def _key(target: Any) -> Key:
    return tuple(getattr(target, name) for name in SHARED)


def _words(key: Key) -> str:
    return ", ".join(str(value) for name, value in zip(SHARED, key) if name != "oversubscribed" and value is not None)


@dataclass(frozen=True)
class _Place:
    """Where changes are: the key, on so many ranks and nodes, with both laws where both have one."""

    key: Key
    ranks: int
    nodes: int
    laws: tuple[FittedLaw, FittedLaw] | None

    def change(self, sizes: Sequence[int], us: Sequence[float], ratio: Ratio, source: Source) -> Change:
        """At one size, or over several."""
        size = sizes[0] if len(sizes) == 1 else None
        return Change(
            **dict(zip(SHARED, self.key)), ranks=self.ranks, nodes=self.nodes, bytes=size, sizes=len(sizes), old_us=us[0],
            new_us=us[1], ratio=ratio.value, ci95=ratio.ci95, p_value=ratio.p_value, source=source,
            over=ratio.over,
        )  # fmt: skip

    def ratio(self, size: int, launches: Sequence[Sequence[float]]) -> Ratio:
        """Of measured times; with single launches the interval is what the laws' own accounts leave open at this size."""
        found = by_launches(*launches)
        if found.ci95 is not None or self.laws is None:
            return found
        halves = [float(law.half_width(size, self.ranks, self.nodes)) for law in self.laws]
        return by_half_widths(1.0, found.value, halves[0], halves[1])


def _changes(key: Key, old: _Known, new: _Known) -> Iterator[Change]:
    laws = (FittedLaw(old.law), FittedLaw(new.law)) if old.law and new.law else None
    both = sorted(old.cells.keys() & new.cells.keys())
    measured = sorted({(ranks, nodes) for ranks, nodes, _ in both})
    for ranks, nodes in measured:
        sizes = [size for at_ranks, at_nodes, size in both if (at_ranks, at_nodes) == (ranks, nodes)]
        yield from _of_cells(_Place(key, ranks, nodes, laws), sizes, (old, new))
    if laws:
        for ranks, nodes in _places(*(law.record for law in laws)):
            if (ranks, nodes) not in measured:
                yield from _of_laws(_Place(key, ranks, nodes, laws), laws)


def _of_cells(place: _Place, sizes: list[int], sides: tuple[_Known, _Known]) -> Iterator[Change]:
    launches = [[list(side.cells[place.ranks, place.nodes, size].launch_medians) for size in sizes] for side in sides]
    means = [launch_means(side).tolist() for side in launches]
    if len(sizes) > 1 and all(means):
        yield place.change(sizes, [_mean(side) for side in means], place.ratio(sizes[len(sizes) // 2], means), "cells")
    for at, size in enumerate(sizes):
        pair = [[us for us in side[at] if us] for side in launches]
        yield place.change([size], [_mean(side) for side in pair], place.ratio(size, pair), "cells")


def _of_laws(place: _Place, laws: tuple[FittedLaw, FittedLaw]) -> Iterator[Change]:
    bounds = [law.record.domain.bytes for law in laws]
    low, high = max(bound[0] for bound in bounds), min(bound[1] for bound in bounds)
    sizes = _ladder(low, high) if place.key[0] != "barrier" else [0]
    old, new = (np.asarray(law.us(sizes, place.ranks, place.nodes), dtype=float) for law in laws)
    wide, wider = (np.asarray(law.half_width(sizes, place.ranks, place.nodes), dtype=float) for law in laws)
    known = np.flatnonzero(np.isfinite(old) & np.isfinite(new) & (old > 0) & (new > 0))
    if len(known) > 1:  # a law errs alike at all sizes, so the mean is no surer than one of them
        means = [_mean(side[known]) for side in (old, new)]
        ratio = by_half_widths(means[0], means[1], float(np.median(wide[known])), float(np.median(wider[known])))
        yield place.change([sizes[at] for at in known], means, ratio, "laws")
    for at in known:
        ratio = by_half_widths(float(old[at]), float(new[at]), float(wide[at]), float(wider[at]))
        yield place.change([sizes[at]], [float(old[at]), float(new[at])], ratio, "laws")


def _mean(us: Sequence[float] | Array) -> float:
    """Geometric."""
    return float(np.exp(np.log(us).mean()))


def _ladder(low: int, high: int) -> list[int]:
    """Powers of four from low to high, and both ends."""
    if high < low:
        return []
    inside = [4**power for power in range(32) if low < 4**power < high]
    return sorted({low, *inside, high})


def _places(old: NetworkLaw, new: NetworkLaw) -> list[tuple[int, int]]:
    """The rank and node counts that both laws were fitted to."""
    per_node = set(old.domain.ranks_per_node) & set(new.domain.ranks_per_node)
    return [
        (ranks, nodes)
        for ranks in sorted(set(old.domain.ranks) & set(new.domain.ranks))
        for nodes in sorted(set(old.domain.nodes) & set(new.domain.nodes))
        if ranks / nodes in per_node
    ]
