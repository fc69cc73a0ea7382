"""The heads of the tables of the OSU micro-benchmarks and of the Intel MPI Benchmarks, and the rows under them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from inferometer.emulator.importers.run import Row

NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")

#: Of OSU's head: what stands there → our column; the first that matches at a place holds.
OSU_COLUMNS = [
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"Size\b(?:\s*\((?:B|bytes)\))?", "bytes"),
        (r"P(?P<p>\d{1,2}(?:\.\d{1,4})?)\s+Tail\s+Lat(?:ency)?\s*\(us\)", "p{p}_us"),
        (r"P\d{1,2}(?:\.\d{1,4})?\s+Tail\s+\S+\s*\([^)]*\)", "other"),
        (r"(?P<p>Min|Max|Avg)\.?\s+Lat(?:ency)?\s*\(us\)", "{p}_us"),
        (r"Lat(?:ency)?\s*\(us\)", "avg_us"),
        (r"Pure\s+Comm\.?\s*\(us\)", "pure_us"),
        (r"(?P<p>Min|Max)\s+Comm\.?\s*\(us\)", "{p}_us"),
        (r"Overall\s*\(us\)", "overall_us"),
        (r"Compute\s*\(us\)", "compute_us"),
        (r"(?:Coll\.\s*)?\w+\.?\s*\(us\)", "other"),
        (r"Overlap\s*\(%\)", "other"),
        (r"(?:[A-Za-z-]+\s+)?Bandwidth\s*\(MB/s\)|MB/s", "mb_s"),
        (r"Messages/s", "messages_s"),
        (r"Message\s+Rate\s*(?:\([^)]*\))?", "other"),
        (r"Iterations", "iterations"),
        (r"Validation", "validation"),
        (r"\S+(?:\s\S+)*?(?=\s{2,}|$)", "other"),
    )
]
IMB_COLUMNS = {
    "#bytes": "bytes",
    "#repetitions": "iterations",
    "#benchmarking": "benchmark",
    "#procs": "procs",
    "t_min[usec]": "min_us",
    "t_max[usec]": "max_us",
    "t_avg[usec]": "avg_us",
    "t[usec]": "avg_us",
    "t_ovrl[usec]": "overall_us",
    "t_pure[usec]": "pure_us",
    "mbytes/sec": "mb_s",
    "defects": "defects",
    "group": "group",
}
BARRIERS = {
    (False, 1): ["avg_us"],
    (False, 4): ["avg_us", "min_us", "max_us", "iterations"],
    (True, 4): ["overall_us", "compute_us", "pure_us", "other"],
    (True, 9): [
        "overall_us", "compute_us", "other", "other", "other", "pure_us", "min_us", "max_us", "other",
    ],
}  # fmt: skip
"""OSU 7.1 prints a barrier's row without its head: (non-blocking, cells) → columns, as other versions print them."""
#: Which column holds the time of one operation: of a non-blocking one that which nothing overlaps.
TIMES = ("avg_us", "pure_us")
ROUNDING = 1.005


@dataclass
class Columns:
    """Names of the columns in order; other: not used. time: the one that is one operation's, None where there is none."""

    names: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def time(self) -> str | None:
        return next((name for name in TIMES if name in self.names), None)

    @property
    def nonblocking(self) -> bool:
        return "pure_us" in self.names

    @property
    def without_percentiles(self) -> int:
        """Columns before the percentiles: multi_lat of OSU 7.4 announces them with -z and prints none."""
        return next((at for at, name in enumerate(self.names) if name[:1] == "p" and name[1:2].isdigit()), 0)

    @property
    def usable(self) -> bool:
        return self.time is not None or "mb_s" in self.names


def osu_columns(head: str) -> Columns:
    """Of a line that may be a head; empty where a column of times, or of bandwidths under a size, is not in it."""
    names: list[str] = []
    at = 0
    head = head.strip().lstrip("#").strip()
    while at < len(head) and len(names) < 64:
        for pattern, name in OSU_COLUMNS:
            if found := pattern.match(head, at):
                words = found.groupdict()
                names.append(name.format(p=words["p"].lower()) if words.get("p") else name)
                at = found.end()
                break
        else:
            return Columns()
        while at < len(head) and head[at].isspace():
            at += 1
    columns = Columns(names)
    known = columns.time is not None or ("mb_s" in names and "bytes" in names)
    return columns if known and names[0] in ("bytes", *TIMES, "overall_us") else Columns()


def imb_columns(head: str) -> Columns:
    words = head.split()
    names = [IMB_COLUMNS.get(word.lower(), "other") for word in words]
    return Columns(names) if "iterations" in names and "#repetitions" in head else Columns()


def row_of(parts: list[str], columns: Columns) -> Row | str:
    """The row, or why it is none. A row has a cell for each column, and its least time is at most its greatest."""
    names = columns.names
    if len(parts) == columns.without_percentiles:
        names = names[: len(parts)]
    if len(parts) != len(names):
        return f"{len(parts)} cells under a head of {len(columns.names)}"
    values: dict[str, float] = {}
    wrong: int | None = None
    for name, cell in zip(names, parts):
        if name == "benchmark":
            continue
        if name == "validation":
            wrong = {"pass": 0, "fail": 1}.get(cell.lower().rstrip("."))
            continue
        if not NUMBER.fullmatch(cell):
            if name == "other":
                continue
            return f"{cell[:20]!r} is not a number"
        values[name] = float(cell)
    size = values.pop("bytes", 0.0)
    if size < 0 or size != int(size):
        return f"{size:g} is no size"
    if "defects" in values:
        wrong = int(values.pop("defects") > 0)
    values.pop("group", None)
    values.pop("procs", None)
    values.pop("other", None)
    iterations = values.pop("iterations", None)
    us = values.pop(columns.time) if columns.time else None
    row = Row(int(size), us, wrong=wrong, extra=dict(values))
    if iterations is not None:
        row.extra["iterations"] = int(iterations)
    low, high = values.get("min_us"), values.get("max_us")
    if us is not None and low is not None and high is not None and not low / ROUNDING <= us <= high * ROUNDING + 0.01:
        row.excluded = "statistics_contradicted"
    return row
