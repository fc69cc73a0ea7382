"""What the tests of sharded execution share: shapes, layouts, the reference's answers, a witness of all traffic."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch.utils.flop_counter import FlopCounterMode

from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.convolution import ShortConvolution
from inferometer.emulator.workload.kinds.delta import GatedDelta
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.inputs import LayerInputs
from inferometer.emulator.workload.kinds.mamba import Mamba1, Mamba2
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Collective, Compute
from inferometer.emulator.workload.shape import Experts, Heads, Latent, Layer, Shape, uniform
from inferometer.emulator.workload.stages import check_layout
from inferometer.emulator.workload.step import Step
from inferometer.parallel.reference.model import Reference
from inferometer.parallel.weights import Weights

BATCH, PROMPT, STEPS, SEED = 8, 5, 16, 3
WIDTH = {torch.float32: 32, torch.bfloat16: 16}


def with_layers(name: str, parts) -> Shape:
    """A shape of layers that differ: (attention, feed-forward) each."""
    return Shape(name, 32, 50, tuple(Layer(attention, feed_forward) for attention, feed_forward in parts))


DENSE = uniform("dense", 4, 32, 64, 50, Heads(8, 2, 8), tied_embeddings=True)
MIXED = uniform("mixed", 4, 32, 64, 50, Heads(8, 8, 8), experts=Experts(8, 2, 16, shared=1, router_bias=True), first_dense=1)
LATENT = uniform("latent", 4, 32, 64, 51, Latent(8, 24, 16, 8, 4, 8), experts=Experts(8, 3, 16))
BIASED = uniform(
    "biased", 4, 32, 64, 50, Heads(8, 4, 8, bias=True, out_bias=True, qk_norm=True),
    experts=Experts(4, 1, 16, shared=2), first_dense=2,
    norm_bias=True, linear_bias=True, head_bias=True, gated=False, learned_positions=64,
)  # fmt: skip
JOINT = uniform("joint", 4, 32, 64, 50, Heads(8, 1, 8), gated=False, parallel_attention=True)
WINDOW = uniform("window", 4, 32, 64, 50, Latent(8, None, 16, 8, 4, 12), sliding_window=6, full_attention_layers=1)
SINKS = with_layers(  # gpt-oss: sinks, a window in every other layer, experts with biases
    "sinks",
    [(Heads(8, 2, 8, bias=True, out_bias=True, sinks=True, window=window), Experts(4, 2, 16, bias=True, router_bias=True))
     for window in (4, None, 4, None)]
)  # fmt: skip
CHUNKS = with_layers(  # Llama 4: chunks where positions are rotated, experts in every other layer
    "chunks",
    [(Heads(8, 2, 8, window=4, chunked=True), Dense(64)), (Heads(8, 2, 8), Experts(4, 1, 16, shared=1)),
     (Heads(8, 2, 8, window=4, chunked=True), Dense(64)), (Heads(8, 2, 8, rotary=False), Experts(4, 1, 16, shared=1))]
)  # fmt: skip
NORMS = Shape(  # Gemma 3: norms of what each part puts out, of queries and keys; a window in three of four layers
    "norms", 32, 50,
    tuple(Layer(Heads(8, 4, 8, qk_norm=True, window=window), Dense(64), 4) for window in (4, 4, 4, None)),
    tied_embeddings=True,
)  # fmt: skip
DELTA = with_layers(  # Qwen3-Next: three of four layers with a state, experts
    "delta",
    [(mixer, Experts(4, 2, 16, shared=1, shared_d_ff=24, shared_gate=True))
     for mixer in (*[GatedDelta(8, 4, 4, 6, 4)] * 3, Heads(8, 4, 8, qk_norm=True, gate="query"))]
)  # fmt: skip
STATE = Shape(  # Nemotron-H: one part to a layer, Mamba-2, experts on a latent; fewer groups than 4 ranks
    "state", 32, 50,
    (Layer(Mamba2(8, 4, 2, 6, 4), None, 1), Layer(None, Experts(4, 2, 16, shared=1, gated=False, latent=16), 1),
     Layer(Mamba2(8, 4, 4, 6, 3, conv_bias=False, proj_bias=True), None, 1), Layer(Heads(8, 4, 8, rotary=False), None, 1),
     Layer(None, Dense(64, gated=False), 1)),
)  # fmt: skip
CONVOLVED = with_layers(  # LFM2: short convolutions, with and without biases
    "convolved",
    [(ShortConvolution(32, 3), Dense(64)), (ShortConvolution(32, 4, True), Experts(4, 2, 16, router_bias=True)),
     (Heads(8, 4, 8, qk_norm=True), Dense(64)), (ShortConvolution(32, 3), Dense(64))]
)  # fmt: skip
SELECTIVE = with_layers(  # Jamba: the first Mamba, with and without norms of what it makes
    "selective",
    [(Mamba1(64, 4, 4, 3, inner_norms=True), Dense(64)), (Heads(8, 4, 8, rotary=False), Experts(4, 2, 16)),
     (Mamba1(64, 5, 3, 2, conv_bias=False, proj_bias=True), Dense(64)), (Mamba1(64, 4, 4, 3), Experts(4, 2, 16))]
)  # fmt: skip
INDEXED = with_layers(  # DeepSeek V3.2: an index that leaves 4 tokens
    "indexed", [(Latent(8, 24, 16, 8, 4, 8, index=Index(8, 8, 4, 24)), Experts(8, 3, 16, router_bias=True))] * 4
)
SHARED_INDEX = with_layers(  # GLM 5.2: layers that read what an earlier one's index has chosen
    "shared_index",
    [(Latent(8, 24, 16, 8, 4, 8, index=Index(8, 8, 4, 24, own=own)), Dense(64)) for own in (True, False, True, False)],
)
SHARED_KV = Shape(  # Gemma 4: layers on an earlier one's keys and values, inputs of their own, keys in place of values
    "shared_kv", 32, 50,
    tuple(
        Layer(Heads(8, kv_heads, dim, qk_norm=True, window=window, cache=cache, values=window is not None or shared),
              Dense(64), 4, inputs=LayerInputs(8, 40), scalar=True)
        for cache, shared in (("own", False), ("shared", True))
        for kv_heads, dim, window in ((4, 8, 4), (2, 16, None))
    ),
    tied_embeddings=True,
)  # fmt: skip
SHAPES = (
    DENSE, MIXED, LATENT, BIASED, JOINT, WINDOW, SINKS, CHUNKS, NORMS, DELTA, STATE, CONVOLVED, SELECTIVE, INDEXED,
    SHARED_INDEX, SHARED_KV,
)  # fmt: skip


def layouts(shape: Shape, ranks: int) -> list[Layout]:
    """Every layout of so many ranks that divides the shape."""
    found = [Layout(tp=2, dp=2)] if ranks == 4 else []
    for pp in (1, 2, 4):
        for ep in (1, 2, 4) if shape.experts else (1,):
            if ranks % (pp * ep):
                continue
            tp = ranks // (pp * ep)
            found.append(Layout(tp=tp, ep=ep, pp=pp))
            if ep > 1:
                found.append(Layout(tp=tp, ep=ep, pp=pp, attention="data"))
            if tp == 4:
                found.append(Layout(tp=tp, ep=ep, pp=pp, tensor="2d"))
    return [layout for layout in found if _divides(shape, layout)]


def _divides(shape: Shape, layout: Layout) -> bool:
    try:
        check_layout(shape, layout)
    except InputError:
        return False
    return True


@dataclass
class Answers:
    """The reference's logits, tokens, routing at every step; the first step is the prefill."""

    prompts: torch.Tensor
    logits: list[torch.Tensor] = field(default_factory=list)
    tokens: list[torch.Tensor] = field(default_factory=list)
    routing: list[dict[int, torch.Tensor]] = field(default_factory=list)

    def inputs(self, step: int) -> torch.Tensor:
        return self.prompts if step == 0 else self.tokens[step - 1][:, None]


