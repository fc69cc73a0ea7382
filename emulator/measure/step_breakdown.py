"""A model's steps by operation: the time of each computation, and of the glue from one computation to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferometer.emulator.workload.program import BEGIN, END, Size, chain, predecessors

Record = dict[str, Any]


def step_breakdown(
    names: list[str], readings: np.ndarray, sizes: dict[str, Record], inputs: dict[str, Record], chosen_bytes: float
) -> list[Record]:
    """Each computation and the glue before it, as means over their occurrences in a step, by operation and predecessors.

    What ran before an operation decides what it finds in the caches, so each pair of predecessors and operation is separate.

    names: of the operations as executed. readings [steps, 2 + 2·operations]: the beginning of the step, start and stop of
    every operation, the end. sizes: of each computation its kind and operation_sizes. inputs: of each its input_sizes.
    chosen_bytes: of the logits that tokens are chosen from at the end. The time of a collective belongs to no operation; the
    glue around it has it among its predecessors.
    """
    own = readings[:, 2:-1:2] - readings[:, 1:-1:2]
    edges = readings.reshape(len(readings), -1, 2)
    before = edges[:, :, 1] - edges[:, :, 0]  # one more than there are operations
    at: dict[tuple[str, str], list[int]] = {}
    glue: dict[tuple[str, str], list[list[int]]] = {}
    gaps: list[int] = []
    previous: list[str] = []
    for index, name in enumerate([*names, END]):
        gaps.append(index)
        if name in sizes or name == END:
            glue.setdefault((chain(previous), name), []).append(gaps)
            gaps = []
        if name in sizes:
            at.setdefault((chain(previous), name), []).append(index)
        previous = predecessors(previous, name, computes=name in sizes)
    found: list[Record] = []
    for (after, name), places in at.items():
        found.append({"op": name, "predecessors": after, **sizes[name], "ns": _means(own[:, places])})
    for (after, name), occurrences in glue.items():
        about: Record = {"op": name, "predecessors": after, "activation_bytes": 0.0}
        if not after:
            about = {"op": BEGIN, "predecessors": after}
        elif name == END:
            about |= {"activation_bytes": chosen_bytes}
        else:
            about |= inputs[name]
        times = np.column_stack([before[:, gaps].sum(axis=1) for gaps in occurrences])
        found.append({**about, "kind": "glue", "ns": _means(times)})
    return found


def collective_breakdown(names: list[str], readings: np.ndarray, sizes: dict[str, Record], uneven: set[str]) -> list[Record]:
    """Each collective of the steps: its time and its compute gap, as means over its occurrences.

    names, readings: as of step_breakdown. sizes: of each collective what it sends; uneven: computations that take some ranks
    longer than others because they got more tokens. What follows these is left out: it mostly waits for those ranks.
    """
    starts, stops = readings[:, 1:-1:2], readings[:, 2:-1:2]
    at: dict[str, list[int]] = {}
    since: list[np.ndarray] = []
    last, waits = readings[:, 0], False
    for index, name in enumerate(names):
        since.append(starts[:, index] - last)
        waits |= name in uneven
        if name in sizes:
            if not waits:
                at.setdefault(name, []).append(index)
            last, waits = stops[:, index], False
    times = stops - starts
    return [
        {"op": name, "kind": "collective", **sizes[name], "ns": _means(times[:, places])}
        | {"compute_gap_us": float(np.mean([since[index] for index in places])) / 1e3}
        for name, places in at.items()
    ]


def numbers(sizes: Mapping[str, Size]) -> dict[str, float]:
    """The sizes of one deployment as they go into a record."""
    return {name: float(value) for name, value in sizes.items()}


def _means(times: np.ndarray) -> list[int]:
    """Of each step the mean over its occurrences [steps, occurrences], in whole ns."""
    return [round(mean) for mean in times.mean(axis=1).tolist()]
