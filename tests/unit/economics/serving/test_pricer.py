"""Many configurations at once: each number is that of one prediction, and the parts they are priced in change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.economics.serving import pricer
from inferometer.emulator.economics.serving.predict import predict
from inferometer.emulator.economics.serving.pricer import Grid, Pricer
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout

LAYOUTS = [Layout(tp=2), Layout(tp=8, dp=2), Layout(pp=4), Layout(tp=4, ep=2), Layout(ep=8, attention="data")]


@pytest.mark.parametrize("further", [{}, {"calibration": "b200-nccl"}], ids=["datasheet", "calibration"])
@pytest.mark.parametrize(
    "load",
    [{"contexts": [128, 4000]}, {"prompts": [128, 900], "outputs": 64, "interleave": True}, {"prompts": 900, "outputs": 7}],
)
def test_each_is_what_predict_says(further, load):
    many = Pricer("mixtral-8x7b", "h200", weight_bits=8, **further).table(LAYOUTS, [1, 5, 64], **load)
    assert len(many) == len(LAYOUTS) * 3 * max(np.size(one) for one in load.values())
    each = [layout for layout in LAYOUTS for _ in range(len(many) // len(LAYOUTS))]
    priced = 0
    for (_, row), layout in zip(many.iterrows(), each):
        asked = {name: float(row[name]) for name in ("context", "prompt", "output") if name in many}
        asked |= {"interleave": True} if load.get("interleave") else {}
        arguments = {"layout": layout, "batch": int(row["batch"]), "weight_bits": 8, **asked, **further}
        if row["reason"] or not row["fits"]:
            with pytest.raises(InputError):
                predict("mixtral-8x7b", "h200", **arguments)
            continue
        one = predict("mixtral-8x7b", "h200", **arguments).iloc[0]
        for name in ("token_latency_s", "throughput_tokens_per_s", "kernel_s", "network_latency_s", "roof_s", "pipeline_s"):
            assert row[name] == pytest.approx(one[name], rel=1e-12, abs=1e-18), name
        assert one["ttft_s"] is None or row["ttft_s"] == pytest.approx(one["ttft_s"], rel=1e-12)
        assert row["memory_bytes"] == pytest.approx(one["memory_weights_bytes"] + one["memory_kv_bytes"], rel=1e-12)
        priced += 1
    assert priced > 5


def test_what_is_not_determined_says_why_and_what_does_not_fit_is_priced():
    found = Pricer("llama-3-70b", "h100-sxm", calibration="b200-nccl").columns([Layout(tp=8), Layout(pp=8)], [1, 4096], 8000)
    assert [bool(reason) for reason in found["reason"]] == [False, False, True, True]
    assert "send_recv" in found["reason"][2]
    assert np.isfinite(found["token_latency_s"][:2]).all() and np.isnan(found["token_latency_s"][2:]).all()
    assert found["fits"].tolist() == [True, False, True, False]


def test_parts_change_nothing(monkeypatch):
    asked = ([Layout(tp=2), Layout(tp=4)], [1, 2, 3], [100, 200, 300, 400])
    machine = Pricer("llama-3-8b", "h100-sxm")
    whole = machine.table(*asked)
    monkeypatch.setattr(pricer, "TOGETHER", 5)
    assert machine.table(*asked).equals(whole)


def test_grids_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="2 prompts, 3 outputs: as many of each, or one"):
        Grid.of([1], None, [1, 2], [3, 4, 5])
    with pytest.raises(InputError, match=r"context 9000 \+ 1 new tokens = 9001 is beyond"):
        Pricer("llama-3-8b", "h100-sxm").columns([Layout()], [1], [100, 9000])
    with pytest.raises(InputError, match="batch = 0"):
        Pricer("llama-3-8b", "h100-sxm").columns([Layout()], [1, 0])
