"""The calibration: what a machine's collectives cost, ready to be asked."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from inferometer.emulator.calibrate.evaluate.in_step import choose_in_step_laws, in_step_us
from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning, outside, predict_us
from inferometer.emulator.calibrate.evaluate.uncertainty import half_width
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
    Target,
)
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Taken when several laws match and the caller did not say: what a law is, undisturbed and in full precision.
PREFERRED: dict[str, Any] = {"timing": "isolated", "concurrent_groups": 1, "dtype": "float32"}


class Calibration(Record):
    """A calibration file. compute_laws and in_step_laws are empty where nothing was measured; not_measured says why."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

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

    def law(self, collective: str, **key: Any) -> NetworkLaw:
        """The one law of a collective that matches key (dtype, timing, backend, …; None means any).

        Where several match, timing "isolated", concurrent_groups 1 and dtype "float32" are preferred, in this order.

        Raises InputError if none matches (it lists what there is), if several still do (it names the choices), or for
        a name that is no field of a key.
        """
        if unknown := sorted(set(key) - set(Target.model_fields)):
            raise InputError(f"no such key field: {', '.join(unknown)}")
        asked = {name: value for name, value in key.items() if value is not None}
        of_collective = [m for m in self.network_laws if m.target.collective == collective]
        found = [m for m in of_collective if all(getattr(m.target, k) == v for k, v in asked.items())]
        if not of_collective:
            have = ", ".join(sorted({m.target.collective for m in self.network_laws})) or "nothing"
            raise InputError(f"no law of '{collective}' in this calibration: it has {have}")
        if not found:
            wanted = ", ".join(f"{k}={v}" for k, v in asked.items())
            raise InputError(f"no law of '{collective}' with {wanted}: there is {_differences(of_collective)}")
        for name, value in PREFERRED.items():
            found = [m for m in found if getattr(m.target, name) == value] or found
        if len(found) > 1:
            raise InputError(f"several laws of '{collective}' match: choose among {_differences(found)}")
        return found[0]

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
    ) -> NDArray[np.float64] | float:
        """Seconds one collective takes for bytes (nccl-tests' convention) on ranks spread evenly over nodes.

        bytes, ranks and nodes broadcast; scalars give a float. The law is chosen as `law` says. One rank costs 0.
        A time the calibration does not determine is NaN, with one NotIdentifiedWarning; one outside the measured
        domain is given, with one ExtrapolationWarning that names what was exceeded.

        Raises InputError for negative sizes, ranks or nodes below 1, fewer ranks than nodes, and as `law` does.
        """
        key = {"dtype": dtype, "timing": timing, "backend": backend, "concurrent_groups": concurrent_groups}
        key |= {"launch_mode": launch_mode, "implementation": implementation, "scheduler": scheduler}
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
        us, model = self._times(collective, bytes, ranks, nodes, key, "the interval is widened")
        n = 0 if collective == "barrier" else bytes
        wide = np.exp(np.where(us > 0, half_width(model, *np.broadcast_arrays(n, ranks, nodes)), 0.0))
        low, high = us / wide * 1e-6, us * wide * 1e-6
        return (low, high) if us.ndim else (float(low), float(high))

    def in_step_s(
        self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike, compute_gap_s: ArrayLike, **key: Any
    ) -> NDArray[np.float64] | float:
        """Seconds that a call in a real step takes beyond `time_s`; its ranks have computed compute_gap_s before it.

        bytes, ranks, nodes and compute_gap_s broadcast; scalars give a float. Never below 0; one rank pays 0. key chooses
        among keys as for `law`. Ranks and nodes (or a collective, or a key) that were not timed in_step give NaN with one
        NotIdentifiedWarning; beyond the measured bytes and compute gaps the overhead is given with one ExtrapolationWarning.

        Raises InputError for impossible arguments, or where several keys match.
        """
        if unknown := sorted(set(key) - set(Target.model_fields)):
            raise InputError(f"no such key field: {', '.join(unknown)}")
        asked = {name: value for name, value in key.items() if value is not None}
        in_step_laws = choose_in_step_laws(self.in_step_laws, collective, asked, PREFERRED)
        us = in_step_us(in_step_laws, collective, bytes, ranks, nodes, compute_gap_s)
        return us * 1e-6 if us.ndim else float(us) * 1e-6

    def _times(
        self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike, key: dict[str, Any], beyond_text: str
    ) -> tuple[NDArray[np.float64], NetworkLaw]:
        """Times in µs and the law they are from; warns of what is not determined or outside the domain."""
        model = self.law(collective, **key)
        n, r, N = query_arrays(bytes, ranks, nodes)
        if collective == "barrier":
            n = np.zeros_like(n)
        several = r > 1
        us = np.where(several, predict_us(model, n, r, N), 0.0)
        missing = np.isnan(us)
        if missing.any():
            why = [f"{k}: {p.reason}" for k, p in model.params.items() if p.status == "not_identified"]
            why = why or ["this law says nothing about rank counts it was not fitted to"]
            text = f"{collective}: {int(missing.sum())} of {us.size} times are not determined ({'; '.join(why)})"
            warnings.warn(text, NotIdentifiedWarning, stacklevel=3)
        given = several & ~missing
        if beyond := outside(model.domain, n[given], r[given], N[given]):
            warnings.warn(f"{collective}: {'; '.join(beyond)}; {beyond_text}", ExtrapolationWarning, stacklevel=3)
        return us, model

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


def _differences(laws: list[NetworkLaw]) -> str:
    """The key fields in which laws differ, with the values to choose from; all of them if they differ in none."""
    targets = [m.target.model_dump() for m in laws]
    values = {name: sorted({str(t[name]) for t in targets}) for name in targets[0] if name != "collective"}
    varying = {name: v for name, v in values.items() if len(v) > 1} or values
    return ", ".join(f"{name}={'|'.join(v)}" for name, v in varying.items())
