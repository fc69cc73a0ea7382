"""The wire of a laboratory without a socket: whom a frame goes to, and what a clock that is set meanwhile changes."""

from __future__ import annotations

import socket
import struct

import pytest

from inferometer.emulator.samples.lab import LAB_VARIABLE, lab_link, lab_one_way, lab_own_cores
from inferometer.launch.ranks.wire import LONGEST_WAIT_NS, SO_TIMESTAMPNS, VNET_HDR_BYTES, Switch, mac_of, waited_ns


def frame_to(mac: str) -> bytes:
    return bytes(VNET_HDR_BYTES) + bytes.fromhex(mac.replace(":", "")) + bytes(50)


def test_each_host_has_an_address_of_its_own():
    addresses = [mac_of(number) for number in range(300)]
    assert len(set(addresses)) == 300
    assert all(int(address[:2], 16) & 3 == 2 for address in addresses)  # locally administered, of one receiver


def test_a_frame_leaves_by_its_receivers_port_and_one_to_everybody_by_all_others():
    ports = ["port0", "port1", "port2"]
    switch = Switch(ports)  # type: ignore[arg-type]
    assert switch.leaves_by(frame_to(mac_of(1)), ports[0]) == ["port1"]
    assert switch.leaves_by(frame_to("ff:ff:ff:ff:ff:ff"), ports[1]) == ["port0", "port2"]
    assert switch.leaves_by(frame_to("33:33:00:00:00:01"), ports[0]) == ["port1", "port2"]
    assert switch.leaves_by(frame_to("02:00:00:00:77:77"), ports[0]) == []
    assert switch.leaves_by(b"", ports[0]) == []


def stamped(at_ns):
    return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("=qq", *divmod(at_ns, 1_000_000_000)))]


@pytest.mark.parametrize(
    ("received_ns", "now_ns", "waited"),
    [
        (5_000_000_000, 5_000_030_000, 30_000),
        (5_000_000_000, 4_000_000_000, 0),  # the clock was set back
        (5_000_000_000, 5_000_000_000 + LONGEST_WAIT_NS, 0),  # … and forward
    ],
)
def test_a_clock_that_jumps_adds_nothing_to_the_delay(received_ns, now_ns, waited):
    assert waited_ns(stamped(received_ns), now_ns) == waited
    assert waited_ns([], now_ns) == 0


def test_what_ranks_hear_of_their_link():
    link = {"rate_bit_per_s": 1e9, "delay_us": 500.0, "own_cores": True}
    said = {LAB_VARIABLE: '{"rate_bit_per_s": 1e9, "delay_us": 500.0, "own_cores": true, "one_way_us": {"median": 541.0}}'}
    assert lab_link(said) == link and lab_own_cores(said) and lab_one_way(said) == {"median": 541.0}
    for without in ({}, {LAB_VARIABLE: ""}, {LAB_VARIABLE: "no JSON"}, {LAB_VARIABLE: "[1]"}):
        assert lab_link(without) is None and not lab_own_cores(without) and lab_one_way(without) is None
