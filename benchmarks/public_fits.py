"""Laws fitted to public measurements, with the paper's constants beside: NCCL on one node of 2, 4 and 8 GPUs.

    python benchmarks/public_fits.py [DIRECTORY]

DIRECTORY holds AIConfigurator's tables (systems/data of its repository), by default ../shared/data/aiconfigurator. Printed
are relative errors in per cent: of the fitted cells (median and 90th percentile), of sizes held out (every third), of 8
ranks predicted from 2 and 4, and of the paper's constants at the same cells. Every held-out fit starts afresh.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.fit.points import Points

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "aiconfigurator"
TABLES = {
    "H100": "h100_sxm/comm/nccl/2.29.2",
    "A100": "a100_sxm/comm/nccl/2.27.3",
    "B200": "b200_sxm/comm/nccl/2.29.2",
}
COLLECTIVES = {
    "all_reduce": "all_reduce",
    "alltoall": "all_to_all",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
}
HALF_BYTES = 2
LARGEST = 8


def points_of_table(path: Path, operation: str) -> Points:
    """The cells of one operation in half precision: elements become bytes, milliseconds µs; everything on one node."""
    import pandas as pd

    from inferometer.emulator.calibrate.fit.points import points_of

    rows = pd.read_parquet(path / "nccl_perf.parquet")
    rows = rows[(rows["op_name"] == operation) & (rows["nccl_dtype"] == "half")].reset_index(drop=True)
    place = {"bytes": HALF_BYTES * rows["message_size"], "ranks": rows["num_gpus"], "nodes": 1}
    return points_of(rows.assign(**place, us=1e3 * rows["latency"], launch=0))


def errors_of(collective: str, points: Points) -> dict[str, float | str]:
    """What `auto` chooses and how far it and the paper's constants are off, as fractions."""
    from inferometer.emulator.calibrate.fit.choose import choose_law
    from inferometer.emulator.calibrate.fit.robust import fit_law
    from inferometer.emulator.calibrate.laws.linear import paper

    chosen = choose_law(collective, points).chosen
    where = points.n, points.r, points.N

    def missed(predicted: np.ndarray) -> np.ndarray:
        return np.abs(predicted / points.us - 1)

    fitted, constants = missed(chosen.fit.predict_us(*where)), missed(fit_law(paper(collective), points).predict_us(*where))
    return {
        "law": chosen.name,
        "median": float(np.median(fitted)),
        "p90": float(np.quantile(fitted, 0.9)),
        "sizes": float(np.nanmedian(missed(chosen.sizes.predicted_us))),
        "without_8": float(np.median(missed(chosen.ranks.predicted_us)[points.r == LARGEST])),
        "paper_median": float(np.median(constants)),
        "paper_p90": float(np.quantile(constants, 0.9)),
    }


def main() -> int:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not directory.is_dir():
        print(f"no {directory}: nothing to fit", file=sys.stderr)
        return 0
    head = f"{'NCCL, one node':22s} {'law':24s} {'median':>7s} {'p90':>6s} {'sizes':>6s} {'8 from 2, 4':>12s}"
    print(f"{head} {'paper median':>13s} {'p90':>6s}")
    for operation, collective in COLLECTIVES.items():
        for machine, folder in TABLES.items():
            e = errors_of(collective, points_of_table(directory / folder, operation))
            own = f"{e['median']:7.1%} {e['p90']:6.1%} {e['sizes']:6.1%} {e['without_8']:12.1%}"
            print(f"{machine + ' ' + collective:22s} {e['law']:24s} {own} {e['paper_median']:13.1%} {e['paper_p90']:6.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
