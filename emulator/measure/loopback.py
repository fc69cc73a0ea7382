"""How processes of this machine reach each other, and where a rendezvous points: tried, not guessed."""

from __future__ import annotations

import contextlib
import socket
import threading

from inferometer.emulator.errors import InputError

ADDRESSES = ("127.0.0.1", "::1")
TRY_S = 2.0
RESOLVE_S = 8.0
"""Name servers that do not answer take longer than anybody wants to wait without a word."""


def loopback_address() -> str:
    """The loopback address on which this process reaches itself. Raises InputError where there is none, with what helps."""
    whys = {address: unreachable(address) for address in ADDRESSES}
    found = next((address for address, why in whys.items() if why is None), None)
    if found is None:
        reasons = ", ".join(f"{address}: {why}" for address, why in whys.items())
        raise InputError(
            f"ranks of this machine cannot reach each other ({reasons}): set the interface up (ip link set lo up)"
        )
    return found


def unreachable(address: str) -> str | None:
    """Why a connection to oneself fails on the address; None where it holds."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.settimeout(TRY_S)
            listening.bind((address, 0))
            listening.listen(1)
            with socket.socket(family, socket.SOCK_STREAM) as calling:
                calling.settimeout(TRY_S)
                calling.connect(listening.getsockname()[:2])
    except OSError as error:
        return error.strerror or str(error)
    return None


def check_meeting_place(host: str, port: int, listens: bool) -> None:
    """Raise InputError for a MASTER_ADDR that has no address, or, where this process listens there, a port that is taken."""
    addresses = _resolved(host)
    if not addresses:
        raise InputError(f"MASTER_ADDR {host[:80]}: no address is known for this name: give one that all nodes resolve")
    if listens:
        family = addresses[0][0]
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("", port))
            except (OSError, OverflowError) as error:
                why = getattr(error, "strerror", None) or error
                raise InputError(f"MASTER_PORT {port}: rank 0 cannot listen there ({why}): choose a free port") from None


def _resolved(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a name, as far as the name servers answer in time."""
    found: list[tuple[socket.AddressFamily, str]] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend((entry[0], str(entry[4][0])) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, name="resolver", daemon=True)
    asking.start()
    asking.join(RESOLVE_S)
    return list(found)
