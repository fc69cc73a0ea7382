"""The built-in calibrations: found by name, of the schema, sane, and the measurements they say they are."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import jsonschema
import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import SCHEMA_FILE, TUNER, calibration_names, content_id, load_calibration
from inferometer.emulator.calibrate.evaluate.predict import predict_us
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.economics.serving.predict import predict
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kernels.executions import EXPERTS
from inferometer.launch.cli import main
from tests.places import DATA, ROOT, SHARED_DATA

NAMES = [name for name in calibration_names() if name != TUNER]
BOUNDS = {"matmul": (0.06, 0.18), "attention": (0.10, 0.25)}
MISSED = {("b200-sglang", "matmul"): (0.06, 0.20), ("l40s-sglang", "matmul"): (0.07, 0.22)}
"""Where the bounds are missed, and by how much: the tables scatter more than that. Of one matrix and 1 to 16 rows, which
take as long, a tenth of these two tables' times are 22 to 24 % away from their own median."""
PUBLISHED = ("paper-2025", "paper-2025-code")
FITTED = [name for name in NAMES if name not in PUBLISHED]
GPUS = ("a100", "h100", "b200")
ENGINES = ("vllm", "sglang", "trtllm")
KERNELS_OF = {
    "a100": ENGINES,
    "h100": ENGINES,
    "h200": ENGINES,
    "b200": ENGINES,
    "gb200": ENGINES,
    "l40s": ENGINES,
}
WITH_KERNELS = tuple(f"{gpu}-{engine}" for gpu, engines in KERNELS_OF.items() for engine in engines)
"""Those that have laws of kernels too."""


ONE_OF_EACH_KIND = ("paper-2025", "polaris-tuned", "h200-nccl", "h200-vllm")


@lru_cache
def built_in(name: str) -> Calibration:
    return load_calibration(name)


def test_all_are_there():
    engines = [f"{gpu}-{source}" for gpu in GPUS for source in ENGINES]
    engines += [f"{gpu}-nccl" for gpu in KERNELS_OF]
    assert set(NAMES) == {*PUBLISHED, "polaris-tuned", "polaris-tcp", "alps-gh200", "b200-pair", *engines, *WITH_KERNELS}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_of_the_schema_and_says_where_it_comes_from(name):
    calibration = built_in(name)
    document = calibration.model_dump(mode="json", by_alias=True)
    if name in ONE_OF_EACH_KIND:  # the others are read by the same classes
        jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()))
    assert calibration.id == content_id(document)
    about = document["provenance"]
    assert about["citation"] and about["hardware"] and about["software"]
    assert about["kind"] == ("published" if name in PUBLISHED else "imported")
    text = (ROOT / "configs" / "calibrations" / f"{name}.json").read_text()
    assert len(text) < 350_000 and "shared" not in text and "/work" not in text
    for model in calibration.network_laws:
        if name in FITTED:
            assert model.fit is not None and model.fit.cv.sizes.median is not None
            of_engine = name.endswith(ENGINES) and model.target.backend != "nccl"
            assert model.target.launch_mode == ("graph" if of_engine else "stream")


@pytest.mark.parametrize("name", NAMES)
def test_times_are_positive_and_grow_with_size_where_it_was_measured(name):
    for model in built_in(name).network_laws:
        low, high = model.domain.bytes
        sizes = np.geomspace(max(low, 1), high, 40)
        where = {(c.ranks, c.nodes) for c in built_in(name).cells if c.target == model.target} or {(2, 1), (8, 1), (64, 8)}
        for ranks, nodes in sorted(where):
            us = predict_us(model, sizes, ranks, nodes)
            assert (us > 0).all() and (np.diff(us) >= -1e-9 * us[1:]).all(), (model.target.collective, ranks, nodes)


@pytest.mark.parametrize("name", FITTED)
def test_laws_agree_with_the_cells_as_the_file_says(name):
    calibration = built_in(name)
    for model in calibration.network_laws:
        cells = [c for c in calibration.cells if c.target == model.target]
        n, r, N, us = (np.array(v) for v in zip(*((c.bytes, c.ranks, c.nodes, c.us.median) for c in cells)))
        errors = np.abs(predict_us(model, n, r, N) / us - 1)
        assert model.fit is not None and len(cells) == model.fit.n_cells
        assert np.median(errors) == pytest.approx(model.fit.medape, rel=1e-3)


