"""Published constants as a calibration: laws that nobody fitted to anything."""

from __future__ import annotations

from inferometer import __version__
from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.build import validated
from inferometer.emulator.calibrate.fit.record import NAMES
from inferometer.emulator.calibrate.laws.forms import PAPER_PROTOCOLS_FORMULA, law_of
from inferometer.emulator.calibrate.laws.linear import Law, paper
from inferometer.emulator.calibrate.laws.paper import PAPER_PROTOCOLS, SOURCES, paper_parameters
from inferometer.emulator.calibrate.schema.keys import KEY_FIELDS
from inferometer.emulator.calibrate.schema.records import SCHEMA

#: What a decoding step uses; the paper prices them all with one form.
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")
#: NVLink nodes of up to 8, and more of them than anyone serves a model on.
DOMAIN = {
    "bytes": (1, 1 << 40),
    "ranks": [2**k for k in range(1, 13)],
    "nodes": [2**k for k in range(10)],
    "ranks_per_node": [1.0, 2.0, 4.0, 8.0],
}
NO_INTERVAL = "published without one"


def paper_calibration(created: str) -> Calibration:
    """The constants of Erdil, *Inference Economics of Language Models* (eq. 23, 39, 40): LL, one law per collective."""
    models = [_model(collective, paper(collective), paper_parameters(collective)) for collective in COLLECTIVES]
    return _calibration(created, models, "eq. 23, 39, 40", "NCCL's tree with the LL protocol")


def paper_code_calibration(created: str) -> Calibration:
    """The three protocols of the code behind that paper, of which the fastest counts."""
    laws = {collective: law_of(PAPER_PROTOCOLS_FORMULA, collective) for collective in COLLECTIVES}
    models = [_model(collective, law, _of_protocols(collective)) for collective, law in laws.items()]
    return _calibration(created, models, "its code at commit c2c4fa9", "NCCL's protocols LL, LL128, Simple")


def _of_protocols(collective: str) -> dict[str, float]:
    """Parameters of all protocols, in µs and GB/s: those of the first by their plain names, then .2, .3."""
    values: dict[str, float] = {}
    for index, protocol in enumerate(PAPER_PROTOCOLS):
        suffix = f".{index + 1}" if index else ""
        values |= {f"{name}{suffix}": value for name, value in paper_parameters(collective, protocol).items()}
    return values


def _calibration(created: str, models: list[Document], where: str, library: str) -> Calibration:
    return validated(
        {
            "schema": SCHEMA,
            "id": "",
            "created": created,
            "generator": {"name": "inferometer", "version": __version__},
            "provenance": {
                "kind": "published",
                "citation": f"E. Erdil, Inference Economics of Language Models (Epoch AI, 2025), {where}",
                "hardware": {"devices": ["NVIDIA H100 SXM, NVLink 4, one 400 Gb/s InfiniBand port per GPU"]},
                "software": {"versions": [library]},
            },
            "method": {"kind": "published", "bytes_def": "nccl_tests"},
            "quality": {
                "verdict": "usable_with_care",
                "reasons": [
                    "figures by which NCCL ranks algorithms, and a datasheet: not measurements (docs/calibrations.md)"
                ],
            },
            "network_laws": models,
            "not_fitted": [],
            "compute_laws": [],
            "in_step_laws": [],
            "not_measured": {"compute": "not part of these constants", "in_step": "not part of these constants"},
            "launch_floor": [],
            "cells": [],
        }
    )


def _model(collective: str, law: Law, values: dict[str, float]) -> Document:
    params = {
        term.name: {
            "value": values[term.name],
            "unit": term.unit,
            "ci95": None,
            "ci95_reason": NO_INTERVAL,
            "status": "fixed_prior",
            "source": SOURCES[term.name.partition(".")[0]],
        }
        for term in law.terms
    }
    projected: Document = {name: values[parameter] if parameter in params else None for name, parameter in NAMES.items()}
    absent = {name: "this collective has no such term" for name, value in projected.items() if value is None}
    latency = {name: projected.pop(name) for name in ("base", "per_local_rank", "per_log2_node")}
    key = {"collective": collective, "implementation": "nccl", "backend": "nccl", "concurrent_groups": 1}
    return {
        "target": dict.fromkeys(KEY_FIELDS) | key,
        "form": law.name,
        "equation": law.equation,
        "formula": law.formula.model_dump(),
        "params": params,
        "identifiable_combinations": [],
        "cov": None,
        "domain": DOMAIN,
        "fit": None,
        "paper_projection": {
            "t_reduce_us": latency,
            **projected,
            "ci95": dict.fromkeys(NAMES),
            "reasons": dict.fromkeys(NAMES, NO_INTERVAL) | absent,
            "identifiable_combinations": [],
            **dict.fromkeys(("medape", "p90ape", "maxape", "max_rel_dev_vs_full_model")),
        },
        "flags": [],
    }
