"""The fields of Hugging Face configurations of GPT-2, GPT-J, Falcon: plain feed-forwards, names of their own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inferometer.emulator.workload.hugging_face.llama_family import Count, Record, head_width
from inferometer.emulator.workload.shape import Heads, Shape, uniform


class Falcon(Record):
    """Attention and feed-forward in parallel; several query heads to a key-value head."""

    vocab_size: Count
    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_kv_heads: Count | None = None
    ffn_hidden_size: Count | None = None
    max_position_embeddings: Count | None = None
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    bias: bool = False
    num_ln_in_parallel_attn: Annotated[int, Field(ge=1, le=2)] | None = None
    tie_word_embeddings: bool = True

    def shape(self, name: str, source: str) -> Shape:
        kv_heads = 1 if self.multi_query else self.num_attention_heads
        if self.new_decoder_architecture:
            kv_heads = self.num_kv_heads or self.num_attention_heads
        norms = 1 if self.parallel_attn and not self.new_decoder_architecture else 2
        if self.new_decoder_architecture and self.num_ln_in_parallel_attn is not None:
            norms = self.num_ln_in_parallel_attn
        head_dim = head_width("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return uniform(
            name=name,
            layers=self.num_hidden_layers,
            d_model=self.hidden_size,
            d_ff=self.ffn_hidden_size or 4 * self.hidden_size,
            vocab=self.vocab_size,
            attention=Heads(self.num_attention_heads, kv_heads, head_dim, self.bias, self.bias),
            gated=False,
            tied_embeddings=self.tie_word_embeddings,
            parallel_attention=self.new_decoder_architecture or self.parallel_attn,
            max_context=self.max_position_embeddings,
            norms_per_layer=norms,
            norm_bias=True,
            linear_bias=self.bias,
            source=source,
        )


class Gpt2(Record):
    """Learned positions, biases everywhere but in the head."""

    vocab_size: Count
    n_embd: Count
    n_layer: Count
    n_head: Count
    n_positions: Count
    n_inner: Count | None = None
    tie_word_embeddings: bool = True

    def shape(self, name: str, source: str) -> Shape:
        head_dim = head_width("n_embd", self.n_embd, "n_head", self.n_head)
        return uniform(
            name=name,
            layers=self.n_layer,
            d_model=self.n_embd,
            d_ff=self.n_inner or 4 * self.n_embd,
            vocab=self.vocab_size,
            attention=Heads(self.n_head, self.n_head, head_dim, bias=True, out_bias=True),
            gated=False,
            tied_embeddings=self.tie_word_embeddings,
            max_context=self.n_positions,
            learned_positions=self.n_positions,
            norm_bias=True,
            linear_bias=True,
            source=source,
        )


class GptJ(Record):
    """Rotary positions, attention and feed-forward in parallel behind one norm, biases there and in the head."""

    vocab_size: Count
    n_embd: Count
    n_layer: Count
    n_head: Count
    n_positions: Count
    n_inner: Count | None = None
    tie_word_embeddings: bool = False

    def shape(self, name: str, source: str) -> Shape:
        head_dim = head_width("n_embd", self.n_embd, "n_head", self.n_head)
        return uniform(
            name=name,
            layers=self.n_layer,
            d_model=self.n_embd,
            d_ff=self.n_inner or 4 * self.n_embd,
            vocab=self.vocab_size,
            attention=Heads(self.n_head, self.n_head, head_dim),
            gated=False,
            tied_embeddings=self.tie_word_embeddings,
            parallel_attention=True,
            max_context=self.n_positions,
            norms_per_layer=1,
            norm_bias=True,
            linear_bias=True,
            head_bias=not self.tie_word_embeddings,
            source=source,
        )
