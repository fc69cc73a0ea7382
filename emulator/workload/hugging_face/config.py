"""The shape of a model from its Hugging Face config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from inferometer.configs import folder
from inferometer.emulator.documents import json_of, read_text, toml_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face import strange
from inferometer.emulator.workload.hugging_face.context import max_context
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.model_types import (
    NESTED,
    PLAIN,
    TEXT_OF,
    TIED,
    TIED_BY_TEXT,
    TIED_INSIDE,
    is_read,
    reader_of,
)
from inferometer.emulator.workload.hugging_face.quantized import read_quantization
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.storage.stored import module_names
from inferometer.parallel.dtypes import MEASURED

TEXT_KEYS = ("text_config", "language_config", "llm_config", "thinker_config")
WIDTHS = ("hidden_size", "n_embd", "d_model")
DEPTHS = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "hybrid_override_pattern",
    "layers_block_type",
    "layer_types",
)
OWN_CONFIG = (
    "give a config.json of a type that `inferometer models` lists, or describe the shape in a TOML file with "
    "model_type = 'decoder' (docs/models.md)"
)


def shape_from_config(config: Mapping[str, Any] | str | Path, name: str | None = None) -> Shape:
    """The shape that a configuration describes. config: its fields, or the path of a config.json.

    A hf_quant_config.json that lies beside the file says how the weights are stored, unless the file itself does.

    name: of the model; else the configuration's own ``name``, the folder of a config.json, the file's name.

    Raises InputError naming the file, the field and what is supported for an unknown model_type, a missing or wrongly
    typed field, an architecture that a Shape cannot hold, numbers that contradict each other.
    """
    if isinstance(config, Mapping):
        return _shape(config, name or _text(config, "name") or "config", "config")
    path = Path(config)
    fields = read_json(path)
    beside = path.with_name("hf_quant_config.json")
    quantized = read_json(beside) if path.name == "config.json" and beside.exists() else None
    own = folder_name(path.absolute().parent) if path.name == "config.json" else path.stem
    return _shape(fields, name or _text(fields, "name") or own, str(path), quantized)


def folder_name(folder: Path) -> str:
    """What a folder with a model is called: in the Hub's cache by the model, not by the snapshot's hash."""
    for parent in (folder, *folder.parents):
        if parent.name.startswith("models--"):
            return parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def _shape(fields: Mapping[str, Any], name: str, where: str, beside: Mapping[str, Any] | None = None) -> Shape:
    kind = fields.get("model_type")
    if kind is None:
        raise InputError(f"{where}: model_type: missing; {OWN_CONFIG}")
    if not isinstance(kind, str) or (not is_read(kind) and not _has_known_text(fields)):
        raise InputError(
            f"{where}: model_type = {str(kind)[:60]!r} is not supported: {OWN_CONFIG}; `inferometer models` lists the types"
        )
    source = _text(fields, "source") or where
    if kind == PLAIN:
        from inferometer.emulator.checked import checked
        from inferometer.emulator.workload.hugging_face.plain import Plain

        record = checked(Plain, fields, where)
        try:
            return replace(record.shape(), name=name, source=source, model_type=kind)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    try:
        notes = strange.check_head(fields)
        text, note = _language_model(fields, kind)
        own = text["model_type"] if isinstance(text.get("model_type"), str) else kind
        own = own if reader_of(own) else TEXT_OF.get(own, own)
        reader = reader_of(own)
        if reader is None:
            raise InputError(f"model_type = {own[:60]!r} of the language model is not supported: {OWN_CONFIG}")
        read = Fields(text, *_type_facts(own))
        nested = kind in NESTED or reader_of(kind) is None
        if not nested:
            _check_sizes(read)
        shape = reader(read)
        notes += strange.check_unread(read, own)
        quantization = read_quantization(fields, beside)
        if quantization is not None:
            shape = replace(shape, quantization=quantization)
            quantization.check(module_names(shape), "exclude list")
        shape = replace(shape, state_bits=_state_bits(read))
        context = max_context(read, own, nested=nested)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    notes = (*([note] if note else []), *shape.notes, *notes)
    return replace(shape, name=name, source=source, model_type=kind, max_context=context, notes=notes)


def _state_bits(read: Fields) -> int:
    """Bits of recurrent states: what the file asks for, else 16."""
    kind = read.word("mamba_ssm_cache_dtype") or read.word("mamba_ssm_dtype") or "auto"
    widths = {"auto": 16, **{name: dtype.bits for name, dtype in MEASURED.items()}}
    if kind not in widths:
        raise InputError(f"mamba_ssm_cache_dtype = {kind[:40]!r}: known are {', '.join(widths)}")
    return widths[kind]


def _check_sizes(read: Fields) -> None:
    """Raise InputError for a file without the sizes that every model has: a default would be another model's."""
    for keys in (WIDTHS, DEPTHS):
        if not any(read.has(key) for key in keys):
            raise InputError(f"{keys[0]}: missing")


def _has_known_text(fields: Mapping[str, Any]) -> bool:
    """Whether a type that is not known has a language model that is."""
    inner: Mapping[str, Any] = next((fields[key] for key in TEXT_KEYS if isinstance(fields.get(key), Mapping)), {})
    inner = next((inner[key] for key in TEXT_KEYS if isinstance(inner.get(key), Mapping)), inner)
    kind = inner.get("model_type")
    return isinstance(kind, str) and reader_of(kind) is not None


def _language_model(fields: Mapping[str, Any], kind: str) -> tuple[Mapping[str, Any], str]:
    """The fields of the language model, and what to say of a model that has more than one."""
    if kind not in NESTED and reader_of(kind) is not None:
        return fields, ""
    key = next((key for key in TEXT_KEYS if isinstance(fields.get(key), Mapping)), None)
    note = f"the language model of {kind} alone: towers for images or sound are not counted"
    if key is None:
        return fields, note
    text = dict(fields[key])
    nested = next((inner for inner in TEXT_KEYS if isinstance(text.get(inner), Mapping)), None)
    text = text if nested is None else dict(text[nested])
    tied = fields.get("tie_word_embeddings")
    if kind in TIED_INSIDE or (tied is None and kind not in NESTED):
        return text, note
    tied = kind in TIED if tied is None else tied
    if tied or kind not in TIED_BY_TEXT:  # else what the language model says, or its type
        text["tie_word_embeddings"] = tied
    return text, note


@cache
def _facts() -> dict[str, Any]:
    path = folder("model_types").joinpath("defaults.json")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _type_facts(kind: str) -> tuple[Mapping[str, Any], Mapping[str, str], Sequence[str]]:
    """What transformers takes for fields that a file leaves out; other names of fields; further fields of the type."""
    facts = _facts().get(kind, {})
    return facts.get("defaults", {}), facts.get("aliases", {}), facts.get("fields", ())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, with or without a byte order mark, Infinity and NaN as Python has them; or in a TOML file.

    Raises InputError that names the file.
    """
    text = read_text(path)
    fields = toml_of(text, path) if path.suffix == ".toml" else json_of(text, path, constants=True)
    if not isinstance(fields, dict):
        raise InputError(f"{path}: expected an object with a model_type, found {type(fields).__name__}")
    return fields


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None
