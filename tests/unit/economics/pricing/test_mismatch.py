"""A network of one machine priced with the datasheet of another is said wherever it is priced."""

from __future__ import annotations

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.mismatch import mismatch
from inferometer.emulator.economics.serving.predict import predict


@pytest.mark.parametrize(
    ("calibration", "accelerator", "same"),
    [
        ("b200-nccl", "b200", True),
        ("b200-nccl", "gb200", False),
        ("h100-nccl", "h100-sxm", True),
        ("h100-nccl", "h200", False),
        ("alps-gh200", "h200", False),
        ("polaris-tuned", "a100-sxm", True),
        ("paper-2025", "h100-sxm", True),
        ("b200-pair", "h100-sxm", True),  # names no device: nothing can be said
    ],
)
def test_devices_are_compared_by_their_chip(calibration, accelerator, same):
    assert (mismatch(load_calibration(calibration), load_accelerator(accelerator).name) is None) is same


def test_ranks_on_a_cpu_are_no_gpus_and_predict_says_so():
    paper = load_calibration("paper-2025")
    hardware = {"gpus": [], "cpu_model": "Xeon"}
    where = paper.provenance.model_copy(update={"kind": "measured", "hardware": hardware})
    here = paper.model_copy(update={"provenance": where})
    row = predict("llama-3-8b", "h100-sxm", gpus=2, calibration=here).iloc[0]
    assert "the network was measured between processes on Xeon, not between h100-sxm" in row["notes"]
    assert row["network"].endswith(" on Xeon)")
    assert "measured between" not in predict("llama-3-8b", "h100-sxm", gpus=1, calibration=here).iloc[0]["notes"]
