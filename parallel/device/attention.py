"""Which implementation of attention a GPU runs: one without a plan for every shape, and by name.

On Hopper torch's default is cuDNN's, which builds a plan on the host for each new length of the context: 32 ms against
25 us. FlashAttention and the memory-efficient kernel need none; the plain product of matrices takes what neither can.
"""

from __future__ import annotations

from typing import Any

NAMES = {0: "math", 1: "flash", 2: "efficient", 3: "cudnn", 4: "overrideable"}
"""torch.nn.attention.SDPBackend."""


def without_plans(torch: Any) -> None:
    """Leave cuDNN out of scaled_dot_product_attention, and the other implementations in."""
    switches = torch.backends.cuda
    switches.enable_cudnn_sdp(False)
    for name in ("flash", "mem_efficient", "math"):
        getattr(switches, f"enable_{name}_sdp")(True)


def backend_of(torch: Any, q: Any, keys: Any, values: Any, *, causal: bool) -> str:
    """What torch chooses for these tensors, by name; unknown where it does not say."""
    choose = getattr(torch, "_fused_sdp_choice", None)
    if choose is None:
        return "unknown"
    chosen = choose(q, keys, values, None, 0.0, causal, enable_gqa=q.shape[1] != keys.shape[1])
    return NAMES.get(int(chosen), "unknown")
