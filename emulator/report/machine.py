"""The machine that a calibration was made on, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def machine_words(calibration: Calibration) -> str:
    """``8 × NVIDIA H100 80GB HBM3; 8 ranks on 1 node``, or the processor with its usable cores."""
    place = calibration.provenance
    hardware: dict[str, Any] = dict(place.hardware or {})
    topology: dict[str, Any] = dict(place.topology or {})
    on_gpus = any(cell.target.launch_mode not in ("host", None) for cell in calibration.cells)
    used = topology.get("devices")  # GPUs that the ranks computed on: on a GPU machine they may have used the processor
    gpus = (used or hardware.get("gpus") or []) if on_gpus or used else []
    imported = ", ".join(hardware.get("devices") or []) or "an unknown machine"
    processor, cores = hardware.get("cpu_model"), hardware.get("cores_usable")
    here = ", ".join([str(processor)] + [f"{cores} usable cores"] * (cores is not None)) if processor else imported
    what = f"{len(gpus)} × {gpus[0]}" if gpus else here
    return what + (f"; {topology['ranks']} ranks on {nodes_words(topology.get('nodes'))}" if topology.get("ranks") else "")


def implementations(calibration: Calibration) -> dict[str, int]:
    """Launches by implementation and scheduler."""
    launches: dict[str, int] = {}
    for cell in calibration.cells:
        scheduler = f"scheduler {cell.target.scheduler}" if cell.target.scheduler else None
        known = [word for word in (cell.target.implementation or cell.target.backend, scheduler) if word]
        how = ", ".join(known) or "unknown implementation"
        launches[how] = max(launches.get(how, 0), len(cell.launch_medians))
    return dict(sorted(launches.items()))


def nodes_words(count: int | None) -> str:
    return "an unknown number of nodes" if count is None else f"{count} node{'' if count == 1 else 's'}"
