"""The fields of Hugging Face configurations that decide a shape, one record for each model_type of Llama's kind.

Fields have Hugging Face's names and the defaults that transformers gives to those a file leaves out. What costs nothing
(rotary settings, dropout, token ids) is not read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.shape import Experts, Heads, Latent, Shape, uniform

Count = Annotated[int, Field(gt=0, le=10**9)]
Amount = Annotated[int, Field(ge=0, le=10**9)]


class Record(BaseModel, ABC):
    """Fields of one model_type. Fields it does not name are let pass: they do not change the shape."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    @abstractmethod
    def shape(self, name: str, source: str) -> Shape:
        """The shape the fields describe. Raises InputError naming the field that a Shape cannot hold."""


def head_width(width_key: str, width: int, heads_key: str, heads: int) -> int:
    """The width of a head that shares the model's width. Raises InputError where it does not divide."""
    if width % heads:
        raise InputError(f"{width_key} = {width} does not divide by {heads_key} = {heads}, and there is no head_dim")
    return width // heads


class Decoder(Record):
    """A decoder of Llama's kind, which most types are: gated feed-forward, two norms, grouped-query attention."""

    kv_heads_default: ClassVar[int | None] = None
    """None: as many as query heads."""

    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    max_position_embeddings: Count | None = None
    tie_word_embeddings: bool = False

    def shape(self, name: str, source: str) -> Shape:
        return uniform(
            name=name,
            layers=self.num_hidden_layers,
            d_model=self.hidden_size,
            d_ff=self.intermediate_size,
            vocab=self.vocab_size,
            attention=self.attention(),
            experts=self.experts(),
            first_dense=self.dense_at_start(),
            tied_embeddings=self.tie_word_embeddings,
            sliding_window=self.window(),
            full_attention_layers=self.full_layers() if self.window() else 0,
            max_context=self.max_position_embeddings,
            linear_bias=self.ff_bias(),
            source=source,
        )

    def attention(self) -> Heads | Latent:
        return self.heads()

    def heads(self, *, bias: bool = False, out_bias: bool = False, qk_norm: bool = False) -> Heads:
        return Heads(self.num_attention_heads, self.kv_heads(), self.width_of_head(), bias, out_bias, qk_norm)

    def kv_heads(self) -> int:
        if self.num_key_value_heads is not None:
            return self.num_key_value_heads
        left_out = "num_key_value_heads" not in self.model_fields_set
        return (self.kv_heads_default if left_out else None) or self.num_attention_heads

    def width_of_head(self) -> int:
        if self.head_dim is not None:
            return self.head_dim
        return head_width("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)

    def experts(self) -> Experts | None:
        return None

    def dense_at_start(self) -> int:
        return 0

    def window(self) -> int | None:
        return None

    def full_layers(self) -> int:
        return 0

    def ff_bias(self) -> bool:
        return False


class Llama(Decoder):
    attention_bias: bool = False
    mlp_bias: bool = False

    def attention(self) -> Heads:
        return self.heads(bias=self.attention_bias, out_bias=self.attention_bias)

    def ff_bias(self) -> bool:
        return self.mlp_bias


class Mistral(Decoder):
    kv_heads_default = 8
    sliding_window: Count | None = 4096

    def window(self) -> int | None:
        return self.sliding_window


class Mixtral(Decoder):
    kv_heads_default = 8
    sliding_window: Count | None = None
    num_local_experts: Count = 8
    num_experts_per_tok: Count = 2

    def experts(self) -> Experts:
        return Experts(self.num_local_experts, self.num_experts_per_tok, self.intermediate_size)

    def window(self) -> int | None:
        return self.sliding_window


class Windowed(Decoder):
    """Qwen's way to a sliding window: switched on by a flag, for the layers from max_window_layers on."""

    kv_heads_default = 32
    use_sliding_window: bool = False
    sliding_window: Count | None = 4096
    max_window_layers: Amount = 28
    layer_types: list[Literal["full_attention", "sliding_attention"]] | None = None

    def window(self) -> int | None:
        if not self.use_sliding_window or self.full_layers() == self.num_hidden_layers:
            return None
        return self.sliding_window

    def full_layers(self) -> int:
        if not self.use_sliding_window:
            return 0
        if self.layer_types is None:
            return min(self.max_window_layers, self.num_hidden_layers)
        full = self.layer_types.count("full_attention")
        if len(self.layer_types) != self.num_hidden_layers:
            raise InputError(f"layer_types: {len(self.layer_types)} of num_hidden_layers = {self.num_hidden_layers}")
        if "full_attention" in self.layer_types[full:]:
            raise InputError("layer_types: full_attention after sliding_attention is not supported, only before it")
        return full


class Qwen2(Windowed):
    def attention(self) -> Heads:
        return self.heads(bias=True)


class Qwen3(Windowed):
    head_dim: Count | None = 128
    attention_bias: bool = False

    def attention(self) -> Heads:
        return self.heads(bias=self.attention_bias, out_bias=self.attention_bias, qk_norm=True)


class Qwen3Moe(Qwen3):
    kv_heads_default = 4
    head_dim: Count | None = None
    moe_intermediate_size: Count
    num_experts: Count = Field(validation_alias=AliasChoices("num_experts", "num_local_experts"))
    num_experts_per_tok: Count
    decoder_sparse_step: Count = 1
    mlp_only_layers: list[Amount] | None = None

    def experts(self) -> Experts:
        if self.decoder_sparse_step != 1:
            raise InputError(
                f"decoder_sparse_step = {self.decoder_sparse_step}: only 1 (experts in each layer) is supported"
            )
        dense = sorted(set(self.mlp_only_layers or []))
        if dense != list(range(len(dense))):
            raise InputError(f"mlp_only_layers = {dense}: only layers at the start (0, 1, …) are supported")
        return Experts(self.num_experts, self.num_experts_per_tok, self.moe_intermediate_size)

    def dense_at_start(self) -> int:
        return len(set(self.mlp_only_layers or []))


class DeepseekV3(Decoder):
    q_lora_rank: Count | None
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Amount
    v_head_dim: Count
    n_routed_experts: Count
    num_experts_per_tok: Count
    n_shared_experts: Amount | None
    first_k_dense_replace: Amount
    moe_intermediate_size: Count
    moe_layer_freq: Count = 1
    attention_bias: bool = False

    def attention(self) -> Latent:
        if self.attention_bias:
            raise InputError("attention_bias = true is not supported with latent attention")
        return Latent(
            self.num_attention_heads,
            self.q_lora_rank,
            self.kv_lora_rank,
            self.qk_nope_head_dim,
            self.qk_rope_head_dim,
            self.v_head_dim,
        )

    def experts(self) -> Experts:
        if self.moe_layer_freq != 1:
            raise InputError(f"moe_layer_freq = {self.moe_layer_freq}: only 1 (experts in each layer) is supported")
        return Experts(
            self.n_routed_experts,
            self.num_experts_per_tok,
            self.moe_intermediate_size,
            self.n_shared_experts or 0,
            router_bias=True,
        )

    def dense_at_start(self) -> int:
        return self.first_k_dense_replace


class Plain(Decoder):
    """Not a type of Hugging Face's: architectures without one, such as PaLM or those known from a paper only."""

    model_config = ConfigDict(extra="forbid")
    model_type: str
    name: str = ""
    source: str
    vocab_size: Amount
    head_dim: Count
    num_key_value_heads: Count
    num_experts: Count | None = None
    num_experts_per_tok: Count = 1
    gated_mlp: bool
    parallel_attention: bool = False
    norms_per_layer: Amount

    def shape(self, name: str, source: str) -> Shape:
        heads = Heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim)
        return uniform(
            name,
            self.num_hidden_layers,
            self.hidden_size,
            self.intermediate_size,
            self.vocab_size,
            heads,
            self.experts(),
            gated=self.gated_mlp,
            parallel_attention=self.parallel_attention,
            norms_per_layer=self.norms_per_layer,
            tied_embeddings=self.tie_word_embeddings,
            max_context=self.max_position_embeddings,
            source=source,
        )

    def experts(self) -> Experts | None:
        if self.num_experts is None:
            return None
        return Experts(self.num_experts, self.num_experts_per_tok, self.intermediate_size)
