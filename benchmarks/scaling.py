"""What laws fitted on few nodes say of many: public logs with the largest node counts left out, and 512 and 4096 ranks.

    python benchmarks/scaling.py [--data FOLDER]

First part: the logs of nccl-tests on Alps (GH200, up to 512 nodes) and Polaris (A100, up to 540 nodes), with every run on
more nodes than a limit left out of the fit and predicted. Printed are the law that was chosen, the median and 90th
percentile of the relative error of what was left out, how much of it the 95 % intervals cover, and the errors of the paper's
constants. FOLDER holds the logs' rows (all_rows.csv), by default ../shared/data/nccl_logs; without it the small all_reduces
that come with the tests are used.

Second part: an all_reduce on 512 and 4096 ranks by built-in calibrations, with its 95 % interval; `*`: beyond what was
measured.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "nccl_logs"
SMALL = ROOT / "tests" / "data" / "nccl_logs" / "polaris_small_all_reduce.csv"
NAMES = {"alltoall": "all_to_all"}
CASES = (
    ("Alps, crossnic 1", "alps_gh200/crossnic1_ofi1.13.0_", (32, 128)),
    ("Alps, ofi 1.9.2", "alps_gh200/crossnic1_ofi1.9.2_", (128,)),
    ("Polaris, tuned", "alcf_polaris/*_cfg[45]_", (32, 256)),
)
"""Name, files, limits of nodes."""
CALIBRATIONS = ("alps-gh200", "polaris-tuned")
SIZES = (4096, 131072, 16 << 20)
LARGE = ((512, 128), (4096, 1024))
"""Ranks, nodes: four ranks on a node, as both machines have."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, metavar="FOLDER")
    args = parser.parse_args()
    errors = f"{'median':>7s} {'p90':>6s} {'covered':>8s} {'paper':>7s} {'p90':>7s}"
    print(f"{'logs':18s} {'collective':11s} {'fitted':>8s} {'predicted':>10s} {'law':26s} {errors}")
    for case in left_out(rows_of(args.data)):
        print(case, flush=True)
    print(flush=True)
    print(
        f"{'all_reduce by':14s} {'size':>8s}"
        + "".join(f" {f'{ranks} ranks on {nodes} nodes':>38s}" for ranks, nodes in LARGE)
    )
    for line in large():
        print(line)
    return 0


def rows_of(folder: Path) -> pd.DataFrame:
    """Rows of logs: file, collective, nodes, ranks, bytes, us."""
    import pandas as pd

    known = folder / "all_rows.csv"
    rows = pd.read_csv(known if known.exists() else SMALL, low_memory=False)
    rows = rows.assign(
        us=pd.to_numeric(rows["out_of_place_us"], errors="coerce"), bytes=pd.to_numeric(rows["size_bytes"], errors="coerce"),
        collective=rows["collective"].replace(NAMES),
    )  # fmt: skip
    return rows[(rows["us"] > 0) & (rows["bytes"] > 0) & rows["nodes"].notna()].reset_index(drop=True)


def left_out(rows: pd.DataFrame) -> Iterator[str]:
    """A line for each system, collective and limit of nodes."""
    from fnmatch import fnmatch

    for name, files, limits in CASES:
        mine = rows[[fnmatch(str(file), f"{files}*") for file in rows["file"]]]
        for collective, of_collective in mine.groupby("collective", sort=False):
            for limit in limits:
                fitted, beyond = (
                    of_collective[of_collective["nodes"] <= limit],
                    of_collective[of_collective["nodes"] > limit],
                )
                if len(set(fitted["nodes"])) > 1 and len(beyond):
                    yield one_line(name, str(collective), fitted, beyond)


def one_line(name: str, collective: str, fitted: pd.DataFrame, beyond: pd.DataFrame) -> str:
    from inferometer.emulator.calibrate.fit.points import points_of
    from inferometer.emulator.calibrate.fit.robust import fit_law
    from inferometer.emulator.calibrate.laws.linear import paper

    model = calibration_of(fitted).law(collective)
    query = [beyond[column].to_numpy(float) for column in ("bytes", "ranks", "nodes")]
    us = beyond["us"].to_numpy(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from inferometer.emulator.calibrate.evaluate.network import FittedLaw

        law = FittedLaw(model)
        predicted, wide = law.us(*query), law.half_width(*query)
    constants = fit_law(paper(collective), points_of(beyond.assign(launch=0))).predict_us(*query)
    errors, paper_errors = np.abs(predicted / us - 1), np.abs(constants / us - 1)
    covered = np.mean(np.abs(np.log(predicted / us)) <= wide) if np.isfinite(wide).any() else np.nan
    most, more = (int(part["nodes"].max()) for part in (fitted, beyond))
    (median, p90), (paper_median, paper_p90) = (np.quantile(part, (0.5, 0.9)) for part in (errors, paper_errors))
    return (
        f"{name:18s} {collective:11s} {f'to {most}':>8s} {f'to {more}':>10s} {model.form:26s} {median:7.1%} {p90:6.1%} "
        f"{covered:8.0%} {paper_median:7.1%} {paper_p90:7.1%}"
    )


def calibration_of(rows: pd.DataFrame):
    """A fit of rows of logs alone."""
    from inferometer.emulator.calibrate.fit.build import calibrate

    same = {
        "implementation": "nccl", "backend": "nccl", "launch_mode": "stream", "timing": "pipelined", "dtype": "float32",
        "concurrent_groups": 1, "scheduler": None, "oversubscribed": None, "launch": 0, "n": 1, "wrong": 0,
    }  # fmt: skip
    cells = rows.assign(**same, flags=[[] for _ in range(len(rows))], iterations_us=None)
    about = {"kind": "imported", "raw": [{"path": "logs", "sha256": None, "rows": len(rows)}]}
    return calibrate(cells, seed=0, provenance=about, method={"launches": 1}, created="2026-01-01T00:00:00Z")


def large() -> Iterator[str]:
    """A line for each calibration and size."""
    from inferometer.emulator.calibrate.evaluate.file import load_calibration

    for name in CALIBRATIONS:
        laws = load_calibration(name).evaluator.network
        law = laws.fitted("all_reduce", {})
        for size in SIZES:
            columns = []
            for ranks, nodes in LARGE:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    us, wide = float(law.us(size, ranks, nodes)), float(law.half_width(size, ranks, nodes))
                mark = "*" if law.beyond(size, ranks, nodes) else " "
                columns.append(f"{us:10.0f} us [{us * np.exp(-wide):.0f}, {us * np.exp(wide):.0f}]{mark}")
            print_size = f"{size >> 20}M" if size >= 1 << 20 else f"{size >> 10}K"
            yield f"{name:14s} {print_size:>8s}" + "".join(f" {text:>38s}" for text in columns)


if __name__ == "__main__":
    sys.exit(main())
