"""Probes of the compute side on real ranks."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.measure.method import Method, ProbeModel, Probes, Sweep, Tier
from inferometer.emulator.measure.probes import ModelProbe, probes_of
from inferometer.emulator.measure.probing import probe_all
from inferometer.emulator.measure.runner import Launch
from inferometer.emulator.samples.probe_table import probe_table
from inferometer.parallel.placement import HostReport, Placement

PROBES = Probes(
    rows=[1, 64],
    inner=[32, 256],
    outer=[32, 256],
    working_set_bytes=1 << 20,
    models=[{"model": "mixtral-8x7b", "scale": 1 / 32, "layers": 1}],
    batches=[1, 4],
    contexts=[8, 32],
    prompts=[8, 16],
    seconds=0.01,
)


SHARDED = PROBES.model_copy(
    update={
        "models": [
            ProbeModel(model="mixtral-8x7b", scale=1 / 32, layers=1, ep=2),
            ProbeModel(model="mixtral-8x7b", scale=1 / 32, layers=1, tp=2),
        ]
    }
)


def _probe(world, control, names=None, skip=(), stop_asked=lambda: False, past=False, probes=PROBES):
    sweep = Sweep(name="test", tier=[Tier(collectives=["all_reduce"])], compute=probes)
    method = Method(backend="gloo", world_size=world.size, sizes_bytes=[64], sweep=sweep)
    hosts = [HostReport("host", "boot", "net", 0)] * world.size
    cores = world.size + world.rank  # ranks that see different numbers of cores agree on the least
    launch = Launch(method, control, Placement.from_reports(hosts), world, cores=cores)
    launch.connect()
    records = []
    # only rank 0 knows what to skip, as under torchrun
    skipped = skip if world.rank == 0 else ()
    end, unmade = probe_all(launch, names, skipped, 0.0 if past else None, stop_asked, records.append)
    assert set(unmade) & {record["cell"] for record in records} == set()
    return end, records, [probe.id for probe in probes_of(method, [world.size], world.size)]


def test_probes_are_made_on_one_rank_and_on_both_and_can_be_fitted(ranks, tmp_path):
    (end, records, names), (_, nothing, _) = ranks(2, _probe)
    assert end is None and nothing == [] and [record["cell"] for record in records] == names
    assert {(record["concurrent_ranks"], tuple(record["participants"])) for record in records} == {(1, (0,)), (2, (0, 1))}
    assert {(record["device"], record["launch_mode"]) for record in records} == {("cpu", "host")}
    for record in records:
        for op in record["ops"]:
            assert len(op["ns"]) == record["concurrent_ranks"] and all(len(its) >= 2 for its in op["ns"])
    path = tmp_path / "x.samples.jsonl"
    lines = [{"record": "header", "schema": "inferometer/samples/1"}]
    lines += [{"record": "compute", "launch": 0, **record} for record in records]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    laws = [ComputeLaw.model_validate(law) for law in fit_compute(probe_table(path))]
    found = {(law.kind, law.predecessors, law.op) for law in laws if law.target.concurrent_ranks == 2}
    kinds = {(kind, None, None) for kind in ("matmul", "attention", "stream", "glue")}
    assert kinds | {("glue", None, "moe.up"), ("glue", "moe.router", "moe.up")} <= found
    surface = next(law for law in laws if law.kind == "matmul")
    assert surface.params["64x256x256"].value > surface.params["1x32x32"].value  # 4096 times the work


@pytest.mark.parametrize("size", [2, 4])
def test_sharded_models_run_with_their_collectives_on_all_ranks(ranks, size):
    """Four ranks are two pairs. Of collectives, those are left out that wait for the rank with most tokens (ep)."""
    (end, records, names), *_ = ranks(size, _probe, None, (), lambda: False, False, SHARDED)
    assert end is None and [record["cell"] for record in records] == names
    found = [record for record in records if record["sharded"]]
    assert len(found) == 2 * 6 and {tuple(record["participants"]) for record in found} == {tuple(range(size))}
    ep, tp = ([record for record in found if f"-{name}/" in record["cell"]] for name in ("ep2", "tp2"))
    for record in found:
        assert {op["kind"] for op in record["ops"]} == {"matmul", "attention", "stream", "glue", "collective"}
        assert len({len(its) for op in record["ops"] for its in op["ns"]}) == 1  # as many steps on every rank
    sent = [{op["op"]: op for op in record["ops"] if op["kind"] == "collective"} for record in (ep[0], tp[0])]
    balanced = {"embedding.reduce", "attention.reduce", "moe.counts", "moe.dispatch", "moe.gather", "head.gather"}
    assert (sent[0].keys(), sent[1].keys()) == (
        balanced,
        {"embedding.reduce", "attention.reduce", "moe.reduce", "head.gather"},
    )
    reduce = sent[1]["attention.reduce"]
    assert (reduce["collective"], reduce["ranks"], reduce["bytes"]) == ("all_reduce", 2, 8 * 4 * 128)
    assert reduce["compute_gap_us"] > 0
    ways = [{op.get("predecessors") for op in record["ops"] if op["op"] == "moe.up"} - {None} for record in (ep[0], tp[0])]
    assert ways == [{"moe.router, moe.counts, moe.dispatch"}, {"moe.router"}]


def test_probes_done_before_are_skipped_by_rank_0s_word(ranks):
    names = [probe.id for probe in probes_of_two()]
    (_, records, _), _ = ranks(2, _probe, None, names[1:])
    assert [record["cell"] for record in records] == names[:1]


@pytest.mark.parametrize(("past", "asked", "end"), [(True, False, None), (False, True, "interrupted")])
def test_probes_end_with_their_time_and_when_asked(ranks, past, asked, end):
    (found, records, _), (other, *_) = ranks(2, _probe, None, (), (lambda: True) if asked else (lambda: False), past)
    assert (found, records) == (end, []) and other == end


def probes_of_two():
    sweep = Sweep(name="test", tier=[Tier(collectives=["all_reduce"])], compute=PROBES)
    return probes_of(Method(backend="gloo", world_size=2, sizes_bytes=[64], sweep=sweep), [2], 2)


def test_a_model_probe_runs_the_experts_of_its_program():
    probe = next(probe for probe in probes_of_two() if isinstance(probe, ModelProbe))
    assert probe.model.shape().experts is not None
    assert probe.step.tokens == (probe.batch if probe.phase == "decode" else probe.batch * probe.tokens)
