"""Whatever a file holds, an importer ends in runs or in ``InputError``."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import KNOWN, import_files

fuzz = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

TOKENS = (
    "# nThread 1 nGpus 8 minBytes 8 maxBytes 64 step: 2(factor) warmup iters: 5 iters: 20 graph: 0|# Using devices|"
    "#  Rank  0 Group  0 Pid 1 on h device  0 [0x0] G|#  Rank 9999999 Group -999999999 Pid 1 on h device 0 [] |"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong|"
    "8 2 float sum -1 1.0 1.00 1.75 0 1.0 1.00 1.75 0|8 2 float none -1 1e99 1e+99 0.00 1e99 0.0 0 0 N/A|"
    "0 0 half 3.1 0 0 0|999999999999999999 1 int8 sum 0 0.01 1e-99 9e+99 N/A 1 1 1 1|"
    "# Avg bus bandwidth    : 1.2|# Avg bus bandwidth : ..e|# Out of bounds values : 3 FAILED|"
    "# nccl-tests version 2 nccl-library=99999|# Collective test starting: all_reduce_perf|Reducing maxBytes to 3|"
    "# OSU MPI Allgather Latency Test|# Size Avg Latency(us)|4 1.5|# Benchmarking Allreduce|# #processes = 0|"
    "#bytes #repetitions t_min[usec] t_max[usec] t_avg[usec]|8 1 1 1 1|size, gpus, time, inPlace|8, 8, 1, 1|"
    "bytes,us,ranks,nodes|8,1,2,4|8,1,,|9e99,1,1,1|{|[|1: |[1,0]<stdout>:|\x1b[0m|² ² float 1 1 1 1"
).split("|")
LINES = st.lists(st.sampled_from(TOKENS) | st.text(max_size=20), max_size=25).map("\n".join)
KEYS = (
    "results config size type out_of_place time alg_bw bus_bw devices rank nthreads ngpus gpus inPlace name hostname args"
).split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


def ends_well(format_name: str, path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        found = import_files(format_name, [path])
    except InputError as error:
        assert str(path) in str(error)
        return
    json.dumps([found.header, found.files, found.cells], allow_nan=False)
    assert all(cell["us"] > 0 and cell["bytes"] > 0 and cell["collective"] for cell in found.cells)
    assert all(entry["cells"] + sum(entry["excluded"].values()) == entry["rows"] for entry in found.files)


@pytest.mark.parametrize("format_name", KNOWN)
@fuzz
@given(content=LINES)
def test_lines(format_name, content, tmp_path):
    ends_well(format_name, tmp_path / "f", content.encode(errors="surrogatepass"))


@pytest.mark.parametrize("format_name", KNOWN)
@fuzz
@given(content=st.binary(max_size=200))
@example(content=b"\xff\xfe#\x00")
def test_bytes(format_name, content, tmp_path):
    ends_well(format_name, tmp_path / "f", content)


@pytest.mark.parametrize("format_name", ["nccl-tests", "rccl-tests"])
@settings(fuzz, max_examples=150)
@given(
    content=st.dictionaries(st.sampled_from(["results", "config", "nccl_version"]), JSON, max_size=3)
    | st.lists(JSON, max_size=3)
)
def test_json(format_name, content, tmp_path):
    ends_well(format_name, tmp_path / "f", json.dumps(content).encode())


@settings(fuzz, max_examples=200)
@given(data=st.data())
def test_a_good_log_damaged(data, log, tmp_path):
    text = bytearray(log(sizes=[0, 128, 256, 512, 1024], ranks=4).text.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 60))
        text[start:end] = data.draw(st.binary(max_size=6) | st.sampled_from([b"\n", b" ", b"9", b"N/A", b"e9", b"-1", b"#"]))
    ends_well("nccl-tests", tmp_path / "f", bytes(text))


@fuzz
@given(data=st.data())
def test_a_good_parquet_damaged(data, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "op_name": ["all_reduce"],
        "num_gpus": [8],
        "message_size": [256],
        "latency": [0.01],
        "kernel_source": ["NCCL"],
    }
    for name in data.draw(st.lists(st.sampled_from([*columns]), max_size=2)):
        columns[name] = [
            data.draw(st.none() | st.integers(-5, 2**62) | st.floats() | st.text(max_size=5) | st.binary(max_size=5))
        ]
    path = tmp_path / "f"
    parquet.write_table(pyarrow.table(columns | {"nccl_dtype": [data.draw(st.sampled_from(["half", "int8", "odd"]))]}), path)
    content = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    ends_well("aiconfigurator", path, bytes(content[: data.draw(st.none() | st.integers(0, len(content)))]))
