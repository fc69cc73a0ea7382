"""Frontiers of speed and cost for models, accelerators, precisions, contexts; layouts within a service target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from inferometer.emulator.economics.serving.candidates import Target, candidates, pareto, preferred, within
from inferometer.emulator.economics.serving.curves import Curve, curves, marked
from inferometer.emulator.economics.serving.predict import load_of
from inferometer.emulator.economics.serving.request import Request
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    import pandas as pd

Convention = Literal["deployable", "epoch-2025"]


@dataclass(frozen=True)
class Search:
    """What all curves of one frontier share. request: fields of Request beyond model, accelerator, load, precision."""

    convention: Convention = "deployable"
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
    import pandas as pd

    search = search or Search()
    asked = curves(*(_list(one) for one in (models, accelerators, weight_bits, contexts, speculators, demand_caps)))
    tables = []
    found: dict[Curve, pd.DataFrame] = {}
    for curve in asked:
        if search.convention == "epoch-2025":
            from inferometer.emulator.economics.paper.epoch_answer import epoch_frontier

            table = epoch_frontier(curve, search)
        else:
            scenario_of = replace(curve, demand_cap=None)  # a cap only chooses among what was priced
            if scenario_of not in found:
                found[scenario_of] = _candidates(search, scenario_of)
            table = pareto(found[scenario_of], curve.demand_cap)
        tables.append(marked(table, curve.label(asked), curve, preferred(table, search.alpha)))
    return pd.concat(tables, ignore_index=True)


def within_target(curve: Curve, target: Target, search: Search) -> pd.DataFrame:
    """The layouts that meet a service target, each with its cheapest batch, cheapest first.

    Raises InputError if no layout meets the target, or under the epoch-2025 convention, whose layouts cannot be started.
    """
    if search.convention != "deployable":
        raise InputError("a service target asks for layouts that can be started: --convention deployable")
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


def _list(value: Any) -> list[Any]:
    """One value as a list of one."""
    return [value] if value is None or isinstance(value, str | int | float) else list(value)