@torch.no_grad()
def reference_answers(shape, dtype=torch.float32, forced: Answers | None = None, batch=BATCH, prompt=PROMPT, steps=STEPS):
    """Greedy decoding; forced: its tokens and its routing instead of the module's own."""
    module = Reference(shape, Weights(SEED, dtype))
    drawn = torch.randint(0, shape.vocab, (batch, prompt), generator=torch.Generator().manual_seed(SEED))
    got = Answers(forced.prompts if forced else drawn)
    for step in range(steps + 1):
        logits = module((forced or got).inputs(step), forced.routing[step] if forced else None)
        got.logits.append(logits.float())
        got.tokens.append(logits.argmax(-1))
        got.routing.append(dict(module.routing))
    return got


def relative_error(logits, expected) -> float:
    return float((logits.float() - expected).abs().max() / expected.abs().max())


class Traffic:
    """Every call on every communicator of a kind in this process: kind, bytes in nccl-tests' convention, world ranks."""

    def __init__(self, communicator: type) -> None:
        self.communicator = communicator
        self.calls: list[tuple[str, int, tuple[int, ...]]] = []

    def __enter__(self) -> Traffic:
        sizes = {
            "all_reduce": lambda x: x, "all_gather": lambda output, shard: output, "reduce_scatter": lambda shard, x: x,
            "all_to_all": lambda output, x, *splits: x, "start_send": lambda x, to: x, "recv": lambda x, source: x,
        }  # fmt: skip
        self._plain = {name: getattr(self.communicator, name) for name in sizes}
        for name, size in sizes.items():
            setattr(self.communicator, name, self._witnessed(name, size))
        return self

    def __exit__(self, *failure) -> None:
        for name, method in self._plain.items():
            setattr(self.communicator, name, method)

    def _witnessed(self, name, size):
        plain = self._plain[name]

        def call(comm, *args):
            ranks = comm.ranks
            if name in ("start_send", "recv"):
                ranks = (comm.ranks[comm.rank], comm.ranks[args[1]])
            self.calls.append((name, size(*args).nbytes, ranks))
            return plain(comm, *args)

        return call


