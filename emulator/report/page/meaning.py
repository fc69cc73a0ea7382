"""What it means for a model: the frontier with its band, the best layouts with their chances, the same by the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.compare.deployments import Question, best_of, likely_of, search
from inferometer.emulator.economics.serving.candidates import Searched, pareto
from inferometer.emulator.economics.serving.draws import frontier_band
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.page.elements import paragraph, section, table, tag, text
from inferometer.emulator.report.page.plot import Plot, Series

BAND_POINTS = 40


def meaning(calibration: Calibration, questions: Sequence[Question]) -> str:
    """One part for each question; a chooser shows one of them."""
    if not questions:
        words = "No model was asked for: `--model NAME --accelerator NAME` adds frontiers and deployments."
        return section("What it means", "meaning", paragraph(words, "soft"))
    options = "".join(tag("option", text(one.model), value=f"model-{at}") for at, one in enumerate(questions))
    chooser = tag("p", "Model: " + tag("select", options, class_="chooser", aria_label="model"))
    parts = [tag("div", _of(calibration, one, at), class_="choice", id=f"model-{at}") for at, one in enumerate(questions)]
    return section("What it means", "meaning", chooser + "".join(parts))


def _of(calibration: Calibration, question: Question, at: int) -> str:
    try:
        here = search(question, calibration)
        best = best_of(question, here)
    except InputError as error:
        return paragraph(f"{question.model}: {error}")
    try:
        paper: Searched | None = search(question, None)
    except InputError:
        paper = None
    title = f"{question.model} on {question.accelerator or 'the measured machine'}"
    parts = [tag("h3", text(title)), _frontier(question, here, paper, at)]
    parts.append(tag("p", f"<b>{text(best['layout'])}</b>, batch {best['batch']} on {best['gpus']} devices is the best: "
                     f"{best['tokens_per_s']:.4g} tokens/s for one user."))  # fmt: skip
    if paper is not None:
        by_paper = best_of(question, paper)
        same = (by_paper["layout"], by_paper["batch"]) == (best["layout"], best["batch"])
        words = "The paper's constants choose the same." if same else (
            f"The paper's constants choose {by_paper['layout']}, batch {by_paper['batch']} on {by_paper['gpus']} devices."
        )  # fmt: skip
        off = by_paper["token_latency_s"] / best["token_latency_s"] - 1
        parts.append(paragraph(f"{words} Their time per token is {off:+.0%} of this."))
    likely, why = likely_of(question, here)
    if likely is None:
        parts.append(paragraph(f"No probabilities: {why}.", "soft"))
    else:
        rows = [
            (
                row["layout"], row["gpus"], row["batch"], f"{1e3 * row['token_latency_s']:.4g}",
                f"{1e3 * row['token_latency_90_s'][0]:.4g} to {1e3 * row['token_latency_90_s'][1]:.4g}",
                f"{100 * row['p_best']:.0f}", None if row["p_meets"] is None else f"{100 * row['p_meets']:.0f}",
                f"{100 * row['regret']:.1f}",
            )
            for row in likely
        ]  # fmt: skip
        head = ("layout", "devices", "batch", "ms/token", "90 %", "P(best) %", "P(meets target) %", "expected regret %")
        parts.append(table(head, rows, right=(1, 2, 3, 5, 6, 7), caption="Layouts that may be the best"))
    parts.append(paragraph(str(here.columns["notes"][0]), "soft"))
    return "".join(parts)


def _frontier(question: Question, here: Searched, paper: Searched | None, at: int) -> str:
    points = pareto(here.columns)
    priced = bool(np.isfinite(points["usd_per_mtok"]).all())
    column, label = ("usd_per_mtok", "$ per million tokens") if priced else ("gpu_s_per_token", "device-seconds per token")
    tips = [
        f"{layout}, batch {batch} on {gpus}\n{1e3 * latency:.4g} ms/token, {speed:.4g} tokens/s\n{cost:.4g} {label}"
        for layout, batch, gpus, latency, speed, cost in zip(
            points["layout"],
            points["batch"],
            points["gpus"],
            points["token_latency_s"],
            points["tokens_per_s"],
            points[column],
        )
    ]
    x, y = points["tokens_per_s"].tolist(), points[column].tolist()
    series = [Series("this calibration", "points", x, y, tips=tips, colour=0, label="here")]
    series.append(Series("this calibration", "line", x, y, colour=0))
    try:
        left_open = here.open
    except InputError:
        left_open = None
    if left_open is not None and left_open.parts:
        factor = here.columns[column] / here.columns["token_latency_s"]
        grid = np.geomspace(points[column].min(), points[column].max(), BAND_POINTS)
        low, _, high = frontier_band(left_open.drawn(), factor, grid)
        known = np.isfinite(low) & np.isfinite(high)
        edges = [(low[known].tolist(), grid[known].tolist()), (high[known].tolist(), grid[known].tolist())]
        series += [
            Series(f"90 % band, {end} end", "line", *edge, colour=0, dash=2) for end, edge in zip(("low", "high"), edges)
        ]
    if paper is not None:
        other = pareto(paper.columns)
        xs, ys = other["tokens_per_s"].tolist(), other[column].tolist()
        series.append(Series("the paper's constants", "line", xs, ys, dash=1, label="the paper"))
    words = "dotted: 90 % band of the speed at a cost; dashes: the paper's constants"
    plot = Plot(f"frontier-{at}", "Frontier of speed and cost", "tokens/s for one user", label, series, legend=(words,))
    return tag("div", plot.html(), class_="wide")
