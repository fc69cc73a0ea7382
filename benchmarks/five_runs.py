"""How well calibrations of this machine describe what they measured, run after run: does the default suffice?

    python benchmarks/five_runs.py [--runs 5] [--budget 240] [--keep FOLDER] [--again] [FLAGS OF calibrate …]

Runs `inferometer calibrate` several times, as `make run` does it, and keeps every run's files in FOLDER. Printed is for each
run the median error of the all_reduce and all_to_all laws at their cells: those of ranks that have a core each (bound
10 %) and those of ranks that outnumber the cores (bound 15 %), how many launches were disturbed, and the load meanwhile.
Status 0 where four of five runs keep both bounds. --again: measure nothing, print the table of the files in FOLDER.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import inferometer

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

COLLECTIVES = ("all_reduce", "all_to_all")
BOUNDS = {False: 0.10, True: 0.15}
"""Of the median error, for ranks within the cores and for ranks beyond them."""
ENOUGH = 0.8
"""Of the runs must keep them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--budget", type=float, default=240.0, metavar="S")
    parser.add_argument("--keep", type=Path, default=Path("five_runs"), metavar="FOLDER")
    parser.add_argument("--again", action="store_true")
    args, further = parser.parse_known_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    if not args.again:
        for number in range(args.runs):
            calibrate(args.keep / f"run-{number + 1}.json", args.budget, further)
    files = sorted(args.keep.glob("run-*.json"))
    if not files:
        sys.exit(f"{args.keep}: holds no run")
    return table(files)


def calibrate(output: Path, budget_s: float, further: list[str]) -> None:
    """One run. Ends this process where it fails."""
    root = str(Path(inferometer.__file__).resolve().parents[1])
    command = [sys.executable, "-m", "inferometer.launch", "calibrate", "--budget", f"{budget_s:g}", "-q", *further]
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run([*command, "-o", str(output)], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{output}: status {done.returncode}: {done.stderr}")


def table(files: list[Path]) -> int:
    from inferometer.emulator.calibrate.evaluate.file import load_calibration
    from inferometer.emulator.samples.disturbed import disturbed
    from inferometer.emulator.samples.samples import read_records

    heads = [f"{name} {where}" for name in COLLECTIVES for where in ("within", "beyond")]
    print(f"{'run':10s}" + "".join(f"{head:>20s}" for head in heads) + f"{'launches':>10s}{'disturbed':>10s}{'load':>6s}")
    kept = 0
    for path in files:
        calibration = load_calibration(path)
        errors = {
            (name, beyond): median_error(calibration, name, beyond) for name in COLLECTIVES for beyond in (False, True)
        }
        samples = path.with_suffix(".samples.jsonl")
        odd = len(disturbed(read_records(samples))) if samples.exists() else 0
        conditions, launches = calibration.provenance.conditions, (calibration.method or {}).get("launches")
        load = (conditions or {}).get("load_1m")
        shown = "".join(f"{'–' if error is None else f'{error:.1%}':>20s}" for error in errors.values())
        print(f"{path.stem:10s}{shown}{launches!s:>10s}{odd:10d}{'–' if load is None else f'{load:.1f}':>6s}")
        kept += all(error is None or error <= BOUNDS[beyond] for (_, beyond), error in errors.items())
    print(f"{kept} of {len(files)} runs within {BOUNDS[False]:.0%} (ranks within the cores) and {BOUNDS[True]:.0%} (beyond)")
    return 0 if kept >= ENOUGH * len(files) else 1


def median_error(calibration: Calibration, collective: str, beyond: bool) -> float | None:
    """Median relative error of the isolated laws of one collective at the cells that they were fitted to; None without any.

    beyond: of ranks that outnumber the cores.
    """
    from inferometer.emulator.calibrate.evaluate.network import FittedLaw

    errors = []
    for law in calibration.network_laws:
        target = law.target
        plain = target.timing == "isolated" and target.concurrent_groups == 1
        if target.collective != collective or not plain or bool(target.oversubscribed) is not beyond:
            continue
        cells = [cell for cell in calibration.cells if cell.target == target and cell.ranks in law.domain.ranks]
        fitted = FittedLaw(law)
        errors += [
            abs(float(fitted.us(cell.bytes, cell.ranks, cell.nodes)) / cell.us.median - 1)
            for cell in cells
            if cell.us.median
        ]
    return float(np.median(errors)) if errors else None


if __name__ == "__main__":
    sys.exit(main())
