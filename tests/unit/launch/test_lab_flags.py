"""The lab's flags, and what becomes of them, without a host."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.lab import bits_per_second, microseconds
from inferometer.launch.ranks.hosts import link
from inferometer.launch.runs import lab


@pytest.mark.parametrize(("text", "rate"), [("200mbit", 2e8), ("1gbit", 1e9), ("2.5Gbit", 2.5e9), ("9600bit", 9600.0)])
def test_rates_are_decimal_as_those_of_tc(text, rate):
    assert bits_per_second(text) == rate


@pytest.mark.parametrize(("text", "us"), [("500us", 500.0), ("2ms", 2000.0), ("1.5s", 1.5e6), ("0us", 0.0)])
def test_delays(text, us):
    assert microseconds(text) == us


@pytest.mark.parametrize("text", ["", "1", "fast", "0mbit", "1gb", "-1mbit"])
def test_a_rate_without_its_unit_is_refused(text):
    with pytest.raises(InputError, match=f"--rate {text}: write bits per second"):
        bits_per_second(text)


def test_a_link_delays_what_its_rate_lets_through():
    assert link(None, None) == []
    assert link(1e9, None) == ["root tbf rate 1000000000bit burst 125000 latency 100ms"]
    both = ["root handle 1: netem delay 500us limit 100000", "parent 1:1 tbf rate 100000000bit burst 32768 latency 100ms"]
    assert link(1e8, 500.0) == both


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"nodes": 0}, "--nodes 0: must be from 1 to 250"),
        ({"per_node": 0}, "--per-node 0: must be"),
        ({"port": 99999999}, "--port 99999999: must be from 1 to 65535"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_starts(settings, why):
    with pytest.raises(InputError, match=why):
        lab.lab(lab.LabSettings(**settings), ["measure"])


def test_a_machine_without_the_tools_says_which(monkeypatch):
    monkeypatch.setattr(lab.shutil, "which", lambda name: None if name in ("ip", "tc") else name)
    with pytest.raises(InputError, match=r"lab: needs unshare and mount .* there is no ip and no tc here"):
        lab.lab(lab.LabSettings(), ["measure"])
