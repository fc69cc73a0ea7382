"""What `emulate` prints beside a measured term."""

from __future__ import annotations

import pytest

from inferometer.emulator.report.emulation import _against


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not predicted"),
        (float("nan"), "not predicted"),
        (100e-6, "100.0 µs predicted (-50%)"),
        (0.0, "0 µs predicted"),
    ],
)
def test_a_term_without_a_prediction_says_so(seconds, words):
    assert _against("network + waiting", 200.0, seconds).endswith(words)