@pytest.mark.parametrize("name", FITTED)
def test_most_cells_are_within_the_interval_of_their_law(name):
    calibration = built_in(name)
    for model in calibration.network_laws:
        cells = [c for c in calibration.cells if c.target == model.target]
        n, r, N, us = (np.array(v) for v in zip(*((c.bytes, c.ranks, c.nodes, c.us.median) for c in cells)))
        low, high = calibration.interval_s(model.target.collective, n, r, N)
        assert ((low < us * 1e-6) & (us * 1e-6 < high)).mean() > 0.85, model.target.collective


def test_the_papers_constants_are_the_papers():
    calibration = built_in("paper-2025")
    assert calibration.time_s("all_reduce", 1, 16, 2) == pytest.approx((6.8 + 1.2 * 7 + 10) * 1e-6)
    assert calibration.time_s("all_reduce", 225e9, 2, 1) == pytest.approx(1.0, rel=1e-4)
    for model in calibration.network_laws:
        expected = paper_parameters(model.target.collective)
        assert {name: p.value for name, p in model.params.items()} == {name: expected[name] for name in model.params}
        assert {p.status for p in model.params.values()} == {"fixed_prior"}
    assert np.isnan(calibration.interval_s("all_reduce", 8, 8)).all()


def small_us(name: str, ranks: int) -> float:
    calibration = built_in(name)
    sizes = [512, 1024, 2048, 4096]
    return float(np.median(calibration.time_s("all_reduce", sizes, ranks))) * 1e6


def test_the_papers_constants_hold_on_h100_and_miss_a100_and_b200_by_a_third():
    off = {gpu: small_us("paper-2025", 8) / small_us(f"{gpu}-nccl", 8) - 1 for gpu in GPUS}
    assert abs(off["h100"]) < 0.06
    assert -0.45 < off["b200"] < off["a100"] < -0.25


def test_an_engines_own_kernel_hardly_depends_on_ranks():
    for gpu in GPUS:
        for engine in ENGINES:
            assert small_us(f"{gpu}-{engine}", 8) < 0.6 * small_us(f"{gpu}-nccl", 8)


def test_polaris_tells_a_plus_3b_and_the_plugin_from_tcp():
    slopes = {}
    for name in ("polaris-tuned", "polaris-tcp"):
        model = built_in(name).law("all_reduce")
        assert model.paper_projection.t_reduce_us.base is None
        assert model.paper_projection.identifiable_combinations[0].expr == "a + 3·b"
        times = built_in(name).time_s("all_reduce", 8, np.array([8, 32]), np.array([2, 8]))
        slopes[name] = (times[1] - times[0]) * 1e6 / 2
    assert 8 < slopes["polaris-tuned"] < 16 and slopes["polaris-tcp"] > 2 * slopes["polaris-tuned"]


def test_a_file_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_calibration("h100-nccl").id == built_in("h100-nccl").id
    Path("h100-nccl").write_text((ROOT / "configs" / "calibrations" / "paper-2025.json").read_text())
    assert load_calibration("h100-nccl").id == built_in("paper-2025").id


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h100-ncll", r"neither a file nor a built-in one \(did you mean h100-nccl\?\): those are a100-nccl, "),
        (TUNER, "a model computed for each case"),
        ("nowhere.json", "nowhere.json: cannot be read"),
        ("no/where", "no/where: cannot be read"),
        ("a\0b", "a\0b: cannot be read|neither a file"),
        ("x" * 5000, "cannot be read|neither a file"),
        ("", "cannot be read"),
    ],
)
def test_an_unknown_name_is_one_line(name, words):
    with pytest.raises(InputError, match=words) as raised:
        load_calibration(name)
    assert "\n" not in str(raised.value)


