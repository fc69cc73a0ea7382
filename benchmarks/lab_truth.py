"""Does a fit find a wire that somebody else put there? Hosts of `inferometer lab` at known delays and rates.

    python benchmarks/lab_truth.py delay [--hosts 8] [--launches 3] [--delays 500,1000,2000]
    python benchmarks/lab_truth.py rate  [--rates 200,500,1000] [--keep FOLDER]

delay: all_reduces of small messages between hosts with one rank each, by gloo's ring and by node (--two-level), at no delay
and at each of these, in µs one way. The wire's own delay is measured by UDP messages in the same run. gloo's ring should
take 4(r − 1) of them, recursive doubling 2·log2(N); the fits are not informed of either.

rate: all_reduces and all_to_alls of large messages at each of these rates, in Mbit/s, on 2 and 4 hosts. A wire's goodput
is rate · 1448/1514: what TCP over Ethernet carries of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median

import inferometer
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.samples.samples import cell_table, read_records

GOODPUT = 1448 / 1514
RING, DOUBLING = "gloo's ring", "doubling"
TRIPS = {RING: 4.0, DOUBLING: 2.0}
"""How often the delay stands in the latency for each further rank, or each doubling of the hosts."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["delay", "rate"])
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--delays", default="500,1000,2000", metavar="US,US")
    parser.add_argument("--rates", default="200,500,1000", metavar="MBIT,MBIT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the samples stay")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if args.what == "delay":
            rows = delays(folder, args.hosts, args.launches, [float(us) for us in args.delays.split(",")])
        else:
            rows = rates(folder, [float(mbit) for mbit in args.rates.split(",")])
        found = list(rows)
    if args.json:
        args.json.write_text(json.dumps(found))
    return 0


def run_lab(folder: Path, lab: Sequence[str], measure: Sequence[str]) -> None:
    """One launch. Ends this process where it fails."""
    command = [sys.executable, "-m", "inferometer.launch", "lab", *lab, "--", "measure", *measure, "--quiet"]
    root = str(Path(inferometer.__file__).resolve().parents[1])
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[3:])}: status {done.returncode}: {done.stderr}")


def one_way_us(samples: Path) -> float:
    """Measured before each launch; mean over the launches."""
    return mean(r["lab_one_way_us"]["median"] for r in read_records(samples) if r["record"] == "launch")


def delays(folder: Path, hosts: int, launches: int, planted_us: Sequence[float]) -> Iterator[dict]:
    """A row for each kind of all_reduce and delay."""
    sweep = "--collectives all_reduce --timings isolated -b 256 -e 4096 --iters 30 -T 60 --budget none".split()
    print(f"{hosts} hosts, one rank each, {launches} launches. Growth: of the latency, in one-way delays, from no delay on.")
    print(
        f"{'all_reduce':12s} {'delay':>7s} {'by UDP':>7s}  growth at 2, at 4 (expected)  law; its parameter [95 %], expected"
    )
    for kind, flags in ((RING, []), (DOUBLING, ["--two-level"])):
        bare: tuple[float, dict[int, float], Calibration] | None = None
        for delay_us in (0.0, *planted_us):
            samples = folder / f"{kind.split()[-1]}-{delay_us:g}.samples.jsonl"
            for launch in range(launches):
                lab = ["--nodes", str(hosts), "--own-cores", "--delay", f"{delay_us:g}us"]
                more = ["--append"] if launch else []
                run_lab(folder, lab, [*sweep, *flags, *more, "-o", samples.name])
            table = cell_table(samples)
            table = table[table["concurrent_groups"] == 1]
            us = {count: float(table[table["ranks"] == count]["us"].median()) for count in sorted(set(table["ranks"]))}
            found = one_way_us(samples), us, fit([samples])
            if bare is None:
                bare = found
            else:
                yield shown(kind, delay_us, bare, found)


def shown(kind: str, planted_us: float, bare: tuple, found: tuple) -> dict:
    """The row, printed. bare, found: the wire's delay by UDP, µs by ranks, the calibration; without and with the delay."""
    wire_us = found[0] - bare[0]
    growth = {ranks: (found[1][ranks] - bare[1][ranks]) / wire_us for ranks in found[1]}
    expected = {ranks: TRIPS[kind] * (ranks - 1 if kind == RING else ranks.bit_length() - 1) for ranks in growth}
    law, at_rest = found[2].law("all_reduce"), bare[2].law("all_reduce")
    name = "b" if law.formula.rank_latency == "ring" else "c"
    parameter = law.params[name]
    start = at_rest.params[name].value if name in at_rest.params else 0.0
    planted = start + TRIPS[kind] * wire_us
    low, high = parameter.ci95 or (float("nan"), float("nan"))
    right = law.formula.rank_latency == "ring" or law.formula.node_latency == "linear"
    right = right if kind == RING else law.formula.node_latency == "log2"
    beyond = "" if low <= planted <= high else " outside"
    words = ", ".join(f"{growth[r]:5.2f} ({expected[r]:g})" for r in (2, 4))
    print(
        f"{kind:12s} {planted_us:7g} {wire_us:7.0f}  {words:26s}  {'right' if right else 'WRONG'}: {law.form}; "
        f"{name} = {parameter.value:.0f} [{low:.0f}, {high:.0f}], {planted:.0f}{beyond}",
        flush=True,
    )
    return {
        "kind": kind, "delay_us": planted_us, "wire_us": wire_us, "growth": growth, "expected": expected, "form": law.form,
        "right": right, "value": parameter.value, "ci95": [low, high], "planted": planted,
    }  # fmt: skip


def rates(folder: Path, planted_mbit: Sequence[float]) -> Iterator[dict]:
    """A row for each collective, number of hosts, rate and size."""
    print(
        f"{'collective':11s} {'hosts':>5s} {'Mbit/s':>7s} {'size':>9s} {'Mbit/s over the wire':>21s} {'of the goodput':>15s}"
    )
    for hosts in (2, 4):
        for mbit in planted_mbit:
            samples = folder / f"rate-{hosts}-{mbit:g}.samples.jsonl"
            sweep = "--collectives all_reduce,all_to_all --timings isolated -b 64K -e 16M --iters 12 -T 60 --budget none"
            lab = ["--nodes", str(hosts), "--own-cores", "--rate", f"{mbit:g}mbit"]
            run_lab(folder, lab, [*sweep.split(), "-o", samples.name])
            table = cell_table(samples)
            table = table[(table["ranks"] == hosts) & (table["concurrent_groups"] == 1)]
            for (collective, size), cells in table.groupby(["collective", "bytes"]):
                factor = 2 * (hosts - 1) / hosts if collective == "all_reduce" else (hosts - 1) / hosts
                over_wire = 8 * size * factor / median(cells["us"])
                share = over_wire / (mbit * GOODPUT)
                print(f"{collective:11s} {hosts:5d} {mbit:7g} {size:9d} {over_wire:21.0f} {share:15.3f}", flush=True)
                yield {"collective": collective, "hosts": hosts, "mbit": mbit, "bytes": size, "share": share}


if __name__ == "__main__":
    sys.exit(main())
