"""Where a step's time went, from clock readings made by hand: waiting, sums, what the instruments cost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.engine.stamps import Stamps
from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.accounting import account
from inferometer.emulator.validate.records import traces
from inferometer.parallel.line import Line

US = 1000
LINES = [["ffn.down", "matmul", [4, 8, 16], "", 1, False], ["ffn.reduce", "all_reduce", [256], "tp", 2, False]]


def step(rank, stamps_us, *, begin_us=0, end_us=100, block=0, number=1, lead=False, executed=(), launch=0):
    stamps = None if stamps_us is None else [at * US for at in stamps_us]
    return {
        "record": "step", "launch": launch, "cell": 0, "rank": rank, "phase": "decode", "block": block, "step": number,
        "lead": lead,
        "instrumented": stamps is not None, "begin_ns": begin_us * US, "end_ns": end_us * US, "stamps_ns": stamps,
        "executed": list(executed),
    }  # fmt: skip


def launch(lines=(LINES, LINES), groups=({"tp": [0, 1]}, {"tp": [0, 1]}), stages=(0, 0), one_clock=True, number=0):
    ranks = [{"stage": s, "groups": g, "lines": {"decode": its}} for s, g, its in zip(stages, groups, lines)]
    start = {"record": "launch", "launch": number, "one_clock": one_clock}
    return [start, {"record": "cell", "launch": number, "cell": 0, "ranks": ranks}]


def rows_of(*given):
    """given: records, or lists of them."""
    records = [record for each in given for record in (each if isinstance(each, list) else [each])]
    found = account("decode", traces(records, "decode"))
    return found, {(row.name, row.kind): row for row in found.rows}


def test_waiting_ends_when_the_last_rank_comes():
    found, rows = rows_of(
        launch(), step(0, [10, 20, 30, 90]), step(1, [10, 50, 60, 90])
    )  # both leave the reduction at 90; rank 0 came at 30, rank 1 at 60
    reduce = rows["ffn.reduce", "all_reduce"]
    assert reduce.mean_us == (60 + 30) / 2
    assert reduce.waiting_us == (30 + 0) / 2
    assert reduce.size == 256
    matmul = rows["ffn.down", "matmul"]
    assert (matmul.mean_us, matmul.size, matmul.waiting_us) == ((10 + 40) / 2, 2 * 4 * 8 * 16, None)
    assert found.unattributed_us == 100 - 45 - 25
    assert found.step_mean_us == 100


def test_without_a_common_clock_waiting_is_not_known():
    _, rows = rows_of(launch(one_clock=False), step(0, [10, 20, 30, 90]), step(1, [10, 50, 60, 90]))
    assert rows["ffn.reduce", "all_reduce"].waiting_us is None


def test_the_first_stage_waits_for_the_tokens_of_the_step_before():
    first = [["pipeline.tokens", "recv", [8], "pp", 2, False]]
    last = [["pipeline.tokens", "send", [8], "pp", 2, False]]
    groups = ({"pp": [0, 1]}, {"pp": [0, 1]})
    _, rows = rows_of(
        launch((first, last), groups, (0, 1)),
        step(0, [0, 5], lead=True, number=0),
        step(1, [70, 80], lead=True, number=0),
        step(0, [10, 50], begin_us=50, end_us=150),  # receives from 60 to 100
        step(1, [0, 10], begin_us=130, end_us=150),
    )
    assert rows["pipeline.tokens", "recv"].mean_us == 40 / 2
    assert rows["pipeline.tokens", "recv"].waiting_us == (70 - 60) / 2  # the last stage began to send at 70
    assert rows["pipeline.tokens", "recv"].count == 1 / 2


def test_what_depends_on_routing_stands_beside_what_was_expected():
    lines = [["moe.dispatch", "all_to_all", [1000], "ep", 2, True]]
    groups = ({"ep": [0, 1]}, {"ep": [0, 1]})
    _, rows = rows_of(launch((lines, lines), groups), step(0, [1, 2], executed=[900]), step(1, [1, 2], executed=[1300]))
    row = rows["moe.dispatch", "all_to_all"]
    assert (row.size, row.executed, row.executed_most) == (1000, 1100, 1300)


def test_leads_are_not_counted_and_neighbouring_blocks_give_the_overhead():
    records = launch()
    for rank in (0, 1):
        for block, first, second in [(0, 900, 102), (1, 800, 100), (2, 700, 208), (3, 600, 200)]:
            stamps = [1, 2, 3, 4] if block % 2 == 0 else None
            records.append(step(rank, stamps, end_us=first, block=block, number=0, lead=True))
            records.append(step(rank, stamps, end_us=second, block=block))
    found, _ = rows_of(*records)
    assert found.steps == 2
    assert found.step_mean_us == (102 + 208) / 2
    assert found.overhead == pytest.approx((1.02 + 1.04) / 2)
    assert found.plain_median_us == 150


def test_launches_are_kept_separate_and_a_torn_last_step_is_left_out():
    found, _ = rows_of(
        launch(), step(0, [1, 2, 3, 4]), step(1, [1, 2, 3, 4]), step(0, [1, 2, 3, 4], number=2),
        launch(number=1), step(0, [1, 2, 3, 4], end_us=300, launch=1), step(1, [1, 2, 3, 4], end_us=300, launch=1),
    )  # fmt: skip
    assert (found.steps, found.launches, found.launch_medians_us) == (2, 2, [100, 300])


def test_readings_that_are_not_those_of_the_operations_are_refused():
    with pytest.raises(InputError, match="two readings for each of 2 operations"):
        rows_of(launch(), step(0, [1, 2, 3]), step(1, [1, 2, 3]))


def test_readings_out_of_order_do_not_sum():
    found, _ = rows_of(launch(), step(0, [10, 20, 15, 90]), step(1, [10, 20, 30, 90]))
    assert found.worst_sum == float("inf")


@given(st.lists(st.lists(st.integers(0, 50), min_size=9, max_size=9), min_size=2, max_size=6))
def test_operations_and_the_unattributed_always_add_up(gaps):
    """Two ranks, two micro-batches of two operations: nine intervals a step, any lengths."""
    records = launch()
    for number, its in enumerate(gaps):
        ends = [sum(its[: index + 1]) for index in range(9)]
        for rank in (0, 1):
            records.append(step(rank, ends[:8], end_us=ends[8] + 1, number=number))
    found, rows = rows_of(*records)
    assert sum(row.mean_us for row in rows.values()) + found.unattributed_us == pytest.approx(found.step_mean_us)
    assert all(0 <= (row.waiting_us or 0) <= row.mean_us for row in rows.values())
    assert all(row.count == 2 for row in rows.values())
    assert found.worst_sum < 0.01


def test_stamps_read_the_clock_before_and_after():
    ticks = iter([3, 8])
    stamps = Stamps(SimpleNamespace(mark=lambda: next(ticks)))
    with stamps.around(Line("ffn.up", "matmul"), (1, 2, 3)):
        pass
    assert stamps.marks == [3, 8]
