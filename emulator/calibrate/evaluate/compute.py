"""What computing costs by a calibration: which law holds for an operation, and what it says, for many operations at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.compute_choice import Widths, chosen_laws, dtype_of_widths
from inferometer.emulator.calibrate.evaluate.residuals import matmul_residuals, size_residuals
from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.calibrate.laws.compute import Surface, line_us
from inferometer.emulator.calibrate.schema.compute_records import RESIDUAL_SIZES, ComputeLaw, ComputeTarget
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.features import MATMUL, input_sizes, operation_sizes
from inferometer.emulator.workload.program import Compute, Size, chain
from inferometer.parallel.dtypes import NAMED

#: A prediction this many times beyond the largest matmul or the longest attention measured says so.
FAR = 4.0
US = 1e-6


class CallTime(NamedTuple):
    """Seconds of one run of an operation; of kind glue only lead_s is not 0.

    lead_s: of the engine between the operation before and this one. start_s: what starting it costs. beyond_s: what it takes
    beyond that. memory_s, arithmetic_s: its bytes and FLOP at the best rates measured. host_s: what the host needs to launch
    it, while the device works on what was launched before.
    """

    lead_s: Size
    start_s: Size = 0.0
    beyond_s: Size = 0.0
    memory_s: Size = 0.0
    arithmetic_s: Size = 0.0
    host_s: Size = 0.0

    @property
    def total_s(self) -> Size:
        return self.lead_s + self.start_s + self.beyond_s


class Place(NamedTuple):
    """The laws that hold: of a dtype, with so many ranks computing at once, of whole or sharded models."""

    dtype: str
    concurrent_ranks: int
    sharded: bool


class ReadyLaw:
    """A law with everything worked out that does not depend on the sizes asked for."""

    def __init__(self, law: ComputeLaw) -> None:
        self.law = law
        self.surface = Surface.of(law) if law.form == "surface" else None
        self._in_model = matmul_residuals(law)
        self._sizes = size_residuals(law)

    def rate(self, name: str) -> float:
        assert self.law.rates is not None
        value = self.law.rates[name].value
        assert value is not None
        return value

    def line_us(self, columns: Sequence[Array]) -> Array:
        """By the line and its residuals; columns: by RESIDUAL_SIZES, flat."""
        sizes = dict(zip(RESIDUAL_SIZES, columns))
        us = line_us(self.law, sizes)
        return us if self._sizes is None else us * self._sizes.ratio(**sizes)

    def matmul_us(self, rows: Array, inner: Array, outer: Array, matrices: Array, routed: Array, sharded: Array) -> Array:
        """By the surface and its residuals, flat."""
        assert self.surface is not None
        us = self.surface.matmul_us(rows, inner, outer, matrices, routed)
        if self._in_model is None:
            return us
        return us * self._in_model.ratio(**self.surface.place(rows, inner, outer, matrices, routed, sharded))


class ComputeLaws:
    """The compute laws of one calibration that a key chooses, by dtype, concurrent ranks, sharding, kind, operation and
    predecessors.

    Raises InputError where the calibration holds none, or several kinds that match.
    """

    def __init__(
        self, calibration_id: str, laws: Sequence[ComputeLaw], key: Mapping[str, Any], not_measured: str | None = None
    ) -> None:
        self._words = f"calibration {calibration_id[:12]}"
        laws = chosen_laws(self._words, laws, key, not_measured)
        self._laws: dict[tuple[Place, str, str | None, str | None], ComputeLaw] = {}
        """By place, kind, predecessors, operation."""
        for law in laws:
            place = Place(law.target.dtype, law.target.concurrent_ranks, law.sharded)
            self._laws[place, law.kind, law.predecessors, law.op] = law
        self._places = {place for place, *_ in self._laws}
        self._levels = {
            dtype: sorted({place.concurrent_ranks for place in self._places if place.dtype == dtype})
            for dtype in self.dtypes
        }
        self._ready: dict[int, ReadyLaw] = {}
        """By the identity of the law."""
        self._chosen: dict[tuple[Place, str, tuple[str, ...], str], ReadyLaw] = {}

    # -- what there is -------------------------------------------------------------------------------------------------

    @property
    def target(self) -> ComputeTarget:
        """Of one of the laws: backend, device, launch_mode, scheduler, threads are those of all."""
        return next(iter(self._laws.values())).target

    @property
    def dtypes(self) -> list[str]:
        """In which computing was measured."""
        return sorted({place.dtype for place in self._places})

    def levels(self, dtype: str) -> list[int]:
        """How many ranks computed at once, fewest first."""
        return self._levels[dtype]

    def rates(self, dtype: str) -> dict[str, float]:
        """smallest_us, memory_gb_per_s, gflops of matmuls with all ranks at work."""
        place, _ = self.place(dtype, self.levels(dtype)[-1], False)
        law = self.ready(self.law(place, "matmul"))
        return {name: law.rate(name) for name in law.law.rates or {}}

    def check(self, widths: Widths) -> None:
        """Raises InputError where nothing was measured that has these widths."""
        self._dtype(widths)

    def _dtype(self, widths: Widths) -> str:
        return dtype_of_widths(self._words, self.dtypes, widths)

    def widths_of(self, dtype: str) -> Widths:
        """Those of everything in a dtype."""
        return Widths(*[NAMED[dtype].bits] * 3)

    def measured_widths(self) -> Widths | None:
        """The one width that was measured for everything; None where there are several."""
        found = {self.widths_of(dtype) for dtype in self.dtypes}
        return found.pop() if len(found) == 1 else None

    def rates_by_bits(self) -> dict[int, dict[str, float]]:
        """The rates of matmuls by the bits of their operands."""
        return {NAMED[dtype].bits: self.rates(dtype) for dtype in self.dtypes}

    # -- what they say -------------------------------------------------------------------------------------------------

    def times(self, calls: Sequence[Call], widths: Widths) -> list[CallTime]:
        """The time of each call by the law of its operation, and of the glue before it."""
        dtype = self._dtype(widths)
        shares, memory, arithmetic = [], [], []
        lines: dict[int, list[tuple[int, tuple[Size, ...]]]] = {}
        matmuls: dict[int, list[tuple[int, tuple[Size, ...]]]] = {}
        for at, call in enumerate(calls):
            op, (place, share) = call.op, self.place(dtype, call.concurrent_ranks, call.sharded)
            shares.append(share)
            surface = self.ready(self.law(place, "matmul"))
            moved = 0.0 if op.kind == "glue" else op.memory_bytes
            memory.append(share * moved / surface.rate("memory_gb_per_s") / 1e9)
            arithmetic.append(share * op.flop / surface.rate("gflops") / 1e9)
            if call.predecessors or op.kind == "glue":
                glue = self.choose(place, "glue", call.predecessors, op.name)
                lines.setdefault(id(glue.law), []).append((2 * at, glue_sizes(op, dtype, call.tokens)))
            if op.kind == "glue":
                continue
            own = self.choose(place, op.kind, call.predecessors, op.name)
            if op.kind == "matmul":
                sizes = operation_sizes(op)
                size = (*(sizes[name] for name in MATMUL), float(call.sharded))
                matmuls.setdefault(id(own.law), []).append((2 * at + 1, size))
            else:
                lines.setdefault(id(own.law), []).append((2 * at + 1, own_sizes(op, call.tokens)))
        us: list[Size] = [0.0] * (2 * len(calls))
        for law, asked in lines.items():
            stack = Stack([sizes for _, sizes in asked])
            for (at, _), value in zip(asked, stack.split(self._ready[law].line_us(stack.columns))):
                us[at] = value
        for law, asked in matmuls.items():
            stack = Stack([sizes for _, sizes in asked])
            for (at, _), value in zip(asked, stack.split(self._ready[law].matmul_us(*stack.columns))):
                us[at] = value
        found = []
        for at, (call, share) in enumerate(zip(calls, shares)):
            own_us = share * us[2 * at + 1]
            start_us = least(own_us, self._start_us(call, dtype)) if call.op.kind != "glue" else 0.0
            lead_s = share * us[2 * at] * US
            found.append(CallTime(lead_s, start_us * US, (own_us - start_us) * US, memory[at], arithmetic[at]))
        return found

    def notes(self, calls: Sequence[Call], widths: Widths) -> list[str]:
        """In words, each once, where the calls leave what was measured."""
        dtype = self._dtype(widths)
        return list(dict.fromkeys(text for call in calls for text in self._notes(call, dtype)))

    def _notes(self, call: Call, dtype: str) -> Iterator[str]:
        most = self.levels(dtype)[-1]
        if call.concurrent_ranks > most:
            yield (
                f"{call.concurrent_ranks} ranks of a node compute, but no more than {most} at once were measured: "
                "taken to share"
            )
        op, (place, _) = call.op, self.place(dtype, call.concurrent_ranks, call.sharded)
        if call.sharded and place not in self._places:
            level = place.concurrent_ranks
            yield f"no sharded model was probed on {level} ranks at once: after a collective it is priced as in a whole one"
        if op.kind == "matmul":
            law = self.law(place, "matmul")
            assert op.matmul is not None and law.inner and law.outer
            largest, elements = law.inner[-1] * law.outer[-1], op.matmul[1] * op.matmul[2]
            if elements > FAR * largest:
                yield f"matmul: matrices of {elements:.3g} elements are beyond the {largest:.3g} measured"
        elif op.kind != "glue":
            domain = self.law(place, op.kind).domain
            for size in ("activation_bytes", "kv_bytes", "flop"):
                low_high, value = getattr(domain, size), np.max(getattr(op, size))
                if low_high and value > FAR * low_high[1] > 0:
                    yield f"{op.kind}: {size} of {value:.3g} is beyond the {low_high[1]:.3g} measured"

    def relative_error(self, calls: Sequence[Call], widths: Widths) -> float | None:
        """How far the laws may be off at 95 %, as a fraction; None where nothing says so.

        By the matmuls of whole steps of models that they were not fitted to (nine in ten of them), and between launches.
        """
        place, _ = self.place(self._dtype(widths), calls[0].concurrent_ranks, False)
        surface = self.law(place, "matmul")
        rate = (surface.rates or {})["memory_gb_per_s"]
        steps = surface.fit.whole_steps
        found = [] if steps is None or steps.p90 is None else [steps.p90]
        if rate.ci95 is not None and rate.value:
            found.append((rate.ci95[1] - rate.ci95[0]) / 2 / rate.value)
        return max(found, default=None)

    # -- choice of a law -----------------------------------------------------------------------------------------------

    def place(self, dtype: str, concurrent_ranks: int, sharded: bool) -> tuple[Place, float]:
        """The laws that hold, and how many of the ranks share what one has to itself there."""
        levels = self.levels(dtype)
        level = next((level for level in levels if level >= concurrent_ranks), levels[-1])
        return Place(dtype, level, sharded), max(1.0, concurrent_ranks / level)

    def law(self, place: Place, kind: str) -> ComputeLaw:
        """Of this kind of operation; where no sharded model was probed, of whole ones. Raises InputError without any."""
        for sharded in (place.sharded, False):
            if law := self._laws.get((place._replace(sharded=sharded), kind, None, None)):
                return law
        raise InputError(f"{self._words} has no law of {kind} in {place.dtype} on {place.concurrent_ranks} ranks at once")

    def choose(self, place: Place, kind: str, predecessors: Sequence[str], op: str) -> ReadyLaw:
        """The law of the operation after these predecessors; after the computation alone; after any; or of the kind."""
        at = place, kind, tuple(predecessors), op
        if at not in self._chosen:
            self._chosen[at] = self.ready(self._choose(place, kind, predecessors, op))
        return self._chosen[at]

    def _choose(self, place: Place, kind: str, predecessors: Sequence[str], op: str) -> ComputeLaw:
        if kind != "matmul":
            whole = place._replace(sharded=False)
            computation = chain(predecessors[:1])
            candidates = [
                (place, chain(predecessors)),
                (place, computation),
                (whole, computation),
                (place, None),
                (whole, None),
            ]
            for where, after in candidates:
                if law := self._laws.get((where, kind, after, op)):
                    return law
        return self.law(place, kind)

    def ready(self, law: ComputeLaw) -> ReadyLaw:
        """The law made ready, once."""
        if id(law) not in self._ready:
            self._ready[id(law)] = ReadyLaw(law)
        return self._ready[id(law)]

    def _start_us(self, call: Call, dtype: str) -> float:
        place, _ = self.place(dtype, call.concurrent_ranks, call.sharded)
        own = self.choose(place, call.op.kind, call.predecessors, call.op.name)
        return own.rate("smallest_us") if call.op.kind == "matmul" else own.law.params["o"].value or 0.0


def own_sizes(op: Compute, tokens: Size) -> tuple[Size, ...]:
    """By RESIDUAL_SIZES, of an operation itself."""
    sizes = operation_sizes(op) | {"tokens": tokens}
    return tuple(sizes[name] for name in RESIDUAL_SIZES)


def glue_sizes(op: Compute, dtype: str, tokens: Size) -> tuple[Size, ...]:
    """By RESIDUAL_SIZES, of the glue before an operation: the sizes of its input."""
    sizes = input_sizes(op, NAMED[dtype].bits / 8) | {"tokens": tokens}
    return tuple(sizes.get(name, 0.0) for name in RESIDUAL_SIZES)


def least(one: Size, other: float) -> Size:
    return np.minimum(one, other) if isinstance(one, np.ndarray) else min(one, other)
