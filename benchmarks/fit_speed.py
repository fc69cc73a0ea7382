"""How long a fit takes, on one core: the whole ladder, and 500 bootstrap refits of the law that it chose.

    OMP_NUM_THREADS=1 python benchmarks/fit_speed.py
    python benchmarks/fit_speed.py --megabytes 200 [--against CHECKOUT]

With --megabytes: `inferometer fit` of a samples file of that size (all_reduce and all_gather on 2 to 16 ranks, every reading
of every rank), here and in another checkout, which has an environment of its own in .venv or is run by this one.

Cells of a node with 2 to 16 ranks, two protocols, 3 % noise. Times are of this machine; the last columns are ratios to the
first row: a ratio below that of the cells (or refits) says that time grows no faster than the work. Bounded (exit status
1): 200 cells and 500 refits together under 60 s.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

CELLS = (50, 100, 200, 400)
REFITS = (125, 250, 500)
BOUND_S = 60.0
LAUNCHES = 5
BYTES_PER_ITERATION = 25_000
"""Of all cells of a launch."""
LAYOUTS = ((2, 1), (4, 1), (8, 1), (16, 1))
TRUTH = {"a": 8.0, "a.2": 40.0, "b": 2.0, "c": 1.0, "B_intra": 50.0, "B_intra.2": 300.0, "B_inter": 1.0, "B_inter.2": 1.0}


def samples_file(path: Path, megabytes: int) -> None:
    """Five launches of two collectives on 2 to 16 ranks of a node, with as many iterations as make the file that large."""
    iterations = max(12, megabytes * 1_000_000 // (LAUNCHES * BYTES_PER_ITERATION))
    draw = random.Random(0)
    header = {
        "record": "header", "schema": "inferometer/samples/1",
        "environment": {"hardware": {"gpus": []}, "software": {"torch": "2"}, "variables": {}},
        "method": {"backend": "gloo"},
    }  # fmt: skip
    with path.open("w") as file:
        file.write(json.dumps(header) + "\n")
        for launch in range(LAUNCHES):
            record = {"record": "launch", "launch": launch, "node_of": [0] * 16, "conditions": {"load_1m": launch / 100}}
            file.write(json.dumps(record) + "\n")
            for ranks in (2, 4, 8, 16):
                for exponent in range(9, 26):
                    for collective in ("all_reduce", "all_gather"):
                        cell = _cell(draw, collective, ranks, 2**exponent, launch, iterations)
                        file.write(json.dumps(cell) + "\n")


def _cell(draw: random.Random, collective: str, ranks: int, size: int, launch: int, iterations: int) -> dict[str, object]:
    passes = 2 if collective == "all_reduce" else 1
    us = 15 + 4 * ranks + passes * (ranks - 1) / ranks * size / 3000
    starts, stops, now = [[] for _ in range(ranks)], [[] for _ in range(ranks)], 0
    for _ in range(iterations):
        took = us * 1000 * draw.lognormvariate(0, 0.03)
        for rank in range(ranks):
            begin = now + draw.randrange(500)
            starts[rank].append(begin)
            stops[rank].append(now + int(took) + draw.randrange(500) + 500)
        now += int(took) + 5000
    return {
        "record": "cell", "launch": launch, "cell": f"{collective}/float32/{size}/{ranks}x1/alone/isolated",
        "collective": collective, "implementation": "gloo", "backend": "gloo", "launch_mode": "host", "timing": "isolated",
        "dtype": "float32", "concurrent_groups": 1, "groups": 1, "scheduler": "other", "bytes": size,
        "requested_bytes": size, "count": size // 4, "ranks": ranks, "nodes": 1, "participants": list(range(ranks)),
        "groups_ranks": [list(range(ranks))], "operations": 1, "wrong": 0, "time_definition": "last_stop_minus_last_start",
        "bus_factor": passes * (ranks - 1) / ranks, "flags": [], "origin_ns": 5000000, "start_ns": starts, "stop_ns": stops,
    }  # fmt: skip


def fit_of_file(megabytes: int, against: Path | None) -> int:
    here = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "large.samples.jsonl"
        samples_file(path, megabytes)
        print(f"{'fit of ' + str(path.stat().st_size // 1_000_000) + ' MB of samples':34}{'wall s':>9}{'CPU s':>9}{'MB':>8}")
        found = []
        for label, checkout in (("here", here), *((("against", against),) if against else ())):
            own = checkout / ".venv" / "bin" / "python"
            python = str(own) if own.exists() and checkout != here else sys.executable
            line = [python, "-m", "inferometer.launch", "fit", str(path), "-o", str(path.parent / f"{label}.json")]
            found.append(_measured(line, checkout))
            print(f"  {label:32}" + "{:9.2f}{:9.2f}{:8.0f}".format(*found[-1]), flush=True)
    if len(found) == 2:
        print(f"  {'here / against':32}" + "{:9.2f}{:9.2f}{:8.2f}".format(*(a / b for a, b in zip(*found))))
    return 0


def _measured(line: list[str], checkout: Path) -> tuple[float, float, float]:
    """Wall-clock time, processor time and the most memory (MB) of one command."""
    start = perf_counter()
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with subprocess.Popen(line, cwd=checkout, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{checkout}: fit ended with status {process.returncode}")
    return perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, help="fit a samples file of this size instead")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="with --megabytes: another checkout beside this one"
    )
    args = parser.parse_args()
    if args.megabytes:
        return fit_of_file(args.megabytes, args.against.resolve() if args.against else None)
    return ladder_and_refits()


def ladder_and_refits() -> int:
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.studies
    import numpy as np

    from inferometer.emulator.calibrate.fit.choose import choose_law
    from inferometer.emulator.calibrate.fit.intervals import bootstrap
    from inferometer.emulator.calibrate.fit.points import points_of
    from inferometer.emulator.calibrate.laws.forms import formula_named, law_of
    from inferometer.emulator.calibrate.schema.keys import usable_rows
    from tests.studies.recognition import NOISE
    from tests.studies.synthetic import synthetic_cells

    law = law_of(formula_named("two_protocols"), "all_reduce")

    def made(cells: int):
        sizes = np.unique(np.geomspace(512, 2**29, cells // len(LAYOUTS)).astype(int))
        rows = synthetic_cells("all_reduce", law, TRUTH, LAYOUTS, seed=0, sizes=sizes, launches=1, iterations=1, noise=NOISE)
        return points_of(usable_rows(rows)[0])

    choose_law("all_reduce", made(CELLS[0]))  # imports and caches
    print(f"{'ladder':>20s} {'law':16s} {'laws tried':>10s} {'seconds':>8s} {'cells x':>8s} {'time x':>7s}")
    first, ladder_s, chosen = 0.0, {}, {}
    for cells in CELLS:
        points = made(cells)
        start = perf_counter()
        choice = choose_law("all_reduce", points)
        ladder_s[cells], chosen[cells] = perf_counter() - start, (choice.chosen.fit, points)
        first = first or ladder_s[cells]
        ratios = f"{cells / CELLS[0]:8.1f} {ladder_s[cells] / first:7.1f}"
        print(f"{cells:14d} cells {choice.chosen.name:16s} {len(choice.candidates):10d} {ladder_s[cells]:8.2f} {ratios}")
    fit, points = chosen[200]
    print(f"{'bootstrap':>20s} {'':16s} {'':10s} {'seconds':>8s} {'refits x':>8s} {'time x':>7s}")
    first, refit_s = 0.0, {}
    for refits in REFITS:
        start = perf_counter()
        bootstrap(fit, points, 0, refits)
        refit_s[refits] = perf_counter() - start
        first = first or refit_s[refits]
        ratios = f"{refits / REFITS[0]:8.1f} {refit_s[refits] / first:7.1f}"
        print(f"{refits:13d} refits {fit.law.name:16s} {'':10s} {refit_s[refits]:8.2f} {ratios}")
    total = ladder_s[200] + refit_s[500]
    print(f"200 cells, ladder and 500 refits: {total:.1f} s of {BOUND_S:.0f} s")
    return 0 if total < BOUND_S else 1


if __name__ == "__main__":
    sys.exit(main())
