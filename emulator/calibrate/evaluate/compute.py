"""What computing costs by a calibration: which law holds for an operation, and what it says, for many operations at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.compute_choice import Widths, chosen_laws, dtype_of_widths
from inferometer.emulator.calibrate.evaluate.lines import Lines
from inferometer.emulator.calibrate.evaluate.residuals import matmul_residuals
from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.calibrate.laws.compute import Surface
from inferometer.emulator.calibrate.schema.compute_records import RESIDUAL_SIZES, ComputeLaw, ComputeTarget
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.features import MATMUL, SIZES, input_sizes, operation_row
from inferometer.emulator.workload.program import Size, chain
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


class ReadySurface:
    """A law of matmuls with everything worked out that does not depend on the sizes asked for."""

    def __init__(self, law: ComputeLaw) -> None:
        self.law = law
        self.surface = Surface.of(law)
        self._in_model = matmul_residuals(law)
        self.rates = {name: one.value for name, one in (law.rates or {}).items() if one.value is not None}

    def us(self, rows: Array, inner: Array, outer: Array, matrices: Array, routed: Array, sharded: Array) -> Array:
        """By the surface and its residuals, flat."""
        us = self.surface.matmul_us(rows, inner, outer, matrices, routed)
        if self._in_model is None:
            return us
        return us * self._in_model.ratio(**self.surface.place(rows, inner, outer, matrices, routed, sharded))


class Chosen(NamedTuple):
    """The laws of an operation where it stands in a step.

    line, glue: places in `Lines`, -1 where there is none. surface: of matmuls here; matmul: whether it prices the operation.
    start_us: what starting it costs. share: as ComputeLaws.place has it.
    """

    line: int
    glue: int
    surface: ReadySurface
    matmul: bool
    start_us: float
    share: float


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
        self._lines = Lines()
        self._surfaces: dict[int, ReadySurface] = {}
        """By the identity of the law."""
        self._chosen: dict[tuple[str, int, bool, str, tuple[str, ...], str], Chosen] = {}

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
        return self.surface(place).rates

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
        """The time of each call by the law of its operation, and of the glue before it: all laws of a form at once."""
        dtype = self._dtype(widths)
        chosen = [self.chosen(call, dtype) for call in calls]
        stack = Stack([(*operation_row(call.op), call.tokens, call.sharded) for call in calls])
        size = dict(zip((*SIZES, "tokens", "sharded"), stack.columns))
        share = stack.spread([one.share for one in chosen])
        lead_us, own_us = np.zeros(len(share)), np.zeros(len(share))
        line, glue = stack.spread([one.line for one in chosen]), stack.spread([one.glue for one in chosen])
        with_line, with_glue = np.flatnonzero(line >= 0), np.flatnonzero(glue >= 0)
        own = {name: size[name][with_line] for name in RESIDUAL_SIZES}
        before = glue_sizes({name: size[name][with_glue] for name in (*SIZES, "tokens")}, dtype)
        which = np.concatenate([line[with_line], glue[with_glue]])
        us = self._lines.us(which, {name: np.concatenate([own[name], before[name]]) for name in RESIDUAL_SIZES})
        own_us[with_line], lead_us[with_glue] = us[: len(with_line)], us[len(with_line) :]
        for surface in {id(one.surface): one.surface for one in chosen if one.matmul}.values():
            at = np.flatnonzero(stack.spread([one.matmul and one.surface is surface for one in chosen]))
            own_us[at] = surface.us(*(size[name][at] for name in (*MATMUL, "sharded")))
        own_us = share * own_us
        start_us = np.minimum(own_us, stack.spread([one.start_us for one in chosen]))
        working = stack.spread([call.op.kind != "glue" for call in calls])
        moved = np.where(working, size["weight_bytes"] + size["activation_bytes"] + size["kv_bytes"], 0.0)
        memory_s = share * moved / stack.spread([one.surface.rates["memory_gb_per_s"] for one in chosen]) / 1e9
        arithmetic_s = share * size["flop"] / stack.spread([one.surface.rates["gflops"] for one in chosen]) / 1e9
        parts = (share * lead_us * US, start_us * US, (own_us - start_us) * US, memory_s, arithmetic_s)
        return [CallTime(*each) for each in zip(*(stack.split(part) for part in parts))]

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

    def chosen(self, call: Call, dtype: str) -> Chosen:
        """The laws of a call: of the operation after its predecessors, else the next wider ones."""
        op = call.op
        at = dtype, call.concurrent_ranks, call.sharded, op.kind, call.predecessors, op.name
        if at not in self._chosen:
            place, share = self.place(dtype, call.concurrent_ranks, call.sharded)
            surface, line, glue, start_us = self.surface(place), -1, -1, 0.0
            if call.predecessors or op.kind == "glue":
                glue = self._lines.place(self._choose(place, "glue", call.predecessors, op.name))
            if op.kind == "matmul":
                start_us = surface.rates["smallest_us"]
            elif op.kind != "glue":
                law = self._choose(place, op.kind, call.predecessors, op.name)
                line, start_us = self._lines.place(law), law.params["o"].value or 0.0
            self._chosen[at] = Chosen(line, glue, surface, op.kind == "matmul", start_us, share)
        return self._chosen[at]

    def _choose(self, place: Place, kind: str, predecessors: Sequence[str], op: str) -> ComputeLaw:
        """The law of the operation after these predecessors; after the computation alone; after any; or of the kind."""
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

    def surface(self, place: Place) -> ReadySurface:
        """The law of matmuls made ready, once."""
        law = self.law(place, "matmul")
        if id(law) not in self._surfaces:
            self._surfaces[id(law)] = ReadySurface(law)
        return self._surfaces[id(law)]


def glue_sizes(sizes: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """By RESIDUAL_SIZES, of the glue before operations of these sizes and tokens: the sizes of their input."""
    nothing = np.zeros_like(sizes["tokens"])
    return dict.fromkeys(RESIDUAL_SIZES, nothing) | input_sizes(sizes, NAMED[dtype].bits / 8) | {"tokens": sizes["tokens"]}
