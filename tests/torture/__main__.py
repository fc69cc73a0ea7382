"""``python -m tests.torture [AREA …]``: bad input and faults of every kind, by area: how many were tried, which failed.

Areas: readers, commands, streams, folders, two-at-once, kills, kills-of-ranks; all of them without one named. Each prints
its line as soon as it ends. --share 0.01 tries a hundredth of everything. Exit status 1 where one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import faults, inputs

AREAS = {
    "readers": inputs.try_readers,
    "commands": inputs.try_commands,
    "streams": faults.try_streams,
    "folders": faults.try_folders,
    "two-at-once": faults.try_two_at_once,
    "kills": faults.try_kills,
    "kills-of-ranks": faults.try_kills_of_ranks,
}
INPUTS = ("readers", "commands")
"""What they try counts as inputs, what the others try as faults."""
SHOWN = 5


class Tally:
    """Counts what is tried, and prints a line for each kind of it when the next one begins."""

    def __init__(self) -> None:
        self.tried = self.failed = 0
        self._kind: str | None = None
        self._began = time.monotonic()
        self._count = 0
        self._wrong: list[str] = []

    def add(self, kind: str, wrong: str | None) -> None:
        if kind != self._kind:
            self.end()
            self._kind = kind
        self._count += 1
        if wrong:
            self._wrong.append(wrong)

    def end(self) -> None:
        if self._kind is not None:
            seconds = time.monotonic() - self._began
            print(f"{self._kind:<24}{self._count:>8}{len(self._wrong):>8}{seconds:>9.0f}", flush=True)
            for wrong in self._wrong[:SHOWN]:
                print(f"    {wrong}", flush=True)
        self.tried += self._count
        self.failed += len(self._wrong)
        self._kind, self._count, self._wrong, self._began = None, 0, [], time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"{', '.join(AREAS)} (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the inputs and faults that is tried (default 1)")
    args = parser.parse_args()
    if unknown := [area for area in args.areas if area not in AREAS]:
        parser.error(f"unknown area {unknown[0]!r}, known are {', '.join(AREAS)}")
    began = time.monotonic()
    tried = {"inputs": 0, "faults": 0}
    failed = 0
    print(f"{'kind':<24}{'tried':>8}{'failed':>8}{'seconds':>9}", flush=True)
    for area in args.areas or AREAS:
        tally = Tally()
        with tempfile.TemporaryDirectory(prefix="torture-") as folder, contextlib.chdir(folder):
            for kind, wrong in AREAS[area](Path(folder), args.share):
                tally.add(kind, wrong)
        tally.end()
        tried["inputs" if area in INPUTS else "faults"] += tally.tried
        failed += tally.failed
    seconds = time.monotonic() - began
    print(f"{tried['inputs']} inputs and {tried['faults']} faults, {failed} failures in {seconds:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
