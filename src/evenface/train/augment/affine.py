"""Images seen through a map of coordinates, in whole numbers from the coordinates on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenface.train.device import to_device

_PARTS = 256
"""Of a pixel: coordinates are rounded to these."""
_LANE = 21
"""Bits of a channel where three share a word."""


def affine(images: Tensor, maps: np.ndarray) -> Tensor:
    """Bilinear samples; black where a map leads outside.

    Args:
        images: uint8 (b, H, W, 3).
        maps: float64 (b, 2, 3): from a place (x, y, 1) of the result, in pixels from the centre,
            to that of the image.

    Returns:
        uint8 (b, H, W, 3).
    """
    m = to_device(maps, images.device)[:, :, :, None, None]
    x, y = _places(images)
    # One operation at a time: fused ones would round otherwise on some devices.
    return _sample(
        images,
        (m[:, 0, 0] * x + m[:, 0, 1] * y) + m[:, 0, 2],
        (m[:, 1, 0] * x + m[:, 1, 1] * y) + m[:, 1, 2],
    )


def projective(images: Tensor, maps: np.ndarray) -> Tensor:
    """As :func:`affine`, by homographies.

    Args:
        images: uint8 (b, H, W, 3).
        maps: float64 (b, 3, 3): from (x, y, 1) to (x', y', w), in pixels from the centre; w is
            positive in the whole image.
    """
    m = to_device(maps, images.device)[:, :, :, None, None]
    x, y = _places(images)
    w = (m[:, 2, 0] * x + m[:, 2, 1] * y) + m[:, 2, 2]
    return _sample(
        images,
        ((m[:, 0, 0] * x + m[:, 0, 1] * y) + m[:, 0, 2]) / w,
        ((m[:, 1, 0] * x + m[:, 1, 1] * y) + m[:, 1, 2]) / w,
    )


def _places(images: Tensor) -> tuple[Tensor, Tensor]:
    """x (1, W) and y (H, 1), float64, in pixels from the centre."""
    height, width = images.shape[1:3]
    x = torch.arange(width, device=images.device, dtype=torch.float64) - (width - 1) / 2
    y = torch.arange(height, device=images.device, dtype=torch.float64) - (height - 1) / 2
    return x[None, :], y[:, None]


def _sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear samples of uint8 (b, H, W, 3) at places (b, H, W), in pixels from the centre."""
    height, width = images.shape[1:3]
    left, right_part = _whole_and_part(x + (width - 1) / 2, width)
    top, lower_part = _whole_and_part(y + (height - 1) / 2, height)
    # A black frame of two pixels: whatever is outside reads one of them.
    wide = width + 4
    framed = torch.zeros((len(images), height + 4, wide), dtype=torch.int64, device=images.device)
    for channel in range(3):  # three channels in a word are read at once
        framed[:, 2:-2, 2:-2] += images[..., channel].long() << (_LANE * channel)
    pixels = framed.flatten(1)
    place = ((top + 2) * wide + (left + 2)).flatten(1)
    right, lower = right_part.flatten(1), lower_part.flatten(1)

    def across(start: Tensor) -> Tensor:
        here, next_ = pixels.gather(1, start), pixels.gather(1, start + 1)
        return here * _PARTS + (next_ - here) * right  # lanes below 2¹⁶, whatever was borrowed

    upper_row, lower_row = across(place), across(place + wide)
    result = torch.empty_like(images)
    half = _PARTS * _PARTS // 2
    for channel in range(3):
        above = (upper_row >> (_LANE * channel)) & 0xFFFF
        below = (lower_row >> (_LANE * channel)) & 0xFFFF
        total = above * _PARTS + (below - above) * lower
        result[..., channel] = ((total + half) >> 16).to(torch.uint8).view_as(left)
    return result


def _whole_and_part(places: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Pixel, and how far to the next one in 256ths; both int64. Outside: within the frame."""
    fixed = (places * _PARTS + 0.5).floor().clamp_(-2 * _PARTS, size * _PARTS).long()
    return fixed >> 8, fixed & (_PARTS - 1)
