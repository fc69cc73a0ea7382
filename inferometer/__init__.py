"""A distributed-inference emulator that uses real collectives.

The public calls, for notebooks and scripts: ``load_samples``, ``load_calibration``, ``predict``, ``frontier``,
``reproduce``.
They are looked up when first used, so that reading a calibration needs neither pandas nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.file import load_calibration
    from inferometer.emulator.economics.paper.epoch_answer import paper_frontier, paper_predict
    from inferometer.emulator.economics.paper.published.reproduce import reproduce
    from inferometer.emulator.economics.serving.frontier import frontier
    from inferometer.emulator.economics.serving.predict import predict
    from inferometer.emulator.samples.samples import load_samples
    from inferometer.emulator.validate.table import validation_table

__version__ = "0.1.0"
__all__ = [
    "frontier",
    "load_calibration",
    "load_samples",
    "paper_frontier",
    "paper_predict",
    "predict",
    "reproduce",
    "validation_table",
]


def __getattr__(name: str) -> Any:
    homes = {
        "load_samples": "inferometer.emulator.samples.samples",
        "load_calibration": "inferometer.emulator.calibrate.evaluate.file",
        "predict": "inferometer.emulator.economics.serving.predict",
        "frontier": "inferometer.emulator.economics.serving.frontier",
        "paper_frontier": "inferometer.emulator.economics.paper.epoch_answer",
        "paper_predict": "inferometer.emulator.economics.paper.epoch_answer",
        "reproduce": "inferometer.emulator.economics.paper.published.reproduce",
        "validation_table": "inferometer.emulator.validate.table",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
