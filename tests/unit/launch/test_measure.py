"""The loop over launches, with a fake in place of the ranks: what it asks for, and what it makes of the answers."""

from __future__ import annotations

import types

import pytest

from inferometer.emulator.errors import RunFailed
from inferometer.emulator.samples.samples import SamplesFile, read_records
from inferometer.launch.ranks.local import Outcome
from inferometer.launch.runs import measure
from inferometer.launch.runs.measure import run_launches
from inferometer.launch.runs.samples_file import HeldLaunch, held_in, lacks_cells, logs_of

CELLS = ["a", "b", "c", "d"]


class Shown:
    def __init__(self):
        self.launches = []

    def launch(self, number, of, deadline):
        self.launches.append((number, of, deadline))

    def say(self, text):
        self.said = text


class Ranks:
    """Measures what the job asks for (or CELLS), but launch n at most ``reach[n]`` cells, and ends as ``ends[n]`` says.

    Of the launches in ``stolen`` the hypervisor gave a fifth of the cores' time to others.
    """

    def __init__(self, reach=None, ends=None, stolen=()):
        self.jobs, self.reach, self.ends, self.stolen = [], reach or {}, ends or {}, stolen

    def __call__(self, job):
        self.jobs.append(job)
        outcome = self.ends.get(job.launch, Outcome("complete"))
        samples = SamplesFile.reopen(job.samples)
        samples.append({"record": "launch", "launch": job.launch})
        wanted = [name for name in (job.cells or CELLS) if name not in job.skip]
        for name in wanted[: self.reach.get(job.launch)]:
            samples.append({"record": "cell", "launch": job.launch, "cell": name})
        if outcome.reason != "failed":
            reason = "complete" if outcome.reason == "wrong_data" else outcome.reason
            steal = 0.2 if job.launch in self.stolen else 0.0
            samples.append({"record": "launch_end", "launch": job.launch, "reason": reason, "steal_fraction": steal})
        samples.close()
        return outcome

    def asked(self):
        return [(job.launch, job.cells, job.skip) for job in self.jobs]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.samples.jsonl"
    SamplesFile.create(path, {}).close()
    return path


def go(path, method, ranks, first=0, of=3, shown=None):
    return run_launches(path, method, held_in(path), ranks, shown or Shown(), first, of)


def test_a_fresh_run_is_every_launch_with_the_cells_of_the_first(path, method):
    ranks = Ranks(reach={0: 2}, ends={0: Outcome("budget")})
    assert go(path, method(), ranks) is True
    assert ranks.asked() == [(0, None, []), (1, ["a", "b"], []), (2, ["a", "b"], [])]
    assert [job.logs for job in ranks.jobs] == [path.parent / "x.logs" / f"launch-{job.launch}" for job in ranks.jobs]
    assert {number: slot.done for number, slot in held_in(path).items()} == {n: ["a", "b"] for n in range(3)}


def test_a_failed_launch_ends_the_run_and_is_noted_in_the_file(path, method):
    ranks = Ranks(reach={1: 1}, ends={1: Outcome("failed", "rank 2 died; its log: l")})
    with pytest.raises(RunFailed) as caught:
        go(path, method(), ranks)
    advice = f"`inferometer measure --resume -o {path}` goes on"
    assert str(caught.value) == f"rank 2 died; its log: l; 5 cells kept in {path}, {advice}"
    assert len(ranks.jobs) == 2
    last = list(read_records(path))[-1]
    assert (last["record"], last["launch"], last["reason"]) == ("launch_end", 1, "failed")
    assert last["text"] == "rank 2 died; its log: l"


def test_a_failed_launch_that_left_a_cut_line_is_mended(path, method):
    def ranks(job):
        with path.open("a") as file:
            file.write('{"record": "cell", "launch": 0, "cell": "a"}\n{"record": "ce')
        return Outcome("failed", "all died")

    with pytest.raises(RunFailed, match="all died; 1 cells kept"):
        go(path, method(), ranks)
    assert [record["record"] for record in read_records(path)] == ["header", "cell", "launch_end"]


@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_a_resumed_run_asks_for_what_is_missing_only(path, method, how):
    first = Ranks(reach={1: 1}, ends={1: Outcome(how)})
    with pytest.raises((RunFailed, KeyboardInterrupt)):
        go(path, method(), first)
    again = Ranks()
    assert go(path, method(), again) is True
    assert again.asked() == [(1, CELLS, ["a"]), (2, CELLS, [])]
    assert {number: sorted(slot.done) for number, slot in held_in(path).items()} == dict.fromkeys(range(3), CELLS)


def test_a_first_launch_that_was_cut_short_is_completed_first(path, method):
    with pytest.raises(KeyboardInterrupt):
        go(path, method(), Ranks(reach={0: 1}, ends={0: Outcome("interrupted")}))
    again = Ranks()
    go(path, method(), again)
    assert again.asked()[0] == (0, None, ["a"])
    assert [sorted(cells) for _, cells, _ in again.asked()[1:]] == [CELLS, CELLS]


