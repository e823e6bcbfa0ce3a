"""Colour of the light: every hue turned by the same angle."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_SECTORS = 6.0
"""Of the circle of hues, from red to red."""


@augmentation("hue", place=90, draws=1, strength=Option(0.05, 0, 0.5))
def hue(images: Tensor, draws: np.ndarray, *, strength: float) -> Tensor:
    """Turn the hue by a share of the circle drawn from [−strength, strength].

    Saturation and value of HSV (Smith, SIGGRAPH 1978) stay.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 1): 0.5 turns nothing.
        strength: largest turn; 0.5 is half the circle.
    """
    turn = (_SECTORS * strength * (2 * draws[:, 0] - 1)).astype(np.float32)
    red, green, blue = images.permute(3, 0, 1, 2).float().unbind()
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # One operation at a time, each rounded as IEEE 754 says, so alike on every device.
    sector = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red, red - green),
    )
    offset = torch.where(value == red, 0.0, torch.where(value == green, 2.0, 4.0))
    sector = sector.div_(chroma.clamp(min=1)).add_(offset)
    sector += to_device(turn, images.device)[:, None, None]
    channels = []
    for start in (5.0, 3.0, 1.0):  # red, green, blue
        place = (sector + start).remainder_(_SECTORS)
        depth = torch.minimum(place, 4.0 - place).clamp_(0, 1)
        channels.append(value - depth.mul_(chroma))
    return torch.stack(channels, dim=-1).add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)
