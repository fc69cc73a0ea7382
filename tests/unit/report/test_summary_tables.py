"""The summary's tables by hand: laws of several protocols, in-step overheads, rates of computing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from inferometer.emulator.calibrate.schema.network_records import Combination
from inferometer.emulator.calibrate.schema.records import Parameter
from inferometer.emulator.report.columns import aligned, with_interval, wrapped
from inferometer.emulator.report.compute import compute_table
from inferometer.emulator.report.in_step import in_step_table
from inferometer.emulator.report.main_laws import main_laws
from inferometer.emulator.report.network import network_table


def parameter(value, ci95=None, unit="us", status="fitted"):
    return Parameter(value=value, unit=unit, ci95=ci95, status=status, source="by hand")


def fields(lines):
    """The rows as dicts by the head's columns, which two spaces or more divide."""
    starts = [0] + [i + 2 for i in range(len(lines[0]) - 2) if lines[0][i : i + 2] == "  " and lines[0][i + 2] != " "]
    names = [lines[0][a:b].strip() for a, b in zip(starts, [*starts[1:], None])]
    return [{name: line[a:b].strip() for name, a, b in zip(names, starts, [*starts[1:], None])} for line in lines[1:]]


@pytest.fixture
def law(small_calibration):
    """``law(params, combinations)``: an all_reduce with these parameters."""
    (one,) = [law for law in main_laws(small_calibration) if law.target.collective == "all_reduce"]

    def make(params, combinations=()):
        return one.model_copy(update={"params": params, "identifiable_combinations": list(combinations)})

    return make


def test_each_further_protocol_and_rank_count_has_a_line(law):
    params = {
        "a": parameter(4.5), "b": parameter(1.5), "B_intra": parameter(14.0),
        "a.2": parameter(5.75), "B_intra.2": parameter(172.0),
    }  # fmt: skip
    first, second, paper = fields(network_table([law(params)], set(), intervals=False))
    assert (first["a (µs)"], first["b (µs/rank)"], first["B (GB/s)"]) == ("4.5", "1.5", "14")
    assert (second["collective"], second["a (µs)"], second["B (GB/s)"]) == ("protocol 2", "5.75", "172")
    assert (paper["collective"], paper["B (GB/s)"]) == ("paper: t_reduce", "225")
    per_ranks = {"a": parameter(1.0), "B_intra@2": parameter(3.0), "B_intra@4": parameter(1.25)}
    rows = fields(network_table([law(per_ranks)], {4}, intervals=False))
    assert [(row["ranks"], row["B (GB/s)"]) for row in rows[:3]] == [("2–4*", "–"), ("2", "3"), ("4", "1.25")]


def test_what_is_determined_only_together_has_a_column_and_the_papers_sum_below(law):
    unknown = Parameter(value=None, unit="us", ci95=None, status="not_identified", reason="one size", source="by hand")
    joint = Combination(expr="a + 3·b", coefficients={"a": 1.0, "b": 3.0}, value=20.5, unit="us", ci95=(18.0, 23.0))
    lines = network_table([law({"a": unknown, "b": unknown, "B_intra": parameter(2.0)}, [joint])], set(), intervals=True)
    row, paper = fields(lines)
    assert "a (µs)" not in row and row["a + 3·b (µs)"] == "20.5 [18, 23]"
    assert float(paper["a + 3·b (µs)"]) == pytest.approx(6.8 + 3 * 1.2)
    assert row["B (GB/s)"] == "2 [no interval]"
    one_size = joint.model_copy(update={"expr": "t at 1 MB", "coefficients": {"a": 1.0, "b": 1.0, "B_intra": 1000.0}})
    *_, paper = fields(network_table([law({"a": unknown}, [one_size])], set(), intervals=True))
    assert float(paper["t at 1 MB (µs)"]) == pytest.approx(6.8 + 1.2 + 1000 / 225, rel=1e-3)  # 1e6 bytes at 1/225 ns/byte


def test_in_step_overheads_are_in_the_units_of_their_columns_and_crowded_ones_come_last():
    def made(ranks, s0, u, v):
        params = {"s0": parameter(s0, (s0 / 2, s0 * 2)), "u": parameter(u, unit="1"), "v": parameter(v, unit="ns/byte")}
        target = SimpleNamespace(collective="all_reduce", dtype="float32")
        fit = SimpleNamespace(held_out=SimpleNamespace(median=0.06))
        return SimpleNamespace(target=target, ranks=ranks, nodes=1, params=params, fit=fit)

    lines = in_step_table([made(4, 184.0, 1.02, 0.1), made(2, 130.0, 0.04, 0.05)], {4}, intervals=True)
    two, four = fields(lines)
    assert two == {
        "collective": "all_reduce", "ranks": "2", "s0 (µs)": "130 [65, 260]", "u (%)": "4", "v (µs/MiB)": "52.4",
        "held-out": "6%",
    }  # fmt: skip
    assert (four["ranks"], four["u (%)"]) == ("4*", "102")


def test_compute_rates_have_a_column_each_and_what_was_not_measured_a_dash():
    def made(ranks, **rates):
        target = SimpleNamespace(dtype="float32", concurrent_ranks=ranks)
        fit = SimpleNamespace(whole_steps=SimpleNamespace(median=0.05))
        return SimpleNamespace(form="surface", target=target, rates={k: parameter(v) for k, v in rates.items()}, fit=fit)

    common = {"smallest_us": 1.5, "memory_gb_per_s": 14.0, "gflops": 140.0}
    line = SimpleNamespace(form="line", rates=None)
    one, two = fields(compute_table([made(1, **common, gflops_at_8_rows=25.0), line, made(2, **common)], intervals=True))
    assert one == {
        "dtype": "float32", "ranks": "1", "weights (GB/s)": "14", "matmul (GFLOP/s)": "140", "smallest (µs)": "1.5",
        "8 rows (GFLOP/s)": "25", "held-out": "5%",
    }  # fmt: skip
    assert (two["ranks"], two["8 rows (GFLOP/s)"]) == ("2", "–")
    assert compute_table([line], intervals=True) == []


def test_columns_and_paragraphs():
    assert aligned([["x", "10"], ["long", "9"]], right=[1]) == ["x     10", "long   9"]
    assert with_interval(0.25, (0.2, 0.5), scale=100) == "25 [20, 50]"
    first, second = wrapped("word " * 25, "  - ")
    assert first.startswith("  - word") and second.startswith("      word") and len(first) <= 100
