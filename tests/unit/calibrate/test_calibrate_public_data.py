"""Public measurements, where they are at hand: the known coefficients come out."""

from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
NCCL_LOGS = DATA / "nccl_logs" / "all_rows.csv"
H100 = DATA / "aiconfigurator" / "h100_sxm" / "comm" / "nccl" / "2.29.2" / "nccl_perf.parquet"


def as_cells(rows: pd.DataFrame) -> pd.DataFrame:
    key = {"collective": "all_reduce", "implementation": "nccl", "backend": "nccl", "launch_mode": "stream"}
    key |= {"timing": "pipelined", "dtype": "float32", "concurrent_groups": 1, "scheduler": None, "launch": 0}
    return rows.assign(**key, n=1, wrong=None, iterations_us=None, flags=[[] for _ in range(len(rows))])


@pytest.mark.skipif(not NCCL_LOGS.exists(), reason=f"no {NCCL_LOGS.name} beside the repository")
def test_polaris_with_four_gpus_per_node_tells_only_a_plus_3b_and_c(make):
    rows = pd.read_csv(NCCL_LOGS)
    small = rows["file"].str.contains("alcf_polaris/.*_cfg4_") & (rows["collective"] == "all_reduce")
    rows = rows[small & rows["size_bytes"].between(8, 512)]
    cells = as_cells(rows.rename(columns={"size_bytes": "bytes", "out_of_place_us": "us"}))
    cells = cells.astype({"nodes": int, "ranks": int, "bytes": int})
    assert sorted(set(cells["nodes"])) == [2, 8, 256]
    model = make(cells, kind="imported").model("all_reduce")
    projection = model.paper_projection
    assert projection.t_reduce_us.base is None and projection.t_reduce_us.per_local_rank is None
    assert "4 ranks per node" in projection.reasons["base"]
    merged = projection.identifiable_combinations[0]
    assert merged.expr == "a + 3·b" and 7.0 < merged.value < 10.5
    assert 9.5 < projection.t_reduce_us.per_log2_node < 12.5


@pytest.mark.skipif(not H100.exists(), reason=f"no {H100.name} beside the repository")
def test_h100_on_one_node(make):
    pytest.importorskip("pyarrow")
    rows = pd.read_parquet(H100)
    rows = rows[(rows["op_name"] == "all_reduce") & (rows["nccl_dtype"] == "half")]
    cells = rows.assign(bytes=2 * rows["message_size"], us=1000 * rows["latency"], ranks=rows["num_gpus"], nodes=1)
    model = make(as_cells(cells[cells["bytes"] <= 4096]), kind="imported").model("all_reduce")
    latency = model.paper_projection.t_reduce_us
    assert 4.4 < latency.base < 5.0 and 1.5 < latency.per_local_rank < 1.7
    assert latency.per_log2_node is None
