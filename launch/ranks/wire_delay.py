"""How long a wire takes: a UDP message to and fro between two hosts of this machine, many times."""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles

CLONE_NEWNET = 0x40000000
ROUNDS = 100
WARM_UP = 5
TIMEOUT_S = 5.0
PAYLOAD = b"\0" * 64


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread be in a network namespace for a while, given as its file. Raises OSError."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(namespace)
        yield
        enter(f"/proc/self/fd/{home}")
    finally:
        os.close(home)


def enter(namespace: str) -> None:
    """Put this thread into a network namespace, given as its file. Raises OSError."""
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)
    finally:
        os.close(descriptor)


def udp_socket(namespace: str, address: str) -> socket.socket:
    """In a namespace: a socket stays in the one that it was made in."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(TIMEOUT_S)
        return made


def one_way_us(first: socket.socket, second: socket.socket, rounds: int = ROUNDS) -> dict[str, float]:
    """Half the time of a message to and fro: median, and 10th and 90th percentile over the rounds.

    One process holds both ends, so that what is added to the wire's own delay is one awakening a way. Raises TimeoutError.
    """
    here, there = first.getsockname(), second.getsockname()
    halves = []
    for _ in range(WARM_UP + rounds):
        began = time.perf_counter_ns()
        first.sendto(PAYLOAD, there)
        second.recv(len(PAYLOAD))
        second.sendto(PAYLOAD, here)
        first.recv(len(PAYLOAD))
        halves.append((time.perf_counter_ns() - began) / 2e3)
    tenths = quantiles(halves[WARM_UP:], n=10)
    return {"median": round(tenths[4], 1), "p10": round(tenths[0], 1), "p90": round(tenths[8], 1), "rounds": rounds}
