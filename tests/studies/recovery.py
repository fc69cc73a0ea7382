"""Does the fit find a planted truth again? Synthetic designs, seeded runs, and how often the interval holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from inferometer.emulator.calibrate.fit.build import fit_key
from inferometer.emulator.calibrate.laws.linear import LinearLaw, affine, flat_ring
from inferometer.emulator.calibrate.schema.keys import keys_of, usable_rows
from tests.studies.synthetic import DEFAULT_SIZES, Noise, synthetic_cells

#: Like gloo on one host and Ethernet: nothing here is in the paper's proportions. µs and GB/s.
TRUTH: Mapping[str, float] = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}


@dataclass(frozen=True)
class PlantedDesign:
    """A design, and by hand what it can tell: single parameters, combinations as coefficients, and what it hides."""

    name: str
    layouts: tuple[tuple[int, int], ...]
    parameters: tuple[str, ...]
    combinations: tuple[Mapping[str, float], ...] = ()
    hidden: tuple[str, ...] = ()
    launches: int = 5
    collective: str = "all_reduce"
    form: str = "affine"
    truth: Mapping[str, float] = field(default_factory=lambda: TRUTH)
    sizes: tuple[int, ...] = DEFAULT_SIZES
    noise: Noise = field(default_factory=Noise)

    @property
    def law(self) -> LinearLaw:
        return flat_ring(self.collective) if self.form == "flat_ring" else affine(self.collective)


ONE_NODE = ("c", "B_inter")
DESIGNS: tuple[PlantedDesign, ...] = (
    PlantedDesign("one node, r=2,4,8", ((2, 1), (4, 1), (8, 1)), ("a", "b", "B_intra"), hidden=ONE_NODE),
    PlantedDesign("one node, r=2,4", ((2, 1), (4, 1)), ("a", "b", "B_intra"), hidden=ONE_NODE),
    PlantedDesign(
        "one node, r=2,4,8, 3 launches", ((2, 1), (4, 1), (8, 1)), ("a", "b", "B_intra"), hidden=ONE_NODE, launches=3
    ),
    PlantedDesign(
        "4 ranks/node, N=1,2,4",
        ((4, 1), (8, 2), (16, 4)),
        ("c", "B_intra", "B_inter"),
        ({"a": 1, "b": 3},),
        hidden=("a", "b"),
    ),
    PlantedDesign("1 rank/node, N=2,4,8", ((2, 2), (4, 4), (8, 8)), ("a", "c", "B_inter"), hidden=("b", "B_intra")),
    PlantedDesign(
        "1 and 4 ranks/node, N=1,2,4",
        ((4, 1), (2, 2), (4, 4), (8, 2), (16, 4)),
        ("a", "b", "c", "B_intra", "B_inter"),
    ),
    PlantedDesign("r=2 only", ((2, 1),), ("B_intra",), ({"a": 1, "b": 1},), hidden=("a", "b", *ONE_NODE)),
    PlantedDesign(
        "all_to_all, one node, r=2,4,8",
        ((2, 1), (4, 1), (8, 1)),
        ("a", "b", "B_intra"),
        hidden=ONE_NODE,
        collective="all_to_all",
    ),
)


@dataclass(frozen=True)
class Recovery:
    """What some runs of one design gave: relative error and coverage by quantity, and how often it hid what it must.

    errors (signed, relative) and covered are lists over runs: inf and no cover where a quantity was not reported.
    """

    design: PlantedDesign
    errors: dict[str, list[float]]
    covered: dict[str, list[bool]]
    hid_all: list[bool]
    forms: list[str]

    @property
    def median_error(self) -> dict[str, float]:
        """Median |relative error| by quantity."""
        return {name: float(np.median(np.abs(values))) for name, values in self.errors.items()}

    @property
    def bias(self) -> dict[str, float]:
        """Median signed relative error: what outliers, which only ever lengthen, leave in the medians."""
        return {name: float(np.median(values)) for name, values in self.errors.items()}

    @property
    def coverage(self) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in self.covered.items()}


def recover(design: PlantedDesign, seeds: Iterable[int]) -> Recovery:
    """Make cells from the planted truth for each seed, fit them as `calibrate` does, and compare."""
    expected = {name: {name: 1.0} for name in design.parameters}
    expected |= {_name(combination): dict(combination) for combination in design.combinations}
    result = Recovery(design, {n: [] for n in expected}, {n: [] for n in expected}, [], [])
    for seed in seeds:
        cells = synthetic_cells(
            design.collective,
            design.law,
            dict(design.truth),
            design.layouts,
            seed=seed,
            sizes=design.sizes,
            launches=design.launches,
            noise=design.noise,
        )
        rows, excluded = usable_rows(cells)
        model = fit_key(keys_of(cells)[0], rows, excluded, seed)
        result.forms.append(model["form"])
        hidden = [model["params"].get(name) for name in design.hidden]
        result.hid_all.append(all(p is not None and p["status"] == "not_identified" and p["value"] is None for p in hidden))
        merged = {_name(c["coefficients"]): c for c in model["identifiable_combinations"]}
        for name, coefficients in expected.items():
            record = model["params"].get(name) if name in design.parameters else merged.get(name)
            true = sum(k * design.truth[parameter] for parameter, k in coefficients.items())
            value, interval = (record["value"], record["ci95"]) if record else (None, None)
            result.errors[name].append(float("inf") if value is None else value / true - 1)
            result.covered[name].append(interval is not None and interval[0] <= true <= interval[1])
    return result


def recovery_table(results: Iterable[Recovery]) -> str:
    """A table for people: per design and quantity the median error and the coverage, and the laws chosen."""
    lines = [f"{'design':34s} {'quantity':10s} {'truth':>8s} {'median error':>13s} {'bias':>7s} {'coverage':>9s}"]
    for result in results:
        design = result.design
        for name, coverage in result.coverage.items():
            terms = next((c for c in design.combinations if _name(c) == name), {name: 1.0})
            true = sum(k * design.truth[parameter] for parameter, k in terms.items())
            error = f"{result.median_error[name]:13.2%}"
            lines.append(f"{design.name:34s} {name:10s} {true:8.4g} {error} {result.bias[name]:7.2%} {coverage:9.1%}")
        forms = {form: result.forms.count(form) for form in sorted(set(result.forms))}
        hid = f"{sum(result.hid_all)} of {len(result.hid_all)}"
        lines.append(f"{'':34s} hidden {', '.join(design.hidden) or '-'} reported so in {hid}; laws {forms}")
    return "\n".join(lines)


def _name(coefficients: Mapping[str, float]) -> str:
    return "+".join(name if round(k, 6) == 1 else f"{k:g}{name}" for name, k in coefficients.items())
