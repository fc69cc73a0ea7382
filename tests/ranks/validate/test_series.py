"""Several emulations in one start of the ranks: each has records of its own, nothing is left for the next."""

from __future__ import annotations

import gc
from dataclasses import asdict

from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.measure.method import Stop
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.records import traces
from inferometer.emulator.validate.series import Series
from inferometer.emulator.validate.settings import PHASES, Emulation
from inferometer.parallel.placement import HostReport, Placement, this_host

LAYOUTS = ({"tp": 2}, {"ep": 2, "micro_batches": 2}, {"pp": 2, "micro_batches": 2}, {"dp": 2})
LAUNCH = 2
QUICK = Stop(min_iterations=6, max_iterations=6, cell_seconds=0.05)
MATRIX = Matrix(
    cells=[
        Emulation(model="mixtral-8x7b", scale=1 / 64, layers=2, batch=4, context=6, world_size=2, stop=QUICK, **layout)
        for layout in LAYOUTS
    ]
)


class Kept:
    def __init__(self):
        self.records = [{"record": "launch", "launch": 0, "one_clock": True}]
        self.phases = []
        self.engines = []

    def began(self, cell, phase):
        self.phases.append((cell, phase))
        self.engines.append(engines())

    def done(self, record):
        self.records.append({"record": record["record"], "launch": 0, **record})


def engines():
    return sum(isinstance(it, Engine) for it in gc.get_objects())


def emulate_all(world, control):
    hosts = [HostReport(**report) for report in control.gather_all("hosts", asdict(this_host()))]
    series = Series(MATRIX, control, Placement.from_reports(hosts), world)
    sink = Kept() if world.rank == 0 else None
    reason = series.carry_out(LAUNCH, lambda: False, sink)
    return reason, series.doing, series.busy_since, engines(), sink and (sink.records, sink.phases, sink.engines)


def test_cells_run_in_the_launchs_order_and_leave_nothing(ranks):
    (reason, doing, busy, left, kept), other = ranks(2, emulate_all)
    assert (reason, doing, busy, left) == ("complete", "between two cells", None, 0) and other[3] == 0
    records, phases, made = kept
    assert [cell for cell, phase in phases if phase == "decode"] == MATRIX.order(LAUNCH) != [0, 1, 2, 3]
    assert set(made) == {1}  # never two models at once
    for cell, layout in enumerate(LAYOUTS):
        for phase in PHASES:
            ((_, found),) = traces(records, phase, cell)
            assert len(found) == 2 and sum(found[0].instrumented & ~found[0].lead) >= 3
            assert any(line.kind in ("send", "recv") for line in found[0].lines) == ("pp" in layout)
            assert any(line.kind == "all_to_all" for line in found[0].lines) == ("ep" in layout)


def routed(world, control):
    """What the routers of a launch sent where, in the first prefill, of launches 0, 0, 1."""
    hosts = [HostReport(**report) for report in control.gather_all("hosts", asdict(this_host()))]
    matrix = Matrix(cells=[MATRIX.cells[1]])
    found = []
    for launch in (0, 0, 1):
        sink = Kept() if world.rank == 0 else None
        Series(matrix, control, Placement.from_reports(hosts), world).carry_out(launch, lambda: False, sink)
        found.append(sink and next(record["executed"] for record in sink.records if record["record"] == "step"))
    return found


def test_every_launch_draws_weights_and_prompts_of_its_own(ranks):
    (one, again, other), _ = ranks(2, routed)
    assert one == again != other
