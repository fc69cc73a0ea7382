"""A wire with a known delay, where the kernel has no netem: ``python -m inferometer.launch.ranks.wire DELAY_US PORT…``.

Each frame that a host sends arrives at its port here, and leaves at the port of the host that it is for, so much later. The
kernel stamps frames as they arrive, so that a late awakening of this process does not add to the delay unless it is longer.
Frames stay as the hosts gave them: large segments and sums that are still open (``PACKET_VNET_HDR``) pass whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
VNET_HDR_BYTES = 10
"""In front of every frame: struct virtio_net_hdr."""
LARGEST_FRAME = 70_000
QUEUE_BYTES = 64 << 20
"""Of each port: frames that arrive while this process sleeps."""
LONGEST_WAIT_NS = 100_000_000
"""That this process is believed to have slept through: beyond it the system's clock was set."""
PR_SET_TIMERSLACK = 29
PRIORITY = 40
"""Above that of the ranks (emulator.measure.scheduler): a rank that computes does not hold up the wire."""
READY = b"ready\n"


def mac_of(number: int) -> str:
    """Of host ``number``, counted from 0; locally administered."""
    return "02:00:00:00:{:02x}:{:02x}".format(*divmod(number + 1, 256))


def port_socket(name: str) -> socket.socket:
    """Sees what arrives at an interface, and sends on it. Raises OSError where this is not permitted."""
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with contextlib.suppress(PermissionError):
        port.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES)
    port.bind((name, 0))
    port.setblocking(False)
    return port


class Switch:
    """Which ports a frame leaves by: its receiver's; for a frame to everybody (who has this address?), all others."""

    def __init__(self, ports: Sequence[socket.socket]) -> None:
        self._ports = list(ports)
        self._by_mac: Mapping[bytes, socket.socket] = {
            bytes.fromhex(mac_of(number).replace(":", "")): port for number, port in enumerate(ports)
        }

    def leaves_by(self, frame: bytes, came_by: socket.socket) -> list[socket.socket]:
        receiver = frame[VNET_HDR_BYTES : VNET_HDR_BYTES + 6]
        if receiver and receiver[0] & 1:
            return [port for port in self._ports if port is not came_by]
        port = self._by_mac.get(receiver)
        return [] if port is None else [port]


def arrived(port: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The frames that wait at a port: when each arrived (ns, monotonic), and the frame."""
    while True:
        try:
            frame, extra, _, _ = port.recvmsg(LARGEST_FRAME, 64)
        except BlockingIOError:
            return
        except OSError:  # the host has gone, and its port with it
            return
        yield time.monotonic_ns() - waited_ns(extra, time.time_ns()), frame


def waited_ns(extra: Sequence[tuple[int, int, bytes]], now_ns: int) -> int:
    """How long ago the kernel received a frame; now_ns: of the system's clock, which somebody may set in between."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", data[:16])
            waited = now_ns - seconds * 1_000_000_000 - nanoseconds
            return waited if 0 <= waited < LONGEST_WAIT_NS else 0
    return 0


def forward(ports: Sequence[socket.socket], delay_ns: int) -> None:
    """Forward for ever."""
    switch = Switch(ports)
    waiting: list[tuple[int, int, bytes, socket.socket]] = []
    number = 0
    while True:
        now = time.monotonic_ns()
        while waiting and waiting[0][0] <= now:
            _, _, frame, port = heapq.heappop(waiting)
            with contextlib.suppress(OSError):  # a port whose host is gone, or a full queue: the frame is lost, as on wires
                port.send(frame)
        left_s = None if not waiting else max(0.0, (waiting[0][0] - time.monotonic_ns()) * 1e-9)
        ready, _, _ = select.select(ports, [], [], left_s)
        for came_by in ready:
            for stamp, frame in arrived(came_by):
                for port in switch.leaves_by(frame, came_by):
                    number += 1
                    heapq.heappush(waiting, (stamp + delay_ns, number, frame, port))


def prompt() -> None:
    """Let this process wake up on time, as far as it is permitted."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    gc.disable()


def main(arguments: Sequence[str]) -> None:
    delay_us, *names = arguments
    ports = [port_socket(name) for name in names]
    prompt()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    forward(ports, round(float(delay_us) * 1000))


if __name__ == "__main__":
    main(sys.argv[1:])
