"""What clock readings mean: the time of one operation in each iteration."""

from __future__ import annotations

import numpy as np


def time_definition(timing: str, half_round_trip: bool, one_clock: bool) -> str:
    """The name under which `iteration_times_us` finds what the readings mean."""
    if half_round_trip:
        return "half_round_trip"
    if timing == "in_step":
        return "mean_of_own_durations"
    if timing == "isolated" and one_clock:
        return "last_stop_minus_last_start"
    return "longest_duration"


def iteration_times_us(
    definition: str, start_ns: np.ndarray, stop_ns: np.ndarray, groups: list[list[int]], operations: int
) -> np.ndarray:
    """Time of one operation in each iteration, us.

    ``start_ns``, ``stop_ns``: int [ranks, iterations]; ``groups``: for each group the rows of its ranks, first rank
    first; ``operations``: operations between two readings. Where several groups ran at once, the mean over the groups:
    what one of them pays. Raises ``ValueError`` for an unknown definition.
    """
    per_group = []
    for rows in groups:
        start, stop = start_ns[rows], stop_ns[rows]
        if definition == "last_stop_minus_last_start":
            span = stop.max(axis=0) - start.max(axis=0)
        elif definition == "longest_duration":
            span = (stop - start).max(axis=0)
        elif definition == "mean_of_own_durations":
            span = (stop - start).mean(axis=0)
        elif definition == "half_round_trip":
            span = stop[0] - start[0]  # the initiator's clock alone: first byte out to last byte back
        else:
            raise ValueError(f"unknown time definition {definition!r}")
        per_group.append(span / operations / 1e3)
    return np.mean(per_group, axis=0)
