"""What becomes of public logs, by tool and version: files, rows, how many are right, flagged, refused, and why.

    python benchmarks/import_tally.py [FOLDER …]

A folder with a sources.json says of every file its collective, ranks, nodes and rows: right is what is read so, unknown
what is null and flagged because the file does not tell. The files of another folder are counted as read or refused, in the
format that the command beside them names (a file called cmd). Without arguments: the public logs beside the repository.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import KNOWN, import_files

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
KEYS = ("collective", "ranks", "nodes", "rows")
COLUMNS = ("files", "rows", "cells", "right", "unknown", "flagged", "refused")
OTHER = ("cmd", "expected.txt", "sources.json", "LICENSE")
BY_NAME = (
    ("rccl", "rccl-tests"), ("osu", "osu"), ("imb", "imb"), ("pingpong", "imb"), ("sendrecv.txt", "imb"),
    ("latency.txt", "osu"), ("barrier.txt", "osu"), ("iallreduce.txt", "osu"), ("vidur", "vidur"),
    (".parquet", "aiconfigurator"), (".csv", "csv"), (".log", "nccl-tests"), (".json", "nccl-tests"),
)  # fmt: skip


def main(folders: list[Path]) -> int:
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    remarks: list[str] = []
    for folder in folders:
        sources = folder / "sources.json"
        if sources.exists():
            described = {entry["file"]: entry for entry in json.loads(sources.read_text())["entries"]}
        else:
            described = dict.fromkeys(
                str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file() and usable(path)
            )
        for file, description in described.items():
            format_name = "csv" if description and file.endswith(".csv") else format_of(folder / file)
            if format_name:
                count(table, remarks, folder / file, format_name, description)
    if not table:
        print(f"skipped: no files in {', '.join(map(str, folders))}")
        return 0
    show(table)
    print(*remarks, sep="\n")
    return int(any(counts["different"] for counts in table.values()))


def usable(path: Path) -> bool:
    return path.name not in OTHER and not path.name.endswith((".samples.jsonl", ".toml", ".md"))


def format_of(path: Path) -> str | None:
    """As the command beside the file names it, else by the file's name; None for a file that is no log."""
    command = path.parent / "cmd"
    if command.exists():
        imports = re.findall(r"import (\S+) ([^;|&]*)", command.read_text())
        named = [format_name for format_name, files in imports if path.name in files]
        return next((name for name in [*named, *(name for name, _ in imports)] if name in KNOWN), None)
    return next((format_name for part, format_name in BY_NAME if part in str(path) and format_name in KNOWN), None)


def count(
    table: dict[tuple[str, str], Counter[str]],
    remarks: list[str],
    path: Path,
    format_name: str,
    description: dict[str, Any] | None,
) -> None:
    """Add a file to the table, and a remark where there is something to say."""
    try:
        found = import_files(format_name, [path]).files
    except InputError as error:
        counts = table[format_name, "-"]
        counts.update(files=1, refused=1)
        remarks.append(f"refused: {path.name}: {str(error).removeprefix(f'{path}: ')}")
        return
    versions = sorted({str(entry.get("tool_version") or "not named") for entry in found})
    counts = table[format_name, " + ".join(versions)]
    counts.update(files=1, rows=sum(e["rows"] for e in found), cells=sum(e["cells"] for e in found))
    counts.update(flagged=int(any(entry["flags"] for entry in found)))
    if description is None:
        return
    differ = [key for key in KEYS if len(found) != 1 or found[0][key] != description[key]]
    wrong = [key for key in differ if len(found) != 1 or (found[0][key] is not None and description[key] is not None)]
    outcome = "different" if wrong else "unknown" if any(found[0][key] is None for key in differ) else "right"
    counts.update({outcome: 1})
    if wrong:
        remarks.append(f"different: {path.name}: {', '.join(wrong)}")


def show(table: dict[tuple[str, str], Counter[str]]) -> None:
    print(f"{'tool':16} {'version':28}" + "".join(f"{name:>9}" for name in COLUMNS))
    for (tool, version), counts in sorted(table.items()):
        print(f"{tool:16} {version[:28]:28}" + "".join(f"{counts[name]:9}" for name in COLUMNS))
    total: Counter[str] = sum(table.values(), Counter())
    print(f"{'all':16} {'':28}" + "".join(f"{total[name]:9}" for name in COLUMNS))


if __name__ == "__main__":
    asked = [Path(name) for name in sys.argv[1:]] or [SHARED / "nccl_logs", SHARED / "cases"]
    sys.exit(main([folder for folder in asked if folder.is_dir()]))
