"""Can I trust this: verdict, noise, machine, what is unknown and what would tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.report.machine import implementations, machine_words
from inferometer.emulator.report.page.elements import bullets, paragraph, section, table, tag, text

BADGES = {"ok": "ok", "usable_with_care": "care", "unsuitable_for_calibration": "bad"}
TELLS = (
    ("one node", "measure on several nodes: torchrun --nnodes …, or inferometer lab for hosts of this machine"),
    ("one group size", "measure other rank counts, by allocations of their own or -n"),
    ("not probed", "inferometer calibrate, or measure with its compute probes"),
    ("not measured", "inferometer calibrate with a larger --budget"),
    ("launch", "more launches: measure --append"),
)
"""What would determine what is missing, by a word of its reason."""


def trust(calibration: Calibration) -> str:
    quality = calibration.quality
    badge = tag("span", text(quality.verdict.replace("_", " ")), class_=f"verdict {BADGES.get(quality.verdict, 'care')}")
    parts = [tag("p", f"Verdict: {badge}"), bullets(quality.reasons), paragraph(machine_words(calibration))]
    ran = [f"{how}: {count} launch{'' if count == 1 else 'es'}" for how, count in implementations(calibration).items()]
    parts += [bullets(ran), _noise(calibration), _unknown(calibration)]
    return section("Can I trust this", "trust", "".join(parts))


def _noise(calibration: Calibration) -> str:
    """How far launches differ, by collective; what results were wrong."""
    rows = []
    for name in sorted({cell.target.collective for cell in calibration.cells}):
        cells = [cell for cell in calibration.cells if cell.target.collective == name]
        spread = [100 * cell.between_launch_rsd for cell in cells if cell.between_launch_rsd is not None]
        checked = [cell.wrong for cell in cells if cell.wrong is not None]
        rows.append(
            (
                name, len(cells), f"{np.median(spread):.1f}" if spread else None, f"{max(spread):.1f}" if spread else None,
                sum(checked) if checked else None,
            )
        )  # fmt: skip
    if not rows:
        return paragraph("The file holds laws alone: nothing is known of the measured cells.", "soft")
    head = ("collective", "cells", "launches differ, median %", "most %", "wrong elements")
    return table(head, rows, right=range(1, 5), caption="Noise: relative standard deviation of a cell's launch medians")


def _unknown(calibration: Calibration) -> str:
    reasons: dict[str, list[str]] = {}
    for law in calibration.network_laws:
        for name, parameter in law.params.items():
            if parameter.status == "not_identified" and parameter.reason:
                reasons.setdefault(parameter.reason, []).append(f"{law.target.collective}: {name}")
    for what, why in calibration.not_measured.items():
        reasons.setdefault(why, []).append(what.replace("_", " "))
    for missing in calibration.not_fitted:
        reasons.setdefault(missing.reason, []).append(f"law of {missing.target.collective}")
    if not reasons:
        return paragraph("Every parameter of every law is determined.")
    rows = [(", ".join(_few(names)), why, next(iter(_tells(why)), None)) for why, names in reasons.items()]
    return tag("h3", "What is not known") + table(("what", "why", "what would tell"), rows)


def _tells(why: str) -> Iterator[str]:
    return (advice for word, advice in TELLS if word in why)


def _few(names: list[str]) -> list[str]:
    unique = list(dict.fromkeys(names))
    return unique if len(unique) <= 6 else [*unique[:6], f"{len(unique) - 6} more"]
