"""Damaged files for every reader: read, or refused in one line that names the file."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.measure.method import load_sweep
from inferometer.emulator.samples.samples import cell_table, load_samples
from inferometer.emulator.validate.plan import load_plan
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.launch.cli import main
from tests.places import ROOT
from tests.torture.mutate import mutated

Trial = Callable[[Path], None]
CONFIGS, LOGS = ROOT / "configs", ROOT / "tests/data/nccl_logs"


def samples_text() -> str:
    """A file of samples with a header, a launch and two cells."""
    times = {"start_ns": [[0, 20000, 40000], [1000, 19000, 40500]], "stop_ns": [[3000, 23000, 49500], [2500, 24000, 49000]]}
    cell = {
        "record": "cell", "launch": 0, "cell": "all_reduce/float32/1024/2x1/alone/isolated", "collective": "all_reduce",
        "implementation": "gloo", "backend": "gloo", "launch_mode": "host", "timing": "isolated", "dtype": "float32",
        "concurrent_groups": 1, "groups": 1, "scheduler": "other", "requested_bytes": 1024, "bytes": 1024, "count": 256,
        "ranks": 2, "nodes": 1, "participants": [0, 1], "groups_ranks": [[0, 1]], "operations": 1, "wrong": 0,
        "time_definition": "last_stop_minus_last_start", "bus_factor": 1.0, "flags": [], "origin_ns": 5000000, **times,
    }  # fmt: skip
    header = {
        "record": "header", "schema": "inferometer/samples/1",
        "environment": {"hardware": {"gpus": []}, "software": {"torch": "2"}, "variables": {}},
        "method": {"backend": "gloo"},
    }  # fmt: skip
    launch = {"record": "launch", "launch": 0, "node_of": [0, 0], "conditions": {"load_1m": 0.1}}
    return "".join(json.dumps(record) + "\n" for record in (header, launch, cell, cell | {"bytes": 2048, "cell": "x"}))


def read_samples(path: Path) -> None:
    load_samples(path)
    cell_table(path)


def imported(path: Path) -> None:
    import_files("nccl-tests", [path])


def texts(folder: str, pattern: str) -> list[str]:
    return [path.read_text() for path in sorted((CONFIGS / folder).glob(pattern))]


def areas() -> dict[str, tuple[list[str], str, Trial, int]]:
    """By area: whole texts, the name of the damaged file, who reads it, how many variants are tried."""
    return {
        "model configurations": (texts("models", "*.json"), "config.json", load_shape, 7000),
        "accelerators": (texts("accelerators", "[!e]*.toml"), "mine.toml", load_accelerator, 7000),
        "calibrations": (texts("calibrations", "*-vllm.json"), "mine.json", load_calibration, 3000),
        "sweeps": (texts("sweeps", "*.toml"), "mine.toml", lambda path: load_sweep(str(path)), 2500),
        "validation plans": (texts("validations", "*.toml"), "mine.toml", lambda path: load_plan(str(path)), 2500),
        "samples": ([samples_text()], "x.samples.jsonl", read_samples, 3000),
        "logs of nccl-tests": ([path.read_text() for path in sorted(LOGS.rglob("*.log"))], "x.log", imported, 1500),
    }


def try_readers(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """(area, what is wrong or None) of every variant."""
    for area, (whole, name, read, count) in areas().items():
        path = folder / name
        for seed in range(max(1, int(count * share))):
            path.write_bytes(mutated(whole[seed % len(whole)], seed))
            yield area, complaint(partial(read, path), f"{area}, variant {seed}")


def complaint(read: Callable[[], object], what: str) -> str | None:
    """What is wrong with how something was read; None where it was read, or refused in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except InputError as error:
        return f"{what}: the refusal has several lines" if "\n" in str(error).strip() else None
    except BaseException as error:
        return f"{what}: {type(error).__name__}: {str(error)[:200]}"
    return None


def try_commands(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """Commands with arguments and files of every kind: status 0 to 2, no traceback, no escape for the terminal."""
    odd = ["", "-1", "0", "1e308", "nan", "inf", "9" * 400, "x" * 300, "\x1b[31m", "a\0b", "µ", "--", "none", "1,2"]
    odd.append("/dev/null")
    numbers = ["--batch", "--tp", "--pp", "--dp", "--ep", "--gpus", "--context", "--prompt", "--output", "--weight-bits",
               "--kv-bits", "--usd-per-hour", "--memory-reserve", "--acceptance"]  # fmt: skip
    predict = ["predict", "llama-3-8b", "--accelerator", "h100-sxm"]
    lines = [[*predict, flag, value] for flag in numbers for value in odd]
    lines += [[*predict[:3], value] for value in odd] + [["predict", value, *predict[2:]] for value in odd]
    measuring = ["-b", "-e", "-i", "-f", "-w", "-n", "-d", "-c", "-T", "--iters", "--budget", "--launches", "--collectives",
                 "--timings", "--sweep", "--seed", "--threads", "--scheduler"]  # fmt: skip
    wrong = ["", "-1", "nan", "9" * 400, "x" * 300, "\x1b[31m", "a\0b"]
    lines += [["measure", "-o", str(folder / "no" / "x"), flag, value] for flag in measuring for value in wrong]
    lines += [["fit", value, "-o", str(folder / "x.json")] for value in odd if value != "--"]
    lines += [["doctor", "--json", value] for value in odd if value not in ("none", "1,2", "inf", "nan", "0", "µ", "1e308")]
    for line in lines[: max(1, int(len(lines) * share))]:
        yield "command lines", run(line)


def run(line: list[str]) -> str | None:
    """What is wrong with how a command ended."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(line)
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException as error:
            return f"{line}: {type(error).__name__}: {str(error)[:200]}"
    said = out.getvalue() + err.getvalue()
    if status not in (0, 1, 2) or "Traceback" in said or "\x1b" in said:
        return f"{[part[:40] for part in line]}: status {status}, {said[-200:]!r}"
    return None
