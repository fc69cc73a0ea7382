"""What becomes of each public log in ../shared/data/nccl_logs: imported as described, null and flagged, or refused, and why.

    python benchmarks/import_tally.py [FOLDER]

The folder needs a sources.json that says of every file its collective, ranks, nodes and rows.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files

FOLDER = Path(__file__).parents[1] / ".." / "shared" / "data" / "nccl_logs"
KEYS = ("collective", "ranks", "nodes", "rows")


def main(folder: Path) -> int:
    sources = folder / "sources.json"
    if not sources.exists():
        print(f"skipped: no {sources}")
        return 0
    entries = json.loads(sources.read_text())["entries"]
    outcomes: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    remarks: list[str] = []
    for source in entries:
        outcome, remark, found = one(folder, source)
        outcomes[outcome] += 1
        if remark:
            remarks.append(f"{outcome}: {source['file']}: {remark}")
        if found:
            flags.update(found["flags"])
            excluded.update(found["excluded"])
    print(f"{len(entries)} entries of {sources}")
    show(outcomes)
    print("flags, by runs")
    show(flags)
    print("rows left out, by reason")
    show(excluded)
    print(*remarks, sep="\n")
    return int(bool(outcomes["different"]))


def one(folder: Path, source: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    """The outcome, a remark where there is something to say, and the report's entry."""
    name = source["file"]
    format_name = "csv" if name.endswith(".csv") else "rccl-tests" if "rccl" in name else "nccl-tests"
    try:
        files = import_files(format_name, [folder / name]).files
    except InputError as error:
        return "refused", str(error).removeprefix(f"{folder / name}: "), None
    if len(files) != 1:
        return "different", f"{len(files)} runs", None
    (found,) = files
    differ = {key: found[key] for key in KEYS if found[key] != source[key]}
    unknown = [key for key, value in differ.items() if value is None]
    wrong = {key: value for key, value in differ.items() if value is not None and source[key] is not None}
    if wrong:
        return "different", f"{wrong}", found
    if unknown:
        return "null and flagged", f"{' and '.join(unknown)} not in the file", found
    if differ:  # the description leaves it open
        return "inferred", f"{differ}; {'; '.join(found['reasons'].values())}", found
    what = "as described, nothing fitted" if not found["cells"] else "as described"
    return what, "; ".join(found["reasons"].values()) if not found["cells"] else "", found


def show(counts: Counter[str]) -> None:
    for name, count in counts.most_common():
        print(f"  {count:5d}  {name}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
