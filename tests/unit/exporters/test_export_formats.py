"""Keys and units of every format, against numbers computed by hand from a = 6.8, b = 1.2, c = 10 µs, 225 and 25 GB/s."""

from __future__ import annotations

import csv
import io
import json
import sys

import pyarrow.parquet
import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.targets import TARGETS, export_query
from inferometer.emulator.importers.imports import import_files

BYTES = 512
#: all_reduce of 512 bytes on 8 ranks: 6.8 + 1.2·7 + 2·7/8·512/225 ns
SMALL_US = 6.8 + 1.2 * 7 + 1.75 * BYTES / 225e3


def text(target, query, suffix=""):
    return export_query(target, query, suffix).content.decode()


def test_paper_has_the_constants_and_half_of_the_slopes_for_the_notebooks_two_passes(cluster):
    document = json.loads(text("paper", Query(cluster)))
    assert document["t_reduce_us"] == pytest.approx({"base": 6.8, "per_local_rank": 1.2, "per_log2_node": 10.0}, rel=1e-6)
    assert document["intra_bw_GBs"] == pytest.approx(225, rel=1e-6)
    assert document["inter_bw_GBs"] == pytest.approx(25, rel=1e-6)
    notebook = document["notebook"]
    assert notebook["passes"] == 2
    assert notebook["base_us"] == pytest.approx(6.8, rel=1e-6)
    assert notebook["per_local_rank_per_pass_us"] == pytest.approx(0.6, rel=1e-6)
    assert notebook["per_log2_node_per_pass_us"] == pytest.approx(5.0, rel=1e-6)


def test_paper_of_a_collective_with_one_pass(node):
    document = json.loads(text("paper", Query(node, key={"collective": "all_gather"})))
    assert document["notebook"]["per_local_rank_per_pass_us"] == document["t_reduce_us"]["per_local_rank"]
    assert document["t_reduce_us"]["per_log2_node"] is None
    assert "one node" in document["reasons"]["per_log2_node"]


def test_paper_leaves_null_what_is_not_determined_and_gives_what_is(merged):
    document = json.loads(text("paper", Query(merged)))
    assert document["t_reduce_us"]["base"] is None and document["t_reduce_us"]["per_local_rank"] is None
    (latency,) = [c for c in document["identifiable_combinations"] if c["unit"] == "us"]
    assert latency["value"] == pytest.approx(6.8 + 3 * 1.2, rel=1e-6)


