"""A validation as text: predicted beside measured for each cell and term, the errors of all cells, the acceptance bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.emulator.report.columns import aligned, wrapped
from inferometer.emulator.units import format_us

MISSES_SHOWN = 8
NOTES_SHOWN = 2
"""Of each shape's notes, as far as the cells do not have the same ones."""
GIB = 2**30
BOUND_WORDS = {
    "median_abs_rel_error / repeat_launch_error": "median error ≤ {limit:g} × run-to-run difference",
    "median_abs_rel_error": "median error ≤ {limit:.0%}",
    "p90_abs_rel_error": "90th percentile of errors ≤ {limit:.0%}",
}
"""By the bound's name in the document."""
HELD = {True: "held", False: "missed", None: "not known"}


def validation_lines(document: Mapping[str, Any]) -> list[str]:
    """The text that `inferometer validate` prints. document: what its JSON holds."""
    parts = (_settings, _cells, _terms, _missed, _extrapolation, _notes, _overall, _bounds)
    lines: list[str] = []
    for part in parts:
        found = list(part(document))
        lines += ["", *found] if lines and found else found
    return lines


def _settings(document: Mapping[str, Any]) -> Iterator[str]:
    method, calibration = document["method"], document["calibration"]
    threads = f"{method['threads']} thread{'s' if method['threads'] > 1 else ''} a rank"
    ranks = f"{method['backend']}, scheduler {method['scheduler']}, {threads}, {method['launches']} launches"
    yield f"matrix {document['matrix']['name']}: {ranks}"
    yield f"calibration {calibration['id'][:12]} ({calibration['path']}), {calibration['quality'].replace('_', ' ')}"


def _cells(document: Mapping[str, Any]) -> Iterator[str]:
    yield "Time of a step; run-to-run: how far one launch is from the median of the others (median)"
    head = f"{'#':>3}  {'phase':<8}{'measured µs':>14}{'predicted µs':>14}{'error':>9}"
    yield f"{head}{'95 % interval':>18}{'run-to-run':>12}"
    before = None
    for cell in document["cells"]:
        if cell["cell"] != before:
            yield f"{cell['cell']:>3}  {cell['words']}"
        before = cell["cell"]
        error, interval = cell["rel_error"], cell["rel_error_ci95"]
        around = f"{interval[0]:+.0%} to {interval[1]:+.0%}" if interval else "–"
        repeats = sorted(cell["repeat_errors"])
        yield (
            f"{'':>3}  {cell['phase']:<8}{format_us(cell['measured_us']):>14}"
            f"{format_us(cell['predicted_us']['calibration']):>14}{_signed(error):>9}{around:>18}"
            f"{_share(repeats[len(repeats) // 2] if repeats else None):>12}"
        )
    for left in document["left_out"]:
        yield from wrapped(f"{left['cell']:>3}  left out: {left['reason']}")
    reasons = dict.fromkeys(why for cell in document["cells"] for why in [cell["reasons"].get("calibration")] if why)
    for why in reasons:
        yield from wrapped(f"not predicted: {why}")


def _terms(document: Mapping[str, Any]) -> Iterator[str]:
    names = list(document["cells"][0]["terms"])
    yield "Terms of a step, predicted / measured µs (instrumented steps, means over ranks)."
    yield from wrapped(
        "The prediction of waiting is the in-step overhead, which includes slower transfers: "
        "compare the sums of network and waiting, not each alone."
    )
    rows = [["#", "phase", *names]]
    for cell in document["cells"]:
        terms = (cell["terms"][name] for name in names)
        pairs = [f"{format_us(term['predicted_us'])} / {format_us(term['measured_us'])}" for term in terms]
        rows.append([str(cell["cell"]), cell["phase"], *pairs])
    yield from aligned(rows, right=[0, *range(2, len(names) + 2)])


def _missed(document: Mapping[str, Any]) -> Iterator[str]:
    yield "Largest errors by operation, as shares of the measured step (means over rows)"
    rows = [["operation", "measured", "predicted", "difference"]]
    for row in document["missed"][:MISSES_SHOWN]:
        numbers = [_share(row["measured_share"]), _share(row["predicted_share"]), _signed(row["difference"])]
        rows.append([row["operation"], *numbers])
    yield from (f"  {line}" for line in aligned(rows, right=(1, 2, 3)))


def _extrapolation(document: Mapping[str, Any]) -> Iterator[str]:
    yield "Extrapolation: the predicted decode step of the scaled shape and of the whole model, same layout"
    for row in document["extrapolation"]:
        yield f"  {row['model']}, {row['layout']}, batch {row['batch']}, context {row['context']}"
        for side in ("scaled", "full"):
            yield from _shape(side, row[side], set(document["notes"]))


def _shape(side: str, shape: Mapping[str, Any], said: set[str]) -> Iterator[str]:
    if "terms_us" not in shape:
        yield from wrapped(f"not predicted: {shape['reason']}", f"    {side:<7} ")
        return
    terms = ", ".join(f"{name} {format_us(us)}" for name, us in shape["terms_us"].items())
    memory = f"{shape['weights_bytes'] / GIB:.2f} GiB weights + {shape['kv_bytes'] / GIB:.3f} GiB cache per rank"
    yield from wrapped(f"{format_us(shape['predicted_us'])} µs: {terms}; {memory}", f"    {side:<7} ")
    new = [words for words in shape["notes"] if words not in said]
    for words in new[:NOTES_SHOWN]:
        yield from wrapped(words, " " * 12)
    if len(new) > NOTES_SHOWN:
        yield f"{'':12}{len(new) - NOTES_SHOWN} more notes are in the JSON"


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    for words in document["notes"]:
        yield from wrapped(f"note: {words}")


def _overall(document: Mapping[str, Any]) -> Iterator[str]:
    overall = document["overall"]
    count = f"Overall: {overall['cells']} cells, {overall['rows']} rows"
    yield f"{count:<32}{'median |error|':>16}{'90th percentile':>18}{'median':>9}"
    for name, variant in overall["variants"].items():
        numbers = f"{_share(variant['median_abs_rel_error']):>16}{_share(variant['p90_abs_rel_error']):>18}"
        missing = overall["rows"] - variant["rows"]
        why = "" if variant["not_predicted"] is None else f"   {missing} rows not predicted"
        yield f"  {name:<30}{numbers}{_signed(variant['median_rel_error']):>9}{why}"
    yield f"  {'run-to-run difference':<30}{_share(overall['repeat_launch_error']):>16}"
    ratio, interval = overall["ratio_to_repeat"], overall["ratio_to_repeat_ci95"]
    if ratio is not None:
        around = f"   (95 % {interval[0]:.2f} to {interval[1]:.2f}, bootstrap over cells)" if interval else ""
        yield f"  {'calibration / run-to-run':<30}{ratio:>16.2f}{around}"


def _bounds(document: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each bound."""
    for bound in document["overall"]["bounds"]:
        number = "{:.2f}" if "/" in bound["name"] else "{:.1%}"
        value = "–" if bound["value"] is None else number.format(bound["value"])
        words = BOUND_WORDS[bound["name"]].format(limit=bound["limit"])
        yield f"Acceptance bound: {words}. This run: {value}, {HELD[bound['held']]}."


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
