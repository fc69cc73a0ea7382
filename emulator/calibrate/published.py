"""Published constants as a calibration: laws that nobody fitted to anything."""

from __future__ import annotations

from typing import Any

from inferometer.emulator.calibrate.build import validated, version_here
from inferometer.emulator.calibrate.calibration import Calibration
from inferometer.emulator.calibrate.keys import KEY_FIELDS
from inferometer.emulator.calibrate.laws import paper
from inferometer.emulator.calibrate.prior import SOURCES, paper_parameters
from inferometer.emulator.calibrate.projection import NAMES
from inferometer.emulator.calibrate.records import SCHEMA

Document = dict[str, Any]

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
    """The constants of Erdil, *Inference Economics of Language Models* (eq. 23, 39, 40), one law per collective.

    One protocol (LL), as in the text; the three that the paper's code takes the fastest of have slopes of their own, which
    no law here has: they price whatever is predicted without a calibration.
    """
    models = [_model(collective) for collective in COLLECTIVES]
    return validated(
        {
            "schema": SCHEMA,
            "id": "",
            "created": created,
            "generator": {"name": "inferometer", "version": version_here()},
            "provenance": {
                "kind": "published",
                "citation": "E. Erdil, Inference Economics of Language Models (Epoch AI, 2025), eq. 23, 39, 40",
                "hardware": {"devices": ["NVIDIA H100 SXM, NVLink 4, one 400 Gb/s InfiniBand port per GPU"]},
                "software": {"versions": ["NCCL's tree with the LL protocol"]},
            },
            "method": {"kind": "published", "bytes_def": "nccl_tests"},
            "quality": {
                "verdict": "usable_with_care",
                "reasons": [
                    "figures by which NCCL ranks algorithms, and a datasheet: not measurements (docs/calibrations.md)"
                ],
            },
            "models": models,
            "not_fitted": [],
            "compute": [],
            "skew": [],
            "not_measured": {"compute": "not part of these constants", "skew": "not part of these constants"},
            "launch_floor": [],
            "cells": [],
        }
    )


def _model(collective: str) -> Document:
    law, values = paper(collective), paper_parameters(collective)
    params = {
        term.name: {
            "value": values[term.name],
            "unit": term.unit,
            "ci95": None,
            "ci95_reason": NO_INTERVAL,
            "status": "fixed_prior",
            "source": SOURCES[term.name],
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
