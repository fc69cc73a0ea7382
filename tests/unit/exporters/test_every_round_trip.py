"""Every built-in calibration through every exporter: the file gives the law's times again, within its digits."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import TUNER, calibration_names, load_calibration
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.query import Query, law_us
from inferometer.emulator.exporters.targets import TARGETS, export_query
from inferometer.emulator.importers.imports import import_files

NAMES = [name for name in calibration_names() if name != TUNER]
DIGITS = 1e-8
"""Files hold nine."""


@lru_cache
def built_in(name: str) -> Calibration:
    return load_calibration(name)


def laws_of(name):
    """One law of each collective, and what names it alone."""
    first = {}
    for law in built_in(name).network_laws:
        first.setdefault(law.target.collective, law)
    return [
        (law, {key: value for key, value in law.target.model_dump().items() if value is not None}) for law in first.values()
    ]


def exported(target, name, key, suffix=""):
    """The export, and the query; None where the format has no place for this law, which it must say in one line."""
    query = Query(built_in(name), key=key)
    try:
        return export_query(target, query, suffix), query
    except InputError as error:
        assert str(error) and "\n" not in str(error)
        return None


def assert_times(law, rows):
    """rows: (bytes, ranks, nodes, µs) as the file has them."""
    assert rows
    n, r, nodes, us = (np.array(column, dtype=float) for column in zip(*rows))
    np.testing.assert_allclose(us, law_us(law, n, r, nodes), rtol=DIGITS)


@pytest.mark.parametrize("suffix", [".parquet", ".txt"])
@pytest.mark.parametrize("name", NAMES)
def test_aiconfigurator(name, suffix, tmp_path):
    """Both tables, by the importer; custom_allreduce_perf is the one a model's tensor-parallel all_reduce is priced from."""
    pytest.importorskip("pyarrow")
    for law, key in laws_of(name):
        made = exported("aiconfigurator", name, key, suffix)
        if made is None:
            continue
        files = {"nccl_perf": made[0].content}
        files |= {file.split(".")[0]: content for file, content in made[0].siblings.items() if "allreduce" in file}
        assert ("custom_allreduce_perf" in files) == (law.target.collective == "all_reduce")
        for file, content in files.items():
            path = tmp_path / f"{law.target.collective}_{file}{suffix}"
            path.write_bytes(content)
            cells = import_files("aiconfigurator", [path]).cells
            assert {cell["collective"] for cell in cells} == {law.target.collective}
            assert_times(law, [(c["bytes"], c["ranks"], c["nodes"], c["us"]) for c in cells])


@pytest.mark.parametrize("name", NAMES)
def test_vidur(name, tmp_path):
    for law, key in laws_of(name):
        made = exported("vidur", name, key)
        if made is not None:
            path = tmp_path / f"{law.target.collective}.csv"
            path.write_bytes(made[0].content)
            assert_times(law, [(c["bytes"], c["ranks"], c["nodes"], c["us"]) for c in import_files("vidur", [path]).cells])


@pytest.mark.parametrize("name", NAMES)
def test_paper(name):
    """Its terms are the projection's, digit by digit; per pass they are those of one of an all_reduce's two."""
    for law, key in laws_of(name):
        made = exported("paper", name, key)
        if made is None:
            continue
        document, projection = json.loads(made[0].content), law.paper_projection
        assert document["t_reduce_us"] == projection.t_reduce_us.model_dump()
        assert (document["intra_bw_GBs"], document["inter_bw_GBs"]) == (projection.intra_bw_GBs, projection.inter_bw_GBs)
        passes, slope = document["notebook"]["passes"], document["notebook"]["per_local_rank_per_pass_us"]
        if slope is not None:
            assert slope * passes == pytest.approx(document["t_reduce_us"]["per_local_rank"], rel=DIGITS)


@pytest.mark.parametrize("name", NAMES)
def test_llm_analysis(name):
    """The larger of latency and transfer gives the law's times at both ends of what was measured."""
    for law, key in laws_of(name):
        made = exported("llm-analysis", name, key)
        if made is None:
            continue
        document = json.loads(made[0].content)
        ranks = max(r for r, nodes in made[1].layouts(law) if nodes == 1)
        first, last = max(1, law.domain.bytes[0]), law.domain.bytes[1]
        latency_us = document["intra_node_min_message_latency"] * 1e6
        transfer_us = 2 * (ranks - 1) / ranks * last * 1e-3 / document["intra_node_bandwidth_in_GB_per_sec"]
        assert_times(law, [(first, ranks, 1, latency_us), (last, ranks, 1, transfer_us)])


@pytest.mark.parametrize("name", NAMES)
def test_astra_sim(name):
    """A ring over its Switches takes the law's times at both ends; the simulator counts whole nanoseconds and bytes."""
    for law, key in laws_of(name):
        made = exported("astra-sim", name, key)
        if made is None:
            continue
        lines = dict(line.split(":", 1) for line in made[0].content.decode().splitlines())
        fields = {
            field: [float(value) for value in lines[field].split("[")[1].split("]")[0].split(",")]
            for field in ("npus_count", "bandwidth", "latency")
        }
        counts = [int(count) for count in fields["npus_count"]]
        ranks, nodes = int(np.prod(counts)), counts[1] if len(counts) > 1 else 1
        for size in (max(1, law.domain.bytes[0]), law.domain.bytes[1]):
            us, steps, share = 0.0, 0, 1.0
            for count, bandwidth, latency in zip(counts, fields["bandwidth"], fields["latency"]):
                message = size * share / count
                us += 2 * (count - 1) * (2 * latency + message / (bandwidth * 2**30 / 1e9)) / 1e3
                steps, share = steps + 2 * (count - 1), share / count
            wanted = float(law_us(law, size, ranks, nodes))
            assert us == pytest.approx(wanted, rel=1e-6, abs=1e-3 * steps), (name, size)


def test_each_format_takes_some_of_them():
    """nccl-tuner needs runs with forced protocols, which no built-in calibration has."""
    carried = {
        target: {name for name in NAMES for _, key in laws_of(name) if exported(target, name, key)} for target in TARGETS
    }
    assert {target for target, names in carried.items() if not names} == {"nccl-tuner"}
    assert len(carried["aiconfigurator"]) >= 12 and carried["paper"] == set(NAMES)
