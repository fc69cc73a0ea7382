"""What is built in, as tables: accelerators, calibrations, collectives, models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.pricing.accelerators import accelerator_names, load_accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.columns import aligned
from inferometer.emulator.workload.catalogue import model_names
from inferometer.parallel.collectives import COLLECTIVES

if TYPE_CHECKING:
    import pandas

Rows = list[dict[str, Any]]


def _models() -> Rows:
    return [{"name": name} for name in model_names()]


def _accelerators() -> Rows:
    rows: Rows = []
    for name in accelerator_names():
        found = load_accelerator(name)
        rates = found.flop_per_s
        rows.append(
            {
                "name": name,
                "memory_gb": found.memory_bytes / 1e9,
                "memory_tb_per_s": found.memory_bytes_per_s / 1e12,
                "tflop_per_s_16_bits": rates[16] / 1e12 if 16 in rates else None,
                "node": found.node_size,
                "usd_per_hour": found.usd_per_hour,
            }
        )
    return rows


def _calibration_names() -> list[str]:
    from inferometer.emulator.calibrate.evaluate.file import calibration_names  # pydantic, which the other lists do without

    return calibration_names()


def _calibrations() -> Rows:
    from inferometer.emulator.calibrate.evaluate.file import calibration_names, computed, load_calibration
    from inferometer.emulator.economics.pricing.mismatch import measured_on

    rows: Rows = []
    for name in calibration_names():
        if computed(name):
            about = {"measured_on": "NCCL's own model, for any device", "software": None}
            rows.append({"name": name, "collectives": None, "ranks": None, "kernels": None, **about})
            continue
        found = load_calibration(name)
        ranks = {cell.ranks for cell in found.cells}
        rows.append(
            {
                "name": name,
                "collectives": len({law.target.collective for law in found.network_laws}),
                "ranks": f"{min(ranks)}–{max(ranks)}" if len(ranks) > 1 else "".join(map(str, ranks)) or None,
                "kernels": kernels if (kernels := len(found.compute_laws)) else None,
                "measured_on": measured_on(found) or (found.provenance.hardware or {}).get("description"),
                "software": (found.provenance.software or {}).get("library"),
            }
        )
    return rows


def _collectives() -> Rows:
    return [
        {"name": name, "nccl_tests": record.tools.tests, "bytes_are": record.bytes_are}
        for name, record in COLLECTIVES.items()
    ]


CELL = 36
"""Letters of a cell of a table; `--json` has the whole."""

CATALOGUES: dict[str, Callable[[], Rows]] = {
    "models": _models,
    "accelerators": _accelerators,
    "calibrations": _calibrations,
    "collectives": _collectives,
}


def catalogue(what: str) -> pandas.DataFrame:
    """What is built in of a kind (models, accelerators, calibrations, collectives), a row each.

    Raises InputError for another kind.
    """
    import pandas as pd

    if what not in CATALOGUES:
        raise InputError(f"{what}: none of {', '.join(CATALOGUES)}")
    return pd.DataFrame(rows_of(what))


def names_of(what: str) -> list[str]:
    """The names that rows_of has, without anything else being read."""
    found: dict[str, Callable[[], Iterable[str]]] = {
        "models": model_names,
        "accelerators": accelerator_names,
        "calibrations": _calibration_names,
        "collectives": lambda: COLLECTIVES,
    }
    return list(found[what]())


def rows_of(what: str) -> Rows:
    """What is built in of a kind, a row each, with a `name` that every command takes."""
    return CATALOGUES[what]()


def table_of(rows: Rows) -> list[str]:
    """The rows as aligned columns under their names."""
    head = [name.replace("_", " ") for name in rows[0]]
    numbers = [at for at, value in enumerate(rows[0].values()) if isinstance(value, int | float)]
    return aligned([head, *([_text(value) for value in row.values()] for row in rows)], numbers)


def _text(value: object) -> str:
    text = "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
