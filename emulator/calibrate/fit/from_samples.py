"""From samples files to a calibration: what the files say of machine and method goes along with the fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.calibrate.fit.quality import MIN_LAUNCHES
from inferometer.emulator.calibrate.schema.keys import COLUMNS
from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.compare import first_difference, software_used
from inferometer.emulator.samples.disturbed import Disturbances
from inferometer.emulator.samples.environment import STEERING
from inferometer.emulator.samples.identity import LaunchBook, Launches
from inferometer.emulator.samples.probe_table import ProbeRows
from inferometer.emulator.samples.samples import CellRows, checked_records, is_timed, on_one_network, timed

if TYPE_CHECKING:
    import pandas

    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def fit(paths: Sequence[str | Path], seed: int = 0, law: str = AUTO) -> Calibration:
    """Fit everything in one or several samples files of one machine.

    law: "auto", or the form that every key gets. The result depends on the files' contents, seed and law alone. Imported
    cells whose ranks or nodes are unknown, and launches that stand in two of the files, are left out, and counted in
    ``method.left_out``.

    Raises ``InputError`` where a file cannot be read, holds no cells, comes from another machine than the first (naming the
    field) or from several, where no cell's ranks and nodes are known, or where no law could be fitted at all.
    """
    book, cell_rows, probes = LaunchBook(), CellRows(), ProbeRows()
    paths = at = [Path(path) for path in paths]  # ./x and x are one file
    files = [_about(path, book, cell_rows, probes) for path in at]
    if not files:
        raise InputError("no samples file given")
    residuals: dict[str, str | Path] = {}
    for path, file in zip(paths, files):
        contents = file["raw"]["sha256"]
        if contents in residuals:
            raise InputError(f"{path}: has the same contents as {residuals[contents]}: one launch cannot count twice")
        residuals[contents] = path
    first = files[0]["header"]
    for path, file in zip(paths, files):
        for difference in _differences(first, file["header"]):
            raise InputError(f"{path}: not from the machine of {paths[0]}: {difference}")
        if steered := first_difference(_steering(files[0], file), _steering(file, files[0])):
            raise InputError(f"{path}: not measured as {paths[0]}: {steered}; fit each by itself")
        if file["rows"] == 0:
            raise InputError(f"{path}: holds no cells and no probes")
        _of_one_kind(path, file["header"])
    repeated = book.repeated()
    without = frozenset(repeated) | _disturbed(files, paths, frozenset(repeated))
    for path, file in zip(paths, files):
        for part in ("launches", "ends"):
            file[part] = [record for record in file[part] if (str(path), record["launch"]) not in without]
    cells, unplaced = _placed(cell_rows.table(without), paths)
    made = calibrate(
        cells,
        seed=seed,
        provenance=_provenance(files, cells),
        method=_method(files, seed)
        | {"fit_law": law, "left_out": _left_out(unplaced, repeated, len(without) - len(repeated))},
        created=max(file["header"].get("created", "") for file in files),
        law=law,
        probes=probes.computations(without),
        steps=probes.collectives(without),
    )
    if not made.network_laws and (len(cells) or not made.compute_laws):
        reasons = "; ".join(dict.fromkeys(f"{n.target.collective}: {n.reason}" for n in made.not_fitted))
        raise InputError(f"{paths[0]}: no law could be fitted ({reasons or 'no cells of a collective'})")
    return made


def _differences(first: Document, other: Document) -> Iterator[str]:
    """In which fields of machine and software two headers differ, as far as the software took part in both measurements."""
    environments = [header.get("environment", {}) for header in (first, other)]
    held, now = (found.get("hardware") for found in environments)
    backends = [header.get("method", {}).get("backend") for header in (first, other)]
    used = [software_used(found.get("software"), backend) for found, backend in zip(environments, backends)]
    if len(set(backends)) > 1:  # each has packages that the other does without
        used = [{name: one[name] for name in one if name in used[0] and name in used[1]} for one in used]
    for difference in (first_difference(held, now, "hardware"), first_difference(used[0], used[1], "software")):
        if difference:
            yield difference


def _disturbed(files: Sequence[Document], paths: Sequence[str | Path], without: Launches) -> Launches:
    """The launches that something else disturbed, where enough others are left for intervals."""
    every = {(str(path), record["launch"]) for path, file in zip(paths, files) for record in file["launches"]} - without
    odd = {(str(path), launch) for path, file in zip(paths, files) for launch in file["disturbed"]}
    return frozenset(odd & every) if len(every - odd) >= MIN_LAUNCHES else frozenset()


def _left_out(unplaced: int, repeated: Mapping[tuple[str, int], tuple[str, int]], disturbed: int) -> dict[str, int]:
    """What of the files does not count, and how often."""
    found = {"ranks or nodes unknown": unplaced} if unplaced else {}
    found |= {"launches that something else disturbed": disturbed} if disturbed else {}
    for (path, _), (other, _) in repeated.items():
        same = f"launches of {Path(path).name} that are in {'it twice' if other == path else Path(other).name}"
        found[same] = found.get(same, 0) + 1
    return found


def _placed(cells: pandas.DataFrame, paths: Sequence[str | Path]) -> tuple[pandas.DataFrame, int]:
    """The cells whose ranks and nodes are known, and how many are not; samples of kernels alone have none.

    Raises InputError where there are cells, but none is known.
    """
    import pandas as pd

    if not len(cells):
        return pd.DataFrame(columns=list(COLUMNS)), 0
    placed = cells["ranks"].notna() & cells["nodes"].notna()
    if not placed.any():
        raise InputError(f"{paths[0]}: ranks or nodes of every cell are unknown: import again with --set ranks=…,nodes=…")
    return cells[placed].astype({"ranks": int, "nodes": int}), int((~placed).sum())


def _about(path: Path, book: LaunchBook, cell_rows: CellRows, probes: ProbeRows) -> Document:
    """One pass over a file: its header, its launches, how many cells it holds; its rows go into the collections."""
    header: Document = {}
    launches: list[Document] = []
    ends: list[Document] = []
    rows = probed = 0
    one_clock: set[str] = set()
    disturbances = Disturbances()

    def looked_at() -> Iterator[tuple[int, Document]]:
        nonlocal header, rows, probed
        for number, record in timed(path, checked_records(path)):
            kind = record["record"]
            book.add(path, record)
            probes.add(path, record)
            disturbances.add(record, record.get("times_us"))
            if kind == "header":
                header = record
            elif kind == "launch":
                launches.append(record)
            elif kind == "launch_end":
                ends.append(record)
            elif kind == "compute":
                probed += len(record["ops"])
            elif is_timed(record):
                rows += 1
                one_clock.add(record.get("time_definition") or "imported")
            yield number, record

    for _, record in on_one_network(looked_at()):
        if is_timed(record):
            cell_rows.add(path, record, record["times_us"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "header": header,
        "launches": launches,
        "ends": ends,
        "disturbed": disturbances.found(),
        "rows": rows or probed,
        "time_definitions": sorted(one_clock),
        "raw": {"path": path.name, "sha256": digest, "rows": rows or probed},
    }


def _steering(file: Document, other: Document) -> dict[str, str]:
    """The variables of a file that change what the collectives of both files' backends cost."""
    backend, second = (((one["header"].get("method") or {}).get("backend")) for one in (file, other))
    variables = (file["header"].get("environment") or {}).get("variables") or {}
    prefixes = STEERING.get(str(backend), ()) if backend == second else ()
    return {name: value for name, value in variables.items() if name.startswith(tuple(prefixes))}


