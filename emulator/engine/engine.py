"""One rank of a running model: its shards, its part of the KV cache, the steps it goes through with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import torch

from inferometer.emulator.engine.check_deployment import check_start
from inferometer.emulator.engine.lines import received_lines, stage_lines
from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.layout import Axis, Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.stages import stage_layers
from inferometer.emulator.workload.step import Step
from inferometer.parallel.axes import join, leave
from inferometer.parallel.communicator import Communicator
from inferometer.parallel.device.device import Device
from inferometer.parallel.device.here import device_of
from inferometer.parallel.dtypes import EXECUTED
from inferometer.parallel.layers.decoder import Stage
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Rotations, Span
from inferometer.parallel.line import Line
from inferometer.parallel.mesh import RankMesh
from inferometer.parallel.tape import Observer, Tape
from inferometer.parallel.weights import Weights

Routing = dict[int, torch.Tensor]
"""By layer: the experts that every new token of the batch goes to, [batch, new, active]."""


@dataclass(frozen=True)
class Output:
    """What the last stage has at the end of a step, for the sequences whose attention this rank shares in."""

    sequences: torch.Tensor
    """Their places in the batch."""
    tokens: torch.Tensor
    """The most likely next token of each."""
    logits: torch.Tensor
    """[sequences, vocab]"""


class Engine:
    """Runs prefill and decode steps of shape under layout on the ranks of world, one operation of the program after another.

    batch: sequences of one replica, in micro_batches equal parts; with attention = "data" each part is divided over ep.
    cache_tokens: room of every sequence. seed: of the weights. Every rank makes one, with the same arguments.

    Raises InputError, with the arithmetic, for a layout that fits neither ranks nor shape, a batch that cannot be divided,
    a precision of mixed widths.
    """

    def __init__(
        self,
        shape: Shape,
        layout: Layout,
        world: Communicator,
        *,
        batch: int,
        cache_tokens: int,
        micro_batches: int = 1,
        precision: Precision | None = None,
        node_size: int = 8,
        seed: int = 0,
        observer: Observer | None = None,
        device: Device | None = None,
    ) -> None:
        self.shape, self.layout, self.world = shape, layout, world
        self.device = device or device_of(world.device)
        self.node_size = node_size
        self.precision = precision or Precision(32, 32, 32)
        self.dtype = _dtype(self.precision, world.backend)
        check_start(shape, layout, world.size, batch, micro_batches, cache_tokens)
        self.axes = join(world, mesh_of(layout), axes_of(layout))
        self.tape = Tape(self.axes, observer)
        self.stage_index = self.axes["pp"].index
        layers = stage_layers(shape.layers, layout.pp)[self.stage_index]
        divide = layout.attention == "tensor" and layout.ep > 1
        site = Site(self.tape, Weights(seed, self.dtype, world.device))
        self.stage = Stage(site, shape, layers, divide=divide)
        self.admit(batch, cache_tokens, micro_batches)

    def admit(self, batch: int, cache_tokens: int, micro_batches: int = 1) -> None:
        """Make room for another batch, with empty caches; the weights stay. After steps of a pipeline, finish comes first.

        Raises InputError as the constructor does.
        """
        layout, device = self.layout, self.world.device
        check_start(self.shape, layout, self.world.size, batch, micro_batches, cache_tokens)
        self.batch, self.cache_tokens, self.micro_batches = batch, cache_tokens, micro_batches
        per_part = batch // micro_batches // layout.sequence_shares
        share = self.axes["ep"].index if layout.attention == "data" else 0
        starts = [(part * layout.sequence_shares + share) * per_part for part in range(micro_batches)]
        self.parts = [torch.arange(start, start + per_part, device=device) for start in starts]
        """For each micro-batch the places in the batch of the sequences whose attention this rank shares in."""
        self._sequences = torch.cat(self.parts)
        self._caches = []  # the old ones give way to the new
        self._rotations = Rotations(cache_tokens, self.dtype, device)
        self._caches = [self.stage.caches(per_part, cache_tokens) for _ in self.parts]
        self._tokens: list[torch.Tensor] = [torch.empty(0) for _ in self.parts]
        self._sent: list[Callable[[], object]] = [_nothing for _ in self.parts]
        """Wait until what was last sent of each micro-batch has been taken."""
        self._lines: dict[tuple[int, int, bool], list[Line]] = {}
        self.context = 0
        """Tokens of every sequence in the cache."""
        self.tokens_awaited = False
        """The first stage has yet to receive the tokens that the last one chose."""
        self._bad_logits = ""
        self._unread: list[tuple[torch.Tensor, int]] = []
        """Largest logits of steps, with the context after them, that wait on a device until somebody asks."""

    # -- steps -------------------------------------------------------------------------------------------------------

    def prefill(self, prompts: torch.Tensor, routing: Routing | None = None) -> Output | None:
        """Take in prompts [batch, prompt] of every sequence; None on all stages but the last.

        Raises RunFailed for prompts beyond the cache, OffTape where execution leaves the program.
        """
        return self._step(prompts, prompts.shape[1], routing)

    def decode(self, tokens: torch.Tensor | None = None, routing: Routing | None = None) -> Output | None:
        """One more token of every sequence: the most likely one of the last step, or those given, [batch] (teacher forcing).

        routing: experts to take instead of the routers' own choice. Raises as prefill does.
        """
        return self._step(None if tokens is None else tokens[:, None], 1, routing)

    def choose(self, tokens: torch.Tensor) -> None:
        """Let the next decode step take these, [batch], for what the last one chose. Without a pipeline only."""
        assert self.layout.pp == 1
        self._tokens = [tokens[sequences.to(tokens.device)].to(self.world.device) for sequences in self.parts]

    def finish(self) -> None:
        """Receive the last step's tokens: with a pipeline they are on their way until the next step asks for them."""
        if self.tokens_awaited and self.stage_index == 0:
            program = self.program(Step.decode(self.batch, self.context - 1))
            self.tape.load(received_lines(program, 0))
            for part in range(self.micro_batches):
                self.tape.rewind()
                self._tokens[part] = self._receive_tokens(part)
        self.tokens_awaited = False
        self.tape.finish()
        for wait in self._sent:
            wait()
        self._sent = [_nothing for _ in self.parts]  # a wait for what is over would not end

    def reset(self) -> None:
        """Forget all sequences, keep the model: the next step is a prefill."""
        self.finish()
        self.context = 0

    @contextmanager
    def captured(self) -> Iterator[list[torch.Tensor]]:
        """A decode step made inside can be captured in a graph and replayed: it reads nothing back, and leaves nothing open.

        It routes as the step before it did, which must have been a decode step, and takes its tokens where it leaves them.
        Yields tensors of the engine's that the graph goes on to use: whoever holds the graph must hold them.
        """
        assert self.layout.pp == 1, "a pipeline's tokens are handed on from one step to the next, and so to no graph"
        self._tokens = [tokens.clone() for tokens in self._tokens]
        self.tape.readback.hold()
        try:
            yield [*self._tokens, *self.tape.readback.choices]
        finally:
            self.tape.readback.release()

    @property
    def bad_logits(self) -> str:
        """The first step whose logits were not finite numbers, in words; empty where there was none."""
        for best, context in self._unread:
            if not self._bad_logits and not bool(best.isfinite().all()):
                self._bad_logits = f"logits are not finite after {context} tokens of context"
        self._unread.clear()
        return self._bad_logits

    def take_unread(self) -> list[tuple[torch.Tensor, int]]:
        """The largest logits that nobody has looked at: of a step that was captured, numbers only after a replay."""
        found, self._unread = self._unread, []
        return found

    def give_unread(self, largest: list[tuple[torch.Tensor, int]]) -> None:
        """Have these looked at with the next question for bad_logits."""
        self._unread += largest

    def close(self) -> None:
        """Give the groups back. Collective over the world."""
        leave(self.axes)

    def attention_of(self, phase: str, context: int) -> list[str]:
        """Names of the attention kernels that the device takes for this stage's layers in a step at context, each once."""
        return self.stage.attention_kernels(self.device, decoding=phase == "decode", context=context)

    # -- the program ---------------------------------------------------------------------------------------------------

    def program(self, step: Step) -> Program:
        """The program of a step of this deployment."""
        return build(
            self.shape, self.layout, step,
            precision=self.precision, micro_batches=self.micro_batches, node_size=self.node_size,
        )  # fmt: skip

    def prepare(self, contexts: Iterable[int], new_tokens: int = 1) -> None:
        """Make the lists of coming steps, so that making them is no part of the steps' time."""
        for context in contexts:
            self.lines(context, new_tokens)

    def lines(self, context: int, new_tokens: int = 1) -> list[Line]:
        """What this rank does for each micro-batch of a step after others, at context tokens."""
        awaited = self.layout.pp > 1 and self.stage_index == 0 and context > 0
        return self._lines_of(new_tokens, context, awaited)

    def _lines_of(self, new: int, context: int, awaited: bool) -> list[Line]:
        key = (new, context, awaited)
        if key not in self._lines:
            program = self.program(Step(self.batch, new, context))
            self._lines[key] = stage_lines(program, self.stage_index, tokens_awaited=awaited)
        return self._lines[key]

    # -- one step ------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _step(self, given: torch.Tensor | None, new: int, routing: Routing | None) -> Output | None:
        end = self.context + new
        if end > self.cache_tokens:
            raise RunFailed(
                f"context {self.context} + {new} new tokens = {end} is beyond the cache of {self.cache_tokens} tokens"
            )
        self.tape.load(self._lines_of(new, self.context, self.tokens_awaited and self.stage_index == 0))
        device = self.world.device
        given = None if given is None else given.to(device)
        routing = None if routing is None else {number: experts.to(device) for number, experts in routing.items()}
        span = Span(len(self.parts[0]), new, self.context, device, self._rotations)
        logits = []
        for part, sequences in enumerate(self.parts):
            self.tape.rewind()
            x = self._input(part, None if given is None else given[sequences], new)
            chosen = None if routing is None else {n: experts[sequences].flatten(0, 1) for n, experts in routing.items()}
            y = self.stage(x, span, self._caches[part], chosen)
            self._output(part, y)
            logits.append(y)
        self.tape.finish()
        self.context = end
        self.tokens_awaited = self.layout.pp > 1
        if self.stage.head is None:
            return None
        return Output(self._sequences, _joined(self._tokens), _joined(logits))

    def _input(self, part: int, given: torch.Tensor | None, new: int) -> torch.Tensor:
        if self.stage.embedding is None:
            width = self.shape.d_model // self.layout.width
            room = torch.empty(len(self.parts[part]) * new, width, dtype=self.dtype, device=self.world.device)
            return self.tape.receive("pipeline.activations", "pp", room, self.stage_index - 1)
        if self.tokens_awaited:
            self._tokens[part] = self._receive_tokens(part)
        return self._tokens[part][:, None] if given is None else given

    def _output(self, part: int, y: torch.Tensor) -> None:
        if self.stage.head is None:
            self._send("pipeline.activations", part, y, self.stage_index + 1)
            return
        best = y.max(dim=-1)
        if self.device.queued:
            self._unread.append((best.values, self.context))
        # One that is not a number makes the largest none, so that looking at the largest is enough.
        elif not self._bad_logits and not bool(best.values.isfinite().all()):
            bad = int((~y.isfinite()).sum())
            self._bad_logits = f"{bad} of {y.numel()} logits are not finite after {self.context} tokens of context"
        if self.tape.readback.held:
            self._tokens[part].copy_(best.indices)  # where the next step of the same graph looks for them
        else:
            self._tokens[part] = best.indices
        if self.layout.pp > 1:
            self._send("pipeline.tokens", part, self._tokens[part], 0)

    def _send(self, name: str, part: int, x: torch.Tensor, stage: int) -> None:
        self._sent[part]()  # of the step before: received long since, or this step could not run
        self._sent[part] = self.tape.send(name, "pp", x, stage)

    def _receive_tokens(self, part: int) -> torch.Tensor:
        room = torch.empty(len(self.parts[part]), dtype=torch.int64, device=self.world.device)
        return self.tape.receive("pipeline.tokens", "pp", room, self.layout.pp - 1)


