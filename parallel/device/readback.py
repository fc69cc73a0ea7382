"""What a step reads back from its device: numbers that decide how large its next operations are, as a routing's counts do.

Each such reading stalls a device that works through a queue, and none can be captured in a graph. So the readings of one
step can be held, and serve the steps after it: these route as that one did, with all work on the device done as before.
"""

from __future__ import annotations

import torch


class Readback:
    """The readings of the present step, in their order."""

    def __init__(self) -> None:
        self.held = False
        """The readings of the last step that made its own serve every step from now on."""
        self._numbers: list[list[int]] = []
        self._choices: list[torch.Tensor] = []
        self._at = [0, 0]

    def begin(self) -> None:
        """A step begins."""
        self._at = [0, 0]
        if not self.held:
            self._numbers, self._choices = [], []

    def hold(self) -> None:
        """Let the readings of the step just made serve the next ones."""
        self.held = True

    def release(self) -> None:
        """Read anew from the next step on."""
        self.held = False

    @property
    def choices(self) -> list[torch.Tensor]:
        """What stood where numbers were read, in the step whose readings are held."""
        return list(self._choices)

    def numbers(self, x: torch.Tensor) -> list[int]:
        """The elements of x, 1-d."""
        if not self.held:
            self._numbers.append(x.tolist())
        self._at[0] += 1
        return self._numbers[self._at[0] - 1]

    def choice(self, x: torch.Tensor) -> torch.Tensor:
        """x itself, or what stood here in the step whose readings are held: what numbers were read of."""
        if not self.held:
            self._choices.append(x)
        self._at[1] += 1
        return self._choices[self._at[1] - 1]
