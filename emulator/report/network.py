"""The table of network laws: a line for each, one for each further protocol or rank count, then the paper's constants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.report.columns import aligned, with_interval
from inferometer.emulator.report.main_laws import differing_words

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.schema.network_records import Combination, NetworkLaw
    from inferometer.emulator.calibrate.schema.records import Parameter

LATENCIES = {"a": "a (µs)", "b": "b (µs/rank)", "c": "c (µs/log2 N)"}
BANDWIDTHS = {"B_intra": "B (GB/s)", "B_inter": "B inter (GB/s)"}
PAPER = "paper: t_reduce"
GIVEN = ("tied", "fixed_prior")
"""Statuses of parameters that are the paper's proportions, not measurements."""

Row = dict[str, str]


def network_table(laws: Sequence[NetworkLaw], crowded: set[int], intervals: bool, errors: bool = True) -> list[str]:
    """Lines of the laws, headed. A column that no law has a number for is left out.

    crowded: rank counts to mark with an asterisk. Parameters that the cells determine only together (a + b) stand in a
    column of their own. intervals: whether each value stands with its 95 % interval; errors: whether the fit's own error
    stands beside the held-out one.
    """
    names = differing_words([law.target for law in laws])
    joint = list(dict.fromkeys(_without_protocol(c.expr) for law in laws for c in law.identifiable_combinations))
    one = joint[0] if len(joint) == 1 else None
    rows = [row for law, name in zip(laws, names) for row in _law_rows(law, name, crowded, intervals, one)]
    heads = {
        "collective": "collective", "backend": "backend", "ranks": "ranks", "nodes": "nodes", **LATENCIES,
        "together": f"{one or 'together'} (µs)", **BANDWIDTHS, "error": "error", "held_out": "held-out", "law": "law",
    }  # fmt: skip
    kept = [name for name in heads if any(row.get(name, "–") not in ("", "–") for row in rows)]
    silent = {"backend": len(set(names)) == 1, "nodes": all(law.domain.nodes == [1] for law in laws)}
    silent["error"] = not errors and "held_out" in kept
    kept = [name for name in kept if not silent.get(name)]
    rows.append(_paper_row(laws, one))
    return aligned([[heads[name] for name in kept], *([row.get(name, "") for name in kept] for row in rows)])


def _law_rows(law: NetworkLaw, name: str, crowded: set[int], intervals: bool, one: str | None) -> list[Row]:
    """The law's line, then a line for each further protocol (parameters ``a.2``, …) and rank count (``B_intra@8``, …)."""
    missed, held_out = (law.fit.medape, law.fit.cv.sizes.median) if law.fit else (None, None)
    given = {p.status for p in law.params.values() if p.value is not None}
    mark = "*" if not crowded.isdisjoint(law.domain.ranks) else ""
    all_given = len(given) == 1 and given <= set(GIVEN)
    values = {key: _cell(p, intervals, name_status=not all_given) for key, p in law.params.items()}
    first: Row = {
        "collective": law.target.collective,
        "backend": name,
        "ranks": _span(law.domain.ranks) + mark,
        "nodes": _span(law.domain.nodes),
        **{key: values.get(key, "–") for key in (*LATENCIES, *BANDWIDTHS)},
        "together": _together(law.identifiable_combinations, "", intervals, one),
        "error": _percent(missed),
        "held_out": _percent(held_out),
        "law": law.form + (f" ({given.pop().replace('_', ' ')})" if all_given else ""),
    }
    rows = [first]
    for protocol in sorted({key.partition(".")[2] for key in values if "." in key}):
        row = {key: values.get(f"{key}.{protocol}", "") for key in (*LATENCIES, *BANDWIDTHS)}
        together = _together(law.identifiable_combinations, protocol, intervals, one)
        rows.append(row | {"collective": f"  protocol {protocol}", "together": together})
    of_ranks = [key.partition("@")[2] for key in values if key.startswith("B_intra@")]
    rows += [{"ranks": f"  {ranks}", "B_intra": values[f"B_intra@{ranks}"]} for ranks in of_ranks]
    return rows


def _paper_row(laws: Sequence[NetworkLaw], one: str | None) -> Row:
    """The paper's all_reduce in the same columns."""
    constants = paper_parameters("all_reduce")
    combinations = [c for law in laws for c in law.identifiable_combinations if c.expr == one]
    together = ""
    if combinations and combinations[0].coefficients.keys() <= constants.keys():
        theta = {name: value if name in LATENCIES else 1 / value for name, value in constants.items()}  # µs, ns/byte
        together = f"{sum(k * theta[name] for name, k in combinations[0].coefficients.items()):.4g}"
    values = {name: f"{constants[name]:g}" for name in (*LATENCIES, *BANDWIDTHS)}
    return {"collective": PAPER, "backend": "nccl", **values, "together": together, "law": "H100"}


def _together(combinations: Sequence[Combination], protocol: str, intervals: bool, one: str | None) -> str:
    """The combinations with parameters of one protocol ("" is the first); their expression unless the head says it."""
    texts = []
    for combination in combinations:
        protocols = {name.partition(".")[2] for name in combination.coefficients} - {""}
        if (max(protocols) if protocols else "") == protocol:
            value = with_interval(combination.value, combination.ci95 if intervals else None)
            unit = "" if combination.unit == "us" else f" {combination.unit}"
            texts.append(f"{value}{unit}" if one else f"{combination.expr} = {value}{unit}")
    return "; ".join(texts) or "–"


def _without_protocol(expression: str) -> str:
    """``a.2 + 7·b`` → ``a + 7·b``."""
    return re.sub(r"(?<=[A-Za-z])\.\d+", "", expression)


def _cell(parameter: Parameter, intervals: bool, name_status: bool) -> str:
    if parameter.value is None:
        return "–"
    if parameter.ci95 or parameter.status == "fitted":
        text = with_interval(parameter.value, parameter.ci95 if intervals else None)
        return text if parameter.ci95 or not intervals else f"{text} [no interval]"
    return f"{parameter.value:.3g}" + (f" ({parameter.status.replace('_', ' ')})" if name_status else "")


def _span(counts: Iterable[int]) -> str:
    counts = list(counts)
    return f"{min(counts)}–{max(counts)}" if len(counts) > 1 else str(counts[0])


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.0%}"