def test_aiconfigurator_counts_elements_and_milliseconds(node):
    content = export_query("aiconfigurator", Query(node), ".parquet").content
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    assert table.column_names == (
        "framework version device op_name kernel_source nccl_dtype num_gpus message_size latency".split()
    )
    rows = table.to_pylist()
    assert {row["op_name"] for row in rows} == {"all_reduce", "all_gather", "alltoall", "reduce_scatter"}
    assert {(row["nccl_dtype"], row["kernel_source"]) for row in rows} == {("half", "NCCL")}
    assert {(row["version"], row["device"]) for row in rows} == {("2.29.2", "NVIDIA H100")}
    (first,) = [r for r in rows if (r["op_name"], r["num_gpus"], r["message_size"]) == ("all_reduce", 8, BYTES // 2)]
    assert first["latency"] == pytest.approx(SMALL_US / 1000, rel=1e-6)


@pytest.mark.parametrize(
    "suffix, name", [(".parquet", "custom_allreduce_perf.parquet"), (".txt", "custom_allreduce_perf.txt")]
)
def test_aiconfigurators_tensor_parallel_all_reduce_has_its_table_beside_it(node, tmp_path, suffix, name):
    exported = export_query("aiconfigurator", Query(node), suffix)
    for file, content in ((f"nccl_perf{suffix}", exported.content), (name, exported.siblings[name])):
        (tmp_path / file).write_bytes(content)
    tables = [import_files("aiconfigurator", [tmp_path / file]) for file in (f"nccl_perf{suffix}", name)]
    times = [{(c["ranks"], c["bytes"]): c["us"] for c in t.cells if c["collective"] == "all_reduce"} for t in tables]
    assert times[0] == times[1] and {cell["dtype"] for cell in tables[1].cells} == {"bfloat16"}
    assert any("tensor-parallel all_reduce is read from it," in line for line in exported.statement["use"])


def test_aiconfigurators_text_has_the_same_rows_and_a_meta_file_beside_it(node):
    exported = export_query("aiconfigurator", Query(node), ".txt")
    rows = list(csv.DictReader(io.StringIO(exported.content.decode())))
    parquet = pyarrow.parquet.read_table(
        io.BytesIO(export_query("aiconfigurator", Query(node), ".parquet").content)
    ).to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in parquet] == rows
    meta = exported.siblings["collection_meta.yaml"].decode().splitlines()
    assert meta[0] == "schema_version: 1" and '  version: "2.29.2"' in meta and "  nccl_perf:" in meta


def test_without_pyarrow_text_is_written_and_parquet_refused(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert text("aiconfigurator", Query(node)).startswith("framework,version,")
    with pytest.raises(InputError, match=r"-o FILE\.parquet needs pyarrow"):
        export_query("aiconfigurator", Query(node), ".parquet")


def test_vidur_has_its_columns_bytes_and_milliseconds(node):
    rows = list(csv.DictReader(io.StringIO(text("vidur", Query(node)))))
    stats = [f"time_stats.all_reduce.{name}" for name in ("min", "max", "mean", "median", "std")]
    place = ["rank", "num_workers", "size", "collective", "devices_per_node", "max_devices_per_node"]
    assert list(rows[0]) == ["", *stats, *place]
    (first,) = [row for row in rows if (row["num_workers"], row["size"]) == ("8", str(BYTES))]
    assert float(first[stats[3]]) == pytest.approx(SMALL_US / 1000, rel=1e-6)
    assert (first["devices_per_node"], first["max_devices_per_node"], first["rank"]) == ("8", "8", "0")
    assert first[stats[0]] == "", "a law has no minimum"


def test_vidurs_multi_node_rows_say_how_many_devices_a_node_has(cluster):
    rows = list(csv.DictReader(io.StringIO(text("vidur", Query(cluster, ranks=[(16, 2)])))))
    assert {(row["num_workers"], row["devices_per_node"], row["max_devices_per_node"]) for row in rows} == {("16", "8", "8")}


def test_vidur_keeps_send_recv_in_a_file_of_its_own(node):
    rows = list(csv.DictReader(io.StringIO(text("vidur", Query(node, key={"collective": "send_recv"})))))
    assert {row["collective"] for row in rows} == {"send_recv"}
    assert {row["devices_per_node"] for row in rows} == {"2"}
    assert "time_stats.send_recv.median" in rows[0]


def test_llm_analysis_has_seconds_and_gigabytes(node):
    document = json.loads(text("llm-analysis", Query(node)))
    assert list(document) == [
        "name", "mem_per_GPU_in_GB", "hbm_bandwidth_in_GB_per_sec", "intra_node_bandwidth_in_GB_per_sec",
        "intra_node_min_message_latency", "peak_fp16_TFLOPS", "peak_i8_TFLOPS", "peak_i4_TFLOPS",
        "inter_node_bandwidth_in_GB_per_sec",
    ]  # fmt: skip
    assert document["name"] == "NVIDIA H100"
    assert document["intra_node_min_message_latency"] == pytest.approx(SMALL_US * 1e-6, rel=1e-6)
    largest = 2**25
    bus = 1.75 * largest / (6.8 + 1.2 * 7 + 1.75 * largest / 225e3) / 1e3
    assert document["intra_node_bandwidth_in_GB_per_sec"] == pytest.approx(bus, rel=1e-6)
    assert document["mem_per_GPU_in_GB"] is None and document["inter_node_bandwidth_in_GB_per_sec"] is None


def numbers(yaml, name):
    (line,) = [line for line in yaml.splitlines() if line.startswith(f"{name}:")]
    return [float(v) for v in line[line.index("[") + 1 : line.index("]")].split(",")]


def test_astra_sim_has_binary_gigabytes_and_half_a_steps_latency(node):
    yaml = text("astra-sim", Query(node))
    assert yaml.startswith("topology: [ Switch ]\n")
    assert numbers(yaml, "npus_count") == [8]
    assert numbers(yaml, "bandwidth") == pytest.approx([225 / 1.073741824], rel=1e-6)
    assert numbers(yaml, "latency") == pytest.approx([(6.8 + 1.2 * 7) * 1000 / 14 / 2], rel=1e-6)


def test_astra_sims_outer_dimension_is_what_nodes_cost_beyond_one(cluster):
    yaml = text("astra-sim", Query(cluster, ranks=[(32, 4)]))
    assert numbers(yaml, "npus_count") == [8, 4]
    assert numbers(yaml, "bandwidth") == pytest.approx([225 / 1.073741824, 25 / 1.073741824], rel=1e-5)
    assert numbers(yaml, "latency") == pytest.approx([15200 / 14 / 2, 10_000 * 2 / 6 / 2], rel=1e-5)


def test_the_tuner_file_changes_from_ll_to_simple_where_the_laws_meet(swept):
    lines = text("nccl-tuner", Query(swept, ranks=[(8, 1)])).splitlines()
    first, second = (line.split(",") for line in lines)
    assert first[0] == "allreduce" and first[3:] == ["ring", "ll", "-1", "1", "8"] and first[1] == "512"
    assert second[3:] == ["ring", "simple", "-1", "1", "8"] and second[2] == str(2**25)
    assert int(second[1]) == int(first[2]) + 1, "no gap"
    meet = 3e3 / (1.75 * (1 / 100 - 1 / 160))  # 3 µs dearer to start, 1.75·(1/100 − 1/160) ns/byte cheaper
    assert meet == pytest.approx(457_143, rel=1e-6)
    assert int(first[2]) == pytest.approx(meet, rel=0.1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_calibration_gives_the_same_bytes_and_no_nan(target, node, swept):
    query = Query(swept if target == "nccl-tuner" else node)
    once, again = export_query(target, query, ".txt"), export_query(target, query, ".txt")
    assert once == again
    words = once.content.lower().replace(b"inferometer", b"")
    assert b"nan" not in words and b"inf" not in words
