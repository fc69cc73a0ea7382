"""Prices: from what a device costs per hour to what a token costs."""

from __future__ import annotations

from inferometer.emulator.economics.paper.closed_form.roofline import flop_per_token
from inferometer.emulator.workload.program import Size

SECONDS_PER_HOUR = 3600.0
MILLION = 1e6


def usd_per_s(usd_per_hour: Size) -> Size:
    """Dollars per second of a price per hour."""
    return usd_per_hour / SECONDS_PER_HOUR


def usd_per_1k_tokens(usd_per_s: Size, tokens_per_s: Size) -> Size:
    """Dollars per thousand tokens (Anysphere)."""
    return 1000 * usd_per_s / tokens_per_s


def usd_per_mtok(gpu_seconds_per_token: Size, usd_per_hour: Size) -> Size:
    """Dollars per million tokens of a cost in device seconds per token, the unit of Erdil's eq. 2, 4 and 15."""
    return MILLION * gpu_seconds_per_token * usd_per_s(usd_per_hour)


def instance_usd_per_mtok(gpus: Size, batch: Size, tokens_per_s: Size, usd_per_hour: Size) -> Size:
    """Dollars per million tokens of an instance whose batch sequences each advance at tokens_per_s."""
    return usd_per_mtok(gpus / (batch * tokens_per_s), usd_per_hour)


def arithmetic_usd_per_mtok(params: Size, flop_per_s: Size, usd_per_hour: Size) -> Size:
    """Dollars per million tokens where arithmetic alone takes time: the floor of eq. 2, reached from b* on."""
    return usd_per_mtok(flop_per_token(params) / flop_per_s, usd_per_hour)


def read_usd_per_mtok(bytes_per_token: Size, memory_bytes_per_s: Size, usd_per_hour: Size) -> Size:
    """Dollars per million tokens of the memory reads that no batch shares, as those of a KV cache (Erdil, section 4.3)."""
    return usd_per_mtok(bytes_per_token / memory_bytes_per_s, usd_per_hour)
