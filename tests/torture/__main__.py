"""``python -m tests.torture``: bad input and faults of every kind, by area: how many were tried, which failed.

--share 0.01 tries a hundredth of them. Exit status 1 where one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import faults, inputs

TRIALS = (
    inputs.try_readers, inputs.try_commands, faults.try_streams, faults.try_folders, faults.try_two_at_once,
    faults.try_kills, faults.try_kills_of_ranks,
)  # fmt: skip
SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the inputs and faults that is tried (default 1)")
    parser.add_argument("--only", default="", help="only the groups whose name holds this: readers, commands, streams, …")
    args = parser.parse_args()
    failed = 0
    print(f"{'area':<24}{'tried':>8}{'failed':>8}{'seconds':>9}")
    for trial in TRIALS:
        if args.only not in trial.__name__:
            continue
        tried: dict[str, list[str]] = {}
        counts: dict[str, int] = {}
        began: dict[str, float] = {}
        ended: dict[str, float] = {}
        with tempfile.TemporaryDirectory(prefix="torture-") as folder, contextlib.chdir(folder):
            for area, wrong in trial(Path(folder), args.share):
                began.setdefault(area, time.monotonic())
                ended[area] = time.monotonic()
                counts[area] = counts.get(area, 0) + 1
                if wrong:
                    tried.setdefault(area, []).append(wrong)
        for area, count in counts.items():
            wrongs = tried.get(area, [])
            failed += len(wrongs)
            print(f"{area:<24}{count:>8}{len(wrongs):>8}{ended[area] - began[area]:>9.0f}", flush=True)
            for wrong in wrongs[:SHOWN]:
                print(f"    {wrong}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
