"""A model as the inference economics paper's code counts it: parameters, cache, sparsity."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperModel:
    """The dimensions that the epoch-2025 convention knows; no norms, biases, routers, positions, tied embeddings.

    ff_in, ff_out: feed-forward matrices d_model → d_ff and back, (1, 1) plain and (2, 1) SwiGLU. experts counts shared
    ones too. kv_rank, query_rank: ranks of a latent attention (MLA), both or neither. parallel_attention changes
    nothing but the toy function.
    """

    name: str
    layers: int
    d_model: int
    d_ff: int
    ff_in: int
    ff_out: int
    query_heads: int
    group_size: int
    d_head: int
    vocabulary: int
    experts: int = 1
    active_experts: int = 1
    kv_rank: int | None = None
    query_rank: int | None = None
    parallel_attention: bool = False
    weight_bits: int = 16
    activation_bits: int = 16

    @property
    def weight_bytes(self) -> float:
        return self.weight_bits / 8

    @property
    def activation_bytes(self) -> float:
        """Of activations and of the cache."""
        return self.activation_bits / 8

    @property
    def sparsity(self) -> int:
        """Experts per active expert, rounded down as the paper's code does: 256/9 is 28."""
        return self.experts // self.active_experts

    @property
    def kv_heads(self) -> int:
        """Keys and values counted separately."""
        return 2 * self.query_heads // self.group_size

    @property
    def query_width(self) -> int:
        return self.query_heads * self.d_head

    @property
    def qkv_width(self) -> int:
        """H = (1 + 2/g) n_q d_h."""
        return (self.query_heads + self.kv_heads) * self.d_head

    @property
    def ff_matrices(self) -> int:
        return self.ff_in + self.ff_out

    @property
    def ff_parameters(self) -> int:
        """Of all layers and experts."""
        return self.layers * self.experts * self.ff_matrices * self.d_model * self.d_ff

    @property
    def attention_parameters(self) -> int:
        """Of one layer. A latent attention's down-projection of keys and values counts twice, as in the paper's code."""
        output = self.query_width * self.d_model
        if self.kv_rank is None or self.query_rank is None:
            return self.qkv_width * self.d_model + output
        down = (2 * self.kv_rank + self.query_rank) * self.d_model
        up = self.kv_heads * self.d_head * self.kv_rank + self.query_width * self.query_rank
        return down + up + output

    @property
    def embedding_parameters(self) -> int:
        """Embedding plus unembedding."""
        return 2 * self.vocabulary * self.d_model

    @property
    def parameters(self) -> int:
        return self.layers * self.attention_parameters + self.ff_parameters + self.embedding_parameters

    @property
    def active_parameters(self) -> int:
        """Of one token."""
        return self.layers * self.attention_parameters + self.ff_parameters // self.sparsity + self.embedding_parameters

    @property
    def kv_bytes_per_token(self) -> float:
        """Cache per token of context: keys and values of all layers, or one latent per layer, without its RoPE key."""
        width = self.kv_heads * self.d_head if self.kv_rank is None else self.kv_rank
        return width * self.layers * self.activation_bytes

    @property
    def attention_matmuls(self) -> tuple[tuple[int, int], ...]:
        """Output and input widths (m, k) of one layer's attention matrices as memory traffic counts them.

        The up-projections of a latent attention count as one dense matrix, though they are block-structured.
        """
        output = (self.d_model, self.query_width)
        if self.kv_rank is None or self.query_rank is None:
            return (self.qkv_width, self.d_model), output
        latent = self.kv_rank + self.query_rank
        return (latent, self.d_model), (self.qkv_width, latent), output
