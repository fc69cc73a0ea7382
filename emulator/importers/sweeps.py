"""What the times of one sweep over growing sizes say of it: a first size that was not warm, disturbances."""

from __future__ import annotations

from inferometer.emulator.importers.run import Row, Run

COLD = 1.1
"""A first row this much slower than both following, larger ones pays for connecting."""
MOST_COLD = 3
SPIKE = 2.0
MANY_SPIKES = 2


def flag_cold(run: Run) -> None:
    """The first size of a run, slower than the next two larger ones, was not warm."""
    rows = [row for row in run.rows if row.bytes and row.us]
    cold = 0
    while cold < MOST_COLD and len(rows) - cold > 2:
        first, *following = [row.us or 0.0 for row in rows[cold : cold + 3]]
        if not first > COLD * max(following):
            break
        cold += 1
    for row in rows[:cold]:
        row.excluded = row.excluded or "cold_first_row"
    if cold:
        times = ", ".join(f"{row.us:g}" for row in rows[: cold + 1])
        run.flag("cold_first_row", f"{times} µs at the first sizes: not warm")


def flag_noise(run: Run) -> None:
    """A time more than twice those of both neighbouring sizes is a disturbance; one may happen, more spoil a run."""
    rows = [row for row in run.rows if row.bytes]
    columns = [[row.us for row in rows], [row.extra.get("in_place_us") for row in rows]]
    spikes = {}
    for column in columns:
        for at, (before, here, after) in enumerate(zip(column, column[1:], column[2:]), 1):
            if here and before and here > SPIKE * before and after and here > SPIKE * after:
                spikes[rows[at].bytes] = f"{here:g}"
    if len(spikes) >= MANY_SPIKES:
        times = ", ".join([*spikes.values()][:4])
        run.flag("noisy", f"{len(spikes)} sizes take twice as long as both neighbouring sizes ({times} µs …)")


def merge_cycles(run: Run) -> None:
    """Sweeps that one start of the ranks repeated (-N) are samples of one launch, not launches: the first row gets them."""
    keys = [(row.bytes, row.dtype, row.extra.get("redop"), row.extra.get("root")) for row in run.rows]
    if len(set(keys)) == len(keys):
        return
    first: dict[tuple[object, ...], Row] = {}
    times: dict[int, list[float]] = {}
    for row, key in zip(run.rows, keys):
        if row.excluded is not None or row.us is None:
            continue
        held = first.setdefault(key, row)
        times.setdefault(id(held), []).append(row.us)
        if held is not row:
            row.excluded = "further_cycle"
    cycles = {len(found) for found in times.values() if len(found) > 1}
    if not cycles:
        return
    for row in first.values():
        found = times[id(row)]
        if len(found) > 1:
            row.iterations_us = row.iterations_us or found
            row.us = sum(found) / len(found)
            row.extra["cycles"] = len(found)
    run.flag("repeated_cycles", f"sizes come up to {max(cycles)} times in one run: samples of one launch")
