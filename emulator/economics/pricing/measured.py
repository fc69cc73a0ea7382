"""The machine a calibration was measured on, as a place to run models: no datasheet needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def measured_machine(calibration: Calibration, key: Mapping[str, Any]) -> tuple[CalibrationProcessor, Accelerator]:
    """Its compute laws, and one rank of it as an accelerator: an equal share of a node's memory, without a price.

    Raises InputError where the calibration has no compute laws, or does not say how many ranks and bytes a node has.
    """
    processor = CalibrationProcessor(calibration, key)
    provenance = calibration.provenance
    per_node = (provenance.topology or {}).get("ranks_per_node")
    memory = (provenance.hardware or {}).get("memory_bytes")
    ranks = [count for count in per_node if isinstance(count, int) and count > 0] if isinstance(per_node, list) else []
    if not ranks or not isinstance(memory, int | float) or memory <= 0:
        missing = "hardware.memory_bytes" if ranks else "topology.ranks_per_node"
        raise InputError(
            f"calibration {calibration.id[:12]}: provenance.{missing} says nothing usable: give an --accelerator"
        )
    return processor, processor.accelerator(float(memory) / max(ranks), max(ranks))
