"""A GPU sweep's kernels: models and layouts are looked at before ranks start; sizes are those of a table's rows."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.kernels.rows import operation
from inferometer.emulator.measure.kernels.plan import check_models, kernels_of
from inferometer.emulator.measure.method import KernelProbes
from inferometer.launch.runs import measure_settings
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.parallel.device.gpus import Gpu

TOML = """
name = "mine"
[stop]
relative_interval = 0.03
min_iterations = 20
max_iterations = 200
cell_seconds = 0.3
[kernels]
models = [{{ model = "{model}", tp = [{tp}] }}]
rows = [1, 8]
batches = [1, 2]
contexts = [16, 32]
prompts = [16, 32]
[[tier]]
why = "all"
collectives = ["all_reduce"]
"""
BAD = [("llama-9", 1, "did you mean llama-3-8b"), ("llama-3-8b", 3, "query heads = 32 does not divide by tp = 3")]


def wanted(model="llama-3-8b", tp=2):
    return KernelProbes(
        models=[{"model": model, "tp": [tp]}], rows=[1, 8], batches=[1, 2], contexts=[16, 32], prompts=[16, 32]
    )


@pytest.mark.parametrize(("model", "tp", "words"), BAD)
def test_a_model_that_is_none_is_refused_before_ranks_start(tmp_path, monkeypatch, model, tp, words):
    check_models(wanted())
    with pytest.raises(InputError, match=words):
        check_models(wanted(model, tp))
    monkeypatch.setattr(measure_settings, "usable_gpus", lambda: [Gpu(0, "NVIDIA H900")])
    (tmp_path / "mine.toml").write_text(TOML.format(model=model, tp=tp))
    settings = MeasureSettings(ranks=1, backend="nccl", sweep=str(tmp_path / "mine.toml"))
    with pytest.raises(InputError, match=words):
        settings.method()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_probe_and_a_row_of_a_table_have_the_same_sizes(dtype):
    """What is fitted to own probes and to tables is one law of the same quantities."""
    seen = set()
    for kernel in kernels_of(wanted(), dtype):
        about = {"kind": kernel.kind, "op": kernel.op, "us": 1.0, "dtype": dtype}
        if kernel.op == "matmul":
            row = about | dict(zip(("rows", "inner", "outer"), kernel.shape))
        elif kernel.kind == "attention":
            names = ("batch", "new", "context", "query_heads", "kv_heads", "head_dim")
            row = about | dict(zip(names, kernel.shape))
        elif kernel.op in ("rms_norm", "add"):
            row = about | dict(zip(("rows", "width"), kernel.shape))
        else:
            continue
        seen.add(kernel.kind)
        made = operation(row, "here")
        assert all(made[name] == value for name, value in kernel.sizes), kernel
    assert seen == {"matmul", "attention", "stream"}
