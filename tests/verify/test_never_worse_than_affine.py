"""On every public data set the chosen law is no worse out of sample than affine by more than its standard error."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

from inferometer import load_calibration
from inferometer.emulator.calibrate.fit.choose import DEFAULT, Choice, choose_law
from inferometer.emulator.calibrate.fit.points import Points, points_of
from inferometer.launch.cli import main
from tests.places import BENCHMARKS
from tests.places import SHARED_DATA as DATA

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
    study = runpy.run_path(str(BENCHMARKS / "public_fits.py"))
    for operation, collective in study["COLLECTIVES"].items():
        for folder in study["TABLES"].values():
            points = study["points_of_table"](DATA / "aiconfigurator" / folder, operation)
            _, held = compare(collective, points)
            assert held, (operation, folder)


TABLES = sorted([*DATA.glob("aiconfigurator/*/comm/*/*/*_perf.parquet"), *DATA.glob("vidur/**/*.csv")])


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", TABLES, ids=lambda p: "/".join(p.parts[-4:]))
def test_on_every_table_that_imports(path: Path, tmp_path: Path) -> None:
    """Through the project's own import and fit: the scores are those that stand in the calibration file."""
    samples, fitted = str(tmp_path / "t.samples.jsonl"), str(tmp_path / "t.json")
    tool = "aiconfigurator" if path.suffix == ".parquet" else "vidur"
    if main(["import", tool, str(path), "-o", samples]) != 0:
        pytest.skip("no table of collectives")
    assert main(["fit", samples, "-o", fitted]) == 0
    for model in load_calibration(fitted).network_laws:
        assert model.fit is not None
        scores = {one.form: one for one in model.fit.alternatives}
        mine = next(one for one in model.fit.alternatives if one.chosen)
        affine = scores.get(DEFAULT)
        if mine.score is None or affine is None or affine.score is None or "@" in "".join(model.params):
            continue
        print(f"{model.target.collective} {model.target.dtype} {mine.form}: {mine.score:.3f}, affine {affine.score:.3f}")
        assert mine.score <= affine.score + (mine.score_se or 0.0), model.target
