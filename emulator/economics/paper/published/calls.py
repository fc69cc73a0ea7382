"""What a file of printed numbers may call, by the name that it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.emulator.economics.paper.closed_form import (
    all_reduce,
    attention,
    generation,
    infinite_bandwidth,
    kv_cache,
    roofline,
    serving_price,
)
from inferometer.emulator.economics.paper.published import chains, epoch, llm_analysis

CALLS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "closed_form.all_reduce.bandwidth_s": all_reduce.bandwidth_s,
        "closed_form.all_reduce.instance_reduce_s": all_reduce.instance_reduce_s,
        "closed_form.all_reduce.tree_latency_s": all_reduce.tree_latency_s,
        "closed_form.attention.attention_flop_per_token": attention.attention_flop_per_token,
        "closed_form.attention.decode_intensity": attention.decode_intensity,
        "closed_form.attention.unfused_bytes": attention.unfused_bytes,
        "closed_form.attention.unfused_flop": attention.unfused_flop,
        "closed_form.attention.unfused_intensity": attention.unfused_intensity,
        "closed_form.generation.decode_s": generation.decode_s,
        "closed_form.generation.decode_tokens_per_s": generation.decode_tokens_per_s,
        "closed_form.generation.prefill_s": generation.prefill_s,
        "closed_form.generation.prefill_tokens_per_s": generation.prefill_tokens_per_s,
        "closed_form.infinite_bandwidth.square_root_tokens_per_s": infinite_bandwidth.square_root_tokens_per_s,
        "closed_form.kv_cache.batch_of_equal_reads": kv_cache.batch_of_equal_reads,
        "closed_form.kv_cache.cache_bytes": kv_cache.cache_bytes,
        "closed_form.kv_cache.free_bytes": kv_cache.free_bytes,
        "closed_form.kv_cache.kv_bytes_per_token": kv_cache.kv_bytes_per_token,
        "closed_form.kv_cache.kv_elements_per_token": kv_cache.kv_elements_per_token,
        "closed_form.kv_cache.latent_kv_bytes_per_token": kv_cache.latent_kv_bytes_per_token,
        "closed_form.kv_cache.sequences_that_fit": kv_cache.sequences_that_fit,
        "closed_form.kv_cache.tokens_that_fit": kv_cache.tokens_that_fit,
        "closed_form.roofline.critical_batch": roofline.critical_batch,
        "closed_form.roofline.flop_per_token": roofline.flop_per_token,
        "closed_form.roofline.ops_per_byte": roofline.ops_per_byte,
        "closed_form.roofline.read_s": roofline.read_s,
        "closed_form.roofline.utilisation": roofline.utilisation,
        "closed_form.roofline.weights_bytes": roofline.weights_bytes,
        "closed_form.serving_price.arithmetic_usd_per_mtok": serving_price.arithmetic_usd_per_mtok,
        "closed_form.serving_price.instance_usd_per_mtok": serving_price.instance_usd_per_mtok,
        "closed_form.serving_price.read_usd_per_mtok": serving_price.read_usd_per_mtok,
        "closed_form.serving_price.usd_per_s": serving_price.usd_per_s,
        "published.chains.cache_over_weights": chains.cache_over_weights,
        "published.chains.cache_read_bytes": chains.cache_read_bytes,
        "published.chains.decode_tokens_per_s": chains.decode_tokens_per_s,
        "published.chains.decode_usd_per_1k": chains.decode_usd_per_1k,
        "published.chains.devices_that_cache_a_layer": chains.devices_that_cache_a_layer,
        "published.chains.full_memory_read_per_s": chains.full_memory_read_per_s,
        "published.chains.generation_s": chains.generation_s,
        "published.chains.implied_utilisation": chains.implied_utilisation,
        "published.chains.layer_bytes": chains.layer_bytes,
        "published.chains.prompt_usd_per_1k": chains.prompt_usd_per_1k,
        "published.chains.rounded_prefill_s": chains.rounded_prefill_s,
        "published.chains.speed_gain": chains.speed_gain,
        "published.chains.times_cheaper": chains.times_cheaper,
        "published.chains.times_faster": chains.times_faster,
        "published.chains.tokens_that_fit": chains.tokens_that_fit,
        "published.chains.truncated_decode_s": chains.truncated_decode_s,
        "published.chains.whole_sequences_that_fit": chains.whole_sequences_that_fit,
        "published.epoch.frontier_of": epoch.frontier_of,
        "published.epoch.sparsity": epoch.sparsity,
        "published.epoch.speculation_gain": epoch.speculation_gain,
        "published.epoch.toy_optimum": epoch.toy_optimum,
        "published.llm_analysis.table_row": llm_analysis.table_row,
    }
)
