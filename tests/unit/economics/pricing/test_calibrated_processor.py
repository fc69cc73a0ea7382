"""Computing priced by a calibration's laws."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw, MatmulResidual, SizesResidual
from inferometer.emulator.calibrate.schema.records import Provenance
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.pricing.processor import Datasheet
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.frontier import Search, frontier
from inferometer.emulator.economics.serving.predict import predict
from inferometer.emulator.economics.serving.pricer import Pricer
from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.predicted import mean_over_ranks
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute
from inferometer.emulator.workload.scaled import scaled
from inferometer.emulator.workload.step import Step
from tests.studies import planted_compute as planted

WIDE = Precision(32, 32, 32)
SMALL = scaled(load_shape("llama-3-70b"), 1 / 16, 4).shape
NETWORK = ConstantNetwork(load_accelerator("h100-sxm"))


@pytest.fixture(scope="module")
def calibration():
    laws = [ComputeLaw.model_validate(document) for document in fit_compute(planted.probes(noise=0.02))]
    laws += [ComputeLaw.model_validate(d) for d in fit_compute(planted.probes(noise=0.02, concurrent_ranks=2, slower=1.5))]
    hardware = {"memory_bytes": 64e9}
    where = Provenance(kind="measured", hardware=hardware, topology={"ranks_per_node": [2]})
    return load_calibration("b200-nccl").model_copy(update={"compute_laws": laws, "provenance": where})


def priced(program, processor, **how):
    return step_time(program, Prices(NETWORK, processor), **how)


def predicted(program, processor, *, uneven=None, **how):
    """As means over ranks."""
    return mean_over_ranks(priced(program, processor, busiest=uneven, **how))


def program(layout=None, step=None):
    return build(SMALL, layout or Layout(), step or Step.decode(8, 512), precision=WIDE, node_size=2)


def test_operations_add_up_to_the_step(calibration):
    terms = priced(program(), CalibrationProcessor(calibration)).terms
    step = predicted(program(), CalibrationProcessor(calibration))
    assert terms.total_s == pytest.approx(step.total_s, rel=1e-12)
    assert sum(step.by_op.values()) + step.kinds["glue"] == pytest.approx(step.total_s, rel=1e-12)
    assert {"in_step_s", "compute_s", "roof_s"} & terms.keys() == {"compute_s"}


def test_a_matmul_costs_what_its_surface_says(calibration):
    step = predicted(program(), CalibrationProcessor(calibration))
    up = SMALL.layers * planted.matmul_us(8, SMALL.d_model * 2 * SMALL.d_ff) * 1e-6
    assert step.by_op["ffn.up"] == pytest.approx(up, rel=0.1)


def test_a_matmul_follows_those_like_it_seen_in_models(calibration):
    shape = {"rows": 8.0, "inner": SMALL.d_model, "outer": 2 * SMALL.d_ff, "grouped": False, "sharded": False}
    residuals = [MatmulResidual(**shape, ratio=1.2)]
    laws = [
        law.model_copy(update={"residuals": residuals if law.kind == "matmul" else None}) for law in calibration.compute_laws
    ]
    more, less = (
        predicted(program(), CalibrationProcessor(calibration.model_copy(update={"compute_laws": its})))
        for its in (laws, bare(calibration))
    )
    assert more.by_op["ffn.up"] == pytest.approx(1.2 * less.by_op["ffn.up"], rel=0.02)
    assert less.by_op["attention.out"] < more.by_op["attention.out"] < 1.2 * less.by_op["attention.out"]
    assert more.by_op["attention.core"] == less.by_op["attention.core"]


def bare(calibration):
    """Its laws without residuals."""
    return [law.model_copy(update={"residuals": None}) for law in calibration.compute_laws]


def of_sharded(law, factor=1.0, **changes):
    params = {name: p.model_copy(update={"value": (p.value or 0.0) * factor}) for name, p in law.params.items()}
    return law.model_copy(update={"sharded": True, "params": params} | changes)


def test_steps_with_collectives_are_priced_by_the_laws_of_such_steps(calibration):
    lines = [law for law in calibration.compute_laws if law.kind != "matmul" and law.target.concurrent_ranks == 2]
    twice = calibration.model_copy(
        update={"compute_laws": [*calibration.compute_laws, *(of_sharded(law, 2.0) for law in lines)]}
    )
    for layout, factor in ((Layout(tp=2), 2.0), (Layout(dp=2), 1.0), (Layout(pp=2), 1.0)):
        here = build(SMALL, layout, Step.decode(8, 512), precision=WIDE, node_size=2)
        cold, warm = (predicted(here, CalibrationProcessor(its), concurrent_ranks=2) for its in (twice, calibration))
        for kind, times in (("attention", factor), ("stream", factor), ("glue", factor), ("matmul", 1.0)):
            assert cold.kinds[kind] == pytest.approx(times * warm.kinds[kind], rel=0.1), (layout, kind)


def test_a_way_through_a_collective_has_its_own_law_or_that_of_the_way_without(calibration):
    way = next(
        law for law in calibration.compute_laws if (law.kind, law.op, law.target.concurrent_ranks) == ("glue", "ffn.norm", 2)
    )
    here = build(SMALL, Layout(tp=2), Step.decode(8, 512), precision=WIDE, node_size=2)
    laws = [*calibration.compute_laws, of_sharded(way, 10.0, predecessors="attention.out, attention.reduce")]
    own = CalibrationProcessor(calibration.model_copy(update={"compute_laws": laws}))
    plain = CalibrationProcessor(calibration)
    norm = next(op for op in here.stages[0] if op.name == "ffn.norm")
    after = ("attention.out", "attention.reduce")
    calls = [Call(norm, after, 2, True), Call(norm, after[:1], 2, True), Call(norm, after, 2, False)]
    leads = [time.lead_s for processor in (own, plain) for time in processor.times(calls, WIDE)]
    assert leads[0] == pytest.approx(10 * leads[1]) and leads[1] == leads[2] == leads[3] == leads[4] == leads[5] > 0


def with_laws(calibration, *laws):
    return CalibrationProcessor(calibration.model_copy(update={"compute_laws": [*calibration.compute_laws, *laws]}))


def times(law, factor, **about):
    """The law with every parameter so many times as large, of another place among the laws."""
    return of_sharded(law, factor, sharded=False, **about)


def test_an_operation_is_priced_by_the_law_of_its_way_of_itself_or_of_its_kind(calibration):
    kind = next(
        law for law in calibration.compute_laws if (law.kind, law.op, law.target.concurrent_ranks) == ("stream", None, 1)
    )
    norm = next(op for op in program().stages[0] if op.name == "ffn.norm")
    its_own = times(kind, 3.0, op="ffn.norm", residuals=None)
    both = with_laws(calibration, its_own, times(kind, 7.0, op="ffn.norm", predecessors="attention.out", residuals=None))
    plain = CalibrationProcessor(calibration.model_copy(update={"compute_laws": bare(calibration)}))

    def own_s(processor, after):
        (time,) = processor.times([Call(norm, (after,))], WIDE)
        return float(time.terms.total_s - time.lead_s)

    base = own_s(plain, "attention.out")
    assert own_s(both, "attention.out") == pytest.approx(7 * base)
    assert own_s(both, "moe.combine") == pytest.approx(3 * base)
    assert own_s(with_laws(calibration, its_own), "attention.out") == pytest.approx(3 * base)


def test_the_end_of_a_step_departs_from_its_line_as_was_seen(calibration):
    kind = next(
        law for law in calibration.compute_laws if (law.kind, law.op, law.target.concurrent_ranks) == ("glue", None, 1)
    )
    residuals = [SizesResidual(activation_bytes=1e6, kv_bytes=0, flop=0, tokens=8, ratio=1.5)]
    end = times(kind, 1.0, op="step.end", predecessors="head.logits", residuals=None)
    call = Call(Compute("step.end", "glue", activation_bytes=1e6), ("head.logits",), tokens=8)
    bare_s, departed_s = (
        with_laws(calibration, law).times([call], WIDE)[0].lead_s
        for law in (end, end.model_copy(update={"residuals": residuals}))
    )
    assert departed_s == pytest.approx(1.5 * bare_s, rel=0.05)
    first = build(SMALL, Layout(pp=2), Step.decode(8, 512), precision=WIDE, node_size=2)
    ends = [one.stage for one in priced(first, with_laws(calibration, end)).ops if one.op.name == "step.end"]
    assert ends == [1]  # the first stage chooses no tokens


def test_the_fullest_rank_is_waited_for(calibration):
    shape = scaled(load_shape("mixtral-8x7b"), 1 / 8, 4).shape
    even, uneven = (
        build(shape, Layout(ep=2), Step.decode(8, 64), precision=WIDE, node_size=2, routing=routing)
        for routing in ("uniform", "random")
    )
    processor = CalibrationProcessor(calibration)
    step = predicted(even, processor, concurrent_ranks=2, uneven=uneven)
    assert (
        step.kinds["uneven"] > 0 and step.kinds["matmul"] == predicted(even, processor, concurrent_ranks=2).kinds["matmul"]
    )
    assert step.total_s == pytest.approx(predicted(uneven, processor, concurrent_ranks=2).total_s)
    assert predicted(even, processor, concurrent_ranks=2, uneven=even).kinds["uneven"] == 0


def test_ranks_that_compute_at_once_are_slower_and_more_than_measured_share(calibration):
    processor = CalibrationProcessor(calibration)
    one, two, four = (predicted(program(), processor, concurrent_ranks=n).total_s for n in (1, 2, 4))
    assert two == pytest.approx(1.5 * one, rel=0.05)
    assert four == pytest.approx(2 * two)
    notes = [priced(program(), processor, concurrent_ranks=n).notes for n in (2, 4)]
    assert not notes[0] and any("4 ranks of a node compute" in note for note in notes[1])


def test_numbers_and_arrays_agree(calibration):
    batches = np.array([1.0, 7.0, 64.0])
    processor = CalibrationProcessor(calibration)
    whole = priced(program(step=Step.decode(batches, 512)), processor).total_s
    each = [priced(program(step=Step.decode(b, 512)), processor).total_s for b in batches.tolist()]
    assert np.allclose(whole, each)
    assert (np.diff(whole) > 0).all()


def test_pipelines_wait_for_each_other(calibration):
    processor = CalibrationProcessor(calibration)
    part = build(SMALL, Layout(pp=2), Step.decode(8, 512), precision=WIDE, node_size=2)
    alone = predicted(part, processor)
    assert alone.kinds["pipeline"] == pytest.approx(
        (alone.total_s - 0) / 2, rel=0.2
    )  # one stage rests while the other works
    first = predicted(part, processor, rhythm="once")
    assert first.total_s < alone.total_s  # the first stage of a prefill does not wait for the last


def test_another_width_is_refused_by_name(calibration):
    with pytest.raises(InputError, match="measured in float32, not with weights 16, activations 16, cache 16 bits"):
        priced(build(SMALL, Layout(), Step.decode(1, 1)), CalibrationProcessor(calibration))


def test_a_calibration_without_compute_says_why():
    with pytest.raises(InputError, match=r"has no compute terms .*: give an --accelerator"):
        CalibrationProcessor(load_calibration("paper-2025"))


def test_predict_without_an_accelerator_is_the_measured_machine(calibration):
    row = predict(SMALL, None, calibration=calibration, layout=Layout(tp=2), context=512).iloc[0]
    assert "measured cpu" in row["accelerator"] and row["weight_bits"] == 32
    assert row["compute_s"] > 0 and row["memory_capacity_bytes"] == 32e9
    low, high = row["interval_s"]
    assert low < row["token_latency_s"] < high
    sheet = predict(SMALL, "h100-sxm", calibration=calibration, layout=Layout(tp=2), context=512)
    assert "compute_s" not in sheet and sheet.iloc[0]["weight_bits"] == 16


def test_predict_with_neither_is_refused():
    with pytest.raises(InputError, match="give an --accelerator, or a --calibration"):
        predict(SMALL, None)


def test_on_a_datasheet_each_operation_takes_the_longer_of_memory_and_arithmetic():
    terms = priced(build(SMALL, Layout(), Step.decode(8, 512)), Datasheet(load_accelerator("h100-sxm"))).terms
    assert "compute_s" not in terms
    assert terms.total_s == pytest.approx(terms["kernel_s"] + terms["roof_s"], rel=1e-12)
    assert max(terms["memory_s"], terms["arithmetic_s"]) <= terms["roof_s"] <= terms["memory_s"] + terms["arithmetic_s"]


def test_a_frontier_and_a_pricer_without_an_accelerator_are_of_the_measured_machine(calibration):
    """Each is the number of `predict`: of every law that is asked with others, batch by batch."""
    shape = "llama-3.2-1b"
    many = Pricer(shape, None, calibration=calibration).table([Layout(tp=1), Layout(tp=2)], [1, 3, 8], [100, 700])
    for (_, row), tp in zip(many.iterrows(), [1] * 6 + [2] * 6):
        asked = {"layout": Layout(tp=tp), "batch": int(row["batch"]), "context": row["context"]}
        one = predict(shape, None, calibration=calibration, **asked).iloc[0]
        for name in ("token_latency_s", "kernel_s", "compute_s", "memory_s", "arithmetic_s"):
            assert row[name] == pytest.approx(one[name], rel=1e-12), name
    found = frontier(shape, None, search=Search(gpus_max=2, batch_max=8, further={"calibration": calibration}))
    best = found.iloc[0]
    assert best["accelerator"] == "the measured machine" and best["usd_per_mtok"] != best["usd_per_mtok"]
    asked = {"layout": Layout(tp=int(best["tp"])), "batch": int(best["batch"])}
    one = predict(shape, None, calibration=calibration, **asked).iloc[0]
    assert best["token_latency_s"] == pytest.approx(one["token_latency_s"], rel=1e-12)
    with pytest.raises(InputError, match="give an --accelerator, or a --calibration"):
        frontier(shape, None)
