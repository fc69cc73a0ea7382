"""What a source computes in one sentence from several laws, with its own rounded or truncated results in between."""

from __future__ import annotations

import math

from inferometer.emulator.economics.paper.closed_form import generation, infinite_bandwidth, kv_cache, serving_price
from inferometer.emulator.workload.program import Size


def significant(value: Size, digits: int | None) -> float:
    """One value rounded to so many digits; None leaves it as it is."""
    return float(value) if digits is None else float(f"{float(value):.{digits - 1}e}")


def prompt_usd_per_1k(
    params: float,
    flop_per_s: float,
    devices: int,
    usd_per_hour: float,
    usd_per_s_digits: int | None = None,
    tokens_per_s_digits: int | None = None,
) -> float:
    """Anysphere's price per 1K prompt tokens from its rounded dollars and tokens per second."""
    usd_per_s = significant(serving_price.usd_per_s(usd_per_hour), usd_per_s_digits)
    tokens_per_s = significant(generation.prefill_tokens_per_s(params, flop_per_s, devices), tokens_per_s_digits)
    return float(serving_price.usd_per_1k_tokens(usd_per_s, tokens_per_s))


def times_cheaper(other_usd_per_1k: float, params: float, flop_per_s: float, devices: int, usd_per_hour: float) -> float:
    """How many times Anysphere's printed price per 1K prompt tokens another price is."""
    return other_usd_per_1k / significant(prompt_usd_per_1k(params, flop_per_s, devices, usd_per_hour, 2, 3), 2)


def decode_tokens_per_s(
    params: float, bytes_per_param: float, memory_bytes_per_s: float, devices: int, digits: int, times: float
) -> float:
    """Anysphere's printed speed, so many times faster."""
    speed = generation.decode_tokens_per_s(params, bytes_per_param, memory_bytes_per_s, devices)
    return significant(speed, digits) * times


def decode_usd_per_1k(
    params: float,
    bytes_per_param: float,
    memory_bytes_per_s: float,
    devices: int,
    usd_per_hour: float,
    digits: int | None = None,
    over: float = 1,
) -> float:
    """Anysphere's price per 1K completion tokens; with digits its printed one, divided by a batch or a speed-up."""
    speed = generation.decode_tokens_per_s(params, bytes_per_param, memory_bytes_per_s, devices)
    return significant(serving_price.usd_per_1k_tokens(serving_price.usd_per_s(usd_per_hour), speed), digits) / over


def cache_over_weights(devices: int, device_bytes: float, weights_bytes: float) -> float:
    """Bytes of a cache that fills what the weights leave over, as a multiple of the weights."""
    return float(kv_cache.free_bytes(devices, device_bytes, weights_bytes) / weights_bytes)


def tokens_that_fit(free_bytes: float, kv_bytes_per_token: float, gb_digits: int) -> float:
    """Baseten's tokens in free memory, from its rounded GB per token."""
    return float(kv_cache.tokens_that_fit(free_bytes, significant(kv_bytes_per_token, gb_digits)))


def whole_sequences_that_fit(free_bytes: float, kv_bytes_per_token: float, context: int, gb_digits: int) -> int:
    """Whole sequences in Baseten's tokens that fit."""
    return math.floor(tokens_that_fit(free_bytes, kv_bytes_per_token, gb_digits) / context)


def truncated_decode_s(params: float, bytes_per_param: float, memory_bytes_per_s: float) -> float:
    """Time per token cut off after whole milliseconds, as Baseten prints it."""
    return math.floor(generation.decode_s(params, bytes_per_param, memory_bytes_per_s) * 1e3) / 1e3


def rounded_prefill_s(prompt: int, params: float, flop_per_s: float) -> float:
    """Prefill time rounded to whole milliseconds, as Baseten prints it."""
    return round(float(generation.prefill_s(prompt, params, flop_per_s)) * 1e3) / 1e3


def generation_s(
    prompt: int, output: int, params: float, bytes_per_param: float, flop_per_s: float, memory_bytes_per_s: float
) -> float:
    """Baseten's total time, from its rounded prefill and truncated time per token."""
    prefill_s = rounded_prefill_s(prompt, params, flop_per_s)
    s_per_token = truncated_decode_s(params, bytes_per_param, memory_bytes_per_s)
    return float(generation.generation_s(prefill_s, output, s_per_token))


def times_faster(params: float, bytes_per_param: float, memory_bytes_per_s: float, other_memory_bytes_per_s: float) -> float:
    """Baseten's ratio of two truncated times per token."""
    slower_s = truncated_decode_s(params, bytes_per_param, other_memory_bytes_per_s)
    return slower_s / truncated_decode_s(params, bytes_per_param, memory_bytes_per_s)


def layer_bytes(params: float, bytes_per_param: float, layers: int) -> float:
    """Bytes of one layer, embeddings taken for part of the layers (Erdil, footnote 1)."""
    return params * bytes_per_param / layers


def devices_that_cache_a_layer(params: float, bytes_per_param: float, layers: int, cache_bytes: float) -> float:
    """Devices whose level-2 caches hold one layer together (Erdil, footnote 1)."""
    return layer_bytes(params, bytes_per_param, layers) / cache_bytes


def speed_gain(
    params: float, layers: int, memory_bytes_per_s: float, hop_s: float, bytes_per_param: float, to_bytes_per_param: float
) -> float:
    """Gain in speed of a narrower weight under Erdil's eq. 18, a fraction."""
    before_s = infinite_bandwidth.large_model_latency_s(params, layers, bytes_per_param, memory_bytes_per_s, hop_s)
    after_s = infinite_bandwidth.large_model_latency_s(params, layers, to_bytes_per_param, memory_bytes_per_s, hop_s)
    return float(before_s / after_s) - 1


def full_memory_read_per_s(memory_bytes: float, memory_bytes_per_s: float, ms_decimals: int) -> float:
    """Tokens per second where each takes one reading of the whole memory, from the rounded milliseconds (Erdil, 3.5)."""
    return 1e3 / round(memory_bytes / memory_bytes_per_s * 1e3, ms_decimals)


def cache_read_bytes(kv_heads: int, head_dim: int, layers: int, context: float, kb_digits: int) -> float:
    """Bytes of cache read per token, from the rounded KB per token (Erdil, section 4.3)."""
    per_token = significant(kv_cache.kv_bytes_per_token(kv_heads, head_dim, layers), kb_digits)
    return float(kv_cache.cache_bytes(per_token, context))


def implied_utilisation(params: float, flop_per_s: float, usd_per_hour: float, usd_per_mtok: float) -> float:
    """What arithmetic alone would cost, over a price (Erdil, section 4.3)."""
    return float(serving_price.arithmetic_usd_per_mtok(params, flop_per_s, usd_per_hour)) / usd_per_mtok
