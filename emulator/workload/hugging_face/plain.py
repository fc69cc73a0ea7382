"""The record of shapes that have no model_type of Hugging Face's: PaLM, or models known from a paper only."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from inferometer.emulator.workload.shape import Experts, Heads, Shape, uniform

Count = Annotated[int, Field(gt=0, le=10**9)]
Amount = Annotated[int, Field(ge=0, le=10**9)]


class Plain(BaseModel):
    """model_type "decoder": layers that are alike. Unknown keys are refused."""

    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, frozen=True)
    model_type: str
    name: str = ""
    source: str
    vocab_size: Amount
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count
    max_position_embeddings: Count | None = None
    tie_word_embeddings: bool = False
    num_experts: Count | None = None
    num_experts_per_tok: Count = 1
    gated_mlp: bool
    parallel_attention: bool = False
    norms_per_layer: Amount

    def shape(self) -> Shape:
        """Raises InputError for numbers that contradict each other."""
        experts = None
        if self.num_experts is not None:
            experts = Experts(self.num_experts, self.num_experts_per_tok, self.intermediate_size)
        return uniform(
            self.name,
            self.num_hidden_layers,
            self.hidden_size,
            self.intermediate_size,
            self.vocab_size,
            Heads(self.num_attention_heads, self.num_key_value_heads, self.head_dim),
            experts,
            gated=self.gated_mlp,
            parallel_attention=self.parallel_attention,
            norms_per_layer=self.norms_per_layer,
            tied_embeddings=self.tie_word_embeddings,
            max_context=self.max_position_embeddings,
            source=self.source,
        )
