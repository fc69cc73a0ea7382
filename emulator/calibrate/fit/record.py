"""From a fit to the records that the calibration file keeps of it, its projection onto the paper's terms included."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.fit.choose import Candidate, Choice
from inferometer.emulator.calibrate.fit.explain import combination_expression, not_identified_reason
from inferometer.emulator.calibrate.fit.held_out import HeldOut, hold_out, hold_out_launches, node_folds, relative_errors
from inferometer.emulator.calibrate.fit.intervals import Spread
from inferometer.emulator.calibrate.fit.points import Points, cell_means
from inferometer.emulator.calibrate.fit.robust import F_SCALE, LOSS, RESIDUAL, Fit
from inferometer.emulator.calibrate.laws.curved_problem import MAX_Q, MIN_Q
from inferometer.emulator.calibrate.laws.linear import parameter_source
from inferometer.emulator.calibrate.laws.terms import Term
from inferometer.emulator.samples.statistics import Z95

NAMES = {
    "base": "a",
    "per_local_rank": "b",
    "per_log2_node": "c",
    "intra_bw_GBs": "B_intra",
    "inter_bw_GBs": "B_inter",
}
NOTHING = Spread(None)


def parameter_records(fit: Fit, points: Points, over: Spread, within: Spread) -> dict[str, Document]:
    """Parameter records by name: fitted, tied, fixed, at their bound, or null with the reason."""
    status = {"paper": "fixed_prior", "scaled": "tied", "fitted": "fitted"}[fit.law.formula.constants]
    identified = fit.design.identified
    records: dict[str, Document] = {}
    if fit.law.formula.constants == "scaled":
        row = fit.design.rank
        record = _estimate(float(fit.free[0]), False, _row(over, row), _row(within, row), over.reason, over.over)
        records["scale"] = {"unit": "1", "status": "fitted", "source": "fit"} | record
    for term in fit.law.terms:
        common = {"unit": term.unit, "source": parameter_source(fit.law, term.name)}
        if term.name not in identified:
            reason = not_identified_reason(term.name, fit.design, points, fit.law.formula)
            records[term.name] = common | {"value": None, "ci95": None, "status": "not_identified", "reason": reason}
            records[term.name]["ci95_reason"] = "not identified"
            continue
        row = identified[term.name]
        theta = float(fit.combinations[row])
        interval = _row(over, row)
        if term.unit == "bytes" and interval is not None:
            interval = _between_sizes(theta, interval, points)
        record = _estimate(theta, term.is_bandwidth, interval, _row(within, row), over.reason, over.over)
        bound = _bound_reason(term, theta)
        records[term.name] = common | {"status": status if bound is None else "at_bound"} | record
        if bound is not None:
            records[term.name] |= {"reason": bound} | _without_interval(record)
    return records


def combination_records(fit: Fit, points: Points, over: Spread, within: Spread) -> list[Document]:
    """The identifiable combinations that are not single parameters."""
    alone = set(fit.design.identified.values())
    records = []
    for row in range(fit.design.rank):
        if row in alone:
            continue
        expression, unit = combination_expression(fit.design, row, points)
        value = float(fit.combinations[row])
        records.append(
            {"expr": expression, "coefficients": fit.design.coefficients(row), "unit": unit}
            | _estimate(value, False, _row(over, row), _row(within, row), over.reason, over.over)
        )
    return records


def covariance_record(fit: Fit, points: Points, over: Spread) -> Document | None:
    """Covariance of the estimated quantities over launches; None where there are too few launches."""
    if over.cov is None or over.on_log is None:
        return None
    alone = {row: name for name, row in fit.design.identified.items()}
    order = []
    for row in range(fit.design.rank):
        name = alone.get(row)
        if name is None:
            name = combination_expression(fit.design, row, points)[0]
        order.append(f"1/{name}" if name.startswith("B_") else name)
    if len(over.on_log) > len(order):
        order.append("scale")
    scale = ["ln" if log else "linear" for log in over.on_log]
    return {"order": order, "matrix": over.cov.tolist(), "dof": over.dof, "scale": scale}


def fit_record(choice: Choice, points: Points, excluded: dict[str, int], without: dict[int, Fit], over: Spread) -> Document:
    """Errors of the chosen law, in sample and held out, and the scores of all that were tried."""
    fit = choice.chosen.fit
    predicted = fit.predict_us(points.n, points.r, points.N)
    by_nodes = hold_out(fit.law, points, node_folds(points))
    errors = relative_errors(predicted, points.us)
    signed = predicted / points.us - 1
    decade = np.where(points.n > 0, np.floor(np.log10(np.maximum(points.n, 1))), -1)
    names = {d: "0" if d < 0 else f"1e{d:.0f}" for d in np.unique(decade)}
    return {
        "residual": RESIDUAL,
        "loss": LOSS,
        "f_scale": F_SCALE,
        "n_points": len(points),
        "n_cells": len(np.unique(points.cell)),
        "n_outlying": int((points.trust < 1).sum()),
        "n_excluded": excluded,
        "condition": fit.design.condition,
        "medape": float(np.median(errors)),
        "p90ape": float(np.quantile(errors, 0.9)),
        "maxape": float(errors.max()),
        "bias_by_decade": {name: float(np.median(signed[decade == d])) for d, name in names.items()},
        "cv": {
            "sizes": held_out_record(choice.chosen.sizes, points, "fewer than three sizes"),
            "leave_rank_out": held_out_record(choice.chosen.ranks, points, "one rank count only"),
            "leave_node_out": held_out_record(by_nodes, points, "one node count only"),
            "leave_launch_out": held_out_record(hold_out_launches(points, without), points, "one launch only"),
        },
        "spread": {
            "sample": misses(predicted, points, over) or 0.0,
            "sizes": misses(choice.chosen.sizes.predicted_us, points, over),
            "ranks": misses(choice.chosen.ranks.predicted_us, points, over),
            "nodes": misses(by_nodes.predicted_us, points, over),
        },
        "choice": choice.reason,
        "alternatives": [_alternative(c, choice, points) for c in choice.candidates],
    }


def misses(predicted_us: Array, points: Points, over: Spread) -> float | None:
    """95th percentile of |ln(predicted/measured)| where there is a prediction.

    Where the estimates have intervals over launches, those hold how far the mean over launches may be off, and what counts
    here is the law: measured is each cell's mean over launches, without their common factors, and what chance leaves in
    such a mean is taken off in squares, down to what that chance would hide (`hidden`). Else measured is every launch.
    """
    known = np.isfinite(predicted_us)
    if not known.any():
        return None
    if over.cov is None or over.over != "launches":
        return float(np.quantile(np.abs(np.log(predicted_us[known] / points.us[known])), 0.95))
    means, variances = cell_means(points)
    _, first = np.unique(points.cell, return_index=True)
    at = known[first]
    missed = float(np.quantile(np.abs(np.log(predicted_us[first][at]) - means[at]), 0.95))
    noise = Z95 * float(np.sqrt(np.mean(variances)))
    return float(np.sqrt(max(missed**2 - noise**2, hidden(int(at.sum())) * noise**2)))


def hidden(cells: int) -> float:
    """The standard error of a variance by so many cells, relative to it: a misfit below that may be chance."""
    return float(np.sqrt(2 / cells))


def held_out_record(held_out: HeldOut, points: Points, nothing_to_hold_out: str) -> Document:
    """Median and 90th percentile of the held-out relative errors, or null with a reason."""
    errors = relative_errors(held_out.predicted_us, points.us)
    missing = "; ".join(held_out.missing) or None
    if not len(errors):
        return {"median": None, "p90": None, "n": 0, "reason": missing or nothing_to_hold_out}
    p90 = float(np.quantile(errors, 0.9))
    return {"median": float(np.median(errors)), "p90": p90, "n": len(errors), "reason": missing}


def paper_projection(projected: Fit, chosen: Fit, points: Points, over: Spread) -> Document:
    """The PaperProjection record: projected is the affine law fitted to the points, over its intervals."""
    parameters = parameter_records(projected, points, over, NOTHING)
    values: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    reasons: dict[str, str] = {}
    for name, parameter in NAMES.items():
        record = parameters.get(parameter)
        if record is None:
            record = {"value": None, "ci95": None, "reason": "this collective has no such term"}
        values[name], intervals[name] = record["value"], record["ci95"]
        reason = record.get("reason") or record.get("ci95_reason")
        if reason is not None:
            reasons[name] = reason
    where = points.n, points.r, points.N
    mine, full = projected.predict_us(*where), chosen.predict_us(*where)
    errors = relative_errors(mine, points.us)
    return {
        "t_reduce_us": {name: values[name] for name in ("base", "per_local_rank", "per_log2_node")},
        "intra_bw_GBs": values["intra_bw_GBs"],
        "inter_bw_GBs": values["inter_bw_GBs"],
        "ci95": intervals,
        "reasons": reasons,
        "identifiable_combinations": combination_records(projected, points, over, NOTHING),
        "medape": float(np.median(errors)),
        "p90ape": float(np.quantile(errors, 0.9)),
        "maxape": float(errors.max()),
        "max_rel_dev_vs_full_model": float(np.abs(mine / full - 1).max()),
    }


def domain_record(points: Points) -> Document:
    """Where the law was measured."""
    return {
        "bytes": (int(points.n.min()), int(points.n.max())),
        "ranks": [int(v) for v in np.unique(points.r)],
        "nodes": [int(v) for v in np.unique(points.N)],
        "ranks_per_node": [float(v) for v in np.unique(points.r / points.N)],
    }


def _alternative(candidate: Candidate, choice: Choice, points: Points) -> Document:
    errors = relative_errors(candidate.fit.predict_us(points.n, points.r, points.N), points.us)
    return {
        "form": candidate.name,
        "free_parameters": candidate.n_free,
        "score": candidate.score,
        "score_se": candidate.score_se,
        "bic": candidate.bic,
        "medape": float(np.median(errors)),
        "sizes": held_out_record(candidate.sizes, points, "fewer than three sizes"),
        "leave_rank_out": held_out_record(candidate.ranks, points, "one rank count only"),
        "chosen": candidate is choice.chosen,
        "coincides_with": candidate.coincides_with,
        "unfit": candidate.unfit,
    }


def _row(spread: Spread, row: int) -> tuple[float, float] | None:
    if spread.intervals is None:
        return None
    low, high = spread.intervals[row]
    return float(low), float(high)


def _estimate(
    theta: float,
    inverse: bool,
    over: tuple[float, float] | None,
    within: tuple[float, float] | None,
    missing: str | None,
    over_what: str,
) -> Document:
    """Value and intervals; inverse turns θ = 1/B [ns/byte] into B [GB/s], whose upper limit 1/0 does not exist."""
    if over == (0.0, 0.0):  # no spread is not certainty: the true value may be anything too small to be seen
        over, missing = None, "it is 0 whichever launch is left out, so launches say nothing of how large it may be"
    record: Document = {"value": theta, "ci95": over, "ci95_reason": missing if over is None else None}
    record["ci95_over"] = None if over is None else over_what
    record["within_launch_ci95"] = None if within == (0.0, 0.0) else within
    if not inverse:
        return record
    record["value"] = 1.0 / theta if theta > 0 else None
    for name, pair in (("ci95", over), ("within_launch_ci95", record["within_launch_ci95"])):
        if pair is not None:
            low, high = pair
            record[name] = (1.0 / high, 1.0 / low) if low > 0 else None
            if low <= 0 and name == "ci95":
                bound = f", at least {1.0 / high:.4g} GB/s" if high > 0 else ""
                record["ci95_over"] = None
                record["ci95_reason"] = f"no upper limit{bound}: an infinite bandwidth is within the interval"
    return record


def _without_interval(record: Document) -> Document:
    """What replaces the interval of a parameter at its bound: refits pile up there, so their quantiles cover nothing."""
    if record["ci95"] is None:
        return {}
    low, high = record["ci95"]
    return {"ci95": None, "ci95_over": None, "ci95_reason": f"at its bound; refits reach from {low:.4g} to {high:.4g}"}


def _between_sizes(threshold: float, interval: tuple[float, float], points: Points) -> tuple[float, float]:
    """The interval of a threshold: at least from the measured size below it to the one above."""
    below, above = points.n[points.n <= threshold], points.n[points.n > threshold]
    return min(interval[0], float(below.max())), max(interval[1], float(above.min()))


def _bound_reason(term: Term, theta: float) -> str | None:
    if term.name == "q" and not MIN_Q < theta < MAX_Q:
        return "at its limit: latency and transfer " + ("hide each other entirely" if theta >= MAX_Q else "more than add up")
    if theta > 0:
        return None
    if term.is_bandwidth:
        return "the fit puts 1/B at 0: these sizes show no time that grows with bytes"
    return "the fit puts it at its bound, 0"
