"""A validation as text: predicted beside measured for each cell, by term, all together, and how far it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.emulator.units import format_us

MISSES_SHOWN = 8
NOTES_SHOWN = 2
"""Of each shape's, of those that the cells do not share."""
GIB = 2**30


def validation_lines(document: Mapping[str, Any]) -> list[str]:
    """The text that `inferometer validate` prints. document: what its JSON holds."""
    parts = (_settings, _cells, _terms, _overall, _bounds, _missed, _extrapolation, _notes)
    return [line for part in parts for line in part(document)]


def _settings(document: Mapping[str, Any]) -> Iterator[str]:
    method, calibration = document["method"], document["calibration"]
    threads = f"{method['threads']} thread{'s' if method['threads'] > 1 else ''} a rank"
    ranks = f"{method['backend']}, scheduler {method['scheduler']}, {threads}, {method['launches']} launches"
    yield f"matrix {document['matrix']['name']}: {ranks}"
    yield f"calibration {calibration['id'][:12]} ({calibration['path']}), {calibration['quality'].replace('_', ' ')}"
    yield ""


def _cells(document: Mapping[str, Any]) -> Iterator[str]:
    wide = max(len(cell["words"]) for cell in document["cells"])
    yield (
        f"{'#':>3}  {'cell':<{wide}}  {'phase':<8}{'measured us':>12}{'predicted':>11}{'error':>8}{'95 % of it':>17}"
        f"{'repeat':>9}"
    )
    before = None
    for cell in document["cells"]:
        again = cell["cell"] == before
        number, words = ("", "") if again else (str(cell["cell"]), cell["words"])
        before = cell["cell"]
        error, interval = cell["rel_error"], cell["rel_error_ci95"]
        around = f"{interval[0]:+.0%} to {interval[1]:+.0%}" if interval else "–"
        repeats = sorted(cell["repeat_errors"])
        yield (
            f"{number:>3}  {words:<{wide}}  {cell['phase']:<8}{format_us(cell['measured_us']):>12}"
            f"{format_us(cell['predicted_us']['calibration']):>11}{_signed(error):>8}{around:>17}"
            f"{_share(repeats[len(repeats) // 2] if repeats else None):>9}"
        )
    for its in document["left_out"]:
        yield f"{its['cell']:>3}  left out: {its['reason']}"
    reasons = dict.fromkeys(why for cell in document["cells"] for why in [cell["reasons"].get("calibration")] if why)
    for why in reasons:
        yield f"not predicted: {why}"


def _terms(document: Mapping[str, Any]) -> Iterator[str]:
    names = list(document["cells"][0]["terms"])
    yield ""
    yield "predicted / measured µs per step and term (instrumented steps, means over ranks). The prediction of waiting is"
    yield "the in-step overhead, which includes slower transfers: compare the sums of network and waiting, not each alone."
    yield f"{'#':>3}  {'phase':<8}" + "".join(f"{name:>18}" for name in names)
    for cell in document["cells"]:
        columns = (cell["terms"][name] for name in names)
        pairs = (f"{format_us(its['predicted_us'])} / {format_us(its['measured_us'])}" for its in columns)
        yield f"{cell['cell']:>3}  {cell['phase']:<8}" + "".join(f"{pair:>18}" for pair in pairs)


def _overall(document: Mapping[str, Any]) -> Iterator[str]:
    overall = document["overall"]
    yield ""
    count = f"overall: {overall['cells']} cells, {overall['rows']} rows"
    yield f"{count:<38}{'median |error|':>16}{'90th percentile':>18}{'median':>9}"
    for name, its in overall["variants"].items():
        numbers = f"{_share(its['median_abs_rel_error']):>16}{_share(its['p90_abs_rel_error']):>18}"
        why = "" if its["not_predicted"] is None else f"   {overall['rows'] - its['rows']} rows not predicted"
        yield f"  {name:<36}{numbers}{_signed(its['median_rel_error']):>9}{why}"
    yield f"  {'a launch against the others':<36}{_share(overall['repeat_launch_error']):>16}"
    ratio, interval = overall["ratio_to_repeat"], overall["ratio_to_repeat_ci95"]
    if ratio is not None:
        around = f" (95 % {interval[0]:.2f} to {interval[1]:.2f}, bootstrap over cells)" if interval else ""
        yield f"  the calibration's median |error| is {ratio:.2f} times that of a launch against the others{around}"


def _bounds(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    words = {True: "held", False: "missed", None: "not known"}
    for bound in document["overall"]["bounds"]:
        value = "–" if bound["value"] is None else f"{bound['value']:.3g}"
        yield f"  {bound['name']:<46}{value:>7}, at most {bound['limit']:g}: {words[bound['held']]}"


def _missed(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "what the calibration misses most, as shares of the measured step, means over rows"
    yield f"  {'operation':<34}{'measured':>12}{'predicted':>11}{'difference':>12}"
    for its in document["missed"][:MISSES_SHOWN]:
        yield (
            f"  {its['operation']:<34}{_share(its['measured_share']):>12}{_share(its['predicted_share']):>11}"
            f"{_signed(its['difference']):>12}"
        )


def _extrapolation(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "how far it reaches: the predicted decode step of the scaled shape, and of the whole model under the same layout"
    for its in document["extrapolation"]:
        yield f"  {its['model']}, {its['layout']}, batch {its['batch']}, context {its['context']}"
        for side in ("scaled", "full"):
            yield from _shape(side, its[side], set(document["notes"]))


def _shape(side: str, its: Mapping[str, Any], said: set[str]) -> Iterator[str]:
    if "terms_us" not in its:
        yield f"    {side:<7} not predicted: {its['reason']}"
        return
    terms = ", ".join(f"{name} {format_us(us)}" for name, us in its["terms_us"].items())
    memory = f"{its['weights_bytes'] / GIB:.2f} GiB weights + {its['kv_bytes'] / GIB:.3f} cache a rank"
    yield f"    {side:<7} {format_us(its['predicted_us']):>9} us: {terms}; {memory}"
    new = [words for words in its["notes"] if words not in said]
    yield from (f"            {words}" for words in new[:NOTES_SHOWN])
    if len(new) > NOTES_SHOWN:
        yield f"            and {len(new) - NOTES_SHOWN} more of the kind, in the JSON"


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    for words in document["notes"]:
        yield f"note: {words}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
