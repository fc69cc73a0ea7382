"""Where ranks meet: refused in seconds, before any is started, with what helps."""

from __future__ import annotations

import socket
import time

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import loopback
from inferometer.emulator.measure.doctor import Question
from inferometer.emulator.measure.doctor import loopback as doctor_says


def test_this_machine_reaches_itself():
    assert loopback.loopback_address() in loopback.ADDRESSES


def test_a_machine_without_loopback_is_refused_with_what_helps(monkeypatch):
    monkeypatch.setattr(loopback, "ADDRESSES", ("192.0.2.1", "2001:db8::1"))  # documentation's: nobody has them
    began = time.monotonic()
    with pytest.raises(InputError, match=r"192\.0\.2\.1: .*ip link set lo up"):
        loopback.loopback_address()
    assert time.monotonic() - began < 10
    (finding,) = doctor_says(Question(2, 1, {}))
    assert finding.level == "stop"


def test_the_other_address_does_where_one_is_missing(monkeypatch):
    monkeypatch.setattr(loopback, "ADDRESSES", ("192.0.2.1", "127.0.0.1"))
    assert loopback.loopback_address() == "127.0.0.1"


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"MASTER_PORT {port}: .*choose a free port"):
            loopback.check_meeting_place("127.0.0.1", port, listens=True)
        loopback.check_meeting_place("127.0.0.1", port, listens=False)
    with pytest.raises(InputError, match="MASTER_PORT 99999999"):
        loopback.check_meeting_place("127.0.0.1", 99999999, listens=True)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 300, "a\0b"])
def test_a_host_without_an_address_is_named_within_ten_seconds(host):
    began = time.monotonic()
    with pytest.raises(InputError, match=r"MASTER_ADDR .*: no address is known"):
        loopback.check_meeting_place(host, 29500, listens=True)
    assert time.monotonic() - began < 10


def test_name_servers_that_do_not_answer_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(loopback, "RESOLVE_S", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(3) or [])
    began = time.monotonic()
    with pytest.raises(InputError, match="no address is known"):
        loopback.check_meeting_place("slow.example", 29500, listens=True)
    assert time.monotonic() - began < 2
