"""What the OSU micro-benchmarks 5.3 to 7.4, OMB-Py and the Intel MPI Benchmarks 2019 to 2021 printed, run with every option
that changes the form. The expected values were taken from the text column by column, not by the importer."""

from __future__ import annotations

import json

import pytest

from tests.places import DATA

FORMS = json.loads((DATA / "mpi_benchmarks.json").read_text())
OSU = [form for form in FORMS if form["tool"] == "osu"]
IMB = [form for form in FORMS if form["tool"] == "imb"]


def name(form):
    return "-".join(form[key] for key in ("version", "benchmark", "options", "part") if form.get(key)).replace(" ", "_")


@pytest.mark.parametrize("form", OSU, ids=map(name, OSU))
def test_osu_as_it_was_printed(read, form):
    found = read("osu", "\n".join(form["text"]) + "\n", settings=f"ranks={form['ranks']},nodes=1")
    assert [[cell["bytes"], cell["us"], cell["dtype"]] for cell in found.cells] == form["cells"]
    for cell in found.cells:
        assert (cell["collective"], cell["implementation"]) == (form["collective"], form["implementation"])
        assert cell["ranks"] == (2 if form["collective"] == "send_recv" else form["ranks"])


@pytest.mark.parametrize("form", IMB, ids=map(name, IMB))
def test_imb_as_it_was_printed(read, form):
    cells = read("imb", "\n".join(form["text"]) + "\n", settings="nodes=1").cells
    keys = ("collective", "implementation", "ranks", "concurrent_groups", "bytes", "us")
    assert [[cell[key] for key in keys] for cell in cells] == form["cells"]


def test_the_forms_are_many_and_of_every_version():
    heads = {tuple(line for line in form["text"] if line.startswith("#")) for form in OSU}
    assert len(heads) >= 40 and {form["version"] for form in OSU} >= {"5.3", "5.7", "5.9", "6.2", "7.1", "7.4"}
