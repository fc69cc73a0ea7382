"""The rows of llm-analysis' table by the names its README gives the settings."""

from __future__ import annotations

from inferometer.emulator.economics.paper.closed_form.llm_analysis import Compat, Estimate, Rates, estimate
from inferometer.emulator.workload.catalogue import load_shape


def table_row(
    model: str,
    tp: int,
    flop_per_s: float,
    flops_efficiency: float,
    memory_bytes_per_s: float,
    hbm_memory_efficiency: float,
    link_bytes_per_s: float,
    link_latency_s: float,
    usd_per_gpu_hour: float,
    batch: int,
    prompt: int,
    output: int,
    compat: Compat | None = None,
) -> Estimate:
    """One row: the datasheet's rates times the efficiencies."""
    rates = Rates(
        flop_per_s * flops_efficiency, memory_bytes_per_s * hbm_memory_efficiency, link_bytes_per_s, link_latency_s
    )
    return estimate(
        load_shape(model),
        rates,
        tp=tp,
        batch=batch,
        prompt=prompt,
        output=output,
        usd_per_gpu_hour=usd_per_gpu_hour,
        compat=compat,
    )
