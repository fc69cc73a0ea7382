"""The frontier of speed and cost over the paper's grid, with its fastest, cheapest, preferred point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.grid import paper_grid
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.predict import mfu, usd_per_mtok
from inferometer.emulator.economics.paper.epoch.question import Question, ask
from inferometer.emulator.economics.paper.epoch.speculation import Decoding, decode
from inferometer.emulator.economics.paper.epoch.stage import degrees
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Slowest threshold over the fastest point's latency.
LATENCY_RANGE = 100.0
#: The grid is looked at in steps of so many points first: what they find rules out most of the others.
COARSE_STEPS = (16, 4, 1)
#: Points this little worse than known ones are still priced: rounding decides about none.
MARGIN = 1 + 1e-9


@dataclass(frozen=True)
class EpochFrontier:
    """Points that nothing beats, fastest first.

    points has the columns gpus, batch, token_latency_s, tokens_per_s, usd_per_mtok (NaN without a price), gpu_s_per_token,
    mfu, gamma (1: no speculation), two_d, pp, ep, tp_ff, tp_attention, attention_scale_down, micro_batch.
    """

    points: pd.DataFrame
    alpha: float

    @property
    def fastest(self) -> pd.Series:
        return self.points.iloc[0]

    @property
    def cheapest(self) -> pd.Series:
        return self.points.iloc[-1]

    @cached_property
    def preferred(self) -> pd.Series:
        """The greatest speed^alpha / cost (Erdil 2025, eq. 45)."""
        worth = self.points["tokens_per_s"] ** self.alpha / self.points["gpu_s_per_token"]
        return self.points.iloc[int(np.argmax(worth))]


def frontier(
    model: PaperModel,
    accelerator: Accelerator,
    *,
    context: float = 0.0,
    network: Network | None = None,
    speculator: PaperModel | None = None,
    acceptance: float = 0.8,
    gamma_max: int = 5,
    demand_cap: float = np.inf,
    alpha: float = 3.0,
    points: int = 400,
    thresholds: int = 1000,
) -> EpochFrontier:
    """The frontier over points × points of the paper's grid; demand_cap: most tokens/s of a whole instance.

    Raises InputError where nothing on the grid fits or serves so little demand, and as `predict` does.
    """
    question = ask(
        model,
        accelerator,
        context=context,
        network=network,
        speculator=speculator,
        acceptance=acceptance,
        gamma_max=gamma_max,
    )
    for name, value in (("demand_cap", demand_cap), ("alpha", alpha)):
        if not value > 0:
            raise InputError(f"{name} = {value:g} must be above 0")
    for name, count in (("points", points), ("thresholds", thresholds)):
        if count < 2:
            raise InputError(f"{name} = {count} must be at least 2")
    gpus, batch = paper_grid(model, accelerator, points)
    found = _promising(question, gpus, batch, demand_cap)
    latency_s = found.latency_s
    if not np.isfinite(latency_s).any():
        raise InputError(f"{model.name} fits on no grid point of {accelerator.name} at context {context:g}")
    times, costs = _times_and_costs(latency_s, gpus, batch, demand_cap)
    limits_s = latency_s.min() * np.geomspace(1.0, LATENCY_RANGE, thresholds)
    rows = cheapest_within(times, limits_s, undominated(times, costs))
    if not len(rows):
        raise InputError(f"{model.name}: no instance of {accelerator.name} serves less than {demand_cap:g} tokens/s")
    return EpochFrontier(_table(question, gpus, batch, found, rows), alpha)


def undominated(latency_s: Array, cost: Array) -> NDArray[np.intp]:
    """Positions of the points that no other is both faster and cheaper than, fastest first; infinite ones are none."""
    known = np.flatnonzero(np.isfinite(latency_s))
    order = known[np.argsort(latency_s[known], kind="stable")]
    cheapest = np.minimum.accumulate(cost[order])
    return order[np.r_[True, cheapest[1:] < cheapest[:-1]]] if len(order) else order


def cheapest_within(latency_s: Array, limits_s: Array, points: NDArray[np.intp]) -> NDArray[np.intp]:
    """Which of the undominated points are the cheapest within some latency limit."""
    within = np.searchsorted(latency_s[points], limits_s, side="right")
    return points[np.unique(within[within > 0]) - 1]


def _promising(question: Question, gpus: Array, batch: Array, demand_cap: float) -> Decoding:
    """Exact latencies wherever a point may be on the frontier; inf at points that others beat for certain."""
    below = None
    for step in COARSE_STEPS:
        axes = gpus[::step], batch[::step]
        found = decode(question.forward, question.speculation, *axes, below)
        if step > 1 and np.isfinite(found.latency_s).any():
            finer = COARSE_STEPS[COARSE_STEPS.index(step) + 1]
            times, costs = _times_and_costs(found.latency_s, *axes, demand_cap)
            known = undominated(times, costs)
            per_gpu = batch[None, ::finer] / gpus[::finer, None]
            beaten_s = beaten_above(times[known], costs[known], per_gpu)
            below = MARGIN * np.minimum(beaten_s, LATENCY_RANGE * found.latency_s.min())
    return found


def beaten_above(times: Array, costs: Array, per_gpu: Array) -> Array:
    """The latency above which some known point is both faster and cheaper than a point with b/N = per_gpu.

    A point (N, b) costs N t/b. A known one (t', c') beats it as soon as t > t' and N t/b > c', so the earliest of them
    does above the least max(t', c' b/N). times grow and costs fall along known points: the least lies where the two
    cross. inf where nothing is known.
    """
    crossing = np.searchsorted(times / costs, per_gpu)
    after = np.r_[times, np.inf][crossing]
    before = np.r_[np.inf, costs][crossing] * per_gpu
    return np.minimum(after, before)


def _times_and_costs(latency_s: Array, gpus: Array, batch: Array, demand_cap: float) -> tuple[Array, Array]:
    """Seconds, inf above the demand cap, with GPU-seconds per token, both flat."""
    times = np.where(batch / latency_s <= demand_cap, latency_s, np.inf)
    return times.ravel(), (gpus[:, None] * latency_s / batch).ravel()


def _table(question: Question, gpus: Array, batch: Array, found: Decoding, rows: NDArray[np.intp]) -> pd.DataFrame:
    import pandas as pd

    forward = question.forward
    row, column = np.divmod(rows, len(batch))
    gpus, batch, latency_s = gpus[row], batch[column], found.latency_s[row, column]
    price = forward.accelerator.usd_per_hour
    columns: dict[str, Any] = {
        "gpus": gpus,
        "batch": batch,
        "token_latency_s": latency_s,
        "tokens_per_s": 1 / latency_s,
        "usd_per_mtok": np.nan if price is None else usd_per_mtok(gpus, batch, latency_s, price),
        "gpu_s_per_token": gpus * latency_s / batch,
        "mfu": mfu(forward, gpus, batch, latency_s),
        "gamma": found.gamma[row, column],
    }
    return pd.DataFrame(columns | degrees(forward.model, gpus, batch, found.candidate[row, column]))
