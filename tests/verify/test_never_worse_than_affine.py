"""On every public data set at hand the chosen law is no worse out of sample than affine by more than its standard error."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

from inferometer.emulator.calibrate.choose import DEFAULT, Choice, choose_law
from inferometer.emulator.calibrate.points import Points, points_of

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"
NCCL_LOGS = DATA / "nccl_logs" / "all_rows.csv"
NAMES = {"alltoall": "all_to_all", "sendrecv": "send_recv_ring"}


def compare(collective: str, points: Points) -> tuple[Choice, bool]:
    choice = choose_law(collective, points)
    scores = {c.name: c for c in choice.candidates}
    mine, affine = choice.chosen, scores[DEFAULT]
    if mine.score is None or affine.score is None or not mine.fit.law.extrapolates_ranks:
        return choice, True
    return choice, mine.score <= affine.score + (mine.score_se or 0.0)


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.skipif(not NCCL_LOGS.exists(), reason=f"no {NCCL_LOGS.name} beside the repository")
def test_on_public_logs() -> None:
    rows = pd.read_csv(NCCL_LOGS).dropna(subset=["nodes", "ranks", "out_of_place_us"])
    rows = rows[(rows["out_of_place_us"] > 0) & (rows["size_bytes"] > 0) & (rows["ranks"] > 1)]
    rows = rows[rows["ranks"] >= rows["nodes"]]
    source = rows["file"].str.extract(r"^([^/]+)/.*?(_cfg\d)?[^/]*$").fillna("").agg("".join, axis=1)
    tried = 0
    for (where, name), part in rows.groupby([source, "collective"]):
        collective = NAMES.get(name, name)
        if collective not in {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv_ring"}:
            continue
        cells = part.groupby(["ranks", "nodes", "size_bytes"])["out_of_place_us"].median().reset_index()
        cells = cells.rename(columns={"size_bytes": "bytes", "out_of_place_us": "us"}).assign(launch=0)
        choice, held = compare(collective, points_of(cells))
        print(f"{where:32s} {collective:16s} {len(cells):4d} cells  {choice.chosen.name}: {choice.reason}")
        assert held, (where, name)
        tried += 1
    assert tried >= 20


@pytest.mark.verify
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (DATA / "aiconfigurator").exists(), reason="no aiconfigurator beside the repository")
def test_on_public_tables() -> None:
    pytest.importorskip("pyarrow")
    study = runpy.run_path(str(ROOT / "benchmarks" / "public_fits.py"))
    for operation, collective in study["COLLECTIVES"].items():
        for folder in study["TABLES"].values():
            points = study["points_of_table"](DATA / "aiconfigurator" / folder, operation)
            _, held = compare(collective, points)
            assert held, (operation, folder)
