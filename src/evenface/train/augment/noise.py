"""Noise of a sensor."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from evenface.seeds import derive_seed, hash_bits
from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_VALUES = 1 << 20
"""Different values of a standard normal distribution; an image's noise is a stretch of them."""


@augmentation("noise", place=120, draws=2, lowest=Option(2, 0, 100), highest=Option(12, 0, 100))
def noise(images: Tensor, draws: np.ndarray, *, lowest: float, highest: float) -> Tensor:
    """Add Gaussian noise, in each channel and pixel another, of a σ from [lowest, highest].

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 2): σ, and which noise.
        lowest, highest: of σ, in grey levels.
    """
    size = images[0].numel()
    table = _normal(size, images.device)
    start = to_device((draws[:, 1] * _VALUES).astype(np.int64), images.device)
    sigma = to_device((lowest + (highest - lowest) * draws[:, 0]).astype(np.float32), images.device)
    # Two operations, each rounded: alike on every device.
    added = table.unfold(0, size, 1)[start].mul_(sigma[:, None]).view_as(images)
    return added.add_(images).add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=4)
def _normal(size: int, device: torch.device) -> Tensor:
    """Standard normal values, float32, on ``device``; the first ``size`` follow the last again."""
    bits = hash_bits(derive_seed("augment", "noise"), np.arange(_VALUES))
    radius = ((bits >> np.uint64(32)) + np.uint64(1)) * 2.0**-32  # (0, 1]
    angle = (bits & np.uint64(0xFFFFFFFF)) * 2.0**-32
    # Box & Muller, Ann. Math. Statist. 29, 1958.
    values = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
    return to_device(np.concatenate([values, values[:size]]).astype(np.float32), device)
