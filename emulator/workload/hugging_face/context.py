"""The longest context a model is served with, as serving engines derive it."""

from __future__ import annotations

from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields

KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length")
UNSCALED = ("default", "su", "longrope", "llama3", "mrope", "proportional", "dynamic_ntk_alpha")


def max_context(f: Fields, kind: str, *, nested: bool = False) -> int | None:
    """Positions, times the factor of a scaling that engines apply (vLLM, config/model.py, _get_and_verify_max_len).

    yarn scales the positions it was made from; linear and dynamic scale the ones there are; llama3, longrope and mrope
    state the scaled number already. None where the file has none; nested: then what the type has, since the file of a
    model with several towers leaves out what is usual.
    """
    found = [key for key in KEYS if f.value(key) is not None and (nested or f.has(key))]
    positions = f.maybe(found[0]) if found else None
    if positions is None:
        return None
    if kind.startswith("gemma3"):  # its positions are the scaled ones
        return positions
    scaling: Any = f.value("rope_scaling") or f.value("rope_parameters")
    if not isinstance(scaling, dict):
        return positions
    scaled_by = scaling.get("rope_type") or scaling.get("type") or "default"
    factor = scaling.get("factor")
    if scaled_by in UNSCALED or not isinstance(scaled_by, str):
        return positions
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < 1e6:
        if factor is None:
            return positions
        raise InputError(f"rope_scaling.factor = {factor!r:.60}: input should be a number above 0")
    if scaled_by == "yarn":
        original = scaling.get("original_max_position_embeddings")
        positions = original if isinstance(original, int) and not isinstance(original, bool) and original > 0 else positions
    return max(1, int(positions * factor))
