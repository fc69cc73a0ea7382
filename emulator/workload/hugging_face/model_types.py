"""Which model types are read, and by what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.shape import Shape

Reader = Callable[[Fields], Shape]

PLAIN = "decoder"
"""Our own type: see plain.py."""

HOMES = ("families", "latents", "earlier", "gemmas", "hybrids", "others", "further", "published")
"""The modules that read model types, each in its READERS; one is imported when those before it do not read what is asked."""

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
    "gemma4_unified": "gemma4_unified_text",
    "glm4v": "glm4v_text",
    "glm46v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "exaone4_5": "exaone4",
    "exaone4_5_text": "exaone4",
    "aria": "aria_text",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "deepseek_vl": "llama",
    "deepseek_vl_hybrid": "llama",
    "fast_vlm": "qwen2",
    "glm_ocr": "glm_ocr_text",
    "got_ocr2": "qwen2",
    "hunyuan_vl": "hunyuan_vl_text",
    "hyperclovax_vision_v2": "hyperclovax",
    "idefics2": "mistral",
    "idefics3": "llama",
    "janus": "llama",
    "lfm2_vl": "lfm2",
    "lighton_ocr": "qwen3",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "minicpmv4_6": "qwen3_5_text",
    "nemotron_h_omni": "nemotron_h",
    "ovis2": "qwen2",
    "paddleocr_vl": "paddleocr_vl_text",
    "paligemma": "gemma",
    "perception_lm": "llama",
    "qianfan_ocr": "qwen3",
    "qwen2_5_omni_thinker": "qwen2_5_omni_text",
    "qwen3_omni_moe_thinker": "qwen3_omni_moe_text",
    "smolvlm": "llama",
    "video_llama_3": "qwen2",
    "video_llava": "llama",
    "vipllava": "llama",
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
    "apertus1p5": "apertus",
    "apertus1p5_text": "apertus",
    "blip-2": "opt",
    "instructblip": "opt",
    "instructblipvideo": "opt",
    "cosmos3_omni": "qwen3_vl_text",
    "fuyu": "persimmon",
    "glmga": "glm4v_text",
    "lfm3_vl": "lfm3",
    "minicpm_ocr": "qwen3_5_text",
    "minicpmv4_7": "qwen3_5_text",
    "moss_transcribe_diarize": "qwen3",
    "phi4_multimodal": "phi3",
    "phi4mm": "phi3",
}
"""The language model of a type that has other towers."""
NESTED = frozenset(TEXT_OF)
TIED = frozenset(
    (
        "aya_vision",
        "cohere2_vision",
        "deepseek_vl",
        "deepseek_vl_hybrid",
        "gemma3",
        "gemma3n",
        "gemma4",
        "gemma4_unified",
        "got_ocr2",
        "hunyuan_vl",
        "hyperclovax_vision_v2",
        "internvl",
        "janus",
        "kimi_k25",
        "lfm2_vl",
        "lfm3_vl",
        "lighton_ocr",
        "mistral3",
        "ovis2",
        "paddleocr_vl",
        "paligemma",
    )
)
"""Types whose head is the embedding where the file does not say; what it says of the whole model decides, and in those of
TIED_BY_TEXT also what it says of the language model."""
TIED_BY_TEXT = frozenset(
    (
        "fast_vlm",
        "glm4v",
        "hunyuan_vl",
        "paddleocr_vl",
        "glm4v_moe",
        "glm_ocr",
        "llava",
        "llava_next_video",
        "llava_onevision",
        "minimax_m3_vl",
        "perception_lm",
        "qwen2_5_vl",
        "qwen2_vl",
        "video_llama_3",
    )
)

TIED_INSIDE = frozenset(("llama4", "blip-2", "instructblip", "instructblipvideo"))
"""Types of which the language model alone says whether its head is the embedding."""


def reader_of(kind: str) -> Reader | None:
    """What reads the configurations of a model type; None of a type that is not known, or that has other towers."""
    return next((readers[kind] for readers in _tables() if kind in readers), None)


def is_read(kind: str) -> bool:
    """Whether a model type is one of model_types()."""
    return kind == PLAIN or reader_of(TEXT_OF.get(kind, kind)) is not None or reader_of(kind) is not None


def model_types() -> list[str]:
    """The model types that are read, ours last."""
    read = {kind for readers in _tables() for kind in readers}
    nested = {kind for kind, text in TEXT_OF.items() if text in read}
    return [*sorted(read | nested), PLAIN]


def _tables() -> Iterator[Mapping[str, Reader]]:
    for home in HOMES:
        yield import_module(f"{__package__}.{home}").READERS
