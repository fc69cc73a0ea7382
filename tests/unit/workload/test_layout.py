"""The list of parallel axes is Layout's fields: whatever lists axes agrees with it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from inferometer.emulator.economics.serving.layouts import SEARCHED
from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.settings import Configuration
from inferometer.emulator.validate.table import CONFIGURATION
from inferometer.emulator.workload.layout import AXES, FIELDS, Layout, spelt
from inferometer.launch.runs.emulate_settings import EmulateSettings


def test_the_axes_are_the_degrees_among_the_fields_neighbours_first():
    assert AXES == ("tp", "ep", "pp", "dp") and (*AXES, "attention", "tensor") == FIELDS
    layout = Layout(tp=2, ep=3, pp=5, dp=7)
    assert layout.degrees == {"tp": 2, "ep": 3, "pp": 5, "dp": 7} and layout.gpus == 210
    assert layout.describe() == "dp7 pp5 ep3 tp2"
    assert spelt(layout.degrees) == "tp·ep·pp·dp = 2·3·5·7 = 210"
    assert Layout.of({"ep": 3}, "data") == Layout(ep=3, attention="data")
    with pytest.raises(InputError, match="layout: pp = 0 must be a whole number"):
        Layout.of({"pp": 0})


def test_what_is_written_down_for_files_and_flags_has_every_axis():
    assert set(FIELDS) <= Configuration.model_fields.keys() & {field.name for field in fields(EmulateSettings)}
    assert set(FIELDS) < set(CONFIGURATION) and set(SEARCHED) == set(AXES) - {"dp"}
    assert Configuration(model="llama-3-8b", tp=2, pp=3).layout == Layout(tp=2, pp=3)
