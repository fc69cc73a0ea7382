"""The shape of a model from its Hugging Face config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from inferometer.emulator.checked import checked
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean
from inferometer.emulator.workload.hugging_face import earlier_families as hfearlier
from inferometer.emulator.workload.hugging_face import llama_family as hfrecords
from inferometer.emulator.workload.shape import Shape

MODEL_TYPES: Mapping[str, type[hfrecords.Record]] = {
    "llama": hfrecords.Llama,
    "mistral": hfrecords.Mistral,
    "mixtral": hfrecords.Mixtral,
    "qwen2": hfrecords.Qwen2,
    "qwen3": hfrecords.Qwen3,
    "qwen3_moe": hfrecords.Qwen3Moe,
    "deepseek_v3": hfrecords.DeepseekV3,
    "falcon": hfearlier.Falcon,
    "gpt2": hfearlier.Gpt2,
    "gptj": hfearlier.GptJ,
    "decoder": hfrecords.Plain,
}


def shape_from_config(config: Mapping[str, Any] | str | Path, name: str | None = None) -> Shape:
    """The shape that a configuration describes. config: its fields, or the path of a config.json.

    name: of the model; else the configuration's own ``name``, the folder of a config.json, the file's name.

    Raises InputError naming the file, the field and what is supported for an unknown model_type, a missing or wrongly
    typed field, an architecture that a Shape cannot hold, numbers that contradict each other.
    """
    if isinstance(config, Mapping):
        return _shape(config, name or _text(config, "name") or "config", "config")
    path = Path(config)
    fields = _read(path)
    own = path.absolute().parent.name if path.name == "config.json" else path.stem
    return _shape(fields, name or _text(fields, "name") or own, str(path))


def _shape(fields: Mapping[str, Any], name: str, where: str) -> Shape:
    kind = fields.get("model_type")
    known = ", ".join(MODEL_TYPES)
    if kind is None:
        raise InputError(f"{where}: model_type: missing; supported are {known}")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        hint = did_you_mean(str(kind), MODEL_TYPES)
        raise InputError(f"{where}: model_type = {str(kind)[:60]!r} is not supported{hint}; supported are {known}")
    record = checked(MODEL_TYPES[kind], fields, where)
    try:
        return record.shape(name, _text(fields, "source") or where)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a file")
        fields = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constants)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(f"{path}: not JSON of a model: brackets too deep") from None
    except ValueError as error:  # JSON, text encoding, a zero byte in the path
        raise InputError(f"{str(path)!r}: not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InputError(f"{path}: expected an object with a model_type, found {type(fields).__name__}")
    return fields


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
