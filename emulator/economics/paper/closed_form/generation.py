"""Times of a request under the roofline: the prompt is bound by arithmetic, each further token by reading the weights."""

from __future__ import annotations

from inferometer.emulator.economics.paper.closed_form.roofline import flop_per_token, weights_bytes
from inferometer.emulator.workload.program import Size


def prefill_tokens_per_s(params: Size, flop_per_s: Size, devices: Size = 1) -> Size:
    """Prompt tokens per second of devices that reach flop_per_s each (Anysphere, "Prompt Processing is Really Cheap")."""
    return devices * flop_per_s / flop_per_token(params)


def prefill_s(prompt: Size, params: Size, flop_per_s: Size, devices: Size = 1, batch: Size = 1) -> Size:
    """Time to first token of batch prompts processed together (Baseten, "Prefilling"; its formula lacks the factor 2)."""
    return batch * prompt / prefill_tokens_per_s(params, flop_per_s, devices)


def decode_s(params: Size, bytes_per_param: Size, memory_bytes_per_s: Size, devices: Size = 1) -> Size:
    """Seconds per generated token: the weights read once (Baseten, "Generating a single token on each GPU")."""
    return weights_bytes(params, bytes_per_param) / (devices * memory_bytes_per_s)


def decode_tokens_per_s(params: Size, bytes_per_param: Size, memory_bytes_per_s: Size, devices: Size = 1) -> Size:
    """Generated tokens per second of one sequence (Anysphere, "Generating tokens is slow and very expensive")."""
    return 1 / decode_s(params, bytes_per_param, memory_bytes_per_s, devices)


def generation_s(prefill_s: Size, output: Size, s_per_token: Size) -> Size:
    """Time of a whole request: its prompt, then output tokens one after the other (Baseten)."""
    return prefill_s + output * s_per_token
