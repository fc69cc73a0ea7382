"""How unevenly routers with random weights spread tokens: what the "alike" routing of a program expects of emulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

torch = pytest.importorskip("torch")

from inferometer.emulator.workload.catalogue import load_shape  # noqa: E402
from inferometer.emulator.workload.feedforward import ALIKE, load_imbalance  # noqa: E402
from inferometer.emulator.workload.scaled import scaled  # noqa: E402
from inferometer.parallel.reference.model import Reference  # noqa: E402
from inferometer.parallel.weights import Weights  # noqa: E402

MODELS = [("mixtral-8x7b", 1 / 16, 4), ("deepseek-v3", 1 / 16, 6)]
PROMPTS = [(1, 64), (8, 64), (2, 256)]
RANKS = (2, 4)


@torch.no_grad()
def drawn(model, scale, layers, sequences, tokens, seeds, decode=False):
    """The experts; by number of ranks the mean over layers and seeds of the fullest rank's load over the mean one."""
    shape = scaled(load_shape(model), scale, layers).shape
    experts, loads = shape.experts, {ranks: [] for ranks in RANKS}
    for seed in range(seeds):
        module = Reference(shape, Weights(seed))
        prompts = torch.randint(shape.vocab, (sequences, tokens), generator=torch.Generator().manual_seed(seed))
        logits = module(prompts)
        if decode:
            module(logits.argmax(-1)[:, None])
        for chosen in module.routing.values():
            counts = np.bincount(chosen.flatten().numpy(), minlength=experts.count)
            for ranks, its in loads.items():
                each = counts.reshape(ranks, -1).sum(axis=1)
                its.append(each.max() / each.mean())
    return experts, {ranks: float(np.mean(its)) for ranks, its in loads.items()}


@pytest.mark.verify
@pytest.mark.parametrize(("model", "scale", "layers"), MODELS)
@pytest.mark.parametrize(("sequences", "tokens"), PROMPTS)
def test_tokens_of_a_sequence_choose_alike(model, scale, layers, sequences, tokens):
    experts, loads = drawn(model, scale, layers, sequences, tokens, seeds=3)
    for ranks, load in loads.items():
        alike, independent = (
            load_imbalance(experts, ranks, sequences * tokens, routing, tokens) - 1 for routing in ("alike", "random")
        )
        assert 0.6 < (load - 1) / alike < 1.7
        assert load - 1 > 2 * independent


@pytest.mark.verify
@pytest.mark.parametrize(("model", "scale", "layers"), MODELS)
def test_tokens_of_different_sequences_choose_on_their_own(model, scale, layers):
    experts, loads = drawn(model, scale, layers, 12, 24, seeds=3, decode=True)
    for ranks, load in loads.items():
        assert load - 1 == pytest.approx(load_imbalance(experts, ranks, 12, "alike") - 1, rel=0.35)


@pytest.mark.verify
def test_how_alike_they_choose():
    """Prints the number that ALIKE is in the middle of."""
    found = []
    for model, scale, layers in [*MODELS, ("mixtral-8x7b", 1 / 8, 4), ("deepseek-v3", 1 / 8, 5)]:
        for sequences, tokens in PROMPTS:
            experts, loads = drawn(model, scale, layers, sequences, tokens, seeds=5)
            for ranks, load in loads.items():

                def beyond(alike, ranks=ranks, experts=experts, load=load, sequences=sequences, tokens=tokens):
                    count = sequences * tokens / (1 + (tokens - 1) * alike)
                    return load_imbalance(experts, ranks, count, "random") - load

                found.append(brentq(beyond, 1e-6, 3.0))
                words = f"{model} {scale:g}, {sequences} x {tokens} tokens, {ranks} ranks"
                print(f"{words}: fullest {load:.3f} of the mean, alike {found[-1]:.2f}")
    print(f"alike: median {np.median(found):.2f}, {min(found):.2f} to {max(found):.2f}")
    assert np.median(found) == pytest.approx(ALIKE, abs=0.1)