def test_an_interrupt_ends_the_run_and_keeps_what_there_is(path, method):
    ranks = Ranks(reach={0: 3}, ends={0: Outcome("interrupted")})
    held = {}
    with pytest.raises(KeyboardInterrupt):
        run_launches(path, method(), held, ranks, Shown(), 0, 3)
    assert len(ranks.jobs) == 1
    assert held[0].done == ["a", "b", "c"]


def test_wrong_data_are_remembered_while_the_run_goes_on(path, method):
    ranks = Ranks(ends={1: Outcome("wrong_data")})
    assert go(path, method(), ranks) is False
    assert [job.launch for job in ranks.jobs] == [0, 1, 2]


def test_a_complete_file_starts_nothing(path, method):
    go(path, method(), Ranks())
    again, shown = Ranks(), Shown()
    assert go(path, method(), again, shown=shown) is True
    assert again.jobs == [] and shown.launches == []


def test_appended_launches_get_the_cells_of_the_first(path, method):
    go(path, method(), Ranks(reach={0: 2}, ends={0: Outcome("budget")}), of=1)
    more = Ranks()
    go(path, method(), more, first=1, of=3)
    assert more.asked() == [(1, ["a", "b"], []), (2, ["a", "b"], [])]


def test_each_launch_gets_an_equal_share_of_what_is_left_of_the_budget(path, method, monkeypatch):
    """90 s for three launches, which take 10, 45 and 1 s; the first, which decides what is visited, leaves a part."""
    now, takes = [1000.0], iter([10.0, 45.0, 1.0])
    monkeypatch.setattr(measure, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    ranks, shown = Ranks(), Shown()

    def slow(job):
        now[0] += next(takes)
        return ranks(job)

    go(path, method(budget_s=90.0), slow, shown=shown)
    deadlines = [1000 + 0.8 * 90 / 3, 1010 + 80 / 2, 1055 + 35]
    assert [job.deadline for job in ranks.jobs] == pytest.approx(deadlines)
    assert [shown for _, _, shown in shown.launches] == pytest.approx(deadlines)
    assert [(number, of) for number, of, _ in shown.launches] == [(0, 3), (1, 3), (2, 3)]


def test_a_disturbed_launch_is_made_again_while_the_budget_lasts(path, method):
    ranks, shown = Ranks(stolen=(0, 2)), Shown()
    assert go(path, method(budget_s=90.0), ranks, shown=shown)
    assert [job.launch for job in ranks.jobs] == [0, 1, 2, 3, 4]
    assert "launch 3 was disturbed (the hypervisor gave 20% of the cores' time to others)" in shown.said


def test_launches_that_are_all_disturbed_are_made_again_once_each(path, method):
    ranks = Ranks(stolen=range(100))
    go(path, method(budget_s=90.0), ranks)
    assert len(ranks.jobs) == 6


@pytest.mark.parametrize("budget_s", [None, 1e-9])
def test_without_a_budget_or_time_left_nothing_is_made_again(path, method, budget_s):
    ranks = Ranks(stolen=(0,))
    go(path, method(budget_s=budget_s), ranks)
    assert len(ranks.jobs) == 3


def test_without_a_budget_there_is_no_deadline(path, method):
    ranks = Ranks()
    go(path, method(budget_s=None), ranks)
    assert {job.deadline for job in ranks.jobs} == {None}


def test_what_slots_hold(tmp_path, write_samples):
    def note(kind, launch, **more):
        return {"record": kind, "launch": launch, **more}

    path = write_samples(
        note("launch", 0), note("cell", 0, cell="a"), note("launch_end", 0, reason="failed"),
        note("launch", 0), note("cell", 0, cell="b"), note("launch_end", 0, reason="complete"),
        note("launch", 1), note("cell", 1, cell="a"), note("launch_end", 1, reason="budget"), note("launch", 1),
    )  # fmt: skip
    with path.open("a") as file:
        file.write('{"record": "cell", "laun')
    assert held_in(path) == {0: HeldLaunch(["a", "b"], "complete"), 1: HeldLaunch(["a"], None)}


@pytest.mark.parametrize(
    ("slot", "first", "lacks"),
    [
        (HeldLaunch(), None, True),
        (HeldLaunch(["a"], "failed"), None, True),
        (HeldLaunch(["a"], "complete"), None, False),
        (HeldLaunch(["a"], "budget"), HeldLaunch(["a", "b"], "complete"), False),
        (HeldLaunch(["a"], "interrupted"), HeldLaunch(["a", "b"], "complete"), True),
        (HeldLaunch(["b", "a"], "interrupted"), HeldLaunch(["a", "b"], "complete"), False),
    ],
)
def test_whether_a_slot_lacks_cells(slot, first, lacks):
    assert lacks_cells(slot, first) is lacks


def test_logs_stand_beside_the_samples(tmp_path):
    for name in ("x.samples.jsonl", "x.jsonl", "x"):
        assert logs_of(tmp_path / name) == tmp_path / "x.logs"
