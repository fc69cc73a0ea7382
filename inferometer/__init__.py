"""A distributed-inference emulator that uses real collectives.

The public calls, for notebooks and scripts: one for each command, under its name (`import` is `import_files`, `list` is
`catalogue`), with their settings as records, and `load_samples`, `load_calibration`, `validation_table` for the files. Names
are looked up when first used, so that reading a calibration needs neither pandas nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.evaluate.file import load_calibration
    from inferometer.emulator.calibrate.fit.from_samples import fit
    from inferometer.emulator.compare.comparison import compare
    from inferometer.emulator.compare.deployments import Question
    from inferometer.emulator.economics.paper.epoch_answer import paper_frontier, paper_predict
    from inferometer.emulator.economics.paper.published.reproduce import reproduce
    from inferometer.emulator.economics.serving.frontier import Search, frontier
    from inferometer.emulator.economics.serving.predict import predict
    from inferometer.emulator.economics.serving.pricer import Pricer
    from inferometer.emulator.errors import InputError, RunFailed
    from inferometer.emulator.exporters.files import export
    from inferometer.emulator.importers.imports import import_files
    from inferometer.emulator.measure.doctor import doctor
    from inferometer.emulator.report.catalogues import catalogue
    from inferometer.emulator.report.page.page import report
    from inferometer.emulator.samples.samples import load_samples
    from inferometer.emulator.validate.table import validation_table
    from inferometer.emulator.workload.layout import Layout
    from inferometer.emulator.workload.storage.summary import models
    from inferometer.launch.runs.calibrate import calibrate
    from inferometer.launch.runs.emulate import emulate
    from inferometer.launch.runs.emulate_settings import EmulateSettings
    from inferometer.launch.runs.lab import LabSettings, lab
    from inferometer.launch.runs.measure import measure
    from inferometer.launch.runs.measure_settings import MeasureSettings
    from inferometer.launch.runs.schemas import schema
    from inferometer.launch.runs.validate import ValidateSettings, validate

__version__ = "0.1.0"
__all__ = [
    "Calibration",
    "EmulateSettings",
    "InputError",
    "LabSettings",
    "Layout",
    "MeasureSettings",
    "Pricer",
    "Question",
    "RunFailed",
    "Search",
    "ValidateSettings",
    "calibrate",
    "catalogue",
    "compare",
    "doctor",
    "emulate",
    "export",
    "fit",
    "frontier",
    "import_files",
    "lab",
    "load_calibration",
    "load_samples",
    "measure",
    "models",
    "paper_frontier",
    "paper_predict",
    "predict",
    "report",
    "reproduce",
    "schema",
    "validate",
    "validation_table",
]


def __getattr__(name: str) -> Any:
    homes = {
        "Calibration": "emulator.calibrate.evaluate.calibration",
        "EmulateSettings": "launch.runs.emulate_settings",
        "InputError": "emulator.errors",
        "LabSettings": "launch.runs.lab",
        "Layout": "emulator.workload.layout",
        "MeasureSettings": "launch.runs.measure_settings",
        "Pricer": "emulator.economics.serving.pricer",
        "Question": "emulator.compare.deployments",
        "RunFailed": "emulator.errors",
        "Search": "emulator.economics.serving.frontier",
        "ValidateSettings": "launch.runs.validate",
        "calibrate": "launch.runs.calibrate",
        "catalogue": "emulator.report.catalogues",
        "compare": "emulator.compare.comparison",
        "doctor": "emulator.measure.doctor",
        "emulate": "launch.runs.emulate",
        "export": "emulator.exporters.files",
        "fit": "emulator.calibrate.fit.from_samples",
        "frontier": "emulator.economics.serving.frontier",
        "import_files": "emulator.importers.imports",
        "lab": "launch.runs.lab",
        "load_calibration": "emulator.calibrate.evaluate.file",
        "load_samples": "emulator.samples.samples",
        "measure": "launch.runs.measure",
        "models": "emulator.workload.storage.summary",
        "paper_frontier": "emulator.economics.paper.epoch_answer",
        "paper_predict": "emulator.economics.paper.epoch_answer",
        "predict": "emulator.economics.serving.predict",
        "report": "emulator.report.page.page",
        "reproduce": "emulator.economics.paper.published.reproduce",
        "schema": "launch.runs.schemas",
        "validate": "launch.runs.validate",
        "validation_table": "emulator.validate.table",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"inferometer.{homes[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
