"""An emulation's launch on one rank, as the worker carries it out: rank 0 writes everybody's steps down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inferometer.launch.events import Listener
from inferometer.launch.job import Job
from inferometer.launch.worker import placed

if TYPE_CHECKING:
    from inferometer.emulator.execute.run import Run


def carry_out(job: Job, run: Run, hosts: list, listener: Listener | None, interrupted: Callable[[], bool]) -> int:
    """Run the launch's steps; the exit status, 0."""
    from inferometer.emulator.measure.environment import conditions, rank_usage, steal_fraction
    from inferometer.emulator.measure.samples import SamplesFile

    control = run.control
    ranks = control.gather("ranks", {"threads": job.method.threads, **run.prepare(), **placed(), **rank_usage()})
    if listener is None:
        run.carry_out(lambda: False, lambda record: None, lambda doing: None)
        control.gather("usage", rank_usage())
        return int(control.share("status"))
    before = conditions()
    samples = SamplesFile.reopen(job.samples)
    samples.append(
        {
            "record": "launch",
            "launch": job.launch,
            "node_of": list(run.placement.node_of),
            "one_clock": run.placement.one_clock,
            "implementation": run.world.implementation,
            "ranks": ranks,
            "conditions": before,
            "started_unix_s": time.time(),
        }
    )
    listener({"event": "started", "pids": [host.pid for host in hosts], "cells": 0})
    reason = run.carry_out(
        interrupted,
        lambda record: samples.append({"record": "step", "launch": job.launch, **record}),
        lambda doing: listener({"event": "doing", "text": doing}),
    )
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
