"""In which format each matrix of a checkpoint is stored: a default, what is excluded, what has a format of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.storage.formats import PLAIN, Format
from inferometer.emulator.workload.weights import Weight

PREFIX = re.compile(r"^(re:)?(model\.|language_model\.|text_model\.|backbone\.|transformer\.)*")
LAYER = re.compile(r"^layers\.(\d+)(\.|\*|$)")
NEVER = ("embedding", "router", "norms", "other")
"""Parts that stay in 16 bits in every scheme that is read: tables, routers, norms."""
OUTSIDE = re.compile(r"norm|embed|vision|visual|vit\b|image|audio|projector|merger|head|mtp|nextn|draft")
"""Names of modules that are no matrices of the language model's layers."""
EXPERT = re.compile(r"\bexperts\.\d+")
OTHER_NAMES = (
    (re.compile(r"\b(block_sparse_moe|feed_forward|ffn)\b"), "mlp"),
    (re.compile(r"(?<=[.*])attn\b"), "self_attn"),
    (re.compile(r"\bshared_expert\b(?!_gate)"), "shared_experts"),
    (re.compile(r"\bmixer\.(?=[qkvo]_proj)"), "self_attn."),
    (re.compile(r"\bmixer\.(?=(up|down|gate)_proj|experts|shared_experts|gate\b|fc\d_latent)"), "mlp."),
    (re.compile(r"^head$"), "lm_head"),
    (re.compile(r"\bexperts\.w1\b"), "experts.gate_proj"),
    (re.compile(r"\bexperts\.w2\b"), "experts.down_proj"),
    (re.compile(r"\bexperts\.w3\b"), "experts.up_proj"),
)
"""What modules are called elsewhere, and here."""


@dataclass(frozen=True)
class Quantization:
    """A scheme. exclude: patterns of modules that stay in 16 bits; own: modules with formats of their own, by pattern.

    kv_bits: of the cache, where the checkpoint says so. head: whether the head is stored in the format too.
    """

    default: Format
    exclude: tuple[str, ...] = ()
    own: tuple[tuple[str, Format], ...] = ()
    kv_bits: int | None = None
    head: bool = False
    name: str = ""
    known: dict[object, tuple[tuple[str, Format], ...]] = field(default_factory=dict, compare=False, repr=False)
    """Formats of layers that have been asked for, so that layers alike are looked at once."""

    def format_of(self, weight: Weight, layer: int | None) -> Format:
        """Of a matrix of a layer, counted from 0; None: outside the layers."""
        if not weight.linear or weight.part in NEVER or (weight.part == "head" and not self.head):
            return PLAIN
        if self._exclude.matches(weight.name, layer):
            return PLAIN
        for matcher, form in self._own:
            if matcher.matches(weight.name, layer):
                return form
        return self.default

    def signature(self, layer: int) -> tuple[object, ...]:
        """What the patterns say of a layer by its number: layers of one kind and one signature have the same formats."""
        return (self._exclude.signature(layer), *(matcher.signature(layer) for matcher, _ in self._own))

    @cached_property
    def _exclude(self) -> Matcher:
        return Matcher(self.exclude)

    @cached_property
    def _own(self) -> list[tuple[Matcher, Format]]:
        by_format: dict[Format, list[str]] = {}
        for pattern, form in self.own:
            by_format.setdefault(form, []).append(pattern)
        return [(Matcher(patterns), form) for form, patterns in by_format.items()]

    def check(self, names: Iterable[tuple[str, int | None]], key: str) -> None:
        """Raise InputError for a list that matches none of the model's modules, given with their layers. key: of the
        exclude list."""
        lists = [(key, self.exclude, [self._exclude])]
        if self.default is PLAIN:
            own = tuple(pattern for pattern, _ in self.own)
            lists.append(("modules with a format of their own", own, [matcher for matcher, _ in self._own]))
        lists = [each for each in lists if each[1] and not any(OUTSIDE.search(pattern) for pattern in each[1])]
        for name, layer in names if lists else ():
            lists = [each for each in lists if not any(matcher.matches(name, layer) for matcher in each[2])]
            if not lists:
                return
        for what, patterns, _ in lists:
            shown = ", ".join(patterns[:3])
            raise InputError(f"{what}: none of {len(patterns)} patterns ({shown[:80]}) matches a module of the model")


class Matcher:
    """Whether any of some patterns matches a module: its name, a module above it, a glob, a regular expression (re:…)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._layers: dict[int, set[str]] = {}
        """Names below a layer that patterns give in full; "" for all of the layer."""
        self._globs_of: dict[int, list[str]] = {}
        self._loose: set[str] = set()
        """Names that may stand anywhere."""
        self._anywhere: list[re.Pattern[str]] = []
        for pattern in dict.fromkeys(EXPERT.sub("experts", pattern) for pattern in patterns):
            text = canonical(pattern)
            at = LAYER.match(text) if not pattern.startswith("re:") else None
            if at is not None and "*" in text:
                self._globs_of.setdefault(int(at[1]), []).append(text)
            elif at is not None:
                self._layers.setdefault(int(at[1]), set()).add(text[at.end() :])
            elif pattern.startswith("re:") or "*" in text:
                self._anywhere.append(compiled(pattern, text))
            else:
                self._loose.add(text)
        self._globs = {layer: [compiled(text, text) for text in texts] for layer, texts in self._globs_of.items()}

    def signature(self, layer: int) -> tuple[object, ...]:
        """What is said of one layer by its number."""
        globs = tuple(text.partition(str(layer))[2] for text in self._globs_of.get(layer, ()))
        return frozenset(self._layers.get(layer, ())), globs

    def matches(self, name: str, layer: int | None) -> bool:
        """name: of a weight below its layer, counted from 0; None: outside the layers."""
        parts = name.split(".")
        if layer is not None:
            exact = self._layers.get(layer)
            if exact and any(".".join(parts[:last]) in exact for last in range(len(parts) + 1)):
                return True
            name = f"layers.{layer}.{name}"
            parts = ["layers", str(layer), *parts]
        ends = range(len(parts) + 1)
        if self._loose and any(".".join(parts[a:b]) in self._loose for a in ends for b in ends[a + 1 :]):
            return True
        globs = self._globs.get(layer, ()) if layer is not None else ()
        return any(pattern.search(name) for pattern in (*self._anywhere, *globs))


def compiled(pattern: str, text: str) -> re.Pattern[str]:
    try:
        if pattern.startswith("re:"):
            return re.compile(text)
        glob = translate(text).removesuffix(r"\Z").removesuffix(r"\z")
        return re.compile(rf"^(?:{glob})(?:\.|$)|(?:^|\.)(?:{translate(text.lstrip('*.'))})")
    except re.error as error:
        raise InputError(f"pattern {pattern[:60]!r}: not a regular expression: {error}") from None


def canonical(pattern: str) -> str:
    """A pattern in the names that weights have here."""
    text = PREFIX.sub("", pattern)
    if pattern.startswith("re:"):
        text = re.sub(r"^(\^)?(model\\?\.)?", "", text)
    for other, ours in OTHER_NAMES:
        text = other.sub(ours, text)
    return text
