"""What a fit of an engine's profile found, as text: parameters, held-out errors, what the points cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from inferometer.emulator.economics.serving.engines.parameters import PRIORS
from inferometer.emulator.economics.serving.fitting.engine import EngineFit
from inferometer.emulator.report.columns import wrapped

MOST_PROBLEMS = 5


def fit_lines(fitted: EngineFit) -> list[str]:
    """The text that `inferometer fit --serving` prints."""
    return list(_lines(fitted))


def _lines(fitted: EngineFit) -> Iterator[str]:
    profile = fitted.pooled
    points = fitted.bills.points
    versions = sorted({point.deployed.version or "version unknown" for point in points})
    yield f"{profile.engine}: {len(points)} points of {len(versions)} versions, {len(fitted.unusable)} left out"
    yield ""
    yield f"{'parameter':<20}{'value':>10}   {'95 % interval':<24}{'unit':<9}{'status'}"
    for name, parameter in profile.parameters.items():
        interval = "" if parameter.low is None or parameter.high is None else f"{parameter.low:.3g} to {parameter.high:.3g}"
        yield f"{name:<20}{parameter.value:>10.3g}   {interval:<24}{PRIORS[name].unit:<9}{parameter.status}"
    for name, why in fitted.undetermined.items():
        yield from wrapped(f"not determined: {name}: {why}")
    yield ""
    yield f"{'left out':<14}{'points':>7}{'TPOT median':>13}{'p90':>8}{'TTFT median':>13}{'p90':>8}"
    for name, errors in fitted.left_out.items():
        cells = [part for values in (errors.tpot, errors.ttft) for part in _errors(values)]
        count = int(np.isfinite(errors.tpot).sum())
        yield f"{name:<14}{count:>7}{cells[0]:>13}{cells[1]:>8}{cells[2]:>13}{cells[3]:>8}"
    problems = Counter(point.problems[0].split(":")[0] for point in fitted.unusable)
    for words, count in problems.most_common(MOST_PROBLEMS):
        yield from wrapped(f"left out: {count} × {words}")


def fit_record(fitted: EngineFit) -> dict[str, object]:
    """The fit as JSON: parameters, held-out errors (null where nothing could be left out), what the points cannot say."""
    return {
        "engine": fitted.pooled.engine,
        "points": len(fitted.bills.points),
        "unusable": len(fitted.unusable),
        "parameters": {
            name: vars(parameter) | {"unit": PRIORS[name].unit} for name, parameter in fitted.pooled.parameters.items()
        },
        "left_out": {
            name: {"points": int(np.isfinite(errors.tpot).sum())}
            | dict(zip(("tpot_median", "tpot_p90"), _quantiles(errors.tpot)))
            | dict(zip(("ttft_median", "ttft_p90"), _quantiles(errors.ttft)))
            for name, errors in fitted.left_out.items()
        },
        "not_determined": fitted.undetermined,
    }


def _quantiles(values: np.ndarray) -> tuple[float | None, float | None]:
    """Median and 90th percentile of the known errors' sizes."""
    known = np.abs(values[np.isfinite(values)])
    return (float(np.median(known)), float(np.quantile(known, 0.9))) if len(known) else (None, None)


def _errors(values: np.ndarray) -> tuple[str, str]:
    median, p90 = _quantiles(values)
    return ("–", "–") if median is None or p90 is None else (f"{median:.1%}", f"{p90:.1%}")
