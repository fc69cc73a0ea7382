"""Public logs, of tests/data and of the larger collection: each gives what it says, a null with a flag, or an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from tests.places import DATA, SHARED_DATA

LOGS, MORE_LOGS = DATA / "nccl_logs", SHARED_DATA / "nccl_logs"


def entries_of(folder: Path) -> dict[str, dict]:
    sources = folder / "sources.json"
    return {entry["file"]: entry for entry in json.loads(sources.read_text())["entries"]} if sources.exists() else {}


ENTRIES = entries_of(MORE_LOGS) | entries_of(LOGS)
NO_TABLE_OF_TIMES = (
    "peak_busbw_tables.json",
    "b200_all_reduce_1n8_vs_4n32_busbw.csv",
    "perf_ndmv4.jsonl",
    "perf_ndmv5.jsonl",
)


def path_of(file: str) -> Path:
    return next(folder / file for folder in (LOGS, MORE_LOGS) if (folder / file).exists())


def format_of(file: str) -> str:
    return "csv" if file.endswith(".csv") else "rccl-tests" if "rccl" in file else "nccl-tests"


@pytest.mark.parametrize("source", ENTRIES.values(), ids=lambda source: source["file"])
def test_every_entry(source):
    path = path_of(source["file"])
    if path.name in NO_TABLE_OF_TIMES:
        with pytest.raises(InputError):
            import_files(format_of(source["file"]), [path])
        return
    (entry,) = import_files(format_of(source["file"]), [path]).files
    assert entry["rows"] == source["rows"]
    assert entry["collective"] == source["collective"]
    for key, listed in (("ranks", "ranks_listed_in_log"), ("nodes", "hosts_listed_in_log")):
        if path.suffix == ".log" and source.get(listed) == source[key] is not None:
            assert entry[key] == source[key]
        elif entry[key] is None:
            assert f"{key}_unknown" in entry["flags"]
        elif source[key] is None:
            assert "inferred" in entry["flags"]
        else:
            assert entry[key] == source[key]
    assert entry["excluded"].get("size_zero", 0) == (source.get("rows_size_zero") or 0)


@pytest.mark.skipif(not MORE_LOGS.exists(), reason="no shared/data/nccl_logs beside the repository")
def test_what_is_wrong_is_named():
    by_file = {file: import_files(format_of(file), [path_of(file)]).files[0]["flags"]
               for file in ENTRIES if Path(file).name not in NO_TABLE_OF_TIMES}  # fmt: skip
    assert "one_rank" in by_file["snellius_h100/1n1_all_reduce_iters100.log"]
    assert "ranks_contradicted" in by_file["coreweave/gb200_2racks_all_reduce.log"]
    assert "settings_contradicted" in by_file["coreweave/h100_ib_all_reduce.log"]
    assert "noisy" in by_file["h200_noisy_fixture/2n16_all_reduce.csv"]
    assert "cold_first_row" in by_file["github_issues/nccl-tests_309_h100_4n32_all_reduce.csv"]
    assert "launcher_prefix" in by_file["aws_efa/p5_batch_8ranks_all_reduce.log"]
