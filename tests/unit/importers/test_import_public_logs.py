"""Public logs, where they are at hand: every entry gives what its description says, or null with a flag, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from tests.places import SHARED_DATA

LOGS = SHARED_DATA / "nccl_logs"
SOURCES = LOGS / "sources.json"
ENTRIES = json.loads(SOURCES.read_text())["entries"] if SOURCES.exists() else []
NO_TABLE_OF_TIMES = (
    "peak_busbw_tables.json",
    "b200_all_reduce_1n8_vs_4n32_busbw.csv",
    "perf_ndmv4.jsonl",
    "perf_ndmv5.jsonl",
)

pytestmark = pytest.mark.skipif(not ENTRIES, reason="no nccl_logs beside the repository")


def format_of(file: str) -> str:
    return "csv" if file.endswith(".csv") else "rccl-tests" if "rccl" in file else "nccl-tests"


@pytest.mark.parametrize("source", ENTRIES, ids=lambda source: source["file"])
def test_every_entry(source):
    path = LOGS / source["file"]
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


def test_what_is_wrong_is_named():
    by_file = {source["file"]: import_files(format_of(source["file"]), [LOGS / source["file"]]).files[0]["flags"]
               for source in ENTRIES if Path(source["file"]).name not in NO_TABLE_OF_TIMES}  # fmt: skip
    assert "one_rank" in by_file["snellius_h100/1n1_all_reduce_iters100.log"]
    assert "ranks_contradicted" in by_file["coreweave/gb200_2racks_all_reduce.log"]
    assert "settings_contradicted" in by_file["coreweave/h100_ib_all_reduce.log"]
    assert "noisy" in by_file["h200_noisy_fixture/2n16_all_reduce.csv"]
    assert "cold_first_row" in by_file["github_issues/nccl-tests_309_h100_4n32_all_reduce.csv"]
    assert "launcher_prefix" in by_file["aws_efa/p5_batch_8ranks_all_reduce.log"]
