"""The work of one step: how many tokens enter, how much context each one sees."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.workload.operations import Size


@dataclass(frozen=True)
class Step:
    """One step of one replica.

    sequences: in the batch; new_tokens: each one's tokens that enter (1 in decode, the prompt in prefill); context:
    tokens of each one already in the cache. prefill_tokens: further tokens of other sequences' prompts that continuous
    batching lets in with this step, in all, at a mean of prefill_context tokens before them.
    """

    sequences: Size
    new_tokens: Size = 1
    context: Size = 0
    prefill_tokens: Size = 0
    prefill_context: Size = 0

    @classmethod
    def decode(cls, sequences: Size, context: Size, new_tokens: int = 1) -> Step:
        """One new token for every sequence, or the few that speculation has proposed."""
        return cls(sequences, new_tokens, context)

    @classmethod
    def prefill(cls, sequences: Size, prompt: Size) -> Step:
        """The whole prompt of every sequence."""
        return cls(sequences, prompt, 0)

    @classmethod
    def interleaved(cls, sequences: Size, prompt: Size, output: Size) -> Step:
        """The mean decode step of continuous batching at a steady load.

        Every sequence that leaves is replaced by a new one, so each step carries prompt/output prompt tokens per
        sequence. The decoded tokens see the prompt and half of the output before them.
        """
        return cls(sequences, 1, prompt + (output - 1) / 2, sequences * prompt / output, prompt / 2)

    def share(self, parts: Size) -> Step:
        """The step of one of equal parts of the batch."""
        return Step(self.sequences / parts, self.new_tokens, self.context, self.prefill_tokens / parts, self.prefill_context)

    @property
    def tokens(self) -> Size:
        return self.sequences * self.new_tokens + self.prefill_tokens
