"""benchmarks/gpu_steps.py: whole steps predicted from kernel times, of any file of points."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from inferometer.emulator.errors import InputError
from tests.places import BENCHMARKS, SHARED_DATA
from tests.studies.planted_kernels import table

SHARED = SHARED_DATA / "gpu" / "h200" / "kernels_and_steps.json"
SHARE = [  # one rank's share of Llama 3 70B over 8
    {"model": "llama-3-70b", "tp": 8, "batch": batch, "context": context} for batch, context in ((1, 512), (32, 8192))
]


@pytest.fixture
def steps(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_steps

    return gpu_steps


def written(tmp_path, name, document):
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def test_the_shared_steps_are_within_the_bounds(steps, capsys):
    if not SHARED.exists():
        pytest.skip(f"no {SHARED}")
    assert steps.main([SHARED]) == 0, capsys.readouterr().out
    found = steps.calibration_of(SHARED)
    held = next(law for law in found.compute_laws if law.kind == "matmul").fit.held_out
    assert held.median <= 0.06 and held.p90 <= 0.18


def test_points_of_another_file_are_predicted_from_the_shared_table(steps, tmp_path, capsys):
    """The same numbers as with all points in one file: nothing is fitted to the steps."""
    if not SHARED.exists():
        pytest.skip(f"no {SHARED}")
    whole = json.loads(SHARED.read_text())
    path = written(tmp_path, "kept.json", {"decode_step_us": whole["decode_step_us"][::3]})
    assert steps.main([path]) == 0
    own = capsys.readouterr().out
    assert steps.main([SHARED]) == 0
    every = capsys.readouterr().out
    lines = [line for line in own.splitlines() if line.startswith("| decode") and "llama-3-8b" in line]
    assert len(lines) == 2 * len(whole["decode_step_us"][::3]) and all(line in every for line in lines)


def test_a_share_of_a_tensor_parallel_model(steps, tmp_path, capsys):
    """Measured times that are the predicted ones, and 3 % more, hold the bound; 30 % more do not."""
    kernels = written(tmp_path, "kernels.json", table())
    calibration = steps.calibration_of(kernels)
    points = steps.points_of({"decode_step_us": [one | {"graph_us": 1.0} for one in SHARE]}, "here")
    assert points[0].name == "llama-3-70b tp 8, batch 1, context 512"
    us = [steps.step_us(calibration, point, "graph") for point in points]
    whole = steps.points_of({"decode_step_us": [one | {"tp": 1, "graph_us": 1.0} for one in SHARE]}, "here")
    assert all(steps.step_us(calibration, one, "graph") > 3 * own for one, own in zip(whole, us))
    part = steps.points_of({"decode_step_us": [one | {"layers": 40, "graph_us": 1.0} for one in SHARE]}, "here")
    assert all(0.45 < steps.step_us(calibration, one, "graph") / own < 0.6 for one, own in zip(part, us))
    for factor, status in ((1.03, 0), (1.3, 1)):
        rows = [one | {"graph_us": factor * own} for one, own in zip(SHARE, us)]
        path = written(tmp_path, "share.json", {"decode_step_us": rows})
        assert steps.main([path], kernels) == status
        assert f"| decode, graph | llama-3-70b tp 8, batch 1, context 512 | {factor * us[0] / 1e3:.2f} |" in (
            capsys.readouterr().out
        )


GOOD = {"model": "llama-3-8b", "batch": 1, "context": 512, "graph_us": 6000.0}
BAD = [
    ([], "a file of steps is a JSON object with decode_step_us or prefill_step_us"),
    ({}, "no steps: it needs decode_step_us or prefill_step_us"),
    ({"decode_step_us": {}}, "decode_step_us is no list of steps"),
    ({"decode_step_us": [3]}, r"decode_step_us\[0\]: a step is an object with model, batch, context"),
    (
        {"decode_step_us": [GOOD, GOOD | {"batch": None}]},
        r"decode_step_us\[1\]: no batch; a step has model, batch, context, tp",
    ),
    ({"prefill_step_us": [GOOD]}, r"prefill_step_us\[0\]: no prompt; a step has model, batch, prompt"),
    ({"decode_step_us": [GOOD | {"ranks": 8}]}, r"decode_step_us\[0\]: ranks is not known; a step has"),
    ({"decode_step_us": [GOOD | {"graph_us": 0}]}, r"\[0\]: no graph_us and no eager_us above 0"),
    ({"decode_step_us": [GOOD | {"graph_us": "6 ms"}]}, r"\[0\]: graph_us is '6 ms', not a number"),
    ({"decode_step_us": [GOOD | {"batch": 1.5}]}, r"\[0\]: batch is 1.5, not a whole number"),
    ({"decode_step_us": [GOOD | {"model": "llama-9"}]}, r"\[0\]: .*llama-9"),
    ({"decode_step_us": [GOOD | {"tp": 3}]}, r"\[0\]: .*3"),
    ({"decode_step_us": [GOOD | {"layers": 99}]}, r"\[0\]: .*99"),
]


@pytest.mark.parametrize(("document", "words"), BAD)
def test_a_file_that_is_none_is_one_line(steps, tmp_path, document, words):
    path = written(tmp_path, "kept.json", document)
    with pytest.raises(InputError, match=words) as raised:
        steps.main([path])
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)
