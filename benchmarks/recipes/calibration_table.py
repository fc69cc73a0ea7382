"""The built-in calibrations beside the paper's constants: small all_reduces, errors held out, doublings of the nodes.

python benchmarks/recipes/calibration_table.py
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import TUNER, calibration_names, load_calibration
from inferometer.emulator.calibrate.laws.nccl_tuner import NcclTuner
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw

SMALL = 4096
RANKS = (2, 4, 8)
NODES = (1, 2, 8, 64)
#: NCCL's own model on the links of A100, H100 and B200 nodes: NVLinks and NIC of a GPU one way, GB/s.
TUNED = {"ampere": (300.0, 25.0), "hopper": (450.0, 50.0), "blackwell": (900.0, 50.0)}


def measured_us(calibration: Calibration, model: NetworkLaw, ranks: int, nodes: int = 1) -> float | None:
    """The median over the sizes of 8 B to 4 KiB that were measured there; None where none was."""
    cells = [c for c in calibration.cells if c.target == model.target and (c.ranks, c.nodes) == (ranks, nodes)]
    times = [c.us.median for c in cells if 8 <= c.bytes <= SMALL and c.us.median is not None]
    return float(np.median(times)) if times else None


def sizes_of(calibration: Calibration, model: NetworkLaw) -> list[int]:
    """The sizes of 8 B to 4 KiB it was measured at, else 512 B to 4 KiB by doublings."""
    found = {c.bytes for c in calibration.cells if c.target == model.target and 8 <= c.bytes <= SMALL}
    return sorted(found) or [512, 1024, 2048, 4096]


def law_us(calibration: Calibration, sizes: list[int], ranks: int, nodes: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.median(calibration.time_s("all_reduce", np.array(sizes), ranks, nodes))) * 1e6


def one_node(paper: Calibration, fitted: dict[str, Calibration]) -> None:
    print("| calibration | all_reduce law | " + " | ".join(f"{r} ranks" for r in RANKS) + " | paper / measured − 1 |")
    print("|---|---|" + "---|" * (len(RANKS) + 1))
    constants = [law_us(paper, [512, 1024, 2048, 4096], r, 1) for r in RANKS]
    print("| paper-2025 | paper | " + " | ".join(f"{us:.1f}" for us in constants) + " | |")
    for generation, links in TUNED.items():
        tuner = NcclTuner(generation, *links)
        times = [float(np.median(tuner.estimate("all_reduce", [512, 1024, 2048, 4096], r).us)) for r in RANKS]
        print(f"| {TUNER} {generation} | – | " + " | ".join(f"{us:.1f}" for us in times) + " | |")
    for name, calibration in fitted.items():
        model = calibration.law("all_reduce")
        pairs = [
            (measured_us(calibration, model, r), law_us(calibration, sizes_of(calibration, model), r, 1)) for r in RANKS
        ]
        if all(here is None for here, _ in pairs):
            continue
        words = ["–" if here is None else f"{here:.1f} (law {law:.1f})" for here, law in pairs]
        off = ["–" if here is None else f"{us / here - 1:+.0%}" for us, (here, _) in zip(constants, pairs)]
        print(f"| {name} | {model.form} | {' | '.join(words)} | {', '.join(off)} |")


def several_nodes(paper: Calibration, fitted: dict[str, Calibration]) -> None:
    print(
        "| calibration | all_reduce law | " + " | ".join(f"{N} node{'s' * (N > 1)}" for N in NODES) + " | µs per doubling |"
    )
    print("|---|---|" + "---|" * (len(NODES) + 1))
    for generation, links in TUNED.items():
        tuner = NcclTuner(generation, *links)
        times = [float(np.median(tuner.estimate("all_reduce", [512, 1024, 2048, 4096], 8 * N, N).us)) for N in NODES]
        print(f"| {TUNER} {generation}, 8 per node | – | " + " | ".join(f"{us:.1f}" for us in times) + " | |")
    for name, calibration in {"paper-2025": paper, **fitted}.items():
        model = calibration.law("all_reduce")
        if max(model.domain.nodes) == 1:
            continue
        local = int(max(model.domain.ranks_per_node))
        words = []
        for nodes in NODES:
            here = measured_us(calibration, model, local * nodes, nodes)
            law = law_us(calibration, sizes_of(calibration, model), local * nodes, nodes)
            law_text = "not known" if np.isnan(law) else f"{law:.1f}"
            words.append(law_text if here is None else f"{here:.1f} (law {law_text})")
        c, interval = model.params.get("c"), ""
        if c is not None and c.ci95 is not None:
            interval = f" [{c.ci95[0]:.3g}, {c.ci95[1]:.3g}]"
        slope = "–" if c is None or c.value is None else f"{c.value:.3g}{interval}"
        print(f"| {name}, {local} per node | {model.form} | {' | '.join(words)} | {slope} |")


def held_out(fitted: dict[str, Calibration]) -> None:
    print("| calibration | collective | law | cells | median error | sizes held out | ranks held out | nodes held out |")
    print("|---|---|---|---|---|---|---|---|")
    for name, calibration in fitted.items():
        for model in calibration.network_laws:
            fit = model.fit
            if fit is None or (calibration.compute_laws and model.target.backend == "nccl"):
                continue  # of an engine's file: the row of GPU-nccl
            errors = [fit.cv.sizes, fit.cv.leave_rank_out, fit.cv.leave_node_out]
            words = ["–" if error.median is None else f"{error.median:.1%}" for error in errors]
            row = [name, model.target.collective, model.form, str(fit.n_cells), f"{fit.medape:.1%}", *words]
            print(f"| {' | '.join(row)} |")


def main() -> int:
    names = [name for name in calibration_names() if name not in (TUNER, "paper-2025")]
    fitted = {name: load_calibration(name) for name in names}
    paper = load_calibration("paper-2025")
    print(f"all_reduce up to {SMALL} B on one node, median over sizes, µs: measured, and the law\n")
    one_node(paper, fitted)
    print(f"\nall_reduce up to {SMALL} B over nodes, µs\n")
    several_nodes(paper, fitted)
    print("\nhow well each law fits\n")
    held_out(fitted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
