"""An accelerator whose kernels a calibration has measured is priced by them; every other one by its datasheet."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.pricing.accelerators import built_in_of
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.prices import prices_of
from inferometer.emulator.economics.pricing.processor import Datasheet
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.workload.precision import Precision
from tests.studies.planted_kernels import table

KEY = {"launch_mode": "graph"}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    path, samples = folder / "t.json", folder / "k.samples.jsonl"
    path.write_text(json.dumps([row | {"backend": "vllm 0.24.0"} for row in table()]))
    import_files("kernels", [path]).write(samples)
    return fit([samples])


def test_the_measured_accelerator_is_priced_by_its_kernels(calibration):
    prices = prices_of(calibration, "h200", key=KEY)
    assert isinstance(prices.processor, CalibrationProcessor) and "vllm 0.24.0" in prices.computing
    assert prices.device.name == "h200" and prices.device.memory_bytes == 141e9


def test_another_accelerator_is_priced_by_its_datasheet(calibration):
    prices = prices_of(calibration, "h100-sxm", key=KEY)
    assert isinstance(prices.processor, Datasheet) and not prices.computing


def test_widths_that_were_not_measured_fall_back_with_a_reason(calibration):
    prices = prices_of(calibration, "h200", key=KEY, precision=Precision(16, 16, 8))
    assert isinstance(prices.processor, Datasheet) and "not with a cache of 8 bits" in prices.computing


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA L40S", "l40s"),
    ],
)
def test_a_devices_own_name_means_one_built_in_accelerator(device, name):
    found = built_in_of(device)
    assert found is not None and found.name == name
