"""A launch of emulations on one rank, as the worker carries it out: rank 0 writes everybody's steps down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.settings import Phase
from inferometer.launch.ranks.events import Listener
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.place import placed

if TYPE_CHECKING:
    from inferometer.emulator.samples.samples import SamplesFile
    from inferometer.emulator.validate.series import Series


@dataclass(frozen=True)
class Teller:
    """Rank 0's words: records for the file, events for whoever shows them."""

    matrix: Matrix
    launch: int
    samples: SamplesFile
    listener: Listener

    def began(self, cell: int, phase: Phase) -> None:
        words = self.matrix.cells[cell].words()
        self.listener({"event": "doing", "text": f"in {phase} steps of {words}", "cell": cell, "phase": phase})

    def done(self, record: dict[str, Any]) -> None:
        self.samples.append({"record": record["record"], "launch": self.launch, **record})


def carry_out(job: Job, series: Series, hosts: list, listener: Listener | None, interrupted: Callable[[], bool]) -> int:
    """Run the launch's cells; the exit status, 0."""
    from inferometer.emulator.samples.environment import conditions, rank_usage, steal_fraction
    from inferometer.emulator.samples.samples import SamplesFile

    assert isinstance(job.method, Matrix)
    control = series.control
    ranks = control.gather("ranks", {"threads": job.method.threads, **placed(), **rank_usage()})
    if listener is None:
        series.carry_out(job.launch, lambda: False, None)
        control.gather("usage", rank_usage())
        return int(control.share("status"))
    before = conditions()
    samples = SamplesFile.reopen(job.samples)
    samples.append(
        {
            "record": "launch",
            "launch": job.launch,
            "node_of": list(series.placement.node_of),
            "one_clock": series.placement.one_clock,
            "implementation": series.world.implementation,
            "ranks": ranks,
            "conditions": before,
            "started_unix_s": time.time(),
        }
    )
    listener({"event": "started", "pids": [host.pid for host in hosts], "cells": len(job.method.cells)})
    reason = series.carry_out(job.launch, interrupted, Teller(job.method, job.launch, samples, listener))
    usage, after = control.gather("usage", rank_usage()), conditions()
    samples.append(
        {
            "record": "launch_end",
            "launch": job.launch,
            "reason": reason,
            "conditions": after,
            "steal_fraction": steal_fraction(before, after),
            "ranks": usage,
        }
    )
    samples.close()
    listener({"event": "ended", "reason": reason, "dropped": 0, "wrong": 0})
    return int(control.share("status", 0))
