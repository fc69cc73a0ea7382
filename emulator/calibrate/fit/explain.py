"""What a design does not determine, in words that say what to measure."""

from __future__ import annotations

from inferometer.emulator.calibrate.fit.points import Points
from inferometer.emulator.calibrate.laws.design import Design
from inferometer.emulator.calibrate.laws.terms import NS_IN_US
from inferometer.emulator.calibrate.schema.network_records import Formula


def combination_expression(design: Design, row: int, points: Points) -> tuple[str, str]:
    """One identifiable combination as (expression, unit).

    Latencies alone read "a + 3·b" [us]. Inverse bandwidths alone read "1/B_intra + 0.5/B_inter" [ns/byte]. A design
    with one size merges the two; then the bandwidth term is written as the time of that size, "65536 bytes/B_intra",
    so that everything is in µs, and where nothing else is left it is "t at 65536 bytes".
    """
    terms = design.coefficients(row)
    bandwidths = {name for name in terms if name.startswith("B_")}
    if bandwidths == set(terms):
        return " + ".join(_times(v, f"1/{name}") for name, v in terms.items()), "ns/byte"
    size = float(points.n.max())
    if bandwidths and design.rank == 1:
        return f"t at {size:g} bytes", "us"
    parts = []
    for name, value in terms.items():
        if name in bandwidths:
            parts.append(_times(value / (size * NS_IN_US), f"({size:g} bytes)/{name}"))
        else:
            parts.append(_times(value, name))
    return " + ".join(parts).replace("+ -", "- "), "us"


def not_identified_reason(name: str, design: Design, points: Points, formula: Formula) -> str:
    """Why the design does not determine one parameter, naming what was not varied."""
    if name in design.zero:
        return _zero_reason(name.partition(".")[0], points)
    row = next(i for i in range(design.rank) if name in design.coefficients(i))
    expression, _ = combination_expression(design, row, points)
    merged = set(design.coefficients(row))
    only = f"only {expression} is determined"
    if any(other.startswith("B_") for other in merged):
        if all(other.startswith("B_") for other in merged):
            cause = "no run on one node or with one rank per node: the two bandwidths always act in one proportion"
        elif len(sizes := set(points.n)) == 1:
            cause = f"one message size only ({sizes.pop():g} bytes)"
        else:
            cause = "sizes and ranks were not varied independently"
    elif formula.rank_latency == "ring":
        cause = f"one rank count only ({points.r[0]:g})" if len(set(points.r)) == 1 else "ranks were not varied enough"
    elif len(local := set(points.r / points.N)) == 1:
        cause = f"one group size only ({local.pop():g} ranks per node)"
    else:
        cause = "ranks per node and nodes were not varied independently"
    return f"{cause}; {only}"


def _zero_reason(name: str, points: Points) -> str:
    if name == "c":
        return "all cells have one node, so log2 N is always 0"
    if name == "b":
        return "all cells have one rank per node, so r/N - 1 is always 0"
    if not points.n.any():
        return "no cell carries any bytes"
    if name == "B_inter":
        return "all cells have one node: no byte crosses nodes"
    if (points.r == points.N).all():
        return "all cells have one rank per node: no byte stays inside a node"
    return "all cells span several nodes, and this collective is charged to the slowest link"


def _times(value: float, what: str) -> str:
    number = f"{value:.4g}"
    if number == "1":
        return what
    return number + what[1:] if what.startswith("1/") else f"{number}·{what}"
