"""All configurations of a folder read and counted, against building them on transformers' meta device, in one run.

    python benchmarks/model_reading.py [../shared/data/models/configs] [--runs 5] [--table]

Prints the time that both take for the files that transformers can build, and the peak memory of each, in processes of
their own. Without transformers the second half is skipped, with the reason. --table prints what was read of every file
instead, beside the numbers of oracle.json, as docs/models.md shows it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
FOLDER = HERE.parent / "shared" / "data" / "models" / "configs"
AT_LEAST = 20


def read_all(folders: list[Path], runs: int) -> dict[str, float]:
    """Median seconds to read and count all of them; peak memory."""
    from inferometer.emulator.errors import InputError
    from inferometer.emulator.workload.catalogue import load_shape
    from inferometer.emulator.workload.storage.summary import model_record

    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        for folder in folders:
            try:
                model_record(load_shape(folder))
            except InputError:
                continue  # refused by name
        times.append(time.perf_counter() - begin)
    return {"s": statistics.median(times), "peak_mib": peak_mib()}


def build_all(folders: list[Path]) -> dict[str, float]:
    """Seconds to build all of them with transformers on the meta device and count; peak memory; how many it can build."""
    import warnings

    warnings.simplefilter("ignore")
    import torch
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    transformers.logging.set_verbosity_error()
    seconds, built = 0.0, []
    for folder in folders:
        begin = time.perf_counter()
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if hasattr(config, "quantization_config"):
                del config.quantization_config
            several = hasattr(config, "text_config")
            with torch.device("meta"):
                model = (AutoModelForImageTextToText if several else AutoModelForCausalLM).from_config(config)
            sum(parameter.numel() for parameter in model.parameters())
        except Exception as error:  # a type that transformers does not know is no part of the comparison
            print(f"  transformers cannot build {folder.name}: {str(error).splitlines()[0][:80]}", file=sys.stderr)
            continue
        seconds += time.perf_counter() - begin
        built.append(folder.name)
    return {"s": seconds, "peak_mib": peak_mib(), "built": built}  # type: ignore[dict-item]


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(half: str, folders: list[Path], runs: int) -> dict:
    """The answer of one half, in a process of its own."""
    command = [sys.executable, __file__, "--half", half, "--runs", str(runs), *map(str, folders)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        raise SystemExit(f"model_reading: {half} failed")
    return json.loads(done.stdout.splitlines()[-1])  # libraries print too


def table(folders: list[Path]) -> list[str]:
    """What was read of every file, and how far it is from what transformers builds."""
    from inferometer.emulator.errors import InputError
    from inferometer.emulator.workload.catalogue import load_shape
    from inferometer.emulator.workload.storage.summary import model_record

    oracle = folders[0].parents[1] / "oracle.json"
    rows = {row["model"]: row for row in json.loads(oracle.read_text())["rows"]} if oracle.exists() else {}
    lines = [
        "| configuration | model_type | parameters | active | cache at 8192 tokens | weights | transformers |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for folder in folders:
        try:
            found = model_record(load_shape(folder))
        except InputError as error:
            lines.append(f"| {folder.name} | | | | | | refused: {str(error).partition('config.json: ')[2][:60]}… |")
            continue
        row = rows.get(folder.name)
        cells = [folder.name, found["type"], f"{found['parameters']:,}", f"{found['active_parameters']:,}"]
        cells += [f"{found['cache_bytes_bfloat16']:,.0f}", f"{found['weight_bytes'] / 1e9:.1f} GB", compared(found, row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def compared(found: dict, row: dict | None) -> str:
    if row is None or row["parameters"] is None:
        return "cannot build it"
    towers = row["parts"].get("vision", 0)
    away = [found["parameters"] - row["parameters"] + towers, found["active_parameters"] - row["active"] + towers]
    if isinstance(row["cache_bytes_8192"], int):
        away.append(found["cache_bytes_bfloat16"] - row["cache_bytes_8192"])
    if any(away):
        return f"differs by {away[0]:+,}: it takes a default vocabulary"
    return "the same" if len(away) == 3 else "the same, cache not run"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help=f"folders of configurations (default those in {FOLDER})")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="print the table of docs/models.md")
    parser.add_argument("--half", choices=("read", "build"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    given = args.folders or [FOLDER]
    folders = given if (given[0] / "config.json").exists() else sorted(path for path in given[0].iterdir() if path.is_dir())
    if args.half:
        print(json.dumps(read_all(folders, args.runs) if args.half == "read" else build_all(folders)))
        return 0
    if args.table:
        print("\n".join(table(folders)))
        return 0
    try:
        import transformers
    except ImportError:
        read = in_process("read", folders, args.runs)
        print(f"read and counted {len(folders)} configurations in {read['s'] * 1e3:.0f} ms, peak {read['peak_mib']:.0f} MiB")
        print("skipped: transformers is not installed, so there is nothing to compare with")
        return 0
    build = in_process("build", folders, 1)
    same = [folder for folder in folders if folder.name in build["built"]]
    read = in_process("read", same, args.runs)
    times = build["s"] / read["s"]
    print(f"{len(same)} configurations that transformers {transformers.__version__} can build, of {len(folders)}")
    print(f"  inferometer   {read['s'] * 1e3:9.0f} ms   peak {read['peak_mib']:6.0f} MiB")
    print(f"  transformers  {build['s'] * 1e3:9.0f} ms   peak {build['peak_mib']:6.0f} MiB")
    print(f"  {times:.0f} times faster (at least {AT_LEAST} asked)")
    return 0 if times >= AT_LEAST else 1


if __name__ == "__main__":
    raise SystemExit(main())
