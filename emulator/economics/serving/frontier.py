"""Frontiers of speed and cost for models, accelerators, precisions, contexts; layouts within a service target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.serving.candidates import Columns, Row, Target, candidates, pareto, rows_of, within
from inferometer.emulator.economics.serving.curves import Curve, as_list, curves, side_by_side
from inferometer.emulator.economics.serving.predict import load_of, precision_of
from inferometer.emulator.economics.serving.scenario import Scenario, scenario_of
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Search:
    """What all curves of one frontier share. further: other arguments of scenario_of."""

    gpus_max: int = 64
    batch_max: int = 4096
    alpha: float = 3.0
    prompt: float | None = None
    output: float | None = None
    interleave: bool = False
    activation_bits: int | None = None
    kv_bits: int | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def scenario_of(self, curve: Curve) -> Scenario:
        """The scenario behind one curve."""
        load = load_of(curve.context, self.prompt, self.output, self.interleave)
        asked = curve.weight_bits, self.activation_bits, self.kv_bits
        precision = precision_of(*asked)
        if precision is None and curve.accelerator is not None:
            precision = Precision(shipped=True)
        return scenario_of(curve.model, curve.accelerator, load, precision, **self.further, speculator=curve.speculator)


def frontier(
    models: str | Sequence[str],
    accelerators: str | Sequence[str | None] | None,
    *,
    weight_bits: int | Sequence[int | None] | None = None,
    contexts: float | Sequence[float | None] | None = None,
    speculators: str | Sequence[str | None] | None = None,
    demand_caps: float | Sequence[float | None] | None = None,
    search: Search | None = None,
) -> pd.DataFrame:
    """One frontier for each combination, fastest point first, as one DataFrame.

    models: built-in names or files, NAME:BITS for weights of another width than weight_bits. accelerators None: the machine
    that search.further's calibration has measured, at the widths measured; else weights have 16 bits by default. The column
    `point` names the fastest, cheapest, preferred row of each curve: preferred is the greatest speed^alpha / cost (Erdil,
    eq. 45).

    Raises InputError where a model fits nowhere, or a demand cap leaves nothing.
    """
    import pandas as pd

    if weight_bits is None and accelerators is not None:
        weight_bits = 16
    asked = curves(*(as_list(one) for one in (models, accelerators, weight_bits, contexts, speculators, demand_caps)))
    return pd.DataFrame(frontier_rows(asked, search or Search()))


def frontier_rows(asked: Sequence[Curve], search: Search) -> list[Row]:
    """The rows of `frontier`."""
    found: dict[Curve, Columns] = {}

    def points(curve: Curve) -> list[Row]:
        scenario_of = replace(curve, demand_cap=None)  # a cap only chooses among what was priced
        if scenario_of not in found:
            found[scenario_of] = candidates(search.scenario_of(scenario_of), search.gpus_max, search.batch_max)
        return rows_of(pareto(found[scenario_of], curve.demand_cap))

    return side_by_side(asked, points, search.alpha)


def within_target(curve: Curve, target: Target, search: Search) -> list[Row]:
    """The layouts that meet a service target, each with its cheapest batch, cheapest first.

    Raises InputError if no layout meets the target.
    """
    found = candidates(search.scenario_of(curve), search.gpus_max, search.batch_max)
    best: dict[str, Row] = {}
    for row in rows_of(within(found, target, curve.demand_cap)):
        best.setdefault(row["layout"], row)
    return list(best.values())
