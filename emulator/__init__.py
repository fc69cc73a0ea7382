"""What is measured, fitted and predicted.

The public calls, for notebooks and scripts: ``load_samples``, ``load_calibration``, ``predict``, ``frontier``,
``reproduce``.
They are looked up when first used, so that reading a calibration needs neither pandas nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.file import load_calibration
    from inferometer.emulator.economics.frontier import frontier
    from inferometer.emulator.economics.predict import predict
    from inferometer.emulator.economics.published.reproduce import reproduce
    from inferometer.emulator.execute.validation_table import validation_table
    from inferometer.emulator.measure.samples import load_samples

__all__ = ["frontier", "load_calibration", "load_samples", "predict", "reproduce", "validation_table"]


def __getattr__(name: str) -> Any:
    homes = {
        "load_samples": "inferometer.emulator.measure.samples",
        "load_calibration": "inferometer.emulator.calibrate.file",
        "predict": "inferometer.emulator.economics.predict",
        "frontier": "inferometer.emulator.economics.frontier",
        "reproduce": "inferometer.emulator.economics.published.reproduce",
        "validation_table": "inferometer.emulator.execute.validation_table",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
