"""What a deployment's operations cost: network, computing, in-step overheads, put together once from what is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.accelerators import built_in_of, load_accelerator
from inferometer.emulator.economics.pricing.constants import ConstantNetwork, RingNetwork
from inferometer.emulator.economics.pricing.network import InStepOverhead, Network
from inferometer.emulator.economics.pricing.processor import Datasheet, Processor
from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import state_of
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor


@dataclass(frozen=True)
class Prices:
    """What collectives and computations cost.

    processor None: nothing is known of computing, which is left out; no_compute says why. in_step None: nothing is known of
    what collectives cost in a step beyond their isolated time. accelerator: the device as a datasheet has it, where one was
    asked for. precision: the widths that were asked for, or else measured. calibration: the one whose laws price something,
    collectives first. computing: in words, which of calibration and datasheet prices computing, where both could.
    joined: the device whose computing is priced, where collectives are of a calibration of their own.
    """

    network: Network
    processor: Processor | None
    in_step: InStepOverhead | None = None
    precision: Precision = field(default_factory=Precision)
    accelerator: Accelerator | None = None
    calibration: Calibration | None = None
    no_compute: str = ""
    computing: str = ""
    joined: str = ""

    @property
    def mismatch(self) -> str | None:
        """In words, that the network was measured on other devices than the datasheet is of."""
        from inferometer.emulator.economics.pricing.mismatch import mismatch

        if self.calibration is None or self.accelerator is None:
            return None
        if not self.joined and not isinstance(self.processor, Datasheet):
            return None
        return mismatch(self.calibration, self.joined or self.accelerator.name)

    @property
    def device(self) -> Accelerator:
        """The accelerator. Raises InputError where none was asked for."""
        if self.accelerator is None:
            raise InputError("prices without an accelerator say nothing of memory, nodes and dollars")
        return self.accelerator


def datasheet_prices(accelerator: Accelerator, network: Network | None = None, precision: Precision | None = None) -> Prices:
    """An accelerator's datasheet with a network; without one the paper's constants on its links."""
    network = constants_on(accelerator) if network is None else network
    return Prices(network, Datasheet(accelerator), None, precision or Precision(), accelerator)


def prices_of(
    calibration: str | Path | Calibration | None,
    accelerator: str | Path | Accelerator | None,
    *,
    precision: Precision | None = None,
    key: Mapping[str, Any] | None = None,
    usd_per_hour: float | None = None,
    network_calibration: str | Path | Calibration | None = None,
) -> Prices:
    """The prices of a deployment.

    calibration: a file, a built-in name or a record, whose laws replace the paper's constants; key narrows the choice among
    them. accelerator: a built-in name, a TOML file or a record; None is the machine that the calibration has measured. Where
    it has measured the kernels of this very accelerator, their laws price computing too.
    network_calibration: whose laws price collectives, in place of the calibration's.
    precision None: 16 bits throughout, without an accelerator what was measured.

    Raises InputError for anything that cannot be found or read, and where nothing says what computing costs.
    """
    key = key or {}
    laws = loaded(calibration)
    if accelerator is None:
        if laws is None:
            raise InputError("give an --accelerator, or a --calibration whose compute terms say what a machine does")
        found = measured_prices(laws, precision=precision, key=key, network_calibration=network_calibration)
        assert found.processor is not None
        return replace(found, accelerator=at_price(found.device, usd_per_hour))
    device = _device(str(accelerator), state_of(Path(accelerator))) if isinstance(accelerator, str | Path) else accelerator
    precision = precision or Precision()
    network, in_step, source = _collectives(calibration, network_calibration, device, precision, key)
    processor, why = _processor(laws, device, precision, key)
    device = at_price(device, usd_per_hour)
    joined = "" if network_calibration is None else device.name
    return Prices(network, processor, in_step, precision, device, source or laws, computing=why, joined=joined)


def _collectives(
    calibration: str | Path | Calibration | None,
    network_calibration: str | Path | Calibration | None,
    device: Accelerator | None,
    precision: Precision,
    key: Mapping[str, Any],
) -> tuple[Network, InStepOverhead | None, Calibration | None]:
    """What collectives cost, also in a step, and the calibration that says so. One of collectives alone has priority."""
    # What a calibration needs is imported where there is one: pydantic's records of it take longer than a prediction.
    source, beside = (calibration, False) if network_calibration is None else (network_calibration, True)
    network = network_of(source, device, precision, key, beside=beside)
    laws = loaded(source)
    if laws is None:
        return network, None, None
    from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep

    return network, CalibrationInStep(laws, key), laws


def _processor(
    laws: Calibration | None, device: Accelerator, precision: Precision, key: Mapping[str, Any]
) -> tuple[Processor, str]:
    """The kernels that a calibration has measured on this accelerator, else its datasheet; which, where kernels were."""
    if laws is None or not any(law.form == "roofline" for law in laws.compute_laws):
        return Datasheet(device), ""
    from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor

    try:
        processor = CalibrationProcessor(laws, key)
        known = built_in_of(processor.device)
        if known is None or known.name != device.name:
            return Datasheet(device), ""
        processor.check(precision)
    except InputError as error:
        return Datasheet(device), f"computing is priced by the datasheet: {error}"
    return processor, f"computing: {processor.name}"


def measured_prices(
    calibration: Calibration,
    *,
    precision: Precision | None = None,
    key: Mapping[str, Any] | None = None,
    as_machine: bool = True,
    network_calibration: str | Path | Calibration | None = None,
) -> Prices:
    """The prices of the machine that a calibration has measured, everything by its laws; collectives by those of
    network_calibration, where one is given.

    as_machine: with the machine as an accelerator, one rank of it a device with an equal share of a node's memory, without a
    price; or a GPU, with the memory and the price of the built-in accelerator of its name. Raises InputError then where the
    calibration has no compute laws, or does not say how many ranks and bytes a node has. Otherwise a calibration without
    compute laws prices collectives alone, and no_compute says why.
    """
    from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor

    key = key or {}
    processor, device, no_compute = None, None, ""
    try:
        processor = CalibrationProcessor(calibration, key)
    except InputError as error:
        if as_machine:
            raise
        no_compute = str(error)
    if processor is not None and as_machine:
        device = _machine(calibration, processor)
        precision = precision or processor.measured_precision()
    precision = precision or Precision()
    network, in_step, source = _collectives(calibration, network_calibration, device, precision, key)
    joined = "" if network_calibration is None or processor is None else _known_name(processor.device)
    return Prices(network, processor, in_step, precision, device, source or calibration, no_compute, joined=joined)


def _known_name(device: str) -> str:
    """As the built-in accelerators call a device."""
    known = built_in_of(device)
    return device if known is None else known.name


def network_of(
    calibration: str | Path | Calibration | None,
    device: Accelerator | None,
    precision: Precision,
    key: Mapping[str, Any],
    *,
    beside: bool = False,
) -> Network:
    """The calibration's laws or NCCL's own model; without a calibration the paper's constants on the device's links.

    device: needed without a calibration's laws. beside: the key chooses among another calibration's laws of kernels too.
    """
    if "collective" in key:
        raise InputError("--key collective=…: every collective is priced by its own law; narrow by another field")
    if calibration is None:
        if key:
            raise InputError("a key chooses among the laws of a calibration: give one")
        assert device is not None
        return constants_on(device)
    if _computed(calibration):
        assert device is not None
        from inferometer.emulator.economics.pricing.tuned import TunerNetwork

        return TunerNetwork(calibration, device, {} if beside else key)
    from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork

    laws = loaded(calibration)
    assert laws is not None
    return CalibrationNetwork(laws, bits=int(precision.residual_bytes * 8), key=key, beside=beside)


def constants_on(device: Accelerator) -> Network:
    """The paper's constants on a device's links."""
    return RingNetwork(device) if device.collectives == "ring" else ConstantNetwork(device)


def loaded(calibration: str | Path | Calibration | None) -> Calibration | None:
    """The calibration by name or file; None where there is none, or only a model that NCCL computes."""
    if calibration is None or _computed(calibration):
        return None
    if isinstance(calibration, str | Path):
        return _read(str(calibration), state_of(Path(calibration)))
    return calibration


def _computed(calibration: object) -> TypeGuard[str]:
    """Whether this is the name of NCCL's own model."""
    from inferometer.emulator.calibrate.evaluate.file import computed

    return isinstance(calibration, str) and computed(calibration)


