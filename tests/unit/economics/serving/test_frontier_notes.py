"""A frontier says which layouts it leaves out, and why, as a prediction does."""

from __future__ import annotations

from inferometer.emulator.economics.serving.frontier import Search, frontier
from inferometer.emulator.report.frontier import frontier_lines
from inferometer.launch.cli import main


def test_layouts_that_the_calibration_does_not_determine_are_counted():
    search = Search(gpus_max=8, batch_max=64, further={"calibration": "b200-pair"})
    rows = frontier("llama-3-8b", "b200", search=search)
    (note,) = set(rows["notes"])
    assert "layouts that fit are left out (on " in note and "does not determine their collectives" in note
    lines = frontier_lines(rows.to_dict("records"))
    assert any(line.startswith("note: ") and "left out" in line for line in lines)


def test_nothing_is_said_where_nothing_is_left_out():
    rows = frontier("llama-3-8b", "h100-sxm", search=Search(gpus_max=4, batch_max=64))
    assert set(rows["notes"]) == {""}


def test_a_network_of_other_devices_is_said(capsys):
    line = "frontier llama-3-8b --accelerator h200 --calibration h100-nccl --gpus-max 4 --batch-max 16"
    assert main(line.split()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the network was measured between NVIDIA H100 80GB HBM3, not between h200" in said
