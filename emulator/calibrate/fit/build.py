"""From measured cells to a calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from inferometer import __version__
from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import canonical, content_id
from inferometer.emulator.calibrate.fit.cell_summary import summarise_cells
from inferometer.emulator.calibrate.fit.choose import AUTO, NotFittedError, choose_law
from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.fit.guidelines import guidelines_record
from inferometer.emulator.calibrate.fit.in_step import IN_STEP, fit_in_step
from inferometer.emulator.calibrate.fit.intervals import fits_without_each_launch, spreads
from inferometer.emulator.calibrate.fit.kernels.laws import fit_kernels
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.fit.quality import Evidence, assess
from inferometer.emulator.calibrate.fit.record import (
    combination_records,
    covariance_record,
    domain_record,
    fit_record,
    paper_projection,
    parameter_records,
)
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.forms import formula_named
from inferometer.emulator.calibrate.laws.linear import AFFINE, affine
from inferometer.emulator.calibrate.schema.keys import COLUMNS, KEY_FIELDS, Key, flags_of, keys_of, rows_of_key, usable_rows
from inferometer.emulator.calibrate.schema.records import SCHEMA
from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


NOT_MEASURED = {
    "network": "no collective was measured: network terms are not identified",
    "compute": "computing was not probed, or too little of it to price a step",
    "in_step": "the in-step overhead a real step pays is not measured yet",
}


def calibrate(
    cells: pd.DataFrame,
    *,
    seed: int,
    provenance: Document,
    method: Document,
    created: str,
    law: str = AUTO,
    probes: pd.DataFrame | None = None,
    steps: pd.DataFrame | None = None,
) -> Calibration:
    """Fit every key of the measured cells and put the calibration together.

    cells: one row per cell and launch with the columns of inferometer.emulator.calibrate.schema.keys.COLUMNS (bytes in
    nccl-tests' convention, us the launch's median in µs, iterations_us its iterations or None). provenance needs
    "kind"; created is RFC 3339 and given, so that the same samples and seed give the same bytes. seed drives the
    resampling where there are too few launches for an interval over them. law: "auto", or the form every key gets; a
    key whose cells cannot bear it is not fitted, and says so. Rows of measure.probe_table: probes, of the compute side;
    steps, of the collectives of models' steps.

    Raises InputError for missing columns, a provenance of the wrong form, or a law that is not known.
    """
    if law != AUTO:
        formula_named(law)
    if missing := [name for name in COLUMNS if name not in cells.columns]:
        raise InputError(f"cells: missing columns {', '.join(missing)}")
    whole = cells[cells["timing"] != IN_STEP]
    measured = summarise_cells(whole)
    models: list[Document] = []
    not_fitted: list[Document] = []
    for key in keys_of(whole):
        if key["collective"] == "null":
            continue
        rows, excluded = usable_rows(rows_of_key(whole, key))
        for part in parts_of_key(key, rows):
            try:
                models.append(fit_key(key, part, excluded, seed, law))
            except NotFittedError as error:
                not_fitted.append({"target": key, "reason": str(error), "n_excluded": excluded})
    in_step_laws, no_in_step = fit_in_step(cells, models, steps)
    compute: list[Document] = []
    if probes is not None:
        on_host = probes["launch_mode"] == "host"
        compute = fit_compute(probes[on_host]) + fit_kernels(probes[~on_host])
    measured_parts = {"network": models or not_fitted, "compute": compute, "in_step": in_step_laws}
    conditions, hardware = provenance.get("conditions"), provenance.get("hardware")
    evidence = Evidence(
        measured + [cell for in_step in in_step_laws for cell in in_step["cells"]],
        fewest_launches(cells) or _launches_of(probes),
        [(m["target"]["collective"], m["fit"]["cv"]["sizes"]["median"]) for m in models],
        conditions if isinstance(conditions, dict) else {},
        [law for law in compute if law["form"] == "roofline"],
        _ranks_per_gpu(cells, provenance),
    )
    document = canonical(
        {
            "schema": SCHEMA,
            "id": "",
            "created": created,
            "generator": {"name": "inferometer", "version": __version__},
            "provenance": provenance,
            "method": method,
            "quality": assess(evidence),
            "network_laws": models,
            "not_fitted": not_fitted + no_in_step,
            "compute_laws": compute,
            "in_step_laws": in_step_laws,
            "not_measured": {part: NOT_MEASURED[part] for part, laws in measured_parts.items() if not laws},
            "launch_floor": launch_floors(measured),
            "guidelines": guidelines_record(measured, hardware if isinstance(hardware, dict) else {}),
            "cells": measured,
        }
    )
    return validated(document)


def parts_of_key(key: Key, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each law of a key: all of them, but those of each rank count where ranks outnumber cores.

    What a rank waits for there is a core, by the slices of the scheduler: no line leads from one rank count to another.
    """
    if not key["oversubscribed"] or not len(rows):
        return [rows]
    return [some for _, some in rows.groupby("ranks", sort=True)]


