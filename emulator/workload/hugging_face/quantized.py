"""The scheme in which a checkpoint is stored, from quantization_config or hf_quant_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.storage.formats import (
    FP8_CHANNEL,
    FP8_TENSOR,
    INT8_ROW,
    MXFP4,
    MXFP8,
    NF4,
    NF4_TWICE,
    NVFP4,
    PLAIN,
    Format,
    fp8_blocks,
    integers,
)
from inferometer.emulator.workload.storage.quantization import Quantization

Given = Mapping[str, Any]
BITS = (2, 3, 4, 5, 6, 8)
ALGORITHMS: dict[str, Format] = {
    "FP8": FP8_TENSOR,
    "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL,
    "FP8_PB_WO": fp8_blocks(128, 128),
    "NVFP4": NVFP4,
    "NVFP4_AWQ": NVFP4,
    "W4A16_NVFP4": NVFP4,
    "MXFP4": MXFP4,
    "MXFP8": MXFP8,
    "W4A16_AWQ": integers(4, 128, zeros=False),
    "W4A8_AWQ": integers(4, 128, zeros=False, wide=True),
    "W8A16": Format("int8 per channel", 8, (0, 1), 2.0),
    "W8A8_SQ_PER_CHANNEL": INT8_ROW,
}
"""ModelOpt's names."""


def read_quantization(fields: Given, beside: Given | None) -> Quantization | None:
    """The scheme of a configuration; beside: the contents of hf_quant_config.json. None: 16 bits throughout.

    Raises InputError that names the key for a scheme that is not known.
    """
    given = fields.get("quantization_config")
    given = fields.get("quantization") if given is None else given  # MLX
    if given is None:
        found = (inner.get("quantization_config") for inner in fields.values() if isinstance(inner, Mapping))
        given = next((one for one in found if one is not None), None)
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"quantization_config = {given!r:.60}: input should be an object")
    inner = beside.get("quantization", beside) if isinstance(beside, Mapping) else None
    if isinstance(inner, Mapping) and inner.get("quant_algo") and not (given and given.get("quant_algo")):
        return _modelopt({**(given or {}), **inner}, "hf_quant_config.json")
    if not given:
        return None
    if given.get("quant_algo"):
        return _modelopt(given, "quantization_config")
    method = given.get("quant_method")
    if method is None and (given.get("load_in_4bit") or given.get("load_in_8bit")):
        method = "bitsandbytes"
    reader = METHODS.get(str(method))
    if reader is None:
        raise InputError(
            f"quantization_config.quant_method = {method!r:.60}: known are {', '.join(METHODS)}; --weight-bits overrides it"
        )
    return reader({**given, "expert_dtype": given.get("expert_dtype") or fields.get("expert_dtype")})


def _fp8(given: Given) -> Quantization:
    """Fine-grained blocks or one scale per tensor; the experts of DeepSeek V4 are fp4 beside."""
    block = given.get("weight_block_size")
    narrow = given.get("scale_fmt") == "ue8m0" and given.get("expert_dtype") is not None
    form = FP8_TENSOR if block is None else _blocks("weight_block_size", block, 1.0 if narrow else 4.0)
    own: tuple[tuple[str, Format], ...] = ()
    if given.get("expert_dtype") == "fp4":
        own = (("*.mlp.experts.*", MXFP4),)
    return Quantization(form, _names(given, "modules_to_not_convert", "ignored_layers"), own, _kv(given), name=form.name)


def _fbgemm(given: Given) -> Quantization:
    return Quantization(FP8_CHANNEL, _names(given, "modules_to_not_convert"), name=FP8_CHANNEL.name)


def _mxfp4(given: Given) -> Quantization:
    """gpt-oss: the experts alone."""
    names = _names(given, "modules_to_not_convert")
    return Quantization(PLAIN, names, (("*.mlp.experts.*", MXFP4),), name="mxfp4 experts")


def _gptq(given: Given) -> Quantization:
    form = integers(_bits(given, "bits"), _group(given), zeros=not given.get("sym", True) or True)
    return Quantization(form, _names(given, "modules_to_not_convert", "modules_in_block_to_quantize_exclude"),
                        head=bool(given.get("lm_head")), name=f"gptq {form.name}")  # fmt: skip


def _awq(given: Given) -> Quantization:
    form = integers(_bits(given, "bits", "w_bit"), _group(given), zeros=bool(given.get("zero_point", True)))
    return Quantization(form, _names(given, "modules_to_not_convert"), name=f"awq {form.name}")


def _bitsandbytes(given: Given) -> Quantization:
    four = bool(given.get("load_in_4bit") or given.get("_load_in_4bit"))
    form = (NF4_TWICE if given.get("bnb_4bit_use_double_quant") else NF4) if four else INT8_ROW
    return Quantization(form, _names(given, "llm_int8_skip_modules"), name=f"bitsandbytes {form.name}")


def _quark(given: Given) -> Quantization:
    """AMD's: one format for all matrices, others for those that a pattern names."""
    where = "quantization_config.global_quant_config"
    default = _quark_format(where, given.get("global_quant_config"))
    layers = given.get("layer_quant_config")
    named = layers.items() if isinstance(layers, Mapping) else ()
    own = [(name, _quark_format(f"quantization_config.layer_quant_config.{name}", each)) for name, each in named]
    cached = given.get("kv_cache_quant_config")
    return Quantization(
        default, _names(given, "exclude"), tuple(own), 8 if cached or given.get("kv_cache_config") else None,
        name=f"quark {default.name}",
    )  # fmt: skip


