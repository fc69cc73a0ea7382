"""What a notebook shows of a calibration: a line and a short table, not the file."""

from __future__ import annotations

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration


@pytest.mark.parametrize("name", ["b200-nccl", "polaris-tuned"])
def test_it_is_short(name):
    found = load_calibration(name)
    assert len(repr(found)) < 120 and found.id[:12] in repr(found)
    html = found._repr_html_()
    assert "<table" in html and "all_" in html and len(html) < 20_000
