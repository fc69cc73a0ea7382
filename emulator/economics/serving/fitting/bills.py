"""The steps behind served points as flat arrays of operations, so that a fit prices all of them at once.

Of each point four steps: decoding alone; decoding with the prompts that enter together on average; with one point's own
prompt; with as many prompt tokens as a step takes. `Bills.step_s` sums the same costs that `EngineProcessor` gives to
pricing.step (a test holds both equal).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.itemised import Itemised
from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.batching.steady import together
from inferometer.emulator.economics.serving.engines.costs import Features, collective_s, costs_of, row_of
from inferometer.emulator.economics.serving.engines.executed import as_engine
from inferometer.emulator.economics.serving.engines.measured import measured_kernels
from inferometer.emulator.economics.serving.engines.parameters import Values, priors
from inferometer.emulator.economics.serving.engines.prices import engine_network
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.economics.serving.points.record import Deployed, ServedPoint
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.step import Step

STEPS = ("decode", "mixed", "own", "full")


@dataclass(frozen=True)
class Bills:
    """features: of all operations; at: point·steps + step of each; repeats. isolated_s, sent_…: of collectives.

    points: those that could be priced. decoding, entering: sequences that decode, prompts in a mixed step.
    """

    points: list[ServedPoint]
    features: Features
    at: NDArray[np.intp]
    repeats: Array
    isolated_s: Array
    sent_at: NDArray[np.intp]
    sent_repeats: Array
    decoding: Array
    entering: Array

    def step_s(self, values: Values) -> Array:
        """Seconds, a row for each point, a column for each of STEPS."""
        costs = costs_of(self.features, values)
        size = len(self.points) * len(STEPS)
        found: Array = np.zeros(size)
        found += np.bincount(self.at, self.repeats * (costs.kernel_s + costs.roof_s + costs.host_s), size)
        found += np.bincount(self.sent_at, self.sent_repeats * collective_s(self.isolated_s, values), size)
        ahead = np.bincount(self.at, self.repeats * costs.ahead_s, size)
        table: Array = np.maximum(found, ahead).reshape(len(self.points), len(STEPS))
        return table

    def taken(self, rows: NDArray[np.bool_]) -> Bills:
        """Of some points only."""
        place = np.where(rows, np.cumsum(rows) - 1, -1)
        point, step = np.divmod(self.at, len(STEPS))
        sent_point, sent_step = np.divmod(self.sent_at, len(STEPS))
        here, sent = rows[point], rows[sent_point]
        return Bills(
            [one for one, keep in zip(self.points, rows) if keep],
            Features(*(part[here] for part in self.features)),
            place[point[here]] * len(STEPS) + step[here],
            self.repeats[here],
            self.isolated_s[sent],
            place[sent_point[sent]] * len(STEPS) + sent_step[sent],
            self.sent_repeats[sent],
            self.decoding[rows],
            self.entering[rows],
        )


def bills_of(points: Sequence[ServedPoint], profile: Profile) -> Bills:
    """The bills of the usable points that have a TPOT. Raises InputError where there are none."""
    groups: dict[Deployed, list[ServedPoint]] = {}
    for point in points:
        if point.usable and point.tpot_ms is not None and point.decoding is not None and point.deployed.layout.pp == 1:
            groups.setdefault(point.deployed, []).append(point)
    kept: list[ServedPoint] = []
    parts: list[_Part] = []
    for deployed, group in groups.items():
        try:
            parts += list(_parts(deployed, group, profile, len(kept)))
        except InputError:  # a width or a layout that nothing prices
            continue
        kept += group
    if not kept:
        raise InputError("no usable point with a TPOT: nothing to fit")
    columns = [np.concatenate(column) for column in zip(*(part.features for part in parts))]
    decoding = _decoding(kept)
    return Bills(
        kept,
        Features(*columns),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.repeats for part in parts]),
        np.concatenate([part.isolated_s for part in parts]),
        np.concatenate([part.sent_at for part in parts]),
        np.concatenate([part.sent_repeats for part in parts]),
        decoding,
        _entering(kept, decoding, profile.scheduler),
    )


@dataclass(frozen=True)
class _Part:
    """One step of all points of one deployment."""

    features: tuple[Array, ...]
    at: NDArray[np.intp]
    repeats: Array
    isolated_s: Array
    sent_at: NDArray[np.intp]
    sent_repeats: Array


def _decoding(points: Sequence[ServedPoint]) -> Array:
    return np.array([(point.decoding or 1.0) / point.deployed.layout.dp for point in points])


def _entering(points: Sequence[ServedPoint], decoding: Array, scheduler: Scheduler) -> Array:
    """Prompts in a step that holds any, in each share of the sequences."""
    prompt = np.array([point.client.prompt.mean for point in points])
    further = np.array([max(point.client.output.mean - 1.0, 1.0) for point in points])
    shares = np.array([point.deployed.layout.sequence_shares for point in points])
    looks = np.array([point.deployed.receive_steps for point in points])
    most = np.maximum(scheduler.budget / prompt, 1.0)
    found: Array = np.minimum(together(looks * np.maximum(decoding - 1, 0) / shares / further), most)
    return found


def _parts(deployed: Deployed, group: Sequence[ServedPoint], profile: Profile, first: int) -> Iterator[_Part]:
    device = load_accelerator(deployed.accelerator)
    shape, precision = stored_as(deployed.model, deployed.weights, deployed.kv_bits)
    network = engine_network(profile, device, precision, priors() | {"reduce_scale": 1.0, "reduce_s": 0.0})
    measured = measured_kernels(profile.measured.get(device.name))
    decoding = _decoding(group)
    for number, step in enumerate(_steps(group, decoding, profile.scheduler, deployed.layout.sequence_shares)):
        program = as_engine(
            build(shape, deployed.layout, step, precision=precision, node_size=device.node_size, routing="random")
        )
        bill = Itemised(program, 1)
        repeats, sent = _repeats(bill)
        merged: dict[int, int] = {}
        """Alike operations of different layers differ in their predecessors only, which nothing here depends on."""
        for at, call in enumerate(bill.calls):
            if (first_at := merged.setdefault(id(call.op), at)) != at:
                repeats[first_at] += repeats[at]
        calls = [bill.calls[at] for at in merged.values()]
        rows = [
            row_of(call, device, profile.kernels, profile.host, precision, alone)
            for call, alone in zip(calls, measured.seconds(calls, precision))
        ]
        size = len(group)
        where = (first + np.arange(size)) * len(STEPS) + number
        features = tuple(
            np.concatenate([np.broadcast_to(np.asarray(row[at], dtype=float), (size,)) for row in rows])
            for at in range(len(Features._fields))
        )
        seconds, counts = [], []
        for op, count in zip(bill.collectives, sent):
            time = network.time(op.collective, op.bytes, op.ranks, op.nodes)
            seconds.append(np.broadcast_to(time.total_s, (size,)))
            counts.append(np.full(size, count))
        yield _Part(
            features,
            np.tile(where, len(rows)),
            np.repeat(repeats[list(merged.values())], size),
            np.concatenate(seconds) if seconds else np.zeros(0),
            np.tile(where, len(seconds)),
            np.concatenate(counts) if counts else np.zeros(0),
        )


def _repeats(bill: Itemised) -> tuple[Array, Array]:
    """How often each different computation and collective runs in a step, over all its stages."""
    computed, sent = np.zeros(len(bill.calls)), np.zeros(len(bill.collectives))
    for key in bill.keys:
        for run in bill.runs[key]:
            for entry in run.entries:
                (sent if entry.collective else computed)[entry.index] += float(np.mean(run.repeat))
    return computed, sent


def _steps(group: Sequence[ServedPoint], decoding: Array, scheduler: Scheduler, shares: int) -> Iterator[Step]:
    prompt = np.array([point.client.prompt.mean for point in group])
    context = prompt + np.array([point.client.output.mean for point in group]) / 2
    mixed = scheduler.prompts == "mixed"
    beside = decoding if mixed else np.full_like(decoding, 1e-6)
    room = np.maximum(scheduler.budget - (decoding / shares if mixed else 0.0), 1.0)
    entering = np.minimum(prompt * _entering(group, decoding, scheduler), room)
    own, full = np.minimum(prompt, room), room
    yield Step(decoding, 1, context)
    for tokens in (entering, own, full):
        yield Step(beside, 1, context, tokens * shares, np.minimum(prompt, room) / 2)
