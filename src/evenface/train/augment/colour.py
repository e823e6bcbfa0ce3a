"""Light and colour, with the results of Pillow's ``ImageEnhance`` and ``ImageOps``.

All functions take and give uint8 (b, H, W, 3), RGB. Factors are float32 (b,) on the images' device:
1 leaves the image as it is. Arithmetic is single precision, one operation at a time, as Pillow's.
"""

from __future__ import annotations

import torch
from torch import Tensor


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Away from black."""
    black = torch.zeros((1, 1, 1, 1), device=images.device)
    return _blend(black, images, factors)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Away from the image's mean grey."""
    grey = _grey(images).flatten(1).sum(dim=1)  # int64
    pixels = images.shape[1] * images.shape[2]
    mean = (2 * grey + pixels) // (2 * pixels)  # rounded
    return _blend(mean[:, None, None, None], images, factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Away from grey."""
    return _blend(_grey(images)[..., None], images, factors)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Away from the image smoothed by a 3 × 3 filter; the outermost pixels stay."""
    height, width = images.shape[1:3]
    values = images.int()
    total = 4 * values[:, 1:-1, 1:-1]
    for dy in range(3):
        for dx in range(3):
            total = total + values[:, dy : height - 2 + dy, dx : width - 2 + dx]
    smooth = values.clone()
    smooth[:, 1:-1, 1:-1] = (2 * total + 13) // 26  # a thirteenth, rounded
    return _blend(smooth, images, factors)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper ``bits``, int64 (b,) from 1 to 8, of every value."""
    mask = 256 - (1 << (8 - bits))
    return (images.long() & mask[:, None, None, None]).to(torch.uint8)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel to the full range."""
    low = images.amin(dim=(1, 2), keepdim=True).double()
    high = images.amax(dim=(1, 2), keepdim=True).double()
    scale = 255.0 / (high - low).clamp(min=1)
    stretched = (images.double() * scale + -low * scale).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Spread the values of every channel evenly."""
    values = images.permute(0, 3, 1, 2).flatten(2).long()  # (b, 3, pixels)
    counts = torch.zeros((*values.shape[:2], 256), dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = values.amax(dim=2, keepdim=True)
    step = (values.shape[2] - counts.gather(2, last)) // 255
    table = (step // 2 + counts.cumsum(dim=2) - counts) // step.clamp(min=1)
    even = table.clamp(max=255).gather(2, values)
    chosen = torch.where(step > 0, even, values).to(torch.uint8)
    return chosen.unflatten(2, images.shape[1:3]).permute(0, 2, 3, 1)


def _grey(images: Tensor) -> Tensor:
    """ITU-R 601 luma in whole numbers, int32 (b, H, W)."""
    red, green, blue = images.permute(3, 0, 1, 2).int().unbind()  # each of them together
    return (19595 * red).add_(38470 * green).add_(7471 * blue).add_(0x8000) >> 16


def _blend(away: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    """away + factor · (images − away), cut off at 0 and 255."""
    base = away.float()
    moved = (images - base).mul_(factors[:, None, None, None]).add_(base)
    return moved.clamp_(0, 255).to(torch.uint8)
