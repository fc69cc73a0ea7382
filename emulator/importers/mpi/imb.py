"""The Intel MPI Benchmarks' titles (MPI-1, NBC, P2P, MT; also -GPU), versions and what their sizes count."""

from __future__ import annotations

import re

from inferometer.emulator.importers.run import Run, tool_name

TITLE = re.compile(r"Benchmarking\s+([A-Za-z_][\w-]*)")
SUITE = re.compile(
    r"(?:Intel\s*\(R\)|PALLAS)\s*MPI\s+Benchmarks?(?:\s+Suite)?\s+V?(?P<version>\d[\w.]*(?:\s+(?:Update|Beta)\s+\d+)?)"
)
RANKS = re.compile(r"#processes\s*=\s*(\d{1,7})")
THREADS = re.compile(r"threads:\s*(\d{1,5})")
GROUPS = re.compile(r"(\d{1,7})\s+groups?\s+of\s+(\d{1,7})\s+processes")
DTYPE = re.compile(r"MPI_Datatype for reductions\s*:\s*MPI_(\w+)")
WITHOUT_LAW = (
    "pingping", "exchange", "exchg", "biband", "corrbiband", "birandom", "stencil",
    "overlap", "unibandcorr", "unirandom", "corandom", "sendrecvreplace", "reducelocal",
)  # fmt: skip


def begin(name: str, numbered: int, version: str | None) -> Run:
    run = Run([], implementation="mpi", backend="mpi", launch_mode="host", timing="pipelined")
    run.facts |= {"benchmark": name, "tool_version": version, "first_line": numbered}
    plain = "".join(c for c in name.lower() if c.isalnum())
    if plain.startswith("multi"):
        plain = plain.removeprefix("multi")
        run.concurrent_groups = "all"
    plain = plain.removesuffix("mt")
    if plain.startswith("pingpong"):
        run.call("send_recv")
        run.ranks, run.timing = 2, "isolated"
    elif plain.startswith(("uniband", "corruniband")):
        run.call("send_recv")
        run.ranks = 2
        run.flag("bandwidth_window", "time of a message among those of a window in flight, from the bandwidth printed")
    elif plain.startswith(WITHOUT_LAW):
        run.tool_collective = plain
        run.flag("no_law", f"{name}: no message of one to another alone, no cost law for it")
    else:
        run.call(tool_name(plain))
        bare = plain.removeprefix("i").removesuffix("pure")
        if run.tool_collective is None and plain.startswith("i") and (name_ := tool_name(bare)):
            run.call(name_)
            run.variant = "nonblocking"
        if "block" in plain:
            run.variant = "/".join(part for part in ("block", run.variant) if part)
        if run.tool_collective is None:
            run.flag("collective_unknown", f"{name} is no collective known here")
    return run


def parts_are_of_one_rank(version: str | None) -> bool | None:
    """Whether sizes of Reduce_scatter are one rank's part: since 2019 Update 1, before the whole vector. None: unknown."""
    found = re.match(r"(\d{1,4})(?:\.(\d+))?(?:\s+Update\s+(\d+))?", version or "")
    if found is None:
        return None
    year, update = int(found[1]), int(found[3] or 0)
    if year == 2019:
        return update >= 1
    return year > 2019
