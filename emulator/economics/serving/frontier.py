"""Frontiers of speed and cost for models, accelerators, precisions, contexts; layouts within a service target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.serving.candidates import Columns, Row, Target, candidates, pareto, rows_of, within
from inferometer.emulator.economics.serving.curves import Curve, as_list, curves, side_by_side
from inferometer.emulator.economics.serving.predict import load_of
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
    activation_bits: int = 16
    kv_bits: int = 16
    further: Mapping[str, Any] = field(default_factory=dict)

    def scenario_of(self, curve: Curve) -> Scenario:
        """The scenario behind one curve."""
        load = load_of(curve.context, self.prompt, self.output, self.interleave)
        shipped = curve.weight_bits is None
        precision = Precision(curve.weight_bits or 16, self.activation_bits, self.kv_bits, shipped=shipped)
        return scenario_of(curve.model, curve.accelerator, load, precision, **self.further, speculator=curve.speculator)


def frontier(
    models: str | Sequence[str],
    accelerators: str | Sequence[str],
    *,
    weight_bits: int | Sequence[int] = 16,
    contexts: float | Sequence[float | None] | None = None,
    speculators: str | Sequence[str | None] | None = None,
    demand_caps: float | Sequence[float | None] | None = None,
    search: Search | None = None,
) -> pd.DataFrame:
    """One frontier for each combination, fastest point first, as one DataFrame.

    models: built-in names or files, NAME:BITS for weights of another width than weight_bits. The column `point` names
    each curve's fastest, cheapest, preferred row: the last has the greatest speed^alpha / cost (Erdil, eq. 45).

    Raises InputError where a model fits nowhere, or a demand cap leaves nothing.
    """
    import pandas as pd

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
