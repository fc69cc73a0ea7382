"""Every printed number beside ours, as a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from inferometer.emulator.economics.paper.published.books import SOURCES, load_source
from inferometer.emulator.economics.paper.published.record import Call, Published, Status

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """One printed number and what our call gives for it, in the unit it is printed in."""

    published: Published
    ours: float

    @property
    def rel_diff(self) -> float:
        """(ours − printed) / printed."""
        return (self.ours - self.published.printed) / abs(self.published.printed)

    @property
    def ok(self) -> bool:
        """Whether ours agrees with the printed number, excused or not."""
        return abs(self.rel_diff) <= self.published.allowed_rel_diff

    @property
    def status(self) -> Status:
        if self.published.excuse is not None:
            return self.published.excuse
        return "reproduced" if self.ok else "failed"

    def as_dict(self) -> dict[str, Any]:
        """The row of the JSON document; of the settings those that the call is made with."""
        p = self.published
        return {
            "id": p.id,
            "source": p.source,
            "title": p.title,
            "where": p.where,
            "what": p.what,
            "function": p.call.function,
            "settings": dict(p.call.settings),
            "printed": p.printed,
            "ours": self.ours,
            "unit": p.unit,
            "rel_diff": self.rel_diff,
            "tolerance": p.allowed_rel_diff,
            "ok": self.ok,
            "status": self.status,
            "reason": p.reason,
        }


def compare(numbers: Iterable[Published]) -> list[Comparison]:
    """Make each call once, in threads, and set its results beside the printed numbers."""
    listed = list(numbers)
    calls = {number.call.key: number.call for number in listed}
    # the frontiers take nearly all of the time, within numpy, which lets other threads run
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(calls, pool.map(Call.__call__, calls.values())))
    return [Comparison(number, number.in_printed_unit(results[number.call.key])) for number in listed]


def compare_sources(sources: Sequence[str] = SOURCES) -> list[Comparison]:
    """All numbers of the sources named. Raises InputError for a source that is none."""
    return compare([number for source in sources for number in load_source(source)])


def reproduce(sources: Sequence[str] = SOURCES) -> pd.DataFrame:
    """Every published number beside ours: one row each, columns as in the JSON document of ``inferometer reproduce``.

    Raises InputError for a source that is none.
    """
    import pandas as pd

    return pd.DataFrame([comparison.as_dict() for comparison in compare_sources(sources)])


def summary(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """How many rows there are of each status."""
    found = [comparison.status for comparison in comparisons]
    return {"numbers": len(found), **{status: found.count(status) for status in get_args(Status)}}