def test_predict_shows_the_interval_and_how_far_the_papers_constants_are_off(capsys):
    assert main(["predict", "llama-3-70b", "--accelerator", "b200", "--calibration", "b200-nccl", "--tp", "8"]) == 0
    shown = capsys.readouterr().out
    assert "95 % interval" in shown and "with the paper's network constants" in shown
    row = predict("llama-3-70b", "b200", gpus=8, calibration="b200-nccl").iloc[0]
    low, high = row["interval_s"]
    assert low < row["token_latency_s"] < high and row["paper_constants_s"] < row["token_latency_s"]


def measurements(path: str) -> Path:
    """The public file that a calibration was fitted to; some lie beside the repository only."""
    found = [folder / path for folder in (DATA, SHARED_DATA) if (folder / path).exists()]
    with suppress(FileNotFoundError):
        found.append(recipes_module().serving.tables() / path.removeprefix("aiconfigurator/"))
    if not found:
        pytest.skip(f"no {path} beside the repository")
    return found[0]


@pytest.mark.parametrize("name", FITTED)
def test_the_sources_are_the_public_files(name):
    for raw in built_in(name).provenance.raw:
        assert hashlib.sha256(measurements(raw.path).read_bytes()).hexdigest() == raw.sha256, raw.path


@pytest.mark.parametrize("name", [f"{gpu}-nccl" for gpu in KERNELS_OF])
def test_cells_are_the_public_measurements(name):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    (raw,) = built_in(name).provenance.raw
    rows = pd.read_parquet(measurements(raw.path))
    rows = rows[rows["nccl_dtype"] == "half"]
    rows = rows.replace({"op_name": {"alltoall": "all_to_all"}})
    rows = rows.assign(bytes=2 * rows["message_size"], us=1000 * rows["latency"])
    measured = rows.groupby(["op_name", "num_gpus", "bytes"])["us"].median()
    cells = {(c.target.collective, c.ranks, c.bytes): c.us.median for c in built_in(name).cells}
    assert set(cells) == set(measured.index)
    assert all(us == pytest.approx(measured[where], rel=1e-6) for where, us in cells.items())


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_kernel_laws_hold_on_shapes_left_out(name):
    """Median and 90th percentile over the laws of a kind, weighted by their points: matmuls, attention."""
    kinds: dict[str, list[tuple[int, float, float]]] = {}
    for law in built_in(name).compute_laws:
        held = law.fit.held_out
        if held.median is not None and held.p90 is not None and law.kind in BOUNDS and law.op != EXPERTS:
            assert law.target.backend.split()[0] == name.split("-")[1] and law.target.launch_mode == "graph"
            kinds.setdefault(law.kind, []).append((law.fit.n_points, held.median, held.p90))
    assert set(kinds) == set(BOUNDS)
    for kind, found in kinds.items():
        points, medians, p90s = np.array(found).T
        median, p90 = MISSED.get((name, kind), BOUNDS[kind])
        assert np.average(medians, weights=points) <= median, kind
        assert np.average(p90s, weights=points) <= p90, kind


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_it_prices_its_own_device_from_end_to_end(name):
    row = predict("llama-3-8b", None, gpus=2, batch=8, calibration=name).iloc[0]
    assert 0.5e-3 < row["token_latency_s"] < 50e-3 and "measured NVIDIA" in row["accelerator"]
    assert row["network"].startswith("calibration") and row["binds"] != "host"


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["h100-nccl", *WITH_KERNELS[:1]])
def test_the_recipe_makes_the_file_again(name):
    pytest.importorskip("pyarrow")
    again = recipes_module()
    try:
        made = again.fitted(again.recipes()[name])
    except FileNotFoundError as error:
        pytest.skip(str(error))
    kept = built_in(name)
    assert [m.form for m in made.network_laws] == [m.form for m in kept.network_laws]
    assert [law.params for law in made.compute_laws] == [law.params for law in kept.compute_laws]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        times = [c.time_s("all_reduce", np.geomspace(512, 1 << 20, 12), 8) for c in (made, kept)]
    assert times[0] == pytest.approx(times[1], rel=1e-3)


def recipes_module() -> ModuleType:
    folder = ROOT / "benchmarks" / "recipes"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location("make_calibrations", folder / "make_calibrations.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
