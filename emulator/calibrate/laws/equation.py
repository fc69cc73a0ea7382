"""A network law's formula for people: a short label, and the equation as text. Nothing reads either back."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.emulator.calibrate.schema.network_records import Formula, NodeLatency, RankLatency

#: The paper's latency (a chain inside each node, a tree over nodes) goes without a name: laws have it unless they say so.
LATENCIES: dict[tuple[RankLatency | None, NodeLatency | None], str] = {
    ("local", "log2"): "",
    ("ring", None): "flat_ring",
    (None, "log2"): "one_shot",
    ("local", "linear"): "linear_nodes",
    ("local", "once"): "flat_nodes",
    ("ring", "linear"): "ring_linear_nodes",
    (None, "linear"): "one_shot_linear_nodes",
    (None, "once"): "one_shot_flat_nodes",
}
RANK_TERMS = {"local": "b*(r/N-1)", "ring": "b*(r-1)", None: ""}
NODE_TERMS = {"log2": "c*log2(N)", "linear": "c*(N-1)", "once": "c*[N>1]", None: ""}
COUNTED = {2: "two_protocols", 3: "three_protocols"}


def label(formula: Formula) -> str:
    """The shape ("affine" for a plain sum), then whatever differs from the paper's latency and from a sum of transfers."""
    if formula.constants != "fitted":
        return formula.constants
    if formula.ring_bytes:
        return "paper_protocols"
    latency = LATENCIES.get((formula.rank_latency, formula.node_latency), "other_latency")
    shape = {"sum": "affine", "protocols": COUNTED.get(formula.protocols, f"{formula.protocols}_protocols")}
    parts = [shape.get(formula.shape, formula.shape), latency]
    if formula.shape == "sum" and latency == "flat_ring":
        parts = [latency]
    parts += ["overlap"] * formula.overlap + ["bandwidth_per_ranks"] * bool(formula.bandwidth_rank_counts)
    return "_".join(part for part in parts if part)


def equation(formula: Formula, names: Sequence[str]) -> str:
    """t of n bytes, r ranks, N nodes. names: the parameters that the collective's terms have, of one protocol."""
    terms = {"a": "a", "b": RANK_TERMS[formula.rank_latency], "c": NODE_TERMS[formula.node_latency]}
    latency = " + ".join(term for name, term in terms.items() if name in names)
    several = bool(formula.bandwidth_rank_counts)
    transfers = [f"k_intra*n/B_intra{'@r' * several}"] if any(name.startswith("B_intra") for name in names) else []
    transfers += ["k_inter*n/B_inter"] if "B_inter" in names else []
    transfer = f"max({', '.join(transfers)})" if formula.overlap else " + ".join(transfers)
    whole = " + ".join(part for part in (latency, transfer) if part)
    if formula.constants == "scaled":
        return f"t = scale*({whole})"
    if formula.shape == "smooth":
        return f"t = (L^q + W^q)^(1/q), L = {latency}, W = {transfer}"
    if formula.shape == "threshold":
        return f"t = {whole} + jump*[n > threshold]"
    if formula.shape == "protocols":
        own = ["a", "B_intra", "B_inter", *(["b*", "c*"] if formula.slopes_per_protocol else [])]
        for name in own:
            whole = whole.replace(name, name.removesuffix("*") + "_p" + "*" * name.endswith("*"), 1)
        return f"t = min over p = 1..{formula.protocols} of {whole}"
    return f"t = {whole}"
