"""The law of one kernel on a device: launch cost, a chain, and the roof of memory and arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.compute_records import KernelFormula

#: Tokens of a context that one split of a decode attention reads at least.
SPLIT_TOKENS = 256
CHAIN_WORDS = {"inner": "l·inner/1024", "splits": f"l·log2(1 + context/{SPLIT_TOKENS})", "context": "l·context/1024"}
MATMUL = KernelFormula(chain="inner", memory=("weight_bytes", "activation_bytes"), arithmetic=True, overlap="smooth")
MATMUL_WITHOUT_CHAIN = MATMUL.model_copy(update={"chain": None})
DECODE = KernelFormula(chain="splits", memory=("kv_bytes",))
PREFILL = KernelFormula(chain="context", memory=("kv_bytes", "activation_bytes"), arithmetic=True)
PREFILL_IN_SPLITS = PREFILL.model_copy(update={"chain": "splits"})
STREAM = KernelFormula(memory=("activation_bytes",))
NULL = KernelFormula()


def equation(formula: KernelFormula) -> str:
    """The formula in words of its parameters."""
    words = ["t = o"]
    if formula.chain:
        words.append(CHAIN_WORDS[formula.chain])
    parts = [f"({' + '.join(formula.memory)})/B"] if formula.memory else []
    parts += ["flop/F"] if formula.arithmetic else []
    if len(parts) == 2:
        parts = [f"(({parts[0]})^q + ({parts[1]})^q)^(1/q)" if formula.overlap == "smooth" else f"max({', '.join(parts)})"]
    return " + ".join(words + parts)


def kernel_us(
    formula: KernelFormula, params: Mapping[str, float], sizes: Mapping[str, ArrayLike], launches: ArrayLike = 1.0
) -> Array:
    """Time in µs of kernels of these sizes (missing: 0), which broadcast. launches: kernels that share them in equal parts.

    params: o, l in µs, B in GB/s, F in GFLOP/s, q.
    """
    size = {name: np.asarray(value, dtype=float) for name, value in sizes.items()}
    zero: Array = np.zeros(1)
    start = np.asarray(params["o"] + params.get("l", 0.0) * chain(formula, size))
    moved = zero
    for name in formula.memory:
        moved = moved + size.get(name, zero)
    memory = moved / (params["B"] * 1e3) if formula.memory else zero
    arithmetic = size.get("flop", zero) / (params["F"] * 1e3) if formula.arithmetic else zero
    if formula.arithmetic and formula.overlap == "smooth":
        top = np.maximum(np.maximum(memory, arithmetic), 1e-12)
        roof = top * ((memory / top) ** params["q"] + (arithmetic / top) ** params["q"]) ** (1 / params["q"])
    else:
        roof = np.maximum(memory, arithmetic)
    return np.asarray(start * np.asarray(launches, dtype=float) + roof)


def chain(formula: KernelFormula, size: Mapping[str, Array]) -> Array:
    """What l multiplies."""
    zero = np.zeros(1)
    if formula.chain == "inner":
        return size.get("inner", zero) / 1024
    context = size.get("context", zero)
    if formula.chain == "splits":
        return np.asarray(np.log2(1 + context / SPLIT_TOKENS))
    return context / 1024 if formula.chain == "context" else zero
