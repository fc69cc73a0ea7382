"""What a user asks for, by names and numbers, turned into a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.calibrate.evaluate.builtin import computed
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.pricing.constants import ConstantNetwork, RingNetwork
from inferometer.emulator.economics.pricing.measured import measured_machine
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.tuned import TunerNetwork
from inferometer.emulator.economics.serving.deployable import MEMORY_RESERVE, Load
from inferometer.emulator.economics.serving.scenario import Scenario, Speculation
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Shape

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


@dataclass(frozen=True)
class Request:
    """The deployable question, but for the layout and the batch.

    model: a built-in name, a config.json or a Shape; accelerator: a built-in name, a TOML file or an Accelerator, None for
    the machine that the calibration has measured; calibration: a file, a built-in name or a Calibration, whose laws
    replace the paper's constants; key narrows the choice among its laws. precision: None is 16 bits throughout, without
    an accelerator what was measured.
    """

    model: str | Path | Shape
    accelerator: str | Path | Accelerator | None
    load: Load
    precision: Precision | None = None
    calibration: str | Path | Calibration | None = None
    key: Mapping[str, Any] = field(default_factory=dict)
    usd_per_hour: float | None = None
    routing: Routing = "random"
    memory_reserve: float = MEMORY_RESERVE
    speculator: str | Path | Shape | None = None
    acceptance: float = 0.8

    def scenario(self) -> Scenario:
        """Raises InputError for anything that cannot be found, read or priced."""
        calibration, processor = loaded(self.calibration), None
        precision = self.precision or Precision()
        if self.accelerator is None:
            if calibration is None:
                raise InputError("give an --accelerator, or a --calibration whose compute terms say what a machine does")
            processor, device = measured_machine(calibration, self.key)
            precision = self.precision or processor.measured_precision()
        else:
            device = load_accelerator(self.accelerator) if isinstance(self.accelerator, str | Path) else self.accelerator
        speculation = None
        if self.speculator is not None:
            speculation = Speculation(shape_of(self.speculator), self.acceptance)
        return Scenario(
            shape_of(self.model),
            at_price(device, self.usd_per_hour),
            network_of(calibration or self.calibration, device, precision, self.key),
            self.load,
            precision,
            self.routing,
            self.memory_reserve,
            speculation,
            processor,
            None if calibration is None else CalibrationInStep(calibration, self.key),
        )


def loaded(calibration: str | Path | Calibration | None) -> Calibration | None:
    """The calibration by name or file; None where there is none, or only a model that NCCL computes."""
    if calibration is None or (isinstance(calibration, str) and computed(calibration)):
        return None
    if isinstance(calibration, str | Path):
        from inferometer.emulator.calibrate.evaluate.file import load_calibration

        return load_calibration(calibration)
    return calibration


def network_of(
    calibration: str | Path | Calibration | None, device: Accelerator, precision: Precision, key: Mapping[str, Any]
) -> Network:
    """The calibration's laws or NCCL's own model; without a calibration the paper's constants on the device's links."""
    if "collective" in key:
        raise InputError("--key collective=…: every collective is priced by its own law; narrow by another field")
    if calibration is None:
        if key:
            raise InputError("a key chooses among the laws of a calibration: give one")
        return RingNetwork(device) if device.collectives == "ring" else ConstantNetwork(device)
    if isinstance(calibration, str) and computed(calibration):
        return TunerNetwork(calibration, device, key)
    laws = loaded(calibration)
    assert laws is not None
    return CalibrationNetwork(laws, bits=int(precision.residual_bytes * 8), key=key)


def shape_of(model: str | Path | Shape) -> Shape:
    return model if isinstance(model, Shape) else load_shape(model)


def at_price(device: Accelerator, usd_per_hour: float | None) -> Accelerator:
    """The accelerator, at the price given instead of its own."""
    if usd_per_hour is None:
        return device
    if not usd_per_hour > 0:
        raise InputError(f"usd-per-hour = {usd_per_hour:g} must be above 0")
    return replace(device, usd_per_hour=usd_per_hour)
