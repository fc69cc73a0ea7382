"""Beside the paper's constants and the built-in calibrations: the same collective, ranks and size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.main_laws import main_laws, paper_time_us
from inferometer.emulator.report.page.elements import paragraph, section, table
from inferometer.emulator.units import format_bytes, format_us

SIZES = (4096, 262144, 16777216)
BESIDE = ("a100-nccl", "h100-nccl", "b200-nccl")


def against(calibration: Calibration, beside: Sequence[str] = BESIDE) -> str:
    others = {name: load_calibration(name) for name in beside}
    rows: list[tuple[object, ...]] = []
    for law in main_laws(calibration):
        collective = law.target.collective
        if collective == "barrier" or law.target.oversubscribed:
            continue
        key = law.target.model_dump(exclude={"collective"})
        for ranks in law.domain.ranks:
            for nodes in law.domain.nodes:
                if ranks % nodes:
                    continue
                for size in SIZES:
                    here = _us(calibration, collective, size, ranks, nodes, key)
                    if here is None:
                        continue
                    paper = float(paper_time_us(collective, size, ranks, nodes)[0])
                    there = [_us(other, collective, size, ranks, nodes, {}) for other in others.values()]
                    told = [None if us is None else format_us(us) for us in there]
                    place = (collective, ranks, nodes, format_bytes(size))
                    rows.append((*place, format_us(here), format_us(paper), f"{here / paper:.3g}", *told))
    words = "Times in µs. The paper's constants are of NCCL on H100; a calibration that has not measured a rank count has –."
    head = ("collective", "ranks", "nodes", "bytes", "here", "paper", "here/paper", *others)
    shown = table(head, rows, right=range(1, len(head))) if rows else paragraph("No law determines any of these times.")
    return section("Beside the paper and other machines", "against", paragraph(words, "soft") + shown)


def _us(
    calibration: Calibration, collective: str, size: int, ranks: int, nodes: int, key: dict[str, object]
) -> float | None:
    """None where it is not determined, or outside what was measured."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            law = calibration.law(collective, **key)
            if ranks not in law.domain.ranks or nodes not in law.domain.nodes:
                return None
            us = 1e6 * float(np.asarray(calibration.time_s(collective, size, ranks, nodes, **key)))  # type: ignore[arg-type]
    except InputError:
        return None
    return us if np.isfinite(us) else None
