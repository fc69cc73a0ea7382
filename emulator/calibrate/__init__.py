"""Cost laws of collectives, their robust fit, and the calibration file. Imports no torch; loading needs no scipy."""

from inferometer.emulator.calibrate.build import calibrate
from inferometer.emulator.calibrate.calibration import Calibration
from inferometer.emulator.calibrate.file import load_calibration, to_json, write_calibration
from inferometer.emulator.calibrate.predict import ExtrapolationWarning, NotIdentifiedWarning

__all__ = [
    "Calibration",
    "ExtrapolationWarning",
    "NotIdentifiedWarning",
    "calibrate",
    "load_calibration",
    "to_json",
    "write_calibration",
]
