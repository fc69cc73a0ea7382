"""Rank 0's account of a launch: records for the samples file, events for whoever shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from inferometer.emulator.measure.reference import changed
from inferometer.emulator.samples.environment import conditions, others_fraction, steal_fraction
from inferometer.emulator.samples.lab import lab_one_way
from inferometer.emulator.samples.samples import SamplesFile, times_us
from inferometer.emulator.samples.statistics import summary
from inferometer.launch.ranks.events import Event, Listener
from inferometer.launch.ranks.job import Job

if TYPE_CHECKING:
    from inferometer.parallel.communicator import Communicator
    from inferometer.parallel.placement import HostReport, Placement

Record = dict[str, Any]
RAW = ("start_ns", "stop_ns", "groups_ranks", "participants")
"""Fields of a cell's record that an event leaves out."""


class Ranks(Protocol):
    """What a launch knows of its ranks."""

    placement: Placement
    world: Communicator


@dataclass
class LaunchRecorder:
    """Writes one launch down as it goes. The samples file has its header already."""

    job: Job
    listener: Listener
    samples: SamplesFile
    before: Record = field(default_factory=conditions)
    """The state of the machine when the launch began."""
    began: list[Record] = field(default_factory=list)
    """What each rank said of itself then."""
    first_us: float | None = None
    changed: bool = False
    """Of the network's reference: see `looked`."""
    one_machine: bool = True
    """Whether all ranks share this kernel, whose counters are read."""

    def begin(self, here: Ranks, ranks: list[Record], hosts: Sequence[HostReport], to_do: int, **further: Any) -> None:
        """The ranks have found each other. ranks: what each says of itself; to_do: how many cells."""
        self.began, self.one_machine = ranks, here.placement.one_clock
        self.record(
            "launch",
            node_of=list(here.placement.node_of),
            one_clock=here.placement.one_clock,
            implementation=here.world.implementation,
            ranks=ranks,
            conditions=self.before,
            started_unix_s=time.time(),
            variables=self.job.variables,
            **({} if (one_way := lab_one_way(os.environ)) is None else {"lab_one_way_us": one_way}),
            **further,
        )
        self.listener({"event": "started", "pids": [host.pid for host in hosts], "cells": to_do})

    def record(self, kind: str, **fields: Any) -> None:
        """A record for the file."""
        self.samples.append({"record": kind, "launch": self.job.launch, **fields})

    def doing(self, text: str, **further: Any) -> None:
        """What the ranks are at."""
        self.listener({"event": "doing", "text": text, **further})

    def looked(self, us: float) -> None:
        """The network's reference took so long. Where it took another time at first, the cells next to it do not count."""
        first_us, self.first_us = self.first_us or us, self.first_us or us
        now = changed(first_us, us)
        self.record("reference", us=round(us, 1), changed=now)
        if now != self.changed:
            ratio = f"{us / first_us:.2g} times what it took at the launch's begin"
            since = "cells from the last look on are left out" if now else "cells count again"
            self.listener({"event": "note", "text": f"the network's reference takes {ratio}: {since}"})
        self.changed = now

    def cell(self, record: Record) -> None:
        """A cell that was measured, or could not be."""
        self.record("cell", **record)
        self.listener(cell_event(record))

    def end(self, reason: str, usage: list[Record] | None, wrong: int = 0, dropped: Sequence[str] | None = None) -> None:
        """The launch is over. usage: of each rank; dropped: ids of cells not reached, None where none can be dropped."""
        after = conditions()
        own_s = sum(one["cpu_s"] for one in usage or []) - sum(one["cpu_s"] for one in self.began)
        alone = usage is not None and self.one_machine and lab_one_way(os.environ) is None  # a wire is no rank
        self.record(
            "launch_end",
            reason=reason,
            **({} if dropped is None else {"dropped": list(dropped)}),
            conditions=after,
            steal_fraction=steal_fraction(self.before, after),
            others_fraction=others_fraction(self.before, after, own_s) if alone else None,
            ranks=usage,
        )
        self.samples.close()
        self.listener({"event": "ended", "reason": reason, "dropped": len(dropped or ()), "wrong": wrong})


def cell_event(record: Record) -> Event:
    """A cell as whoever shows it needs it: its statistics instead of its clock readings."""
    row = {key: value for key, value in record.items() if key not in RAW}
    if "unmeasured" not in record:
        times = times_us(record)
        assert times is not None
        row |= summary(times)
    return {"event": "cell", "row": row}