def fit_key(key: Key, rows: pd.DataFrame, excluded: dict[str, int], seed: int, law: str = AUTO) -> Document:
    """The NetworkLaw record of one key from its usable rows, or from those of a part of it (`parts_of_key`).

    Raises NotFittedError if there are none, or if they cannot bear the law asked for.
    """
    if not len(rows):
        raise NotFittedError("no usable rows")
    points = points_of(rows)
    collective = key["collective"]
    choice = choose_law(collective, points, law)
    fit = choice.chosen.fit
    without = fits_without_each_launch(fit, points)
    iterations = list(rows["iterations_us"])
    over, within = spreads(fit, points, without, iterations, seed)
    projected, projected_over = fit, over
    if fit.law.formula != AFFINE:
        projected = fit_law(affine(collective), points)
        projected_without = fits_without_each_launch(projected, points)
        projected_over, _ = spreads(projected, points, projected_without, iterations, seed)
    return {
        "target": {name: key[name] for name in KEY_FIELDS},
        "form": fit.law.name,
        "equation": fit.law.equation,
        "formula": fit.law.formula.model_dump(),
        "params": parameter_records(fit, points, over, within),
        "identifiable_combinations": combination_records(fit, points, over, within),
        "cov": covariance_record(fit, points, over),
        "domain": domain_record(points),
        "fit": fit_record(choice, points, excluded, without, over),
        "paper_projection": paper_projection(projected, fit, points, projected_over),
        "flags": sorted({flag for flags in rows["flags"] for flag in flags_of(flags)}),
    }


def fewest_launches(cells: pd.DataFrame) -> int:
    """The launches behind the backend that has fewest of them."""
    counts = cells.groupby(["implementation", "backend", "launch_mode", "scheduler"], dropna=False)["launch"].nunique()
    return int(counts.min()) if len(counts) else 0


def _ranks_per_gpu(cells: pd.DataFrame, provenance: Document) -> tuple[int, int] | None:
    """Most ranks of a node and the GPUs it has; None where no collective ran on GPUs, or nothing says how many there are."""
    gpus = (provenance.get("hardware") or {}).get("gpus")
    ranks = (provenance.get("topology") or {}).get("ranks_per_node")
    if not gpus or not ranks or not (cells["backend"] == "nccl").any():
        return None
    return max(ranks), len(gpus)


def _launches_of(probes: pd.DataFrame | None) -> int:
    """The launches of probes, where there are no cells."""
    return 0 if probes is None else int(probes["launch"].nunique())


def launch_floors(measured: list[Document]) -> list[Document]:
    """LaunchFloor records: the median time of the null operation for each key and topology that has it."""
    floors = []
    for cell in measured:
        medians = [us for us in cell["launch_medians"] if us is not None]
        if cell["target"]["collective"] == "null" and medians:
            place = {name: cell[name] for name in ("target", "ranks", "nodes")}
            floors.append(place | {"us": float(np.median(medians)), "launch_medians": medians})
    return floors


def validated(document: Document) -> Calibration:
    """The calibration a document stands for, with its id. Raises InputError, naming the key, if it is of no such form."""
    try:
        unnamed = Calibration.model_validate(document)
    except ValidationError as error:
        raise InputError(first_error(error)) from error
    content = unnamed.model_dump(mode="json", by_alias=True)
    return unnamed.model_copy(update={"id": content_id(content)})
