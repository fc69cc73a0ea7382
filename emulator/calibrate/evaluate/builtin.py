"""The built-in calibrations, found by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from inferometer.emulator.calibrate.laws.nccl_tuner import FOLDER, TUNER
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean
from inferometer.emulator.regular import check_regular

SUFFIX = ".json"


def calibration_names() -> list[str]:
    """The names of all built-in calibrations: the files, and NCCL's own model."""
    found = (entry.name.removesuffix(SUFFIX) for entry in files(FOLDER).iterdir() if entry.name.endswith(SUFFIX))
    return sorted([*found, TUNER])


def computed(name: str) -> bool:
    """Whether a calibration of this name is NCCL's own model: no file has the name, and it is the model's."""
    return (name == TUNER or name.startswith(f"{TUNER}-")) and not Path(name).exists()


def calibration_text(name_or_path: str | Path) -> str:
    """The text of a calibration file, or of a built-in one where no file has that name.

    Raises InputError for a file that cannot be read, and for a name that is neither: it lists the built-in ones.
    """
    path, name = Path(name_or_path), str(name_or_path)
    try:
        if path.exists() or name.endswith(SUFFIX) or path.name != name:
            check_regular(path)
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not text, or a NUL character in the path
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    names = calibration_names()
    if computed(name):
        raise InputError(f"{name}: is a model computed for each case, not a file: predict and frontier take it")
    if name not in names:
        hint, known = did_you_mean(name, names), ", ".join(names)
        raise InputError(f"calibration {name[:80]!r}: neither a file nor a built-in one{hint}: those are {known}")
    return files(FOLDER).joinpath(name + SUFFIX).read_text(encoding="utf-8")