def _nothing() -> None: ...


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def mesh_of(layout: Layout) -> RankMesh:
    """The layout's ranks; tp as the grid of the 2-D cut, one column of ranks long in the 1-D cut."""
    outer = {axis: degree for axis, degree in reversed(layout.degrees.items()) if axis != "tp"}
    return RankMesh.of(outer | {"width": layout.width, "tp": layout.ranks("tp")}, layout.gpus)


def axes_of(layout: Layout) -> dict[str, tuple[str, ...]]:
    """The axes of mesh_of's mesh over which each axis of the program lies."""
    alone: dict[str, tuple[str, ...]] = {axis: (axis,) for axis in get_args(Axis)}
    return alone | {"tensor": ("tp",) if layout.attention == "data" else ("ep", "tp")}


def _dtype(precision: Precision, backend: str) -> torch.dtype:
    widths = {precision.weight_bits, precision.activation_bits, precision.kv_bits}
    if len(widths) > 1 or not widths <= EXECUTED.keys():
        given = ", ".join(str(bits) for bits in sorted(widths))
        known = " or ".join(f"{bits} ({dtype.name})" for bits, dtype in sorted(EXECUTED.items()))
        raise InputError(f"executed in one width, {known} bits, for weights, activations, cache: not {given}")
    dtype = EXECUTED[precision.weight_bits]
    if backend not in dtype.summed_by:
        able = ", ".join(sorted(dtype.summed_by))
        raise InputError(f"{backend.upper()} cannot sum {dtype.name}: use 32 bits, or a backend that can ({able})")
    found: torch.dtype = getattr(torch, dtype.name)
    return found
