"""Predicted against served: every point from a fit that has not seen it, beside a roofline, the paper, AIConfigurator.

  python benchmarks/serving_points.py ../shared/data/serving/served_points.csv [--aiconfigurator PYTHON|PREDICTED.json]

--aiconfigurator: the Python of an environment with aiconfigurator 0.12 (pip install aiconfigurator==0.12.*), in which
rivals/serving_aiconfigurator.py runs, or what that wrote before. Without it the column is empty.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.prices import datasheet_prices
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.engines.profiles import engine_names, load_profile
from inferometer.emulator.economics.serving.fitting.bills import Bills, bills_of
from inferometer.emulator.economics.serving.fitting.held_out import BY, HeldOut, held_out
from inferometer.emulator.economics.serving.points.record import ServedPoint
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.economics.serving.points.table import read_points
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.step import Step

TARGETS = (1.25, 1.5, 2.0, 3.0)
"""TPOT targets of the choice questions, as multiples of the least TPOT that was measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("points")
    parser.add_argument("--aiconfigurator", metavar="PYTHON|PREDICTED.json")
    parser.add_argument("--engine", choices=engine_names(), help="of one engine only")
    args = parser.parse_args()
    points = [point for point in read_points(args.points) if args.engine in (None, point.deployed.engine)]
    usable = [point for point in points if point.usable and point.tpot_ms is not None]
    others = {} if args.aiconfigurator is None else _aiconfigurator(args.aiconfigurator, usable)
    asked: list[tuple[ServedPoint, dict[str, float]]] = []
    print(f"{len(points)} points, {sum(point.usable for point in points)} usable\n")
    for name in engine_names() if args.engine is None else [args.engine]:
        profile = load_profile(name)
        mine = [point for point in points if point.deployed.engine == name]
        bills = bills_of(mine, profile)
        out = {by: held_out(bills, profile.scheduler, BY[by], everywhere=by == "model") for by in ("tp", "model", "gpu")}
        roofs, papers = (np.array(list(_datasheet(bills.points, paper=paper))) for paper in (False, True))
        aic, aic_ttft = (np.array([others.get(_key(point), (np.nan,) * 2)[at] for point in bills.points]) for at in (1, 0))
        _print(name, bills, out, roofs, papers, aic)
        first = np.array(
            [point.ttft_ms if point.client.arrival == "closed" else np.nan for point in bills.points], dtype=float
        )
        print(f"  aiconfigurator     TTFT {_words(np.log(first / aic_ttft))}\n")
        for at, point in enumerate(bills.points):
            tpot = point.tpot_ms or np.nan
            mine_ms = tpot / float(np.exp(out["tp"].tpot[at]))
            asked.append(
                (point, {"inferometer": mine_ms, "roofline": roofs[at], "paper": papers[at], "aiconfigurator": aic[at]})
            )
    _choices(asked)


def _print(name: str, bills: Bills, out: dict[str, HeldOut], roofs: np.ndarray, papers: np.ndarray, aic: np.ndarray) -> None:
    measured = np.array([point.tpot_ms or np.nan for point in bills.points])
    print(f"{name}: {len(bills.points)} points")
    for by, errors in out.items():
        print(f"  without the {by:<6} TPOT {_words(errors.tpot)}   TTFT {_words(errors.ttft)}")
    for words, values in (("roofline", roofs), ("paper", papers), ("aiconfigurator", aic)):
        print(f"  {words:<18} TPOT {_words(np.log(measured / values))}")
    versions = np.array([str(point.deployed.version) for point in bills.points])
    held = _coverage(out["tp"].tpot, versions)
    print(f"  95 % intervals hold {held} of the TPOT points, by the errors of four fifths of a version's points")
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, point in enumerate(bills.points):
        groups[(point.deployed.accelerator, point.deployed.model)].append(at)
    for key, places in sorted(groups.items()):
        columns = (
            out["tp"].tpot,
            out["model"].tpot,
            np.log(measured / roofs),
            np.log(measured / papers),
            np.log(measured / aic),
        )
        cells = "".join(f"{_median(values[places]):>9}" for values in columns)
        print(f"  {name:<8}{key[0]:<10}{key[1]:<20}{len(places):>5}{cells}")
    print()


def _coverage(errors: np.ndarray, versions: np.ndarray) -> str:
    """Share of held-out errors within the quantiles of the others' in the same version, leaving every fifth out in turn."""
    inside, count = 0, 0
    for version in np.unique(versions):
        known = errors[(versions == version) & np.isfinite(errors)]
        if len(known) < 10:
            known = errors[np.isfinite(errors)]
        for part in range(5):
            rest, asked = np.delete(known, slice(part, None, 5)), known[part::5]
            low, high = np.quantile(rest, (0.025, 0.975))
            inside += int(((asked >= low) & (asked <= high)).sum())
            count += len(asked)
    return f"{inside / max(count, 1):.1%}"


