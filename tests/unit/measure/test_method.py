"""The settings of a measurement: sizes, sweep files, what must agree between two runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method, Stop, load_sweep, sizes_between
from inferometer.parallel.collectives import COLLECTIVES


@given(st.integers(1, 10**6), st.integers(1, 10**9), st.integers(2, 9))
def test_sizes_by_a_factor_are_the_powers_within_the_range(begin, end, factor):
    if begin > end:
        with pytest.raises(InputError):
            sizes_between(begin, end, factor)
        return
    assert sizes_between(begin, end, factor) == [begin * factor**k for k in range(40) if begin * factor**k <= end]


def test_sizes_by_hand():
    assert sizes_between(64, 16 << 20, 4) == [64 * 4**k for k in range(10)]
    assert sizes_between(8, 8, 2) == [8]
    assert sizes_between(10, 35, step=10) == [10, 20, 30]
    assert sizes_between(10, 30, 4, step=10) == [10, 20, 30]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1024, 64, 4), "-b 1024 -e 64"),
        ((0, 64, 4), "-b 0 -e 64"),
        ((8, 64, 1), "-f 1"),
        ((8, 64, None), "-f None"),
        ((8, 64, None, 0), "-i 0"),
    ],
)
def test_impossible_ranges_show_the_arithmetic(arguments, words):
    with pytest.raises(InputError, match=words):
        sizes_between(*arguments)


def test_the_shipped_sweep_visits_all_that_models_use_and_starts_with_t_reduce():
    sweep = load_sweep("default")
    assert sweep.name == "default"
    assert sweep.tier[0].collectives == ["all_reduce"]
    assert sweep.tier[0].timings == ["isolated"]
    assert {name for tier in sweep.tier for name in tier.collectives} == set(COLLECTIVES) - {"reduce", "gather", "scatter"}
    assert {timing for tier in sweep.tier for timing in tier.timings} == {"isolated", "pipelined", "in_step"}
    assert {groups for tier in sweep.tier for groups in tier.groups} == {"alone", "all"}
    assert any(tier.sizes == "decode" for tier in sweep.tier)
    assert all(tier.why for tier in sweep.tier)


def test_the_shipped_sweep_compares_every_cell_in_a_step_with_an_isolated_one_before_it():
    sweep = load_sweep("default")
    places = [i for i, tier in enumerate(sweep.tier) if "in_step" in tier.timings]
    assert places[0] == 3 and "all_reduce" in sweep.tier[3].collectives  # a small budget still reaches it
    for at in places:
        tier = sweep.tier[at]
        before = {name for one in sweep.tier[:at] if one.timings == ["isolated"] for name in one.collectives}
        assert set(tier.collectives) <= before and set(tier.sizes) <= set(sizes_between(64, 16 << 20, 4))
        assert len(tier.sizes) >= 2 and len(set(sweep.in_step.compute_gap_us)) >= 2  # or u and v are not identified


TIER = '[[tier]]\ncollectives = ["all_reduce"]\n'
NAMED = 'name = "x"\n'
BAD_SWEEPS = {
    "no tier": ('name = "x"\n', "tier: "),
    "no name": (TIER, "name: "),
    "empty": ("", "name: "),
    "a key too many": (NAMED + TIER + "colour = 3\n", "tier.0.colour: "),
    "unknown collective": (
        NAMED + '[[tier]]\ncollectives = ["all_reduse"]\n',
        "tier.0: unknown collective 'all_reduse'",
    ),
    "unknown timing": (NAMED + TIER + 'timings = ["fast"]\n', "tier.0.timings.0 = 'fast': "),
    "no compute gap": (NAMED + TIER + "[in_step]\ncompute_gap_us = [0.0]\n", "in_step.compute_gap_us.0 = 0.0: "),
    "no size": (NAMED + TIER + "sizes = [0]\n", "tier.0.sizes."),
    "of the wrong kind": (NAMED + '[stop]\ncell_seconds = "long"\n' + TIER, "stop.cell_seconds = 'long': "),
    "limits crossed": (
        NAMED + "[stop]\nmin_iterations = 30\nmax_iterations = 20\n" + TIER,
        "stop: max_iterations = 20 < ",
    ),
    "too few iterations": (NAMED + "[stop]\nmin_iterations = 5\n" + TIER, "stop.min_iterations = 5: "),
    "no TOML": ("name = \n", "not TOML: "),
}


@pytest.mark.parametrize("what", BAD_SWEEPS)
def test_a_bad_sweep_is_refused_by_file_and_key(what, tmp_path):
    text, words = BAD_SWEEPS[what]
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_sweep(str(path))
    assert str(caught.value).startswith(f"{path}: {words}")


def test_a_sweep_that_is_not_text_is_refused_by_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(InputError, match=r"mine\.toml: cannot be read: not text"):
        load_sweep(str(path))


def test_a_sweep_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(NAMED + TIER)
    sweep = load_sweep(str(path))
    assert (sweep.name, sweep.stop, sweep.tier[0].groups) == ("x", Stop(), ["alone"])


@pytest.mark.parametrize("name", ["nowhere", "nowhere.toml", "../default"])
def test_a_sweep_that_is_not_there_names_those_that_are(name):
    with pytest.raises(InputError, match=f"sweep {name}: .*one of default"):
        load_sweep(name)


def test_runs_that_differ_in_launches_budget_and_timeout_are_one_measurement(method):
    one, other = method(), method(launches=9, budget_s=None, timeout_s=5)
    assert one != other
    assert one.comparable() == other.comparable()
    assert not {"launches", "budget_s", "timeout_s"} & set(one.comparable())


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"dtypes": ["float16"]}, {"sizes_bytes": [64]}, {"warmup": 4}, {"check": 0}, {"scheduler": "rr"},
        {"threads": 2}, {"backend": "mpi"}, {"world_size": 2},
    ],
)  # fmt: skip
def test_runs_that_differ_in_anything_else_are_not(method, change):
    assert method().comparable() != method(**change).comparable()


def test_a_method_survives_json(method):
    one = method(budget_s=None)
    assert Method.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    "change",
    [{"world_size": 0}, {"timeout_s": 0}, {"timeout_s": float("inf")}, {"warmup": 0}, {"check": -1}, {"nonsense": 1}],
)
def test_impossible_settings_are_refused(method, change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        method(**change)
