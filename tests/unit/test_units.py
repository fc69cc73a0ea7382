"""Sizes and times as people write them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.units import format_bytes, format_seconds, format_us, parse_bytes


@given(st.integers(0, 2**45))
def test_format_then_parse_gives_the_number_back(count):
    assert parse_bytes(format_bytes(count)) == count


@given(st.integers(1, 10_000), st.sampled_from([("K", 10), ("M", 20), ("G", 30), ("T", 40)]))
def test_suffixes_are_powers_of_two_in_any_spelling(number, unit):
    """Reference: the shift of nccl-tests' parsesize."""
    letter, shift = unit
    for spelt in (letter, letter.lower(), letter + "iB", letter + "B", " " + letter + " "):
        assert parse_bytes(f"{number}{spelt}") == number << shift


@pytest.mark.parametrize(("text", "value"), [("8", 8), ("8B", 8), (" 64K ", 65536), ("16M", 16777216), ("0", 0)])
def test_sizes_by_hand(text, value):
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "K", "-8", "1.5K", "8KK", "0x10", "8 8", "1e6", "eight", "8X", "8KB/s"])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1K"), (1536, "1536"), (65536, "64K"), (3 << 20, "3M"), (2**30, "1G")],
)
def test_bytes_stay_whole_numbers_of_a_unit(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (6.8, "6.8"),
        (0.12345, "0.123"),
        (123.45, "123.5"),
        (98765.4, "98765"),
    ],
)
def test_microseconds_by_hand(value, text):
    assert format_us(value) == text


@given(st.floats(1e-3, 1e7))
def test_microseconds_keep_three_digits(value):
    assert float(format_us(value)) == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(("value", "text"), [(0.2, "0 s"), (47.4, "47 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")])
def test_seconds_by_hand(value, text):
    assert format_seconds(value) == text
