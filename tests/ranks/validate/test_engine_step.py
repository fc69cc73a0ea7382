"""The benchmark of the engine's overhead compares like with like: its rivals give the engine's tokens and logits."""

from __future__ import annotations

import pytest

from tests.places import BENCHMARKS


@pytest.fixture
def engine_step(monkeypatch):
    """benchmarks/engine_step.py with two layers, a short context, one pair of steps."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import engine_step
    import torch.distributed.tensor.parallel  # noqa: F401 (before forking)

    small = {"SCALE": 1 / 16, "LAYERS": 2, "CONTEXT": 24, "PROMPT": 8, "PAIRS": 1}
    for name, value in small.items():
        monkeypatch.setattr(engine_step, name, value)
    return engine_step


# On two ranks: fewer key-value heads than ranks, as many.
@pytest.mark.parametrize(
    ("size", "model"),
    [(1, "llama-3-70b"), (1, "mixtral-8x7b"), (1, "deepseek-v3"), (2, "llama-3-70b"), (2, "llama-2-7b")],
)
def test_rivals_agree_with_the_engine(ranks, engine_step, size, model):
    for timed in ranks(size, lambda world, control: engine_step.measured(world, model, 3)):
        assert timed.same_tokens
        assert timed.error <= 1e-5
        assert timed.ratio == pytest.approx(timed.engine_us / timed.rival_us)


@pytest.mark.parametrize(
    ("changed", "holds"),
    [({}, True), ({"ratio": 1.11}, False), ({"same_tokens": False}, False), ({"error": 2e-4}, False)],
)
def test_verdict(engine_step, changed, holds):
    usual = engine_step.Timed(1.09, 109.0, 100.0, True, 1e-6)
    line, held = engine_step.row((1, "llama-3-70b", 8, 1.10), [usual] + 5 * [usual._replace(**changed)])
    assert held == holds
    assert ("BROKEN" in line) != holds
    assert "1.090–" in line
