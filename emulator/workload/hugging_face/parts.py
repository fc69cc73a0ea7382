"""Parts of a shape that configurations of many types describe alike: heads, windows, which layers have experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import FeedForward

FULL, SLIDING, CHUNKED, LINEAR = "full_attention", "sliding_attention", "chunked_attention", "linear_attention"
Rule = bool | str
"""True, false, or the name of the field that says it."""
Pattern = Callable[[Fields, int], list[str]]
"""From the number of layers the kind of attention of each."""


def head_width(width: int, heads: int) -> int:
    """The width of a head that shares the model's width. Raises InputError where it does not divide."""
    if width % heads:
        raise InputError(f"hidden_size = {width} does not divide by num_attention_heads = {heads}, and there is no head_dim")
    return width // heads


def read_heads(f: Fields, *, bias: Rule = False, out_bias: Rule = False, qk_norm: bool = False) -> Heads:
    """Grouped-query attention under its usual names."""
    query_heads = f.count("num_attention_heads")
    dim = f.maybe("head_dim") or head_width(f.count("hidden_size"), query_heads)
    return Heads(query_heads, f.maybe("num_key_value_heads") or query_heads, dim, f.flag(bias), f.flag(out_bias), qk_norm)


def every(step: int, kind: str = SLIDING) -> Pattern:
    """Each step-th layer sees everything, the others have the kind."""
    return lambda f, layers: [kind if (number + 1) % step else FULL for number in range(layers)]


def all_full(f: Fields, layers: int) -> list[str]:
    return [FULL] * layers


def all_sliding(f: Fields, layers: int) -> list[str]:
    """Every layer has the window, if there is one."""
    return [FULL if f.value("sliding_window") is None else SLIDING] * layers


def switched(f: Fields, layers: int) -> list[str]:
    """Qwen's way to a window: switched on by a flag, for the layers from max_window_layers on."""
    on, first = f.flag("use_sliding_window"), f.amount("max_window_layers")
    return [SLIDING if on and number >= first else FULL for number in range(layers)]


def late_sliding(f: Fields, layers: int) -> list[str]:
    """The layers from max_window_layers on, if there is a window."""
    on, first = f.value("sliding_window") is not None, f.amount("max_window_layers")
    return [SLIDING if on and number >= first else FULL for number in range(layers)]


def windowed(f: Fields, heads: Heads, layers: int, pattern: Pattern, *, window_key: str = "sliding_window") -> list[Heads]:
    """The attention of each layer: as layer_types says, else by the pattern."""
    kinds = f.words("layer_types", layers, (FULL, SLIDING, CHUNKED)) or pattern(f, layers)
    return [heads_of_kind(f, heads, kind, window_key) for kind in kinds]


def heads_of_kind(f: Fields, heads: Heads, kind: str, window_key: str = "sliding_window") -> Heads:
    """heads with the window that a kind of layer has."""
    if kind == FULL:
        return heads
    key = "attention_chunk_size" if kind == CHUNKED else window_key
    window = f.maybe(key)
    if window is None:
        raise InputError(f"layer_types: {kind}, but {key} is missing")
    if window == 1:
        raise InputError(f"{key} = 1: a token that sees itself alone is not supported")
    return replace(heads, window=window, chunked=kind == CHUNKED)


def read_dense(f: Fields, *, gated: bool = True, bias: Rule = False, key: str = "intermediate_size") -> Dense:
    return Dense(f.count(key), gated, f.flag(bias))


def by_layer(dense: Callable[[], FeedForward], experts: FeedForward | None, sparse: Sequence[bool]) -> list[FeedForward]:
    """One feed-forward per layer: the experts where sparse says so. dense is read only if a layer has it."""
    plain = dense() if experts is None or not all(sparse) else None
    return [experts if experts is not None and one else _there(plain) for one in sparse]


def _there(part: FeedForward | None) -> FeedForward:
    assert part is not None
    return part


def after_first(f: Fields, layers: int, key: str = "first_k_dense_replace") -> list[bool]:
    """Experts in all layers but the first ones, as mlp_layer_types says, else by the number of dense ones."""
    listed = f.words("mlp_layer_types", layers, ("dense", "sparse"))
    first, frequency = f.amount(key), f.value("moe_layer_freq")
    if listed is not None:
        return [kind == "sparse" for kind in listed]
    if first > layers:
        raise InputError(f"first_dense = {first} dense layers are more than layers = {layers}")
    if isinstance(frequency, list):
        marks = f.numbers("moe_layer_freq", layers)
        return [bool(mark) for mark in marks or []]
    if frequency not in (None, 1):
        raise InputError(f"moe_layer_freq = {frequency!r:.60}: only 1 (experts in each layer) or a list is supported")
    return [number >= first for number in range(layers)]


def stepped(f: Fields, layers: int) -> list[bool]:
    """Qwen's way: experts in each decoder_sparse_step-th layer that mlp_only_layers does not name."""
    step = f.count("decoder_sparse_step")
    plain = f.numbers("mlp_only_layers") or []
    beyond = [number for number in plain if number >= layers]
    if beyond:
        raise InputError(f"mlp_only_layers: {beyond[0]} is beyond the last of num_hidden_layers = {layers}")
    there = f.count("num_experts", "num_local_experts", least=0) > 0
    return [there and number not in plain and (number + 1) % step == 0 for number in range(layers)]


def read_experts(
    f: Fields,
    *,
    count: tuple[str, ...] = ("n_routed_experts", "num_experts", "num_local_experts"),
    active: tuple[str, ...] = ("num_experts_per_tok",),
    width: str = "moe_intermediate_size",
    shared: tuple[str, ...] = (),
    shared_width: str | None = None,
    router_bias: Rule = False,
    shared_gate: bool = False,
    bias: Rule = False,
    shared_bias: Rule | None = None,
    gated: bool = True,
) -> Experts:
    """A mixture of experts. shared: of a number of shared experts; shared_width: of their width together."""
    together = None if shared_width is None else f.amount(shared_width)
    return Experts(
        f.count(*count),
        f.count(*active),
        f.count(width),
        shared=f.amount(*shared) if shared else (1 if together else 0),
        router_bias=f.flag(router_bias),
        shared_d_ff=together,
        gated=gated,
        bias=f.flag(bias),
        shared_gate=shared_gate,
        shared_bias=None if shared_bias is None else f.flag(shared_bias),
    )