def _of_one_kind(path: str | Path, header: Document) -> None:
    """An import may hold runs of several machines; a fit of them together would be of none."""
    environment = header.get("environment", {})
    for part, field, what in (("hardware", "devices", "kinds of GPU"), ("software", "versions", "library versions")):
        found = (environment.get(part) or {}).get(field)
        if isinstance(found, list) and len(found) > 1:
            raise InputError(
                f"{path}: runs on {len(found)} {what} ({', '.join(map(str, found))[:200]}): import each by itself"
            )


def _provenance(files: list[Document], cells: pandas.DataFrame) -> Document:
    environment = files[0]["header"].get("environment", {})
    launches = [launch for file in files for launch in file["launches"]]
    ends = [end for file in files for end in file["ends"]]
    node_of: list[int] = max((launch["node_of"] for launch in launches), key=len, default=[])
    return {
        "kind": "measured" if launches else "imported",
        "raw": [file["raw"] for file in files],
        "hardware": environment.get("hardware"),
        "topology": {
            # imported cells have no launches that say where the ranks were
            "ranks": len(node_of) or (int(cells["ranks"].max()) if len(cells) else 1),
            "nodes": len(set(node_of)) or (int(cells["nodes"].max()) if len(cells) else 1),
            "ranks_per_node": [node_of.count(node) for node in sorted(set(node_of))],
            "devices": _devices(launches),
        },
        "software": environment.get("software"),
        "env": environment.get("variables"),
        "conditions": {
            "load_1m": max((launch["conditions"]["load_1m"] for launch in launches), default=None),
            "steal_frac": max(
                (end["steal_fraction"] for end in ends if end.get("steal_fraction") is not None), default=None
            ),
            "involuntary_switches": sum(rank["involuntary_switches"] for end in ends for rank in end.get("ranks") or []),
        },
    }


def _devices(launches: list[Document]) -> list[str]:
    """Names of the GPUs that ranks computed on, one for each GPU; none where they computed on processors."""
    ranks = [rank.get("device") or {} for launch in launches for rank in launch.get("ranks") or []]
    by_uuid = {rank.get("uuid"): str(rank.get("name")) for rank in ranks if rank.get("kind") == "cuda"}
    return sorted(by_uuid.values())


def _method(files: list[Document], seed: int) -> Document:
    dropped = sorted({cell for file in files for end in file["ends"] for cell in end.get("dropped", [])})
    return {
        "settings": [file["header"].get("method") for file in files],
        "launches": sum(len({launch["launch"] for launch in file["launches"]}) for file in files),
        "launch_ends": [end["reason"] for file in files for end in file["ends"]],
        "order": "shuffled",
        "sync": "barrier",
        "time_definitions": sorted({name for file in files for name in file["time_definitions"]}),
        "statistic": "median_of_launch_medians",
        "bytes_def": "nccl_tests",
        "fit_seed": seed,
        "dropped": dropped,
    }
