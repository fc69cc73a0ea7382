"""What measured times should obey whatever the law, and where they do not: listed, never corrected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors

#: A rule is broken where it is missed by more than this share: less is noise of well measured medians.
TOLERANCE = 0.05
#: Where provenance.hardware may say what the links can do, GB/s per rank and direction.
LINE_RATES = {"intra": "link_intra_GBs", "inter": "link_inter_GBs"}
UNKNOWN_RATE = "the provenance does not say what the link can do"


def guidelines_record(cells: list[Document], hardware: Document) -> Document:
    """The Guidelines record: rules broken by the cells' medians (Cell records), and rules that could not be checked.

    monotone_in_size: more bytes never take less time. split: n bytes never take more than twice n/2 bytes.
    all_reduce_by_parts: an all_reduce never takes more than a reduce_scatter and an all_gather of the same size.
    part_of_all_reduce: a reduce_scatter never takes more than an all_reduce, of which each rank could keep its part (gloo's
    is one and moves twice what the convention counts). part_of_all_to_all: an all_gather never takes more than an all_to_all
    of as many bytes, which could send every rank the same.
    line_rate: bus bandwidth never exceeds the link's. (Träff and others, self-consistent performance guidelines.)
    """
    times = {
        (tuple(cell["target"].items()), cell["ranks"], cell["nodes"], cell["bytes"]): cell["us"]["median"]
        for cell in cells
        if cell["us"]["median"]
    }
    rates = {side: hardware.get(field) for side, field in LINE_RATES.items()}
    broken = [*_in_size(times), *_by_parts(times), *_whole_instead(times), *_line_rate(times, rates)]
    unchecked = {f"line_rate_{side}": UNKNOWN_RATE for side, rate in rates.items() if not isinstance(rate, (int, float))}
    return {"tolerance": TOLERANCE, "broken": broken, "not_checked": unchecked}


def _in_size(times: dict[Any, float]) -> Iterator[Document]:
    groups: dict[Any, list[tuple[int, float]]] = {}
    for (target, ranks, nodes, size), us in times.items():
        groups.setdefault((target, ranks, nodes), []).append((size, us))
    for (target, ranks, nodes), found in groups.items():
        found.sort()
        known = dict(found)
        for (smaller, before), (size, us) in zip(found, found[1:]):
            if before > us * (1 + TOLERANCE):
                yield _broken("monotone_in_size", (target, ranks, nodes, size), before / us, f"{smaller} bytes take longer")
        for size, us in found:
            half = known.get(size // 2) if size and size % 2 == 0 else None
            if half is not None and us > 2 * half * (1 + TOLERANCE):
                yield _broken("split", (target, ranks, nodes, size), us / (2 * half), "two halves are faster")


def _by_parts(times: dict[Any, float]) -> Iterator[Document]:
    for (target, ranks, nodes, size), us in times.items():
        if dict(target)["collective"] != "all_reduce":
            continue
        parts = [
            times.get((tuple((dict(target) | {"collective": name}).items()), ranks, nodes, size))
            for name in ("reduce_scatter", "all_gather")
        ]
        whole = sum(part for part in parts if part is not None)
        if None not in parts and us > whole * (1 + TOLERANCE):
            text = "a reduce_scatter and an all_gather are faster"
            yield _broken("all_reduce_by_parts", (target, ranks, nodes, size), us / whole, text)


#: By rule: a collective, the one that does all it does and more, and what that says.
WHOLE_INSTEAD = {
    "part_of_all_reduce": ("reduce_scatter", "all_reduce", "an all_reduce, of which each rank keeps its part, is faster"),
    "part_of_all_to_all": ("all_gather", "all_to_all", "an all_to_all that sends every rank the same is faster"),
}


def _whole_instead(times: dict[Any, float]) -> Iterator[Document]:
    for rule, (part, whole, text) in WHOLE_INSTEAD.items():
        for (target, ranks, nodes, size), us in times.items():
            if dict(target)["collective"] != part:
                continue
            other = times.get((tuple((dict(target) | {"collective": whole}).items()), ranks, nodes, size))
            if other is not None and us > other * (1 + TOLERANCE):
                yield _broken(rule, (target, ranks, nodes, size), us / other, text)


def _line_rate(times: dict[Any, float], rates: dict[str, Any]) -> Iterator[Document]:
    for (target, ranks, nodes, size), us in times.items():
        if ranks < 2:
            continue
        factors = dict(zip(("intra", "inter"), bus_factors(dict(target)["collective"], ranks, nodes)))
        for side, rate in rates.items():
            if isinstance(rate, (int, float)) and rate > 0:
                ratio = float(factors[side]) * size / (1e3 * us) / rate
                if ratio > 1 + TOLERANCE:
                    text = f"faster than the {rate:g} GB/s of the link"
                    yield _broken("line_rate", (target, ranks, nodes, size), ratio, text)


def _broken(rule: str, place: tuple[Any, int, int, int], ratio: float, text: str) -> Document:
    target, ranks, nodes, size = place
    return {
        "rule": rule,
        "target": dict(target),
        "ranks": ranks,
        "nodes": nodes,
        "bytes": size,
        "ratio": float(ratio),
        "text": text,
    }
