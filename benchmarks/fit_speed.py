"""How long a fit takes, on one core: the whole ladder, and 500 bootstrap refits of the law that it chose.

    OMP_NUM_THREADS=1 python benchmarks/fit_speed.py

Cells of a node with 2 to 16 ranks, two protocols, 3 % noise. Times are of this machine; the last columns are ratios to the
first row: a ratio below that of the cells (or refits) says that time grows no faster than the work. Bounded (exit status
1): 200 cells and 500 refits together under 60 s.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

CELLS = (50, 100, 200, 400)
REFITS = (125, 250, 500)
BOUND_S = 60.0
LAYOUTS = ((2, 1), (4, 1), (8, 1), (16, 1))
TRUTH = {"a": 8.0, "a.2": 40.0, "b": 2.0, "c": 1.0, "B_intra": 50.0, "B_intra.2": 300.0, "B_inter": 1.0, "B_inter.2": 1.0}


def main() -> int:
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
