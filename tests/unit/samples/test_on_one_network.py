"""Cells next to a look that found the network changed do not count; all others do, in their order."""

from __future__ import annotations

import pytest

from inferometer.emulator.samples.samples import on_one_network


def kept(text):
    """Cells are letters, looks are + (as at first) and - (changed), | begins a launch, ! ends it."""
    kinds = {"+": "reference", "-": "reference", "|": "launch", "!": "launch_end"}
    records = [{"record": kinds.get(sign, "cell"), "cell": sign, "changed": sign == "-"} for sign in text]
    found = list(on_one_network(enumerate(records)))
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    return "".join(record["cell"] for _, record in found if record["record"] == "cell")


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("|abc!", "abc"),
        ("abc", "abc"),
        ("|+ab+cd+!", "abcd"),
        ("|+ab+cd-ef-gh+ij!", "abij"),
        ("|+ab+cd-ef!", "ab"),
        ("|+ab-cd", ""),
        ("|+ab+cd", "abcd"),
        ("|+ab-!|+cd+!", "cd"),
        ("|+ab-|cd!", "cd"),
    ],
)
def test_which_cells_count(text, cells):
    assert kept(text) == cells
