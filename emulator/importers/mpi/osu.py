"""The OSU micro-benchmarks' titles: which operation of which library a table shows, of every version from 3 to 7.

``# OSU MPI-CUDA All-to-All Personalized Exchange Latency Test v7.4``, ``# OSU MPI Non-blocking Allreduce Latency Test``,
``# OSU NCCL Broadcast Latency Test``, ``# OSU MPI Multi Latency Test``, ``# OSU MPI Bi-Directional Bandwidth Test``.
"""

from __future__ import annotations

import re

from inferometer.emulator.importers.run import Run, tool_name
from inferometer.parallel.collectives import COLLECTIVES

TITLE = re.compile(
    r"(?:OSU|OMB)(?:[- ]Py(?:thon)?)?\s+(?P<suite>[A-Za-z+]{3,12})(?:-\w+)?[\s_]+(?P<what>[^#]*?)\s*\bTest\b(?P<rest>.*)"
)
VERSION = re.compile(r"\bv?(\d{1,2}(?:\.\d{1,3}){1,3}\w*)")
DTYPE = re.compile(r"#?\s*Datatype:\s*(?:MPI_|NCCL_|nccl|DT_)?(\w+)", re.IGNORECASE)
PAIRS = re.compile(r"\[\s*(?:number of )?pairs:\s*(\d{1,7})\s*\]", re.IGNORECASE)
WINDOW = re.compile(r"\[\s*window size:\s*(\d{1,7}|varied)\s*\]", re.IGNORECASE)
WINDOWS = re.compile(r"#\s*(\d{1,7}(?:\s+\d{1,7}){1,63})")
"""The head of a table with a column for each window."""
RATES = re.compile(r"#\s*Message Rate Profile", re.IGNORECASE)
USAGE = re.compile(r"(?i:usage):\s+(?:\S*/)?(osu_\w+|IMB-\w+)\b")
USUAL_WINDOW = 64
BUFFERS = re.compile(r"Send\s+Buffer\s+on\s+(\w+).*Receive\s+Buffer\s+on\s+(\w+)", re.IGNORECASE)
SUITES = {"MPI": "mpi", "NCCL": "nccl", "RCCL": "rccl", "XCCL": "xccl"}
NAMES = {
    "alltoallpersonalizedexchange": "alltoall",
    "alltoallvpersonalizedexchange": "alltoallv",
    "alltoallwpersonalizedexchange": "alltoallw",
}
LIBRARY = re.compile(r"(NCCL|RCCL|XCCL)\s+", re.IGNORECASE)
KINDS = re.compile(r"\b(non-?blocking|persistent|partitioned|neighbou?r(?:hood)?|one[- ]sided)\b\s*", re.IGNORECASE)
FIRST_WITH_DATATYPES = 7
"""Version that lets the datatype be chosen, and prints it; before, reductions were of MPI_FLOAT."""


def begin(found: re.Match[str], numbered: int) -> Run:
    """The run that a title opens; unknown operations are named, and say why no law takes them."""
    inner = LIBRARY.match(found["what"])  # the xccl benchmarks name the library after the buffers
    suite = SUITES.get((inner[1] if inner else found["suite"]).upper(), found["suite"].lower())
    run = Run([], implementation=suite, backend="nccl" if suite in ("nccl", "rccl") else suite)
    run.launch_mode, run.timing = "host", "isolated"
    words = found["what"][inner.end() if inner else 0 :]
    version = VERSION.search(found["rest"])
    run.facts |= {"benchmark": " ".join(words.split()), "tool_version": version[1] if version else None}
    run.facts["first_line"] = numbered
    kinds = [kind.lower().replace("-", "").replace(" ", "") for kind in KINDS.findall(words)]
    words = KINDS.sub("", words)
    quantity = "bandwidth" if "bandwidth" in words.lower() else "latency"
    plain = "".join(c for c in re.sub(r"(?i)latency|blocking", "", words).lower() if c.isalnum())
    for kind in kinds:
        if kind.startswith(("neighb", "onesided")):
            run.tool_collective = "neighborhood" if kind.startswith("n") else "one-sided"
            run.flag("no_law", f"{run.facts['benchmark']}: no cost law for it")
            return run
        run.variant = {"nonblocking": "nonblocking", "persistent": "persistent"}.get(kind, kind)
    if plain.startswith(("get", "put", "acc", "cas", "fop", "fetch", "compareandswap")):
        run.tool_collective = "one-sided"
        run.flag("no_law", f"{run.facts['benchmark']}: one-sided, no cost law for it")
        return run
    if _between_two(plain):
        _pair(run, plain, quantity)
        return run
    run.call(NAMES.get(plain) or tool_name(plain))
    if plain.endswith("block"):
        run.variant = "/".join(part for part in ("block", run.variant) if part)
    if run.tool_collective is None and plain.startswith("i") and (name := NAMES.get(plain[1:]) or tool_name(plain[1:])):
        run.call(name)
        run.variant = "nonblocking"
    if run.tool_collective is None:
        run.flag("collective_unknown", f"{run.facts['benchmark']} is no collective known here")
    major = int(run.facts["tool_version"].split(".")[0]) if version else None
    if (
        run.collective
        and COLLECTIVES[run.collective].sums
        and suite == "mpi"
        and major is not None
        and major < FIRST_WITH_DATATYPES
    ):
        run.facts["dtype_printed"] = "float32"
    return run


def window_variant(window: str, others: str) -> str:
    """Other windows than the usual one are another operation: fewer or more messages share a round trip."""
    own = f"window{window}" if window.isdigit() and int(window) != USUAL_WINDOW else ""
    return "/".join(part for part in (own, others) if part)


def _between_two(plain: str) -> bool:
    rest = re.sub(r"bandwidth|messagerate|bidirectional|multi(?:ple|pair|threaded|process)?|pairs?|bi|test", "", plain)
    return rest in ("", "congestion", "pt2pt")


def _pair(run: Run, plain: str, quantity: str) -> None:
    """Point-to-point: half a round trip; of a bandwidth test, a message of a window that is in flight."""
    if "bidirectional" in plain or "congestion" in plain:
        run.tool_collective = "bidirectional" if "bidirectional" in plain else "congestion"
        run.flag("no_law", f"{run.facts['benchmark']}: messages in both directions, no cost law for it")
        return
    run.call("send_recv")
    run.ranks = 2
    if "thread" in plain or "process" in plain:
        run.variant = "/".join(part for part in ("threads" if "thread" in plain else "processes", run.variant) if part)
    elif "multi" in plain:
        run.concurrent_groups = "all"
    if quantity == "bandwidth":
        run.timing = "pipelined"
        run.flag("bandwidth_window", "time of a message among those of a window in flight, from the bandwidth printed")
