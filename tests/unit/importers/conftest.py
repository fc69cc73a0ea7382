"""Logs as nccl-tests print them, written here from their own arithmetic, and a way to import text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

FACTORS: dict[str, Callable[[int], float]] = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "alltoall": lambda n: (n - 1) / n,
    "broadcast": lambda n: 1.0,
    "reduce": lambda n: 1.0,
    "sendrecv": lambda n: 1.0,
}
REDOP = {"all_reduce": "sum", "reduce_scatter": "sum", "reduce": "sum", "sendrecv": "sum"}
SHARDED = ("all_gather", "reduce_scatter", "alltoall")
"""Their count is of one rank's part."""
ROOTED = ("broadcast", "reduce")


def time_us(size: int, ranks: int) -> float:
    return 9.0 + 0.7 * ranks + size / 150e3


class Log:
    """One run's text; the fields may be changed before `text` is asked."""

    def __init__(self, collective: str = "all_reduce", ranks: int = 8, nodes: int = 1, **changes: Any) -> None:
        self.collective, self.ranks, self.nodes = collective, ranks, nodes
        self.sizes = [2**i for i in range(7, 28)]
        self.named = self.devices = self.settings = self.head = self.footer = True
        self.old = False
        self.wrong: dict[int, str] = {}
        self.times: dict[int, float] = {}
        self.printed_ranks = ranks
        """What busbw is computed with: another number than ranks makes a mislabelled log."""
        self.per_process = 1
        self.prefix = ""
        self.options: dict[str, Any] = {"graph": 0}
        self.extra: Sequence[str] = ()
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def cell(self, size: int, in_place: bool) -> str:
        time = self.times.get(size, time_us(size, self.ranks)) if size else 0.07
        algbw = size / time / 1e3
        busbw = algbw * FACTORS[self.collective](self.printed_ranks)
        unchecked = self.old or (in_place and self.collective in ("alltoall", "sendrecv"))
        wrong = "N/A" if unchecked else self.wrong.get(size, "0")
        return f"{time:9.2f} {algbw:8.2f} {busbw:8.2f} {wrong:>6}"

    def row(self, size: int) -> str:
        redop = REDOP.get(self.collective, "" if self.old else "none")
        root = "0" if self.collective in ROOTED else "" if self.old else "-1"
        shards = self.printed_ranks if self.collective in SHARDED else 1
        head = f"{size:12d} {size // 4 // shards:12d} {'float':>8} {redop:>7} {root:>6}"
        return f"{head} {self.cell(size, False)} {self.cell(size, True)}"

    def lines(self) -> list[str]:
        lines = []
        if self.named:
            lines.append(f"# Collective test starting: {self.collective}_perf")
        if self.settings:
            graph = f" graph: {self.options['graph']}" if "graph" in self.options else ""
            lines.append(
                f"# nThread 1 nGpus {self.per_process} minBytes {min(self.sizes)} maxBytes {max(self.sizes)} "
                f"step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1{graph}"
            )
        lines.append("#")
        if self.devices:
            group = "" if self.old else " Group  0"
            lines.append("# Using devices")
            for rank in range(self.ranks):
                host = f"node{rank * self.nodes // self.ranks}"
                lines.append(f"#  Rank {rank:2d}{group} Pid {900 + rank} on {host:>10} device {rank % 8:2d} [0x07] Test GPU")
        lines += self.extra
        if self.head:
            lines.append(
                "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw"
            )
            lines.append("#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)")
        lines += [self.row(size) for size in self.sizes]
        if self.footer:
            cells = [
                float(line.split()[i]) for line in lines for i in (-6, -2) if line.strip() and line.split()[0].isdigit()
            ]
            lines.append("# Out of bounds values : 0 OK")
            lines.append(f"# Avg bus bandwidth    : {sum(cells) / len(cells):g}")
        return lines

    @property
    def text(self) -> str:
        return "".join(f"{self.prefix}{line}\n" for line in self.lines())


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """``read(format, content, name="run.log", settings="ranks=2")`` → `Imported`."""
    from inferometer.emulator.importers.imports import import_files
    from inferometer.emulator.importers.settings import parse_settings

    def make(format_name: str, content: str | bytes, name: str = "run.log", settings: str | None = None) -> Any:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_files(format_name, [path], parse_settings(settings))

    return make


@pytest.fixture
def entry(read: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """As `read`, for a file with one run: its entry in the report."""

    def make(*args: Any, **kwargs: Any) -> dict[str, Any]:
        (found,) = read(*args, **kwargs).files
        return found

    return make


@pytest.fixture
def log() -> type[Log]:
    return Log