def group_of(layout: Layout, rank: int, axis: str) -> tuple[int, ...]:
    """World ranks of rank's group, from the rank order alone: dp, pp, ep, tp, the last one fastest."""
    tp = rank % layout.tp
    base = rank - tp
    ep = rank // layout.tp % layout.ep
    side = layout.width
    if axis == "width":
        return tuple(base + row * (layout.tp // side) + tp % (layout.tp // side) for row in range(side))
    if axis == "tp" or (axis == "tensor" and layout.attention_ranks == layout.tp):
        columns = layout.tp // side
        return tuple(base + tp // columns * columns + column for column in range(columns))
    first = base - ep * layout.tp
    if axis == "ep":
        return tuple(first + e * layout.tp + tp for e in range(layout.ep))
    assert axis == "tensor"
    return tuple(first + r for r in range(layout.stage_ranks))


def expected_calls(program, layout, rank, *, tokens_awaited):
    """What this rank must do in a step by the program: kind, bytes, world ranks; None for bytes left to routing."""
    stage_of = rank // layout.stage_ranks % layout.pp
    before, after = ((stage_of + step) % layout.pp * layout.stage_ranks + rank % layout.stage_ranks for step in (-1, 1))
    first = rank // (layout.stage_ranks * layout.pp) * (layout.stage_ranks * layout.pp)
    calls = []
    for _ in range(int(program.micro_batches)):
        if stage_of > 0 or tokens_awaited:
            handed = next(op for op in program.stages[stage_of - 1] if op.name.startswith("pipeline."))
            calls.append(("recv", int(handed.bytes), (rank, first + before)))
        for op in program.stages[stage_of]:
            if isinstance(op, Collective) and op.axis == "pp":
                calls.append(("start_send", int(op.bytes), (rank, first + after)))
            elif isinstance(op, Collective):
                calls.append((op.collective, None if op.expected else int(op.bytes), group_of(layout, rank, op.axis)))
    return calls


class FlopWitness:
    """Torch's own FLOP counter, read before and after every operation that the tape announces."""

    def __init__(self) -> None:
        self.counter: FlopCounterMode | None = None
        self.matmuls: list[tuple[str, int]] = []

    @contextmanager
    def around(self, line, size):
        before = self._count()
        yield
        if line.kind == "matmul":
            self.matmuls.append((line.name, self._count() - before))

    def _count(self) -> int:
        return self.counter.get_total_flops() if self.counter else 0


def expected_matmuls(program, stage, varied):
    """Name and FLOP of every matmul of a step according to the program; varied: rows that routing decided."""
    rows = iter(varied)
    matmuls = []
    for _ in range(int(program.micro_batches)):
        for op in program.stages[stage]:
            if getattr(op, "kind", None) == "matmul":
                _, inner, outer = op.matmul
                matmuls.append((op.name, 2 * next(rows) * inner * outer if op.expected else int(op.flop)))
    return matmuls


def run_layout(world, shape, layout, answers: Answers, *, dtype=torch.float32, forced=False, micro_batches=None):
    """Prefill and decode against answers; on this rank.

    Returns the largest relative error, wrong tokens, complaints about traffic, places in the batch that it left to others.
    """
    bits = WIDTH[dtype]
    micro_batches = micro_batches or (2 if layout.pp > 1 else 1)
    batch, prompt = answers.prompts.shape
    steps = len(answers.logits) - 1
    flops = FlopWitness()
    engine = Engine(
        shape, layout, world, batch=batch, cache_tokens=prompt + steps, micro_batches=micro_batches,
        precision=Precision(bits, bits, bits), seed=SEED, observer=flops,
    )  # fmt: skip
    error, wrong, complaints, answered = 0.0, 0, [], []
    context = 0
    for step in range(steps + 1):
        routing = answers.routing[step] if forced else None
        awaited = engine.tokens_awaited and engine.stage_index == 0
        flops.counter = FlopCounterMode(display=False) if step < 2 else None  # slow, and one decode step is as the next
        with Traffic(type(world)) as traffic, flops.counter or nullcontext():
            if step == 0:
                output = engine.prefill(answers.prompts, routing)
            else:
                output = engine.decode(answers.tokens[step - 1] if forced else None, routing)
        new = prompt if step == 0 else 1
        program = engine.program(Step(batch, new, context))
        context += new
        expected = expected_calls(program, layout, world.rank, tokens_awaited=awaited)
        kinds = [
            (kind, size if want[1] is not None else None, ranks)
            for (kind, size, ranks), want in zip(traffic.calls, expected)
        ]
        if len(traffic.calls) != len(expected) or kinds != expected:
            complaints.append(f"step {step}: {traffic.calls} is not {expected}")
        matmuls = expected_matmuls(
            program, engine.stage_index, [n for line, n in engine.tape.varied if line.kind == "matmul"]
        )
        if flops.counter and flops.matmuls != matmuls:
            complaints.append(f"step {step}: {flops.matmuls} is not {matmuls}")
        flops.matmuls = []
        if output is not None:
            answered = output.sequences.tolist()
            error = max(error, relative_error(output.logits, answers.logits[step][output.sequences]))
            wrong += int((output.tokens != answers.tokens[step][output.sequences]).sum())
    engine.finish()
    held = sum(tensor.nbytes for _, tensor in engine.stage.tensors())
    resident = sum(op.resident_bytes for op in program.stages[engine.stage_index] if isinstance(op, Compute))
    if held != resident:
        complaints.append(f"{held} bytes of weights, not {resident}")
    engine.close()
    unanswered = sorted(set(range(batch)) - set(answered))
    return error, wrong, complaints, unanswered


def run_many(world, control, cases, numbered=False, **options):
    """run_layout for each (shape, layout, answers), by name."""
    results = {}
    for number, (shape, layout, answers) in enumerate(cases):
        name = f"{shape.name} {layout.describe()}" + (f" #{number}" if numbered else "")
        results[name] = run_layout(world, shape, layout, answers, **options)
    return results
