"""Which model types are read, and by what."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.emulator.workload.hugging_face import earlier, gemmas, hybrids, latents, others
from inferometer.emulator.workload.hugging_face.families import FAMILIES
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.shape import Shape

PLAIN = "decoder"
"""Our own type: see plain.py."""

READERS: dict[str, Callable[[Fields], Shape]] = {
    **FAMILIES,
    **earlier.READERS,
    **gemmas.READERS,
    **hybrids.READERS,
    **others.READERS,
    "deepseek_v2": latents.deepseek_v2,
    "deepseek_v3": latents.deepseek_v3,
    "kimi_k2": latents.deepseek_v3,
    "deepseek_v32": latents.indexed,
    "glm_moe_dsa": latents.indexed,
    "glm4_moe_lite": latents.glm4_lite,
    "deepseek_v4": latents.deepseek_v4,
    "deepseek_ref": latents.deepseek_v4,
    "longcat_flash": latents.longcat,
    "sarvam_mla": latents.deepseek_v3,
    "youtu": latents.dense_latent,
    "minicpm3": latents.dense_latent,
}

TEXT_OF = {
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "mistral3": "mistral",
    "mllama": "mllama_text_model",
    "minimax_m3_vl": "minimax_m3_vl_text",
    "kimi_k25": "deepseek_v3",
    "kimi_k3": "kimi_linear",
    "llava": "llama",
    "llava_next": "llama",
    "internvl": "qwen2",
    "step3p7": "step3p7",
}
"""The language model of a type that has other towers."""
NESTED = frozenset(TEXT_OF)
TIED = frozenset(("gemma3", "gemma3n", "gemma4", "mistral3", "internvl", "kimi_k25"))
"""Types whose head is the embedding where the file does not say; what it says of the whole model decides, and in those of
TIED_BY_TEXT also what it says of the language model."""
TIED_BY_TEXT = frozenset(("qwen2_vl", "qwen2_5_vl", "minimax_m3_vl", "llava"))


def model_types() -> list[str]:
    """The model types that are read, ours last."""
    nested = [kind for kind, text in TEXT_OF.items() if text in READERS]
    return [*sorted({*READERS, *nested}), PLAIN]
