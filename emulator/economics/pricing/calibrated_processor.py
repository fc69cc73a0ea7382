"""Compute terms from a calibration: every operation priced by the law of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.residuals import matmul_residuals, size_residuals
from inferometer.emulator.calibrate.laws.compute import line_us, matmul_us, several_share
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw, ComputeTarget
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.processor import ComputeTime, State
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import BEGIN, END, Compute, Size, chain
from inferometer.parallel.dtypes import DTYPES

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

US = 1e-6
KEYS = ("backend", "scheduler", "dtype")
"""Fields of a law's key that choose among the laws of computing too."""
#: A prediction this many times beyond the largest matmul or the longest attention measured says so.
FAR = 4.0


LawKey = tuple[str, int, bool, str, str | None, str | None]
"""dtype, ranks at once, sharded, operation, after, before."""
Place = tuple[str, int, bool]
"""The first three of them."""


class CalibrationProcessor:
    """The laws of one calibration. key narrows their choice (backend, scheduler, …) as it does that of a network's laws.

    Raises InputError where the calibration holds no compute laws, or several kinds that match.
    """

    def __init__(self, calibration: Calibration, key: Mapping[str, Any] | None = None) -> None:
        self._id = calibration.id[:12]
        asked = {name: value for name, value in (key or {}).items() if name in KEYS}
        laws = [law for law in calibration.compute_laws if all(getattr(law.target, k) == v for k, v in asked.items())]
        if not laws:
            wanted = ", ".join(f"{name}={value}" for name, value in asked.items())
            why = calibration.not_measured.get("compute") or f"none of its laws has {wanted or 'anything'}"
            raise InputError(f"calibration {self._id} has no compute terms ({why}): give an --accelerator")
        for field in ("backend", "device", "scheduler", "threads"):
            if len(kinds := {str(getattr(law.target, field)) for law in laws}) > 1:
                how = f"choose with --key {field}=…" if field in KEYS else "fit the samples of one of them alone"
                raise InputError(
                    f"calibration {self._id}: computing was measured with {field} {' and '.join(sorted(kinds))}: {how}"
                )
        self._laws: dict[LawKey, ComputeLaw] = {}
        for law in laws:
            self._laws[law.target.dtype, law.target.concurrent_ranks, law.sharded, law.kind, law.predecessors, law.op] = law
        self._matmuls = {id(law): matmul_residuals(law) for law in laws}
        self._sizes = {id(law): size_residuals(law) for law in laws}
        self.notes: dict[str, None] = {}
        """In words, where what was priced so far leaves what was measured."""

    @property
    def name(self) -> str:
        target = self._any_target
        return f"measured {target.device} of calibration {self._id} ({target.backend} ranks, {target.threads} threads each)"

    @property
    def dtypes(self) -> list[str]:
        """In which computing was measured."""
        return sorted({dtype for dtype, *_ in self._laws})

    def check(self, precision: Precision) -> None:
        """Raise InputError where computing was not measured in this precision."""
        self._place(precision, State())

    def time(self, op: Compute, precision: Precision, state: State, after: Sequence[str]) -> ComputeTime:
        """Time of an operation by the law of its kind, and of the way to it. Raises InputError for other widths."""
        place, shared = self._place(precision, state)
        sizes = {"activation_bytes": op.activation_bytes, "kv_bytes": op.kv_bytes, "flop": op.flop}
        tokens = {"tokens": state.tokens}
        own: Size
        lead: Size = 0.0
        if after:
            way = self._on_way(place, "glue", after, op.name)
            lead = shared * self._line_us(way, entering(op, precision) | tokens)
        surface = self._law(place, "matmul")
        if op.kind == "matmul":
            assert op.matmul is not None
            own = (
                shared * matmul_us(surface, *op.matmul, op.matrices, op.routed) * self._in_model(surface, op, state.sharded)
            )
            start = np.minimum(own, _value(surface, "smallest_us"))
            self._note_matmul(surface, op)
        else:
            law = self._on_way(place, op.kind, after, op.name)
            own = shared * self._line_us(law, sizes | tokens)
            start = np.minimum(own, law.params["o"].value or 0.0)
            domain = self._law(place, op.kind).domain
            for size, value in sizes.items():
                low_high = getattr(domain, size)
                if low_high and np.max(value) > FAR * low_high[1] > 0:
                    self._note(f"{op.kind}: {size} of {np.max(value):.3g} is beyond the {low_high[1]:.3g} measured")
        memory = op.memory_bytes / _value(surface, "memory_gb_per_s") / 1e9
        arithmetic = op.flop / _value(surface, "gflops") / 1e9
        return ComputeTime(start * US, shared * memory, shared * arithmetic, (own - start) * US, lead * US)

    def begin_s(self, precision: Precision, state: State) -> Size:
        """What the engine does before the first operation of a step."""
        place, shared = self._place(precision, state)
        return shared * self._line_us(self._on_way(place, "glue", (), BEGIN), {"tokens": state.tokens}) * US

    def end_s(self, logits_bytes: Size, precision: Precision, state: State, after: Sequence[str]) -> Size:
        """The choice of tokens from logits; nothing where there are none."""
        place, shared = self._place(precision, state)
        way = self._on_way(place, "glue", after, END)
        chosen = self._line_us(way, {"activation_bytes": logits_bytes, "tokens": state.tokens})
        return np.where(np.asarray(logits_bytes) > 0, shared * chosen * US, 0.0)

    def accelerator(self, memory_bytes: float, node_size: int) -> Accelerator:
        """The device as a datasheet would have it: measured rates with all its ranks at work."""
        levels = {dtype: max(level for d, level, *_ in self._laws if d == dtype) for dtype in self.dtypes}
        surfaces = {dtype: self._law((dtype, level, False), "matmul") for dtype, level in levels.items()}
        widest = max(surfaces, key=lambda dtype: DTYPES[dtype].bits)
        return Accelerator(
            name=self.name,
            flop_per_s={DTYPES[dtype].bits: _value(law, "gflops") * 1e9 for dtype, law in surfaces.items()},
            flop_fraction=1.0,
            memory_bytes=memory_bytes,
            memory_bytes_per_s=_value(surfaces[widest], "memory_gb_per_s") * 1e9,
            memory_fraction=1.0,
            intra_bytes_per_s=None,
            inter_bytes_per_s=None,
            node_size=node_size,
            usd_per_hour=None,
            kernel_s=_value(surfaces[widest], "smallest_us") * US,
        )

    def measured_precision(self) -> Precision:
        """The one width that was measured for everything. Raises InputError where there are several."""
        widths = {DTYPES[dtype].bits for dtype in self.dtypes}
        if len(widths) != 1:
            raise InputError(
                f"calibration {self._id}: computing was measured in {', '.join(self.dtypes)}: say how many bits"
            )
        bits = widths.pop()
        return Precision(bits, bits, bits)

    def relative_error(self, precision: Precision, concurrent_ranks: int) -> float | None:
        """How far the laws may be off at 95 %, as a fraction; None where nothing says so.

        By the matmuls of whole steps of models they had not seen (nine in ten of them), and between launches.
        """
        place, _ = self._place(precision, State(concurrent_ranks))
        surface = self._law(place, "matmul")
        rate = (surface.rates or {})["memory_gb_per_s"]
        steps = surface.fit.whole_steps
        found = [] if steps is None or steps.p90 is None else [steps.p90]
        if rate.ci95 is not None and rate.value:
            found.append((rate.ci95[1] - rate.ci95[0]) / 2 / rate.value)
        return max(found, default=None)

    # -- choice of a law -----------------------------------------------------------------------------------------------

    def _place(self, precision: Precision, state: State) -> tuple[Place, float]:
        """The laws that hold, and how many of the ranks share what one has to itself there."""
        widths = {precision.weight_bits, precision.activation_bits, precision.kv_bits}
        fitting = [dtype for dtype in self.dtypes if widths == {DTYPES[dtype].bits}]
        if not fitting:
            asked = f"weights {precision.weight_bits}, activations {precision.activation_bits}, cache {precision.kv_bits}"
            raise InputError(
                f"calibration {self._id}: computing was measured in {', '.join(self.dtypes)}, "
                f"not with {asked} bits: give these widths, or an --accelerator"
            )
        levels = sorted({level for dtype, level, *_ in self._laws if dtype == fitting[0]})
        level = next((level for level in levels if level >= state.concurrent_ranks), levels[-1])
        if state.concurrent_ranks > level:
            self._note(
                f"{state.concurrent_ranks} ranks of a node compute, but no more than {level} at once were measured: "
                "taken to share"
            )
        place = fitting[0], level, state.sharded
        if state.sharded and not any(key[:3] == place for key in self._laws):
            self._note(
                f"no sharded model was probed on {level} ranks at once: after a collective it is priced as in a whole one"
            )
        return place, max(1.0, state.concurrent_ranks / level)

    def _law(self, place: Place, op: str) -> ComputeLaw:
        """Of this kind of operation; where no sharded model was probed, of whole ones."""
        dtype, level, sharded = place
        found = (self._laws.get((dtype, level, kind, op, None, None)) for kind in (sharded, False))
        law = next((law for law in found if law is not None), None)
        if law is None:
            raise InputError(f"calibration {self._id} has no law of {op} in {dtype} on {level} ranks at once")
        return law

    def _on_way(self, place: Place, op: str, after: Sequence[str], before: str) -> ComputeLaw:
        """The law of this way, of the one without the collectives on it, of all ways to the operation, or of the kind."""
        dtype, level, sharded = place
        ways = [
            (sharded, chain(after)),
            (sharded, chain(after[:1])),
            (False, chain(after[:1])),
            (sharded, None),
            (False, None),
        ]
        found = (self._laws.get((dtype, level, kind, op, way, before)) for kind, way in ways)
        return next((law for law in found if law is not None), None) or self._law(place, op)

    def _line_us(self, law: ComputeLaw, sizes: dict[str, Size]) -> Size:
        """By the line, and by how what was measured near departs from it."""
        residuals = self._sizes[id(law)]
        return line_us(law, sizes) * (1.0 if residuals is None else residuals.ratio(**sizes))

    def _in_model(self, surface: ComputeLaw, op: Compute, sharded: bool) -> Size:
        """The time of a matmul in a model over that by its surface."""
        residuals = self._matmuls[id(surface)]
        if residuals is None or op.matmul is None:
            return 1.0
        rows, inner, outer = op.matmul
        each = np.maximum(np.asarray(rows) / np.maximum(op.matrices, 1e-12), 1.0)
        several = several_share(surface, each, inner, outer, op.routed)
        return residuals.ratio(each, inner, outer, np.asarray(op.matrices) != 1, sharded, several)

    def _note_matmul(self, law: ComputeLaw, op: Compute) -> None:
        assert op.matmul is not None and law.inner and law.outer
        most, elements = law.inner[-1] * law.outer[-1], op.matmul[1] * op.matmul[2]
        if elements > FAR * most:
            self._note(f"matmul: matrices of {elements:.3g} elements are beyond the {most:.3g} measured")

    def _note(self, text: str) -> None:
        self.notes[text] = None

    @property
    def _any_target(self) -> ComputeTarget:
        return next(iter(self._laws.values())).target


def entering(op: Compute, precision: Precision) -> dict[str, Size]:
    """What an operation is handed: the rows of a matmul, for how many matrices; else all the activations it moves."""
    if op.matmul is None:
        return {"activation_bytes": op.activation_bytes}
    return {"activation_bytes": op.matmul[0] * op.matmul[1] * precision.activation_bytes, "matrices": op.matrices}


def _value(law: ComputeLaw, rate: str) -> float:
    assert law.rates is not None
    value = law.rates[rate].value
    assert value is not None
    return value
