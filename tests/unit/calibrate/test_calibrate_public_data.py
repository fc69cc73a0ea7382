"""Public measurements: the known coefficients come out."""

import runpy

import pandas as pd
import pytest

from tests.places import BENCHMARKS, DATA

POLARIS = DATA / "nccl_logs" / "polaris_small_all_reduce.csv"
AICONFIGURATOR = DATA / "aiconfigurator"
H100 = AICONFIGURATOR / "h100_sxm" / "comm" / "nccl" / "2.29.2" / "nccl_perf.parquet"


def as_cells(rows: pd.DataFrame) -> pd.DataFrame:
    key = {"collective": "all_reduce", "implementation": "nccl", "backend": "nccl", "launch_mode": "stream"}
    key |= {"timing": "pipelined", "dtype": "float32", "concurrent_groups": 1, "scheduler": None, "launch": 0}
    key |= {"oversubscribed": None}
    return rows.assign(**key, n=1, wrong=None, iterations_us=None, flags=[[] for _ in range(len(rows))])


def polaris(configuration):
    rows = pd.read_csv(POLARIS)
    rows = rows[rows["file"].str.contains(f"_{configuration}_")]
    cells = as_cells(rows.rename(columns={"size_bytes": "bytes", "out_of_place_us": "us"}))
    return cells.astype({"nodes": int, "ranks": int, "bytes": int})


@pytest.mark.parametrize(
    ("configuration", "nodes", "low", "high"),
    [("cfg4", [2, 8, 256], 10.0, 12.5), ("cfg5", [2, 8, 256, 540], 21.0, 25.0), ("cfg1", [2, 8], 37.0, 42.0)],
)
def test_polaris_per_doubling_of_nodes_with_its_interval(make, configuration, nodes, low, high):
    model = make(polaris(configuration), kind="imported").law("all_reduce")
    assert model.domain.nodes == nodes
    c = model.params["c"]
    assert c.status == "fitted" and low <= c.value <= high
    assert c.ci95_over == "cells" and c.ci95[0] < c.value < c.ci95[1] < 1.2 * c.value
    assert [model.params[name].status for name in "ab"] == ["not_identified"] * 2
    assert "4 ranks per node" in model.params["a"].reason
    (merged,) = [one for one in model.identifiable_combinations if "a" in one.coefficients]
    assert merged.expr == "a + 3·b" and merged.ci95[0] < merged.value < merged.ci95[1]
    indistinct = "cannot distinguish log2 N from N − 1" in model.fit.choice
    assert indistinct == (configuration == "cfg1")
    twins = {a.form: a.coincides_with for a in model.fit.alternatives}
    assert (twins["affine_linear_nodes"] == "affine") == indistinct


def test_polaris_with_four_gpus_per_node_tells_only_a_plus_3b_and_c(make):
    cells = polaris("cfg4")
    assert sorted(set(cells["nodes"])) == [2, 8, 256]
    model = make(cells, kind="imported").law("all_reduce")
    projection = model.paper_projection
    assert projection.t_reduce_us.base is None and projection.t_reduce_us.per_local_rank is None
    assert "4 ranks per node" in projection.reasons["base"]
    merged = projection.identifiable_combinations[0]
    assert merged.expr == "a + 3·b" and 7.0 < merged.value < 10.5
    assert 9.5 < projection.t_reduce_us.per_log2_node < 12.5


def test_h100_on_one_node(make):
    pytest.importorskip("pyarrow")
    rows = pd.read_parquet(H100)
    rows = rows[(rows["op_name"] == "all_reduce") & (rows["nccl_dtype"] == "half")]
    cells = rows.assign(bytes=2 * rows["message_size"], us=1000 * rows["latency"], ranks=rows["num_gpus"], nodes=1)
    model = make(as_cells(cells[cells["bytes"] <= 4096]), kind="imported").law("all_reduce")
    latency = model.paper_projection.t_reduce_us
    assert 4.4 < latency.base < 5.0 and 1.5 < latency.per_local_rank < 1.7
    assert latency.per_log2_node is None


#: The bounds of careful fits by hand: median and 90th percentile in sample, every third size held out, 8 ranks from 2 and 4.
BOUNDS = {
    ("H100", "all_reduce"): (0.06, 0.16, 0.06, 0.08),
    ("A100", "all_reduce"): (0.06, 0.16, 0.06, 0.09),
    ("B200", "all_reduce"): (0.06, 0.16, 0.06, 0.06),
    ("H100", "alltoall"): (0.06, None, None, None),
    ("A100", "alltoall"): (0.06, None, None, None),
    ("B200", "alltoall"): (0.06, None, None, None),
}


@pytest.mark.parametrize(("machine", "operation"), BOUNDS)
def test_public_fits_are_as_good_as_by_hand(machine, operation):
    pytest.importorskip("pyarrow")
    study = runpy.run_path(str(BENCHMARKS / "public_fits.py"))
    points = study["points_of_table"](AICONFIGURATOR / study["TABLES"][machine], operation)
    found = study["errors_of"](study["COLLECTIVES"][operation], points)
    for name, bound in zip(("median", "p90", "sizes", "without_8"), BOUNDS[machine, operation]):
        assert bound is None or found[name] <= bound, (name, found)
    assert found["median"] < 0.6 * found["paper_median"]