def _quark_format(where: str, group: Any) -> Format:
    weights = group.get("weight") if isinstance(group, Mapping) else None
    if weights is None:
        return PLAIN
    if not isinstance(weights, Mapping):
        raise InputError(f"{where}.weight: input should be an object")
    kind, scheme, size = weights.get("dtype"), weights.get("qscheme"), weights.get("group_size")
    if kind in ("fp4", "mx") and size in (None, 32):
        return MXFP4
    if kind == "fp8_e4m3" and scheme in ("per_tensor", "per_channel"):
        return FP8_TENSOR if scheme == "per_tensor" else FP8_CHANNEL
    if kind in ("int4", "uint4") and isinstance(size, int) and size > 0:
        return integers(4, size, zeros=kind == "uint4")
    raise InputError(f"{where}.weight.dtype = {str(kind)[:40]!r} {str(scheme)[:40]}: known are fp8_e4m3, fp4, int4, uint4")


def _compressed(given: Given) -> Quantization:
    """compressed-tensors: groups of modules with a format each."""
    groups = given.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise InputError("quantization_config.config_groups: missing")
    default, own = PLAIN, []
    for key, group in groups.items():
        where = f"quantization_config.config_groups.{key}"
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if not isinstance(weights, Mapping):
            raise InputError(f"{where}.weights: input should be an object")
        form = _compressed_format(where, weights, str(group.get("format") or given.get("format") or ""), group)
        targets = group.get("targets") or ["Linear"]
        if "Linear" in targets:
            default = form
        own += [(target, form) for target in targets if isinstance(target, str) and target != "Linear"]
    kv = given.get("kv_cache_scheme")
    bits = kv.get("num_bits") if isinstance(kv, Mapping) else None
    return Quantization(default, _names(given, "ignore"), tuple(own), bits, name=f"compressed-tensors {default.name}")


def _compressed_format(where: str, weights: Given, packed: str, group: Given) -> Format:
    bits = _bits(weights, "num_bits", where=f"{where}.weights.")
    size = weights.get("group_size")
    wide = isinstance(group.get("input_activations"), Mapping)
    if weights.get("type") == "float" and bits == 4:
        return MXFP4 if "mxfp4" in packed or size == 32 else NVFP4
    if weights.get("type") == "float" and bits == 8:
        block = weights.get("block_structure")
        if isinstance(block, list) and block:
            return _blocks(f"{where}.weights.block_structure", block, 4.0)
        return FP8_TENSOR if weights.get("strategy") == "tensor" else FP8_CHANNEL
    if weights.get("type") == "float":
        raise InputError(f"{where}.weights.num_bits = {bits}: no {bits}-bit float is known")
    if isinstance(size, int) and size > 0:
        return integers(bits, size, zeros=not weights.get("symmetric", True), wide=wide)
    return Format(f"int{bits} per channel", bits, (0, 1), 2.0, 0.0, 8 if wide and bits == 8 else 16)


def _modelopt(given: Given, file: str) -> Quantization:
    algorithm = str(given.get("quant_algo"))
    exclude = _names(given, "exclude_modules", "ignore")
    cache = given.get("kv_cache_quant_algo")
    kv = {"FP8": 8, "NVFP4": 4, "INT8": 8}.get(str(cache)) if cache else _kv(given)
    if algorithm != "MIXED_PRECISION":
        form = _algorithm(f"{file}: quant_algo", algorithm)
        return Quantization(form, exclude, (), kv, name=f"{form.name} (ModelOpt)")
    layers = given.get("quantized_layers")
    if not isinstance(layers, Mapping) or not layers:
        raise InputError(f"{file}: quantized_layers: missing, though quant_algo = 'MIXED_PRECISION'")
    own = []
    for name, one in layers.items():
        what = str(one.get("quant_algo")) if isinstance(one, Mapping) else "None"
        own.append((name, _algorithm(f"{file}: quantized_layers.{name}.quant_algo", what)))
    rest = PLAIN
    if given.get("quant_method") == "fp8":
        block = given.get("weight_block_size")
        rest = FP8_TENSOR if block is None else _blocks("weight_block_size", block, 1.0)
        exclude = ()  # what the list excludes from fp4 is fp8
    return Quantization(rest, exclude, tuple(own), kv, name="mixed (ModelOpt)")


def _algorithm(where: str, name: str) -> Format:
    if name not in ALGORITHMS:
        raise InputError(f"{where} = {name[:40]!r}: known are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def _kv(given: Given) -> int | None:
    scheme = given.get("kv_cache_scheme")
    bits = scheme.get("num_bits") if isinstance(scheme, Mapping) else None
    return bits if bits in (4, 8, 16) else None


def _bits(given: Given, *keys: str, where: str = "quantization_config.") -> int:
    value = next((given[key] for key in keys if given.get(key) is not None), None)
    if isinstance(value, bool) or value not in BITS:
        raise InputError(f"{where}{keys[0]} = {value!r:.40}: known widths are {', '.join(map(str, BITS))}")
    return int(value)


def _group(given: Given) -> int:
    value = given.get("group_size", given.get("q_group_size", 128))
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= 65536 or value == 0:
        raise InputError(f"quantization_config.group_size = {value!r:.40}: input should be -1 or above 0")
    return value


def _blocks(key: str, value: Any, scale_bytes: float) -> Format:
    """fp8 in blocks of (outer, inner) elements."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(one) is int and one > 0 for one in value):
        return fp8_blocks(value[1], value[0], scale_bytes)
    raise InputError(f"quantization_config.{key} = {value!r:.40}: input should be two numbers above 0")


def _names(given: Given, *keys: str) -> tuple[str, ...]:
    for key in keys:
        value = given.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise InputError(f"quantization_config.{key} = {value!r:.60}: input should be a list of names")
        return tuple(value)
    return ()


METHODS = {
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "gptq": _gptq,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed,
    "modelopt": _compressed,
    "quark": _quark,
    "auto-round": _gptq,
    "intel/auto-round": _gptq,
}