def _datasheet(points: Sequence[ServedPoint], *, paper: bool) -> Iterator[float]:
    """ms per token of decoding the mean step of continuous batching: the roofline at the sustained rates; with the paper's
    network and launches."""
    for point in points:
        deployed, client = point.deployed, point.client
        shape, precision = stored_as(deployed.model, deployed.weights, deployed.kv_bits)
        device = load_accelerator(deployed.accelerator)
        prices = replace(datasheet_prices(device), precision=precision)
        step = Step.interleaved(point.decoding or 1.0, client.prompt.mean, client.output.mean)
        terms = step_time(build(shape, deployed.layout, step, precision=precision, node_size=device.node_size), prices).terms
        yield 1e3 * float(terms.total_s if paper else terms["roof_s"])


def _choices(asked: Sequence[tuple[ServedPoint, dict[str, float]]]) -> None:
    """Which deployment of those measured is cheapest within a TPOT target: questions that the points themselves answer."""
    groups: dict[tuple[object, ...], list[tuple[ServedPoint, dict[str, float]]]] = defaultdict(list)
    for point, found in asked:
        one, client = point.deployed, point.client
        groups[(one.engine, one.version, one.model, one.accelerator, one.weights, client.prompt, client.output)].append(
            (point, found)
        )
    count = 0
    score: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for rows in groups.values():
        if len({point.deployed.layout for point, _ in rows}) < 2:
            continue
        tpot = np.array([point.tpot_ms or np.nan for point, _ in rows])
        cost = np.array([point.deployed.gpus / (point.decoding or 1) * (point.tpot_ms or np.nan) for point, _ in rows])
        for factor in TARGETS:
            target = factor * tpot.min()
            truth = int(np.argmin(np.where(tpot <= target, cost, np.inf)))
            count += 1
            for name in ("inferometer", "roofline", "paper", "aiconfigurator"):
                predicted = np.array([found[name] for _, found in rows])
                if not np.isfinite(predicted).any():
                    continue
                price = np.array([p.deployed.gpus / (p.decoding or 1) for p, _ in rows]) * predicted
                meets = predicted <= target
                pick = int(np.nanargmin(np.where(meets, price, np.nan))) if meets.any() else int(np.nanargmin(predicted))
                score[name][0] += 1
                score[name][1] += pick == truth
                score[name][2] += bool(tpot[pick] > target)
    print(f"choices: {count} questions (TPOT target {', '.join(f'{t:g}' for t in TARGETS)} × the least measured)")
    for name, (answered, best, violated) in score.items():
        print(f"  {name:<16}answered {answered:>4}  best pick {best:>4}  target violated {violated:>4}")


def _aiconfigurator(given: str, points: Sequence[ServedPoint]) -> dict[tuple[object, ...], tuple[float, float]]:
    """(TTFT, TPOT) in ms of every point that it can price."""
    asked = [_asked_of(point) for point in points]
    if given.endswith(".json"):
        found = json.loads(Path(given).read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            asking, predicted = Path(folder, "points.json"), Path(folder, "predicted.json")
            asking.write_text(json.dumps(asked))
            script = Path(__file__).parent / "rivals" / "serving_aiconfigurator.py"
            subprocess.run([given, str(script), str(asking), str(predicted)], check=True)
            found = json.loads(predicted.read_text())
    reasons = Counter(one.partition(":")[0] for one in found if isinstance(one, str))
    print(f"aiconfigurator: {len(found) - reasons.total()} of {len(found)} points priced {dict(reasons)}\n")
    return {_key(point): tuple(one) for point, one in zip(points, found) if not isinstance(one, str)}


def _asked_of(point: ServedPoint) -> dict[str, Any]:
    one, client, layout = point.deployed, point.client, point.deployed.layout
    data = layout.attention == "data"
    return {
        "engine": one.engine,
        "model": one.model,
        "accelerator": one.accelerator,
        "weights": one.weights,
        "tp": layout.tp if data else layout.tp * layout.ep,
        "attention_dp": layout.ep if data else 1,
        "expert_tp": layout.tp,
        "expert_ep": layout.ep,
        "prompt": client.prompt.mean,
        "output": client.output.mean,
        "concurrency": client.concurrency,
    }


def _key(point: ServedPoint) -> tuple[object, ...]:
    return (*_asked_of(point).values(), point.deployed.version)


def _words(errors: np.ndarray) -> str:
    size = np.abs(errors[np.isfinite(errors)])
    return f"median {np.median(size):6.1%} p90 {np.quantile(size, 0.9):6.1%} ({len(size):>4})" if len(size) else "–"


def _median(errors: np.ndarray) -> str:
    size = np.abs(errors[np.isfinite(errors)])
    return f"{np.median(size):.1%}" if len(size) else "–"


if __name__ == "__main__":
    main()
