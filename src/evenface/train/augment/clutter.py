"""Blending with patterns: what is on the picture besides the face."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_WAVES = 8
_DRAWS_A_WAVE = 6
_FINEST = 16.0
"""Periods a side of the finest wave."""
_CONTRAST = 48.0
"""Standard deviation of a channel of a pattern, in grey levels."""


@augmentation("clutter", place=140, draws=1 + _WAVES * _DRAWS_A_WAVE, strength=Option(0.5, 0, 1))
def clutter(images: Tensor, draws: np.ndarray, *, strength: float) -> Tensor:
    """Blend with a coloured pattern of waves, of a share drawn from [0, strength].

    For distillation from a teacher that sees the same pixels: it then tells how it embeds faces
    that look like no render, as with mixed images (Beyer et al., CVPR 2022), while the change of a
    row depends on no other row.

    Args:
        images: uint8 (b, n, n, 3).
        draws: (b, 49): share; direction, period, phase and colour of eight waves.
        strength: largest share of the pattern.
    """
    share = to_device((strength * draws[:, 0]).astype(np.float32), images.device)
    pattern = to_device(_patterns(draws[:, 1:], images.shape[1]), images.device)
    base = images.float()
    return (pattern.float() - base).mul_(share[:, None, None, None]).add_(base).to(torch.uint8)


def _patterns(draws: np.ndarray, side: int) -> np.ndarray:
    """Patterns uint8 (b, side, side, 3): sums of waves, the coarse ones stronger."""
    wave = draws.reshape(len(draws), _WAVES, _DRAWS_A_WAVE)
    angle, phase = 2 * math.pi * wave[..., 0], 2 * math.pi * wave[..., 2]
    periods = _FINEST ** wave[..., 1]  # 1 to _FINEST a side, evenly on a logarithmic scale
    colours = (2 * wave[..., 3:] - 1) / np.sqrt(periods)[..., None]  # (b, waves, 3)
    place = 2 * math.pi * np.arange(side) / side
    # cos(x + y + phase) is the real part of a product of two factors, each along one axis.
    across = np.exp(1j * ((periods * np.cos(angle))[..., None] * place + phase[..., None]))
    down = np.exp(1j * (periods * np.sin(angle))[..., None] * place)
    field = np.einsum("bwy,bwx,bwc->byxc", down, across, colours, optimize=True).real
    spread = np.sqrt((colours**2).sum(axis=1) / 2)[:, None, None, :]  # of a sum of waves
    return np.clip(128 + _CONTRAST * field / spread, 0, 255).astype(np.uint8)
