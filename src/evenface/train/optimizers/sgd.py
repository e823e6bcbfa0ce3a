"""Stochastic gradient descent with momentum, as the field trains face recognition."""

from __future__ import annotations

from typing import Any

import torch

from evenface.train.optimizers.registry import optimizer


@optimizer("sgd", tensors=1)
def sgd(
    groups: list[dict[str, Any]],
    *,
    lr: float,
    weight_decay: float,
    fused: bool | None,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """:class:`torch.optim.SGD`; ``momentum`` and ``nesterov`` are keys of the recipe."""
    return torch.optim.SGD(
        groups,
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        nesterov=nesterov,
        fused=fused,
    )
