"""The order of a validation's launches."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from inferometer.launch.runs import validate


def parts(*ranks, launches):
    return [SimpleNamespace(matrix=SimpleNamespace(backend="gloo", launches=launches, world_size=n)) for n in ranks]


@pytest.fixture
def launched(monkeypatch):
    """Which ranks were launched in which round."""
    order = []
    monkeypatch.setattr(validate, "open_emulation", lambda path, matrix: None)

    def launch_here(matrix, path, number, *more):
        order.append((number, matrix.world_size))

    monkeypatch.setattr(validate, "launch_here", launch_here)
    return order


def test_every_round_begins_with_another_turn(launched):
    two = parts(1, 2, launches=4)
    validate.validate_here(two, [Path("1"), Path("2")], lambda number: launched.append((number, "calibration")))
    assert launched == [
        (0, "calibration"), (0, 1), (0, 2), (1, 1), (1, 2), (1, "calibration"),
        (2, 2), (2, "calibration"), (2, 1), (3, "calibration"), (3, 1), (3, 2),
    ]  # fmt: skip


def test_without_a_calibration_the_numbers_of_ranks_alternate(launched):
    validate.validate_here(parts(1, 2, launches=3), [Path("1"), Path("2")])
    assert launched == [(0, 1), (0, 2), (1, 2), (1, 1), (2, 1), (2, 2)]


def test_an_interrupt_between_launches_says_what_is_kept(launched, monkeypatch):
    monkeypatch.setattr(validate, "kept_in", lambda *paths: f"7 steps of ranks kept in {paths[0]}")

    def interrupted(number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="7 steps of ranks kept"):
        validate.validate_here(parts(1, launches=3), [Path("x.ranks-1.emulation.jsonl")], interrupted)
