"""The control plane: what ranks say to each other outside the timed region, through torch's key-value store.

It never uses the collectives under test. So it still works when one of them hangs, and it can name who is missing: every
rank writes under its own number, and a number that is not there after the time limit is the rank to blame. A rank that
fails posts a fault, and everybody who waits here learns of it within a second.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from inferometer.parallel.differences import first_difference

POLL_S = 0.5
"""How often a waiting rank looks whether somebody has failed."""


class ControlError(Exception):
    """A control step failed because of other ranks."""


class MissingRanks(ControlError):
    """Some ranks did not answer in time."""

    def __init__(self, ranks: list[int], what: str, timeout_s: float) -> None:
        self.ranks = ranks
        names = ", ".join(map(str, ranks))
        super().__init__(f"rank {names} did not answer within {timeout_s:g} s ({what})")


class PeerFault(ControlError):
    """Another rank has failed while this one waited."""


class Disagreement(ControlError):
    """Ranks that must agree do not."""


@dataclass(frozen=True)
class Fault:
    """Why a rank gave up. ``kind``: ``raised`` (its own error), ``lost`` (its peers went away or fell silent) or
    ``terminated`` (somebody told it to end)."""

    rank: int
    kind: str
    message: str
    doing: str
    """What it was doing: the collective, the size, the group."""


class Control:
    """See the module. ``connect`` opens a further connection to the same store, for a thread of its own."""

    def __init__(
        self,
        store: dist.Store,
        rank: int,
        world_size: int,
        timeout_s: float,
        connect: Callable[[], dist.Store] | None = None,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.timeout_s = timeout_s
        self._store = store
        self._connect = connect
        self._turns: defaultdict[str, int] = defaultdict(int)

    def for_thread(self) -> Control:
        """The same control plane over its own connection: a store connection is held while it waits."""
        store = self._connect() if self._connect else self._store
        return Control(store, self.rank, self.world_size, self.timeout_s, self._connect)

    # -- exchanges: every rank calls them in the same order ----------------------------------------------------------

    def gather(self, name: str, value: Any, among: Sequence[int] | None = None) -> list[Any] | None:
        """Rank 0 gets the values of all ranks (JSON-able) in the order of ``among``, the others None.

        ``among``: the ranks that take part, rank 0 with them; all by default. Raises ``MissingRanks`` on rank 0 for those
        that stay silent, ``PeerFault`` where one has failed.
        """
        key = f"g:{self._next(name)}"
        if self.rank != 0:
            self._put(f"{key}/{self.rank}", value)
            return None
        ranks = range(self.world_size) if among is None else among
        others = [rank for rank in ranks if rank != 0]
        keys = [f"{key}/{rank}" for rank in others]
        self._wait(keys, name, silent=lambda: [rank for rank, k in zip(others, keys) if not self._has(k)])
        values = dict(zip(others, (self._take(k) for k in keys))) | {0: value}
        return [values[rank] for rank in ranks]

    def share(self, name: str, value: Any = None, among: Sequence[int] | None = None) -> Any:
        """Every rank gets rank 0's ``value`` (JSON-able). Raises ``MissingRanks`` (rank 0) or ``PeerFault``."""
        key = f"s:{self._next(name)}"
        if self.rank == 0:
            if self.world_size > 1:
                self._put(key, value)
            return value
        # Rank 0 may itself be waiting for others, who may take the whole limit: it names them, so it goes first. And
        # ranks without a part in cells wait here until these are over, which their stop rule limits.
        patience = self.timeout_s + 4 * POLL_S if among is not None else 2 * self.timeout_s
        self._wait([key], name, silent=lambda: [0], limit_s=patience)
        return self._get(key)

    def gather_all(self, name: str, value: Any) -> list[Any]:
        """Every rank gets the values of all ranks."""
        return self.share(name, self.gather(name, value))

    def barrier(self, name: str) -> None:
        self.share(name, self.gather(name, None))

    def leave(self) -> None:
        """The last exchange: all ranks are done, and rank 0, which may house the store, goes last."""
        self.barrier("leaving")
        self.gather("left", None)

    def agree(self, name: str, value: Any, then: Any = None) -> Any:
        """Make sure that all ranks have the same ``value``; every rank gets rank 0's ``then``.

        gloo aborts the process, or silently returns wrong numbers, when shapes or dtypes differ between ranks; so they
        are compared here before the first call. Raises ``Disagreement`` on every rank, naming the odd ranks.
        """
        values = self.gather(name, value)
        verdict = None
        if values is not None:
            texts = [json.dumps(v, sort_keys=True) for v in values]
            common = max(set(texts), key=lambda text: (texts.count(text), text == texts[0]))
            odd = [rank for rank, text in enumerate(texts) if text != common]
            if odd:
                differing = first_difference(json.loads(texts[odd[0]]), json.loads(common), name)
                field, here, there = differing or (name, texts[odd[0]], common)
                words = f"disagrees about {field}: {json.dumps(here)} against {json.dumps(there)}"
                verdict = f"rank {', '.join(map(str, odd))} {words}"
        verdict, then = self.share(name, [verdict, then])
        if verdict:
            raise Disagreement(verdict)
        return then

    # -- faults ----------------------------------------------------------------------------------------------------

    def post_fault(self, kind: str, message: str, doing: str) -> None:
        self._put(f"fault/{self.rank}", asdict(Fault(self.rank, kind, message, doing)))
        self._store.set("faulty", "1")

    def faults(self) -> dict[int, Fault]:
        posted = {rank: f"fault/{rank}" for rank in range(self.world_size)}
        return {rank: Fault(**self._get(key)) for rank, key in posted.items() if self._has(key)}

    def leave_after_fault(self, patience_s: float) -> None:
        """The last word of a rank that has failed. Rank 0, which may house the store, waits for the others'."""
        if self.rank != 0:
            self._put(f"left/{self.rank}", True)
            return
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and not all(self._has(f"left/{rank}") for rank in self.faults() if rank):
            time.sleep(POLL_S / 5)

    def claim(self, role: str) -> bool:
        """True for the first rank that asks: exactly one rank reports a failure, whichever are left."""
        return self._store.add(f"claim/{role}", 1) == 1

    # -- the store -------------------------------------------------------------------------------------------------

    def _next(self, name: str) -> str:
        self._turns[name] += 1
        return f"{name}#{self._turns[name]}"

    def _put(self, key: str, value: Any) -> None:
        self._store.set(key, json.dumps(value))

    def _get(self, key: str) -> Any:
        return json.loads(self._store.get(key))

    def _take(self, key: str) -> Any:
        """Read a value that nobody else will read, and make room."""
        value = self._get(key)
        self._store.delete_key(key)
        return value

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _wait(self, keys: list[str], what: str, silent: Callable[[], list[int]], limit_s: float | None = None) -> None:
        limit_s = self.timeout_s if limit_s is None else limit_s
        deadline = time.monotonic() + limit_s
        while keys:
            try:
                self._store.wait(keys, timedelta(seconds=POLL_S))
                return
            except dist.DistStoreError:  # nothing yet
                if self._has("faulty"):
                    raise PeerFault(f"another rank failed during {what}") from None
                if time.monotonic() > deadline:
                    raise MissingRanks(silent(), what, limit_s) from None
