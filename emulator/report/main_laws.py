"""Which network laws a summary and a figure show, how they are named, and what the paper's constants say beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.parallel.dtypes import bits_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
    from inferometer.emulator.calibrate.schema.records import Target

NAMED_FIELDS = ("implementation", "launch_mode", "timing", "concurrent_groups", "scheduler")
"""Fields of a key that a law's name mentions where laws of one collective and backend differ in them."""


def main_laws(calibration: Calibration) -> list[NetworkLaw]:
    """One operation at a time, one group, in the dtype that most laws have (float32 first).

    Laws of rank counts within the usable cores come first.
    """
    alone = [law for law in calibration.network_laws if law.target.concurrent_groups in (1, None)]
    isolated = [law for law in alone if law.target.timing in ("isolated", None)] or alone  # imports may know one timing only
    dtypes = [law.target.dtype for law in isolated]
    order = {name: (name != "float32", -dtypes.count(name), bits_of(name) != 16, str(name)) for name in dtypes}
    first = min(dtypes, key=order.__getitem__, default=None)
    return within_cores_first([law for law in isolated if law.target.dtype == first])


def within_cores_first(laws: Sequence[NetworkLaw]) -> list[NetworkLaw]:
    """The laws in their order, those measured on more ranks than usable cores last."""
    return sorted(laws, key=lambda law: bool(law.target.oversubscribed))


def oversubscribed_ranks(calibration: Calibration) -> set[int]:
    """Rank counts of one group whose cells were measured with more ranks × threads than usable cores."""
    cells = (cell for cell in calibration.cells if cell.target.concurrent_groups in (1, None))
    return {cell.ranks for cell in cells if "oversubscribed" in cell.flags}


def differing_words(targets: Sequence[Target]) -> list[str]:
    """A name [len(targets)] for each key: its backend, and the fields in which keys of one collective differ."""
    varying = [name for name in NAMED_FIELDS if _varies(targets, name)]
    names = []
    for target in targets:
        values = [target.backend, *(getattr(target, name) for name in varying)]
        names.append(" ".join(dict.fromkeys(str(value) for value in values if value is not None)))
    return names


def _varies(targets: Sequence[Target], name: str) -> bool:
    """Whether a field differs among the keys of a collective and backend."""
    values: dict[tuple[str, str | None], set[object]] = {}
    for target in targets:
        values.setdefault((target.collective, target.backend), set()).add(getattr(target, name))
    return any(len(several) > 1 for several in values.values())


def paper_time_us(collective: str, size_bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> np.ndarray:
    """What the paper's constants say of a collective, µs [n]; the arguments broadcast to n values, at least one."""
    law = affine(collective)
    sizes, over, across = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, float)) for x in (size_bytes, ranks, nodes)))
    return law.time_us(law.theta(paper_parameters(collective)), sizes, over, across)
