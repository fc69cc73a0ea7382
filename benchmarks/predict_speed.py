"""How quick predictions are, beside another checkout of the project: cold commands, repeated Python calls, peak memory.

  python benchmarks/predict_speed.py --against /path/to/other/checkout --python /path/to/its/python

Both are run in turn, several times, with their modules compiled before, as in an installed package; medians are printed,
and the other's over ours; also the configurations (layout, batch, context) that Pricer prices in a second of one core.
--calibrations adds calls with the calibration of a measured machine: one file for each checkout, since their schemas may
differ.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILED = Path(tempfile.gettempdir()) / "inferometer-predict-speed"
"""Where compiled modules of both checkouts are kept, beside neither."""
COMMANDS = {
    "predict, cold": ["predict", "llama-3-8b", "--accelerator", "h100-sxm", "--tp", "2"],
    "frontier, cold": ["frontier", "llama-3-70b:8", "--accelerator", "h100-sxm"],
    "--help, cold": ["--help"],
}
#: Batch and context change from call to call, so that no answer is the one before.
CALLS = """
import itertools, json, sys, time
try:
    from inferometer import predict
except ImportError:
    from inferometer.emulator import predict
model, accelerator, further, seconds = json.loads(sys.argv[1])
def call(number):
    predict(model, accelerator, batch=1 + number % 32, context=512 + 7 * (number % 64), **further)
for number in range(3):
    call(number)
begin, cpu, count = time.perf_counter(), time.process_time(), 0
while time.perf_counter() - begin < seconds:
    call(count)
    count += 1
print(json.dumps([(time.perf_counter() - begin) / count, (time.process_time() - cpu) / count]))
"""

#: Layouts × batches × contexts at once, by this checkout alone: the other may have no such call.
MANY = """
import json, sys, time
from inferometer import Pricer
model, accelerator, further, seconds = json.loads(sys.argv[1])
pricer = Pricer(model, accelerator, **further)
tried = pricer.layouts(64 if accelerator else pricer.scenario.accelerator.node_size)
count, begin = 0, time.process_time()
while time.process_time() - begin < seconds:
    count += len(pricer.columns(tried, range(1, 65), [128, 512, 2048, 4096])["batch"])
print(json.dumps(count / (time.process_time() - begin)))
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout and the interpreter that runs it."""

    root: Path
    python: str

    def run(self, arguments: list[str]) -> tuple[float, float, float, str]:
        """Wall and processor seconds, peak MiB of one process, what it printed."""
        unset = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment["PYTHONPYCACHEPREFIX"] = str(COMPILED)
        if (self.root / "inferometer" / "__init__.py").exists():
            environment["PYTHONPATH"] = str(self.root)
        with tempfile.TemporaryFile("w+") as out:
            begin = time.perf_counter()
            process = subprocess.Popen([self.python, *arguments], stdout=out, cwd=self.root, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{self.root}: {' '.join(arguments[:6])} ended with {process.returncode}")
            out.seek(0)
            return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, metavar="FOLDER", help="the other checkout")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other checkout (default this one)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of repeated calls in a run (default 3)")
    parser.add_argument(
        "--calibrations", nargs=2, type=Path, metavar=("OURS", "THEIRS"), help="files of one machine, one for each checkout"
    )
    args = parser.parse_args()
    ours, theirs = Checkout(ROOT, sys.executable), Checkout(args.against.resolve(), args.python)
    print(f"{'medians of ' + str(args.runs) + ' runs in turn':<44}{'other':>10}{'here':>10}{'other/here':>12}")
    for name, command in COMMANDS.items():
        for one in (theirs, ours):
            one.run(["-m", "inferometer.launch", *command])
        pairs = [
            tuple(one.run(["-m", "inferometer.launch", *command])[:3] for one in (theirs, ours)) for _ in range(args.runs)
        ]
        for at, (what, unit) in enumerate((("wall", "s"), ("processor", "s"), ("peak", "MiB"))):
            line(f"{name}: {what} {unit}", *([one[side][at] for one in pairs] for side in (0, 1)))
    sheet = {"calibration": "b200-nccl"}
    calls = {
        "call, calibration, best layout": [("llama-3-8b", "h100-sxm", sheet)] * 2,
        "call, datasheet, best layout": [("llama-3-8b", "h100-sxm", {})] * 2,
    }
    if args.calibrations:
        here, there = (str(path.resolve()) for path in args.calibrations)
        model = str(ROOT / "configs" / "models" / "llama-3.2-1b.json")
        calls["call, measured machine"] = [(model, None, {"calibration": file}) for file in (there, here)]
    for name, questions in calls.items():
        found: list[tuple[list[float], list[float]]] = []
        for _ in range(args.runs):
            both = []
            for one, question in zip((theirs, ours), questions):
                both.append(json.loads(one.run(["-c", CALLS, json.dumps([*question, args.seconds])])[3]))
            found.append((both[0], both[1]))
        for at, what in enumerate(("wall", "processor")):
            line(f"{name}: {what} ms", *([pair[side][at] * 1e3 for pair in found] for side in (0, 1)))
        rates = [json.loads(ours.run(["-c", MANY, json.dumps([*questions[1], args.seconds])])[3]) for _ in range(args.runs)]
        print(f"{name.replace('call', 'Pricer', 1) + ': configurations/s':<54}{statistics.median(rates):>10.4g}", flush=True)


def line(name: str, other: list[float], here: list[float]) -> None:
    """Medians, and the median of the runs' own ratios."""
    ratio = statistics.median(one / two for one, two in zip(other, here))
    print(f"{name:<44}{statistics.median(other):>10.4g}{statistics.median(here):>10.4g}{ratio:>12.2f}", flush=True)


if __name__ == "__main__":
    main()
