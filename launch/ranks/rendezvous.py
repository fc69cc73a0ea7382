"""How the ranks of one launch find each other: a key-value store that all of them can reach."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.loopback import check_meeting_place
from inferometer.launch.ranks.identity import Identity
from inferometer.parallel.control import Control


def meet(identity: Identity, timeout_s: float) -> tuple[dist.Store, Control]:
    """The store of this launch and the control plane over it.

    Under torchrun (and wherever MASTER_ADDR and MASTER_PORT are set) the store is where these point; under mpiexec rank 0
    opens one and MPI tells the others where. Raises ``InputError`` where neither is possible, ``DistStoreError`` where
    the store does not answer within the limit.
    """
    limit = timedelta(seconds=timeout_s)
    host, port, hosted_by_agent = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT"), False
    hosted_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store: dist.Store
    if host and port:
        master = identity.rank == 0 and not hosted_by_agent
        if not hosted_by_agent:
            if not port.isdecimal():
                raise InputError(f"MASTER_PORT {port[:20]!r} is not a number")
            check_meeting_place(host, int(port), listens=master)
        store = dist.TCPStore(host, int(port), is_master=master, timeout=limit, wait_for_workers=False)
    elif identity.by_mpiexec:
        host, port, store = _meet_through_mpi(identity, limit)
    else:
        raise InputError(f"{identity.launcher}: set MASTER_ADDR and MASTER_PORT to where rank 0 can listen, or use torchrun")
    run = os.environ.get("TORCHELASTIC_RUN_ID", "run")
    prefix = f"inferometer/{run}"
    again = _connector(host, int(port), limit, prefix)
    control = Control(dist.PrefixStore(prefix, store), identity.rank, identity.world_size, timeout_s, again)
    return dist.PrefixStore(f"c10d/{run}", store), control


def _connector(host: str, port: int, limit: timedelta, prefix: str) -> Callable[[], dist.Store]:
    def connect() -> dist.Store:
        store = dist.TCPStore(host, port, is_master=False, timeout=limit, wait_for_workers=False)
        return dist.PrefixStore(prefix, store)

    return connect


def _meet_through_mpi(identity: Identity, limit: timedelta) -> tuple[str, str, dist.Store]:
    from mpi4py import MPI

    store: dist.TCPStore | None = None
    where = None
    if identity.rank == 0:
        host = socket.gethostname() if _several_hosts(MPI) else "127.0.0.1"
        store = dist.TCPStore(host, 0, is_master=True, timeout=limit, wait_for_workers=False)
        where = (host, store.port)
    else:
        _several_hosts(MPI)
    answer = MPI.COMM_WORLD.bcast(where, root=0)
    if answer is None:
        raise SystemExit(2)  # rank 0 refused what it was asked (`decline`) and says why itself
    host, port = answer
    if store is None:
        store = dist.TCPStore(host, port, is_master=False, timeout=limit, wait_for_workers=False)
    return host, str(port), store


def decline(identity: Identity) -> None:
    """Rank 0, before it meets anyone: send the ranks home that wait in MPI's start-up, where they would wait for ever.

    Ranks that meet through a store need no word: torchrun ends them. Not MPI_Abort, after which mpiexec may end before it
    has passed on what rank 0 printed.
    """
    if identity.by_mpiexec and identity.world_size > 1 and not os.environ.get("MASTER_ADDR"):
        from mpi4py import MPI

        _several_hosts(MPI)
        MPI.COMM_WORLD.bcast(None, root=0)


def _several_hosts(mpi: object) -> bool:
    names = mpi.COMM_WORLD.allgather(socket.gethostname())  # type: ignore[attr-defined]
    return len(set(names)) > 1
