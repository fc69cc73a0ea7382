"""The calibration: what a machine's collectives cost, ready to be asked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field, PrivateAttr

from inferometer.emulator.calibrate.evaluate.evaluator import Evaluator, Ready
from inferometer.emulator.calibrate.evaluate.in_step import STANDS_IN, asked, outside
from inferometer.emulator.calibrate.evaluate.network import FittedLaw
from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.laws.query import query_arrays
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.calibrate.schema.records import (
    SCHEMA,
    Cell,
    Free,
    Generator,
    Guidelines,
    LaunchFloor,
    NotFitted,
    Provenance,
    Quality,
    Record,
)
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.program import Compute, Size

if TYPE_CHECKING:
    import pandas as pd


class Calibration(Record):
    """A calibration file. compute_laws and in_step_laws are empty where nothing was measured; not_measured says why."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    schema_: Literal["inferometer/calibration/2"] = Field(default=SCHEMA, alias="schema")
    id: str
    created: str
    generator: Generator
    provenance: Provenance
    method: Free
    quality: Quality
    network_laws: list[NetworkLaw]
    not_fitted: list[NotFitted]
    compute_laws: list[ComputeLaw]
    in_step_laws: list[InStepLaw]
    not_measured: dict[str, str]
    launch_floor: list[LaunchFloor]
    guidelines: Guidelines | None = None
    cells: list[Cell]
    _ready: Ready = PrivateAttr(default_factory=Ready)

    @property
    def evaluator(self) -> Evaluator:
        """Its laws, indexed and made ready once."""
        return self._ready.of(self.id, self.network_laws, self.compute_laws, self.in_step_laws, self.not_measured)

    def law(self, collective: str, **key: Any) -> NetworkLaw:
        """The one law of a collective that matches key (dtype, timing, backend, …; None means any).

        Where several match, timing "isolated", concurrent_groups 1, dtype "float32" and oversubscribed False are preferred,
        in this order, then a library's plain calls (nccl, not nccl/max).

        Raises InputError if none matches (it lists what there is), if several still do (it names the choices), or for
        a name that is no field of a key.
        """
        return self.evaluator.network.choose(collective, key)

    def time_s(
        self,
        collective: str,
        bytes: ArrayLike,
        ranks: ArrayLike,
        nodes: ArrayLike = 1,
        *,
        dtype: str | None = None,
        timing: str | None = None,
        backend: str | None = None,
        concurrent_groups: int | str | None = None,
        launch_mode: str | None = None,
        implementation: str | None = None,
        scheduler: str | None = None,
        oversubscribed: bool | None = None,
    ) -> NDArray[np.float64] | float:
        """Seconds one collective takes for bytes (nccl-tests' convention) on ranks spread evenly over nodes.

        bytes, ranks and nodes broadcast; scalars give a float. The law is chosen as `law` says; unless
        oversubscribed is given, ranks that were measured outnumbering the cores get the law of their count. One rank
        costs 0.
        A time the calibration does not determine is NaN, with one NotIdentifiedWarning; one outside the measured
        domain is given, with one ExtrapolationWarning that names what was exceeded.

        Raises InputError for negative sizes, ranks or nodes below 1, fewer ranks than nodes, and as `law` does.
        """
        key = {"dtype": dtype, "timing": timing, "backend": backend, "concurrent_groups": concurrent_groups}
        key |= {"launch_mode": launch_mode, "implementation": implementation, "scheduler": scheduler}
        key |= {"oversubscribed": oversubscribed}
        us, _ = self._times(collective, bytes, ranks, nodes, key, "given all the same")
        return us * 1e-6 if us.ndim else float(us) * 1e-6

    def interval_s(
        self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike = 1, **key: Any
    ) -> tuple[NDArray[np.float64] | float, NDArray[np.float64] | float]:
        """The 95 % interval (low, high) of `time_s`, in seconds, for the same arguments and shapes.

        It holds what the parameters' covariance leaves open and how far the law missed what was held out
        (module `uncertainty`); beyond the measured domain it widens, with one ExtrapolationWarning that says so. One
        rank costs (0, 0); what is not determined is NaN. Raises as `time_s` does.
        """
        us, law = self._times(collective, bytes, ranks, nodes, key, "the interval is widened")
        n = 0 if collective == "barrier" else bytes
        wide = np.exp(np.where(us > 0, law.half_width(n, ranks, nodes), 0.0))
        low, high = us / wide * 1e-6, us * wide * 1e-6
        return (low, high) if us.ndim else (float(low), float(high))

    def in_step_s(
        self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike, compute_gap_s: ArrayLike, **key: Any
    ) -> NDArray[np.float64] | float:
        """Seconds that a call in a real step takes beyond `time_s`; its ranks have computed compute_gap_s before it.

        What `predict` prices: the law and its residuals, and for a collective that was not timed in a step on these ranks
        the overhead of all_reduce there, with one ExtrapolationWarning. bytes, ranks, nodes and compute_gap_s broadcast;
        scalars give a float. Never below 0; one rank pays 0. key chooses among keys as for `law`. Ranks and nodes without
        any law give NaN with one NotIdentifiedWarning; beyond the measured bytes and compute gaps the overhead is given with
        one ExtrapolationWarning.

        Raises InputError for impossible arguments, or where several keys match.
        """
        try:
            n, r, N, gap_s = np.broadcast_arrays(*query_arrays(bytes, ranks, nodes), np.asarray(compute_gap_s, dtype=float))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"compute_gap_s must be numbers whose shape goes with bytes, ranks and nodes: {error}"
            ) from error
        if not (np.isfinite(gap_s) & (gap_s >= 0)).all():
            raise InputError("compute_gap_s must be finite and at least 0")
        laws = self.evaluator.in_step
        of_key = {name: value for name, value in key.items() if name != "timing"}
        seconds = np.where(r > 1, np.nan, 0.0)
        beyond: dict[str, None] = {}
        for ranks_, nodes_ in {(int(one), int(other)) for one, other in zip(r[r > 1], N[r > 1])}:
            found = laws.find(collective, ranks_, nodes_, key)
            if found is None:
                continue
            here = (r == ranks_) & (nodes_ == N)
            isolated_s = (
                0.0
                if found.law.residuals is None or found.stands_in
                else self._isolated_s(collective, n[here], ranks_, nodes_, of_key)
            )
            seconds[here] = laws.overhead_s(found, collective, n[here], gap_s[here], isolated_s)
            beyond |= dict.fromkeys(outside(found.law, *asked(collective, n[here], gap_s[here])).values())
            if found.stands_in:
                beyond[f"was not timed in a step on {ranks_} ranks, {STANDS_IN} stands in"] = None
        if (missing := np.isnan(seconds)).any():
            have = ", ".join(f"{r_} ranks on {N_}" for r_, N_ in laws.choose(collective, key)) or "nothing"
            calls = f"{int(missing.sum())} of {seconds.size} calls"
            text = f"{collective}: the in-step overhead of {calls} was not measured (there is {have})"
            warnings.warn(text, NotIdentifiedWarning, stacklevel=2)
        if beyond:
            text = f"{collective}: {'; '.join(beyond)}; the in-step overhead is given all the same"
            warnings.warn(text, ExtrapolationWarning, stacklevel=2)
        return seconds if seconds.ndim else float(seconds)

    def compute_s(
        self,
        op: Compute,
        *,
        dtype: str | None = None,
        concurrent_ranks: int = 1,
        sharded: bool = False,
        predecessors: Sequence[str] = (),
        tokens: Size = 1,
        **key: Any,
    ) -> NDArray[np.float64] | float:
        """Seconds one operation takes on each of concurrent_ranks ranks of a node, with the glue before it.

        What `predict` prices: the law of the operation after its predecessors (the computation before it and the
        collectives since), else the next wider one, and its residuals. sharded: of a step with collectives; tokens: new ones
        in the step. key: backend, scheduler.

        Raises InputError where computing was not measured (in this dtype), or where several keys match.
        """
        laws = self.evaluator.compute(key)
        if dtype is None and len(laws.dtypes) > 1:
            raise InputError(f"computing was measured in {' and '.join(laws.dtypes)}: say which dtype")
        if dtype is not None and dtype not in laws.dtypes:
            raise InputError(f"computing was measured in {', '.join(laws.dtypes)}, not in {dtype}")
        call = Call(op, tuple(predecessors), concurrent_ranks, sharded, tokens)
        (found,) = laws.times([call], laws.widths_of(dtype or laws.dtypes[0]))
        return found.total_s

    def _isolated_s(self, collective: str, n: ArrayLike, r: ArrayLike, N: ArrayLike, key: dict[str, Any]) -> ArrayLike:
        return self.evaluator.network.fitted(collective, key).us(n, r, N) * 1e-6

    def _times(
        self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike, key: dict[str, Any], beyond_text: str
    ) -> tuple[NDArray[np.float64], FittedLaw]:
        """Times in µs and the laws they are from; warns of what is not determined or outside the domain."""
        law = self.evaluator.network.fitted(collective, key)
        n, r, N = query_arrays(bytes, ranks, nodes)
        if collective == "barrier":
            n = np.zeros_like(n)
        us = law.us(n, r, N)
        missing = np.isnan(us)
        if missing.any():
            why = [f"{k}: {p.reason}" for k, p in law.record.params.items() if p.status == "not_identified"]
            why = why or ["this law says nothing about rank counts it was not fitted to"]
            text = f"{collective}: {int(missing.sum())} of {us.size} times are not determined ({'; '.join(why)})"
            warnings.warn(text, NotIdentifiedWarning, stacklevel=3)
        given = ~missing
        if beyond := law.beyond(n[given], r[given], N[given]):
            warnings.warn(f"{collective}: {'; '.join(beyond)}; {beyond_text}", ExtrapolationWarning, stacklevel=3)
        return us, law

    def table(self) -> pd.DataFrame:
        """The parameters as a table: a row per law and parameter, with the key, value, unit, interval and status."""
        import pandas as pd

        rows = []
        for m in self.network_laws:
            for name, p in m.params.items():
                low, high = p.ci95 or (None, None)
                rows.append(
                    m.target.model_dump()
                    | {"form": m.form, "param": name, "value": p.value, "unit": p.unit, "low": low, "high": high}
                    | {"status": p.status, "reason": p.reason, "medape": m.fit.medape if m.fit else None}
                    | {"held_out_sizes": m.fit.cv.sizes.median if m.fit else None}
                )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        """One line: the laws are `table()`'s."""
        laws = f"{len(self.network_laws)} network, {len(self.compute_laws)} compute, {len(self.in_step_laws)} in-step laws"
        return f"Calibration({self.id[:12]}, {self.provenance.kind}, {laws}, {self.quality.verdict})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the line and the first rows of the table."""
        from html import escape

        columns = ["collective", "backend", "timing", "dtype", "form", "param", "value", "unit", "low", "high", "status"]
        return f"<p>{escape(repr(self))}</p>{self.table()[columns].to_html(max_rows=20, index=False)}"
