"""Does a fit find a wire that somebody else put there? Hosts of `inferometer lab` at known delays and rates.

    python benchmarks/lab_truth.py delay [--hosts 8] [--launches 3] [--delays 500,1000,2000]
    python benchmarks/lab_truth.py rate  [--rates 200,500,1000] [--keep FOLDER]

delay: all_reduces of small messages between hosts with one rank each, by gloo's ring and by node (--two-level), at
each of these, in µs one way. The wire's own delay is measured by UDP messages in the same run. gloo's ring should
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
from typing import Any

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


def one_way_us(samples: Path) -> tuple[float, float]:
    """Measured before each launch: mean of the launches' medians, and half their mean range from 10th to 90th percentile."""
    found = [r["lab_one_way_us"] for r in read_records(samples) if r["record"] == "launch"]
    return mean(one["median"] for one in found), mean(one["p90"] - one["p10"] for one in found) / 2


def delays(folder: Path, hosts: int, launches: int, planted_us: Sequence[float]) -> Iterator[dict]:
    """A row for each kind of all_reduce and delay."""
    sweep = "--collectives all_reduce --timings isolated -b 256 -e 4096 --iters 30 -T 60 --budget none".split()
    print(f"{hosts} hosts, one rank each, {launches} launches. Growth: of the latency, in one-way delays.")
    print(
        f"{'all_reduce':12s} {'delay':>7s} {'by UDP':>7s}  growth at 2, at 4 (expected)  law; its parameter [95 %], expected"
    )
    for kind, flags in ((RING, []), (DOUBLING, ["--two-level"])):
        first: tuple[tuple[float, float], dict[int, float], Calibration] | None = None
        for delay_us in planted_us:
            samples = folder / f"{kind.split()[-1]}-{delay_us:g}.samples.jsonl"
            for launch in range(launches_in(samples), launches):
                lab = ["--nodes", str(hosts), "--own-cores", "--delay", f"{delay_us:g}us"]
                more = ["--append"] if launch else []
                run_lab(folder, lab, [*sweep, *flags, *more, "-o", samples.name])
            table = cell_table(samples)
            table = table[table["concurrent_groups"] == 1]
            us = {count: float(table[table["ranks"] == count]["us"].median()) for count in sorted(set(table["ranks"]))}
            found = one_way_us(samples), us, fit([samples])
            first = first or found
            yield shown(kind, delay_us, first, found)


def launches_in(samples: Path) -> int:
    """That a file of an earlier run holds already."""
    return len({r["launch"] for r in read_records(samples) if r["record"] == "launch"}) if samples.exists() else 0


def shown(kind: str, planted_us: float, first: tuple, found: tuple) -> dict:
    """The row, printed. first, found: the wire's delay by UDP, µs by ranks, the calibration; at the least delay and this."""
    (here_us, spread_us), (first_us, first_spread_us) = found[0], first[0]
    wire_us = here_us - first_us
    growth = {ranks: (found[1][ranks] - first[1][ranks]) / wire_us if wire_us else float("nan") for ranks in found[1]}
    expected = {ranks: TRIPS[kind] * (ranks - 1 if kind == RING else ranks.bit_length() - 1) for ranks in growth}
    law, before = found[2].law("all_reduce"), first[2].law("all_reduce")
    name = "b" if law.formula.rank_latency == "ring" else "c"
    right = law.formula.rank_latency == "ring" or law.formula.node_latency == "linear"
    right = right if kind == RING else law.formula.node_latency == "log2"
    (value, low, high), (value_0, low_0, high_0) = (of_parameter(one, name) for one in (law, before))
    grown, planted = value - value_0, TRIPS[kind] * wire_us
    # Four things are uncertain, independently of each other: the parameter and the wire, here and at the least delay.
    sides = ((high - low) / 2, (high_0 - low_0) / 2, TRIPS[kind] * spread_us, TRIPS[kind] * first_spread_us)
    half = sum(side**2 for side in sides) ** 0.5
    covers = None if not wire_us else abs(grown - planted) <= half
    words = ", ".join(f"{growth[r]:5.2f} ({expected[r]:g})" for r in (2, 4))
    judged = (
        "" if covers is None else f", grown by {grown:.0f} ± {half:.0f}, planted {planted:.0f}{'' if covers else ' OUTSIDE'}"
    )
    print(
        f"{kind:12s} {planted_us:7g} {here_us:7.0f}  {words if wire_us else 'the least delay':26s}  "
        f"{'right' if right else 'WRONG'}: {law.form}; {name} = {value:.0f} [{low:.0f}, {high:.0f}]{judged}",
        flush=True,
    )
    return {
        "kind": kind, "delay_us": planted_us, "one_way_us": here_us, "growth": growth, "expected": expected,
        "form": law.form, "right": right, "value": value, "ci95": [low, high], "grown": grown, "planted": planted,
        "covers": covers,
    }  # fmt: skip


def of_parameter(law: Any, name: str) -> tuple[float, float, float]:
    """Its value and 95 % interval; NaN where it has none."""
    parameter = law.params.get(name)
    if parameter is None or parameter.value is None:
        return (float("nan"),) * 3
    low, high = parameter.ci95 or (float("nan"), float("nan"))
    return parameter.value, low, high


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
