"""Steps of a model taken apart: what each computation takes, and each way from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferometer.emulator.calibrate.computerecords import BEGIN, END
from inferometer.emulator.workload.program import chain, way_on

Record = dict[str, Any]


def apart(names: list[str], readings: np.ndarray, sizes: dict[str, Record], width: int, chosen_bytes: float) -> list[Record]:
    """Steps taken apart: each computation, and each way from one to the next, as the mean over its occurrences in a step.

    names: of the operations as executed; readings [steps, 2 + 2·operations]: the beginning of the step, start and stop of
    every operation, the end. sizes: of each computation its kind and features; width: bytes of an element; chosen_bytes: of
    the logits that tokens are chosen from at the end. The time of what is no computation belongs to none; a way that leads
    through it has it in its name (program.chain).
    """
    own = readings[:, 2:-1:2] - readings[:, 1:-1:2]
    edges = readings.reshape(len(readings), -1, 2)
    before = edges[:, :, 1] - edges[:, :, 0]  # one more than there are operations
    at: dict[str, list[int]] = {name: [] for name in sizes}
    legs: dict[tuple[str, str], list[list[int]]] = {}
    way: list[int] = []
    come: list[str] = []
    for index, name in enumerate([*names, END]):
        way.append(index)
        if name in sizes or name == END:
            legs.setdefault((chain(come), name), []).append(way)
            way = []
        if name in sizes:
            at[name].append(index)
        come = way_on(come, name, computes=name in sizes)
    found = [{"op": name, **its, "ns": _means(own[:, at[name]])} for name, its in sizes.items()]
    for (after, name), ways in legs.items():
        about: Record = {"op": name, "after": after, "activation_bytes": 0.0}
        if not after:
            about = {"op": BEGIN}
        elif name == END:
            about |= {"activation_bytes": chosen_bytes}
        else:
            about |= {"activation_bytes": entering_bytes(sizes[name], width)}
        times = np.column_stack([before[:, way].sum(axis=1) for way in ways])
        found.append({**about, "kind": "between", "ns": _means(times)})
    return found


def entering_bytes(sizes: Record, width: int) -> float:
    """What an operation is handed: the rows of a matmul; else all it moves."""
    return float(sizes["rows"] * sizes["inner"] * width or sizes["activation_bytes"])


def _means(times: np.ndarray) -> list[int]:
    """Of each step the mean over its occurrences [steps, occurrences], in whole ns."""
    return [round(mean) for mean in times.mean(axis=1).tolist()]
