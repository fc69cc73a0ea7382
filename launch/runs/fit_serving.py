"""Fit an engine's profile to a file of served points and write it."""

from __future__ import annotations

from pathlib import Path

from inferometer.emulator.economics.serving.engines.profile_file import toml_of
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.economics.serving.fitting.engine import EngineFit, fit_engine
from inferometer.emulator.economics.serving.points.table import read_points
from inferometer.emulator.errors import InputError
from inferometer.launch.runs.outputs import write_text


def fit_serving(points: str | Path, output: str | Path | None, engine: str | None = None) -> EngineFit:
    """The profile of the engine whose points a file holds; engine: which one, where there are several. Written to output.

    Raises InputError for a file of several engines or too few usable points.
    """
    found = read_points(points)
    engines = sorted({point.deployed.engine for point in found})
    if engine is None and len(engines) > 1:
        raise InputError(f"{points}: points of {', '.join(engines)}: say which with --engine")
    fitted = fit_engine(found, load_profile(engine or engines[0]), source=Path(points).name)
    if output is not None:
        write_text(str(output), f"# Fitted from {Path(points).name}.\n{toml_of(fitted.profiles)}")
    return fitted
