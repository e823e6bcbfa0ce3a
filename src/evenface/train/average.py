"""Exponential moving average of a backbone's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Moves towards the weights by 1 − decay after every step.

    While fewer than about 10 / (1 − decay) steps are done the decay is (1 + t) / (10 + t) at step
    t, so that the random first weights are soon forgotten. Running statistics of batch norm are
    averaged like weights; counters are copied.

    Args:
        backbone: whose weights; its present ones are where the average begins.
        decay: in (0, 1).
    """

    def __init__(self, backbone: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(backbone).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, backbone: nn.Module) -> None:
        """Take one step's weights in."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        averages, values = [], []
        for average, value in zip(
            self.model.state_dict().values(), backbone.state_dict().values(), strict=True
        ):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Weights and the number of updates."""
        return {"model": self.model.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self._updates = state["updates"]
