"""The paper's frontiers, seconds each, are computed once a session, whoever asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inferometer.emulator.economics.paper.epoch.frontier import EpochFrontier, frontier
from inferometer.emulator.economics.paper.published import epoch

DEFAULTS = {"context": 0.0, "speculator": None, "acceptance": 0.8, "alpha": 3.0}


@pytest.fixture(scope="session")
def paper_frontier() -> Callable[..., EpochFrontier]:
    """``paper_frontier(model, accelerator, speculator=…)``: as ``frontier``."""
    known: dict[str, EpochFrontier] = {}

    def find(*asked: Any, **settings: Any) -> EpochFrontier:
        everything = DEFAULTS | settings
        numbers = {name: float(value) for name, value in everything.items() if name != "speculator"}
        key = repr((asked, everything["speculator"], numbers))
        if key not in known:
            known[key] = frontier(*asked, **settings)
        return known[key]

    return find


@pytest.fixture(scope="session", autouse=True)
def _published_numbers_from_the_same_frontiers(paper_frontier: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch, "frontier", paper_frontier)
        yield
