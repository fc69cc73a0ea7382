"""What is to be exported: a calibration, which of its laws, on which ranks and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.predict import predict_us
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import sizes_between

#: No machine sends more in one call.
MOST_BYTES = 2**60
#: Ranks and nodes they are spread over evenly.
Layout = tuple[int, int]


@dataclass(frozen=True)
class Query:
    """A calibration and what was asked of it; what was not asked is the whole of what was measured.

    key: fields of a law's key (backend, dtype, collective, …). ranks: (ranks, nodes), nodes None for any. first, last,
    factor: sizes in bytes as nccl-tests' -b -e -f.
    """

    calibration: Calibration
    key: dict[str, Any] = field(default_factory=dict)
    ranks: Sequence[tuple[int, int | None]] = ()
    first: int | None = None
    last: int | None = None
    factor: int | None = None

    def collectives(self, known: Sequence[str]) -> list[str]:
        """Those of the known collectives to export. Raises InputError if the key names another, or there is none."""
        asked = self.key.get("collective")
        if asked is not None and asked not in known:
            raise InputError(f"collective={asked}: this format holds {', '.join(known)}")
        have = {model.target.collective for model in self.calibration.network_laws}
        found = [name for name in known if name in have and asked in (None, name)]
        if not found:
            wanted = asked or " or ".join(known)
            raise InputError(f"no model of {wanted} in this calibration: it has {', '.join(sorted(have)) or 'nothing'}")
        return found

    def law(self, collective: str, **key: Any) -> NetworkLaw:
        """The one law of a collective. Raises InputError as Calibration.model does, and for a domain that is none."""
        asked = {name: value for name, value in self.key.items() if name != "collective"}
        model = self.calibration.law(collective, **asked | key)
        domain = model.domain
        counts = (domain.ranks, domain.nodes, domain.ranks_per_node)
        if not (all(values and min(values) > 0 for values in counts) and domain.bytes[0] <= domain.bytes[1] <= MOST_BYTES):
            raise InputError(f"{collective}: its domain is no range of sizes, ranks and nodes: {domain!r}"[:300])
        if domain.bytes[1] < 1:
            raise InputError(f"{collective}: carries no bytes: no other tool's format has a place for it")
        return model

    def layouts(self, model: NetworkLaw) -> list[Layout]:
        """The layouts asked for, within what was measured. Raises InputError for one outside."""
        if not self.ranks:
            return layouts_of(model)
        found = []
        for ranks, nodes in self.ranks:
            fit = [(ranks, N) for N in model.domain.nodes if nodes in (None, N) and inside(model, ranks, N)]
            if not fit:
                where = f" on {nodes} nodes" if nodes else ""
                have = ", ".join(f"{r}/{N}" for r, N in layouts_of(model))
                raise InputError(
                    f"--ranks: {ranks} ranks{where} are outside what {model.target.collective} was measured on: "
                    f"ranks/nodes {have}"
                )
            found += fit
        return sorted(set(found), key=lambda layout: (layout[1], layout[0]))

    def sizes(self, model: NetworkLaw, per_octave: int, item_bytes: int = 1) -> NDArray[np.int64]:
        """Sizes in bytes, whole items each: by the factor asked for, else per_octave of them and both ends.

        Raises InputError for sizes outside what was measured, or none that holds whole items.
        """
        low, high = max(1, model.domain.bytes[0]), model.domain.bytes[1]
        first, last = low if self.first is None else self.first, high if self.last is None else self.last
        if not low <= first <= last <= high:
            raise InputError(
                f"-b {first} -e {last}: outside what {model.target.collective} was measured on, {low} to {high} bytes"
            )
        if self.factor is None:
            return grid(first, last, per_octave, item_bytes)
        sizes = sizes_between(first, last, self.factor)
        if any(size % item_bytes for size in sizes):
            raise InputError(f"-b {first}: is no whole number of the format's {item_bytes}-byte elements")
        return np.array(sizes, dtype=np.int64)


def place(ranks: int, nodes: int) -> str:
    """A layout in words: "8 ranks/1 node"."""
    return f"{ranks} ranks/{nodes} node{'s' if nodes > 1 else ''}"


def inside(model: NetworkLaw, ranks: int, nodes: int) -> bool:
    """Whether ranks on nodes lie within the law's domain, spread evenly."""
    domain = model.domain
    return (
        ranks % nodes == 0
        and min(domain.ranks) <= ranks <= max(domain.ranks)
        and min(domain.ranks_per_node) <= ranks / nodes <= max(domain.ranks_per_node)
    )


def layouts_of(model: NetworkLaw) -> list[Layout]:
    """Every layout of the law's domain: measured rank counts on measured node counts, with measured ranks per node."""
    domain = model.domain
    return [(r, N) for N in domain.nodes for r in domain.ranks if r > 1 and r % N == 0 and r / N in domain.ranks_per_node]


def grid(first: int, last: int, per_octave: int, item_bytes: int = 1) -> NDArray[np.int64]:
    """Whole items' sizes in bytes from first to last, evenly on the logarithm, both ends as near as items allow.

    Raises InputError if not one item fits.
    """
    low, high = -(-first // item_bytes), last // item_bytes
    if low > high:
        raise InputError(f"{first} to {last} bytes: no whole number of {item_bytes}-byte elements")
    points = max(2, round(np.log2(high / low) * per_octave) + 1)
    return np.unique(np.round(np.geomspace(low, high, points)).astype(np.int64)) * item_bytes


def law_us(model: NetworkLaw, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
    """The full law's times in µs, as Calibration.time_s gives them; NaN where it determines none."""
    return np.where(np.asarray(r) > 1, predict_us(model, n, r, N), 0.0)


def software(calibration: Calibration) -> tuple[str | None, str | None]:
    """(device, library version) where the provenance names just one of each, else None."""

    def only(part: dict[str, Any] | None, name: str) -> str | None:
        found = (part or {}).get(name)
        names = {str(name) for name in found} if isinstance(found, list) else set()
        return names.pop() if len(names) == 1 else None

    about = calibration.provenance
    device = only(about.hardware, "devices") or only(about.hardware, "gpus")
    return device, only(about.software, "versions")
