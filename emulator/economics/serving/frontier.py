"""Frontiers of speed and cost for models, accelerators, precisions, contexts; layouts within a service target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.serving.candidates import Target, candidates, pareto, within
from inferometer.emulator.economics.serving.curves import Curve, as_list, curves, side_by_side
from inferometer.emulator.economics.serving.predict import load_of
from inferometer.emulator.economics.serving.request import Request
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Search:
    """What all curves of one frontier share. request: fields of Request beyond model, accelerator, load, precision."""

    gpus_max: int = 64
    batch_max: int = 4096
    alpha: float = 3.0
    prompt: float | None = None
    output: float | None = None
    interleave: bool = False
    activation_bits: int = 16
    kv_bits: int = 16
    request: dict[str, Any] = field(default_factory=dict)

    def request_of(self, curve: Curve) -> Request:
        """The deployable question behind one curve."""
        load = load_of(curve.context, self.prompt, self.output, self.interleave)
        precision = Precision(curve.weight_bits, self.activation_bits, self.kv_bits)
        further = self.request | {"speculator": curve.speculator}
        return Request(curve.model, curve.accelerator, load, precision, **further)


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
    asked = curves(*(as_list(one) for one in (models, accelerators, weight_bits, contexts, speculators, demand_caps)))
    chosen = search or Search()
    found: dict[Curve, pd.DataFrame] = {}

    def rows_of(curve: Curve) -> pd.DataFrame:
        scenario_of = replace(curve, demand_cap=None)  # a cap only chooses among what was priced
        if scenario_of not in found:
            found[scenario_of] = _candidates(chosen, scenario_of)
        return pareto(found[scenario_of], curve.demand_cap)

    return side_by_side(asked, rows_of, chosen.alpha)


def within_target(curve: Curve, target: Target, search: Search) -> pd.DataFrame:
    """The layouts that meet a service target, each with its cheapest batch, cheapest first.

    Raises InputError if no layout meets the target.
    """
    best = within(_candidates(search, curve), target, curve.demand_cap)
    return best.drop_duplicates("layout").reset_index(drop=True)


def _candidates(search: Search, curve: Curve) -> pd.DataFrame:
    scenario = search.request_of(curve).scenario()
    table = candidates(scenario, search.gpus_max, search.batch_max)
    table["layout"] = [
        Layout(tp=int(tp), ep=int(ep), pp=int(pp), attention=attention).describe()
        for tp, ep, pp, attention in zip(table["tp"], table["ep"], table["pp"], table["attention"])
    ]
    table["network"] = scenario.network.name
    return table
