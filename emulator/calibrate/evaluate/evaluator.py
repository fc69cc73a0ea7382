"""Everything that is worked out from a calibration's records once, and asked many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.emulator.calibrate.evaluate.compute import ComputeLaws
from inferometer.emulator.calibrate.evaluate.in_step import InStepLaws
from inferometer.emulator.calibrate.evaluate.kernels import KernelLaws
from inferometer.emulator.calibrate.evaluate.network import NetworkLaws
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw


class Evaluator:
    """The laws of one calibration, indexed and ready."""

    def __init__(
        self,
        calibration_id: str,
        network_laws: Sequence[NetworkLaw],
        compute_laws: Sequence[ComputeLaw],
        in_step_laws: Sequence[InStepLaw],
        not_measured: Mapping[str, str],
    ) -> None:
        self._id, self._compute_laws, self._not_measured = calibration_id, compute_laws, not_measured
        self.network = NetworkLaws(network_laws)
        self.in_step = InStepLaws(in_step_laws)
        self._compute: dict[tuple[tuple[str, Any], ...], ComputeLaws | KernelLaws] = {}

    def compute(self, key: Mapping[str, Any]) -> ComputeLaws | KernelLaws:
        """The compute laws that key chooses: of a processor's operations, or of a device's kernels.

        Raises InputError as ComputeLaws does.
        """
        at = tuple(sorted(key.items()))
        if at not in self._compute:
            of_kernels = any(law.form == "roofline" for law in self._compute_laws)
            kind = KernelLaws if of_kernels else ComputeLaws
            self._compute[at] = kind(self._id, self._compute_laws, key, self._not_measured.get("compute"))
        return self._compute[at]


class Ready:
    """Keeps the evaluator of a record. Two records are equal whether or not they have been asked anything."""

    def __init__(self) -> None:
        self._sources: tuple[object, ...] = ()
        self._evaluator: Evaluator | None = None

    def of(self, *sources: Any) -> Evaluator:
        """The evaluator of these arguments of Evaluator; made anew where any is another object than before."""
        if self._evaluator is None or any(one is not other for one, other in zip(sources, self._sources)):
            self._sources, self._evaluator = sources, Evaluator(*sources)
        return self._evaluator

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = object.__hash__
