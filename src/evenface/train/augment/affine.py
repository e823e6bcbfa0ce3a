"""Affine maps of images, in whole numbers from the coordinates on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenface.train.device import to_device

_PARTS = 256
"""Of a pixel: coordinates are rounded to these."""


def affine(images: Tensor, maps: np.ndarray) -> Tensor:
    """Bilinear samples; black where a map leads outside.

    Args:
        images: uint8 (b, H, W, 3).
        maps: float64 (b, 2, 3): from a place (x, y, 1) of the result, in pixels from the centre,
            to that of the image.

    Returns:
        uint8 (b, H, W, 3).
    """
    height, width = images.shape[1:3]
    m = to_device(maps, images.device)[:, :, :, None, None]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=torch.float64) - centre_x
    y = (torch.arange(height, device=images.device, dtype=torch.float64) - centre_y)[:, None]
    # One operation at a time: fused ones would round otherwise on some devices.
    source_x = (m[:, 0, 0] * x + m[:, 0, 1] * y) + (m[:, 0, 2] + centre_x)
    source_y = (m[:, 1, 0] * x + m[:, 1, 1] * y) + (m[:, 1, 2] + centre_y)
    fixed_x = (source_x * _PARTS + 0.5).floor().long()
    fixed_y = (source_y * _PARTS + 0.5).floor().long()
    left, top = fixed_x // _PARTS, fixed_y // _PARTS
    right_part, lower_part = fixed_x % _PARTS, fixed_y % _PARTS
    flat = images.flatten(1, 2).int()
    total = torch.zeros_like(flat)
    for dy, weight_y in ((0, _PARTS - lower_part), (1, lower_part)):
        for dx, weight_x in ((0, _PARTS - right_part), (1, right_part)):
            at_x, at_y = left + dx, top + dy
            inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
            place = at_y.clamp(0, height - 1) * width + at_x.clamp(0, width - 1)
            weight = (weight_x * weight_y * inside).int().flatten(1)
            total += weight[:, :, None] * flat.gather(
                1, place.flatten(1)[:, :, None].expand_as(flat)
            )
    half = _PARTS * _PARTS // 2
    return ((total + half) // (_PARTS * _PARTS)).to(torch.uint8).view_as(images)
