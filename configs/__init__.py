"""Built-in data: a folder of files for each kind."""

from __future__ import annotations

from pathlib import Path


def folder(kind: str) -> Path:
    """Where the files of a kind are: models, accelerators, calibrations …"""
    return Path(__file__).parent / kind
