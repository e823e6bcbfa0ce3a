"""Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""

from __future__ import annotations

from typing import Any

import torch

from evenface.train.optimizers.registry import optimizer


@optimizer("adamw", tensors=2)
def adamw(
    groups: list[dict[str, Any]],
    *,
    lr: float,
    weight_decay: float,
    fused: bool | None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """:class:`torch.optim.AdamW`; the decay of a step is rate · ``weight_decay``."""
    return torch.optim.AdamW(
        groups, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps, fused=fused
    )
