"""Latent attention of prompts that enter beside decoding: expanded, not on the latents."""

from __future__ import annotations

import pytest

from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.step import Step


def test_prompts_beside_decoding_cost_what_they_cost_alone():
    """Pairs of a chunk: 1024 new tokens at a mean of 512 before each."""

    def flop(step):
        ops = build(load_shape("deepseek-v3"), Layout(), step).stages[0]
        return next(op.flop for op in ops if op.name == "attention.core")

    beside = flop(Step(1e-9, 1, 1000, 1024, 511.5)) - flop(Step(1e-9, 1, 1000))
    assert beside == pytest.approx(flop(Step.prefill(1, 1024)), rel=1e-6)
    absorbed = 2 * 128 * (2 * 512 + 64)
    assert (
        beside == pytest.approx(1024 * 512.5 * 2 * 128 * (128 + 64 + 128), rel=1e-6) and beside < 1024 * 512.5 * absorbed / 3
    )
