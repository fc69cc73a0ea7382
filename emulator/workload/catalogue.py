"""Find a model's shape: a built-in one by its name, or any config.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

from inferometer.configs import folder
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean, named
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.shape import Shape

KIND = "models"
PAPER_SUFFIX = "@epoch-2025"


def model_names() -> list[str]:
    """The names of the built-in models."""
    return sorted(entry.name[:-5] for entry in folder(KIND).iterdir() if entry.name.endswith(".json"))


def load_shape(name_or_path: str | Path) -> Shape:
    """The shape of a built-in model by its name, of a config.json, or of a folder that holds one.

    Built-in shapes are the real architectures; GPT-3.5 and GPT-4, which nobody has published, are as the inference
    economics paper has them, and their source says so.

    Built-in names may be written in any case, with any separators, or as the Hugging Face Hub has them.

    Raises InputError for a name that is neither, with the names there are, and as shape_from_config does.
    """
    name = str(name_or_path)
    known = named(name, model_names())
    if known is not None and (known == name or not _is_there(name)):
        name = known
        return shape_from_config(json.loads(folder(KIND).joinpath(f"{name}.json").read_text(encoding="utf-8")), name)
    if name.endswith(PAPER_SUFFIX):
        raise InputError(f"model {name!r}: the paper's figures of a model are priced under --convention epoch-2025 only")
    path = Path(name)
    try:
        if path.is_dir():
            return shape_from_config(path / "config.json")
        if path.exists():
            return shape_from_config(path)
    except (OSError, ValueError) as error:
        raise InputError(f"model {name[:80]!r}: not a path: {getattr(error, 'strerror', None) or error}") from None
    hint = did_you_mean(name, model_names())
    raise InputError(
        f"model {name[:80]!r}: neither a file or folder nor a built-in model{hint}: `inferometer models` lists those"
    )


def hub_id(name: str) -> str | None:
    """A built-in model's name on the Hugging Face Hub, where its shape is from; None for any other model."""
    known = named(name, model_names())
    if known is None:
        return None
    source = json.loads(folder(KIND).joinpath(f"{known}.json").read_text(encoding="utf-8")).get("source", "")
    found = re.search(r"https://huggingface\.co/([\w.-]+/[\w.-]+)", source)
    return None if found is None else found[1]


def _is_there(name: str) -> bool:
    """Whether a file or folder has this name, which then stands for it."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