@lru_cache(maxsize=8)
def _read(name: str, state: tuple[int, int, int] | None) -> Calibration:
    """A calibration is read once for as long as its file is not changed. state: of the file, None for a built-in name."""
    from inferometer.emulator.calibrate.evaluate.file import load_calibration

    return load_calibration(name)


@lru_cache(maxsize=32)
def _device(name: str, state: tuple[int, int, int] | None) -> Accelerator:
    return load_accelerator(name)


def at_price(device: Accelerator, usd_per_hour: float | None) -> Accelerator:
    """The accelerator, at the price given instead of its own."""
    if usd_per_hour is None:
        return device
    if not usd_per_hour > 0:
        raise InputError(f"usd-per-hour = {usd_per_hour:g} must be above 0")
    return replace(device, usd_per_hour=usd_per_hour)


def _machine(calibration: Calibration, processor: CalibrationProcessor) -> Accelerator:
    """What was measured as an accelerator: its measured rates; memory, node and price of a device that is built in.

    Raises InputError where neither the calibration nor a datasheet says how much memory there is.
    """
    known = built_in_of(processor.device)
    if known is None:
        return processor.accelerator(*_memory_of(calibration))
    return processor.accelerator(known.memory_bytes, known.node_size, known.usd_per_hour)


def _memory_of(calibration: Calibration) -> tuple[float, int]:
    """Bytes of one rank's share of a node's memory, ranks of a node."""
    provenance = calibration.provenance
    per_node = (provenance.topology or {}).get("ranks_per_node")
    memory = (provenance.hardware or {}).get("memory_bytes")
    ranks = [count for count in per_node if isinstance(count, int) and count > 0] if isinstance(per_node, list) else []
    if not ranks or not isinstance(memory, int | float) or memory <= 0:
        missing = "hardware.memory_bytes" if ranks else "topology.ranks_per_node"
        raise InputError(
            f"calibration {calibration.id[:12]}: provenance.{missing} says nothing usable: give an --accelerator"
        )
    return float(memory) / max(ranks), max(ranks)
