"""What a serving engine's users get: predictions, deployments within a target, the profile that they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferometer.emulator.economics.serving.engines.parameters import PRIORS
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.report.page.elements import bullets, paragraph, section, table, tag
from inferometer.emulator.report.page.sources import Sources
from inferometer.emulator.report.prediction import layout_words

PARAMETERS = ("parameter", "value", "95 %", "unit", "status")


def serving(sources: Sources) -> str:
    """What `predict --engine`, `frontier --engine` and `fit --serving` wrote; empty where nothing was given of them."""
    parts = [
        *_predictions(sources.all_of("serving-prediction")),
        *(part for name, one in sources.all_of("serving-frontier") for part in _deployments(name, one["deployments"])),
        *(part for name, one in sources.all_of("serving-fit") for part in _fit(name, one)),
        *(part for name, profile in sources.profiles for part in _profile(name, profile)),
    ]
    return section("Serving", "serving", "".join(parts)) if parts else ""


def _predictions(named: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    rows = [
        (
            name, one["model"], one["engine"], f"{one['gpus']:g} × {one['accelerator']}", layout_words(one["layout"]),
            one["load"], *_timed(one, "tpot"), *_timed(one, "ttft"), _ms(one.get("ttft_p99_s")),
            f"{one['requests_per_s']:.4g}",
        )
        for name, one in named
    ]  # fmt: skip
    if not rows:
        return
    head = (
        "file", "model", "engine", "devices", "layout", "load", "TPOT ms", "95 %", "TTFT ms", "95 %", "TTFT p99 ms",
        "requests/s",
    )  # fmt: skip
    yield table(head, rows, right=range(6, 12), caption="Predicted for a server's users")
    notes = dict.fromkeys(f"{name}: {note}" for name, one in named for note in one.get("notes", []))
    if notes:
        yield bullets(notes)


def _deployments(name: str, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [
        (
            f"{one['gpus']:g}", _pools(one), one["weights"], f"{one['users']:.0f}", _ms(one["tpot_s"]), _ms(one["ttft_s"]),
            f"{one['requests_per_s']:.3g}", f"{100 * one['margin']:.0f}", f"{100 * one['probability']:.0f}",
        )
        for one in found
    ]  # fmt: skip
    head = ("devices", "layout", "weights", "users", "TPOT ms", "TTFT ms", "requests/s", "margin %", "P(meets) %")
    yield table(head, rows, right=(0, *range(3, 9)), caption=f"{name}: deployments within the target, cheapest first")


def _pools(one: Mapping[str, Any]) -> str:
    words = f"{one['replicas']:g} × {one['layout']}"
    return f"{one['prompt_replicas']:g} × {one['prompts']} → {words}" if one.get("prompts") else words


def _fit(name: str, one: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (parameter, f"{each['value']:.3g}", _between(each["low"], each["high"]), each["unit"], each["status"])
        for parameter, each in one["parameters"].items()
    ]
    caption = f"{name}: profile of {one['engine']}, fitted to {one['points']} points"
    yield table(PARAMETERS, rows, right=(1, 2), caption=caption)
    errors = [
        (
            left_out,
            each["points"],
            *(_percent(each[f"{time}_{rank}"]) for time in ("tpot", "ttft") for rank in ("median", "p90")),
        )
        for left_out, each in one["left_out"].items()
    ]
    head = ("left out", "points", "TPOT median %", "p90", "TTFT median %", "p90")
    if errors:
        yield table(head, errors, right=range(1, 6), caption="Errors at points that the fit did not see")
    else:
        yield paragraph("No errors of what was left out: the points are of one layout, model and device.", "soft")
    if one["not_determined"]:
        yield tag("h3", "Not determined") + bullets(f"{what}: {why}" for what, why in one["not_determined"].items())


def _profile(name: str, profile: Profile) -> Iterator[str]:
    rows = [
        (parameter, f"{one.value:.3g}", _between(one.low, one.high), PRIORS[parameter].unit, one.status)
        for parameter, one in profile.parameters.items()
    ]
    yield table(PARAMETERS, rows, right=(1, 2), caption=f"{name}: profile of {profile.engine} {profile.versions}")
    errors = [(time, one.of, one.points, _percent(one.median), _percent(one.p90)) for time, one in profile.misfit.items()]
    if errors:
        head = ("time", "left out", "points", "median %", "p90")
        yield table(head, errors, right=(2, 3, 4), caption="Errors at points that the fit did not see")


def _timed(one: Mapping[str, Any], what: str) -> tuple[str | None, str | None]:
    interval = one.get(f"{what}_interval_s")
    return _ms(one[f"{what}_s"]), None if interval is None else f"{_ms(interval[0])} to {_ms(interval[1])}"


def _between(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:.3g} to {high:.3g}"


def _ms(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1e3 * seconds:.4g}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"
