"""Attention and a state side by side: both read the same input, their outputs are summed (Falcon-H1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store
from inferometer.emulator.workload.kinds.recurrence import Recurrence
from inferometer.emulator.workload.operations import Op
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight


@dataclass(frozen=True)
class Beside:
    """Two mixers of one layer; what ranks put out is summed in one reduction."""

    kind: ClassVar[str] = "attention beside a state"

    heads: Heads
    recurrence: Recurrence

    @property
    def query_heads(self) -> int:
        return self.heads.query_heads

    @property
    def kv_heads(self) -> int:
        return self.heads.kv_heads

    @property
    def window(self) -> int | None:
        return self.heads.window

    def describe(self) -> str:
        return f"{self.heads.describe()} beside {getattr(self.recurrence, 'kind', 'a state')}"

    def weights(self, d: int) -> tuple[Weight, ...]:
        return (*self.heads.weights(d), *self.recurrence.weights(d))

    def stores(self, ranks: int) -> tuple[Store, ...]:
        return self.heads.stores(ranks)

    def read_elements(self, ranks: int) -> int:
        return self.heads.read_elements(ranks)

    def state(self, ranks: int) -> State:
        return self.recurrence.state(ranks)

    def flop_per_pair(self) -> int:
        return self.heads.flop_per_pair()

    def block(self, work: RankWork) -> list[Op]:
        beside = [replace(op, name=op.name.replace("attention.", "state.", 1)) for op in self.recurrence.block(work)]
        return [*self.heads.block(work), *beside]

    def demands(self, ranks: int) -> list[Demand]:
        return [*self.heads.demands(ranks), *self.recurrence.demands(ranks)]

    def scaled(self, by: Smaller) -> Beside:
        return Beside(self.heads.scaled(by), self.recurrence.scaled(by))

    def proportions(self, d: int) -> list[Proportion]:
        return [*self.heads.proportions(d), *self.recurrence.proportions(d)]
