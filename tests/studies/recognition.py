"""Is the law that made the data the one that is chosen? Designs that can tell the laws apart, seeded trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inferometer.emulator.calibrate.fit.choose import choose_law
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.laws.forms import formula_named, law_of
from inferometer.emulator.calibrate.schema.keys import usable_rows
from tests.studies.synthetic import Noise, synthetic_cells

ONE_NODE = ((2, 1), (4, 1), (8, 1), (16, 1))
NODES = ((2, 1), (8, 1), (4, 1), (2, 2), (8, 2), (4, 4), (16, 4), (8, 8), (32, 8))
SIZES = tuple(512 * 2**k for k in range(18))
SPARSE_SIZES = tuple(512 * 4**k for k in range(10))
#: Measured in one launch, 3 % between cells, no outliers.
NOISE = Noise(launch=0.0, cell=0.03, iteration=0.0, outliers=0.0, cell_outliers=0.0)

#: Like a fast node: µs and GB/s.
STRAIGHT: dict[str, float] = {"a": 8.0, "b": 2.0, "c": 12.0, "B_intra": 100.0, "B_inter": 20.0}


@dataclass(frozen=True)
class Planted:
    """A law by its form, its parameters, and a design of at least 60 cells that can tell it from the others."""

    form: str
    truth: Mapping[str, float] = field(default_factory=lambda: STRAIGHT)
    layouts: tuple[tuple[int, int], ...] = NODES
    sizes: tuple[int, ...] = SPARSE_SIZES
    collective: str = "all_reduce"

    @property
    def cells(self) -> int:
        return len(self.layouts) * len(self.sizes)


PLANTED = (
    Planted("paper", {"a": 6.8, "b": 1.2, "c": 10.0, "B_intra": 225.0, "B_inter": 25.0}),
    Planted("scaled", {"a": 20.4, "b": 3.6, "c": 30.0, "B_intra": 75.0, "B_inter": 25.0 / 3}),
    Planted("affine"),
    Planted("flat_ring"),
    Planted("affine_one_shot"),
    Planted("affine_linear_nodes"),
    Planted("affine_flat_nodes", STRAIGHT | {"c": 60.0}),
    Planted("affine_ring_linear_nodes"),
    Planted("affine_overlap"),
    Planted("smooth", STRAIGHT | {"q": 0.6}, ONE_NODE, SIZES),
    Planted("smooth", STRAIGHT | {"q": 2.5}),
    Planted("two_protocols", STRAIGHT | {"a.2": 40.0, "B_intra": 50.0, "B_intra.2": 300.0}, ONE_NODE, SIZES),
    Planted(
        "three_protocols",
        STRAIGHT | {"a.2": 15.0, "a.3": 60.0, "B_intra": 6.0, "B_intra.2": 40.0, "B_intra.3": 300.0},
        ONE_NODE,
        SIZES,
    ),
    Planted("threshold", STRAIGHT | {"jump": 12.0, "threshold": 50000.0}, ONE_NODE, SIZES, "all_to_all"),
    Planted(
        "affine_bandwidth_per_ranks",
        STRAIGHT | {"B_intra@2": 19.0, "B_intra@4": 6.0, "B_intra@8": 1.5, "B_intra@16": 1.0},
        ONE_NODE,
        SIZES,
    ),
)


def recognise(planted: Planted, seeds: Iterable[int]) -> dict[str, int]:
    """How often each law is chosen from data made by the planted one, laws that coincide under one name."""
    counts = sorted({ranks for ranks, _ in planted.layouts})
    law = law_of(formula_named(planted.form, counts), planted.collective)
    truth = {term.name: planted.truth.get(term.name, 1.0) for term in law.terms}
    chosen: dict[str, int] = {}
    for seed in seeds:
        cells = synthetic_cells(
            planted.collective,
            law,
            truth,
            planted.layouts,
            seed=seed,
            sizes=planted.sizes,
            launches=1,
            iterations=1,
            noise=NOISE,
        )
        choice = choose_law(planted.collective, points_of(usable_rows(cells)[0]))
        twins = {c.name: c.coincides_with or c.name for c in choice.candidates}
        name = planted.form if twins.get(planted.form) == choice.chosen.name else choice.chosen.name
        chosen[name] = chosen.get(name, 0) + 1
    return chosen
