"""Whether two samples files belong to one measurement, and the words for why not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.measure import header as module
from inferometer.emulator.measure.header import comparable, header_for
from inferometer.emulator.samples.compare import first_difference

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_a_difference_is_found_where_there_is_one(held, now):
    """Reference: ==, after dropping keys whose value is null, which read as absent."""

    def known(value):
        return {k: known(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    assert first_difference(held, held) is None
    found = first_difference(held, now)
    if found is not None:
        assert held != now
    elif isinstance(held, dict) and isinstance(now, dict):
        assert known(held) == known(now)
    else:
        assert held == now


@pytest.mark.parametrize(
    ("held", "now", "words"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b is 1 in the file and 2 here"),
        ({"a": 1}, {"a": 1, "z": "x"}, "z is None in the file and 'x' here"),
        ({"a": 1, "z": [1]}, {"a": 1}, "z is [1] in the file and None here"),
        ({"a": {"b": 1}}, {"a": 3}, "a is {'b': 1} in the file and 3 here"),
        ({"x": 1, "y": 1}, {"y": 2, "x": 2}, "x is 1 in the file and 2 here"),
    ],
)
def test_the_first_difference_in_words(held, now, words):
    assert first_difference(held, now) == words


@pytest.fixture
def here(method, monkeypatch):
    """``here(variables, **method changes)``: a header of a machine that is always the same."""

    def make(variables=(), **changes):
        known = {"hardware": {"cpu_model": "x"}, "software": {"torch": "2"}, "variables": dict(variables)}
        monkeypatch.setattr(module, "environment", lambda given, cores: known)
        return json.loads(json.dumps(header_for(method(**changes), {})))

    return make


def test_a_header_says_when_where_and_how(here):
    header = here({"OMP_NUM_THREADS": "1"})
    assert set(header) == {"created", "environment", "method"}
    assert header["method"]["world_size"] == 4
    assert header["created"].endswith("+00:00")


def test_what_may_change_between_runs_of_one_measurement(here):
    one, other = here(), here(launches=7, budget_s=None, timeout_s=3)
    assert one["method"] != other["method"]
    assert first_difference(comparable(one), comparable(other | {"created": "later"})) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "method.seed is 0 in the file and 4 here"),
        ({"variables": {"OMP_NUM_THREADS": "2"}}, "variables.OMP_NUM_THREADS is None in the file and '2' here"),
    ],
)
def test_what_must_not_change_is_named(here, change, words):
    assert first_difference(comparable(here()), comparable(here(**change))) == words


def test_another_machine_or_library_is_another_measurement(here):
    for part, key in (("hardware", "cpu_model"), ("software", "torch")):
        other = here()
        other["environment"][part][key] = "another"
        assert first_difference(comparable(here()), comparable(other)).startswith(f"{part}.{key} is ")


def test_a_header_of_another_kind_is_compared_as_it_stands(here):
    assert comparable({"method": {"odd": 1}})["method"] == {"odd": 1}
    assert first_difference(comparable({}), comparable(here())).startswith("hardware is None")
