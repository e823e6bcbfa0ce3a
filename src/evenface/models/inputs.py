"""What every backbone takes, and how pixels become it."""

from __future__ import annotations

import torch
from torch import Tensor


def check_input(images: Tensor) -> Tensor:
    """``images`` if they are (B, 3, 112, 112); else ValueError."""
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, 112, 112):
        raise ValueError(f"images must be (B, 3, 112, 112), got {tuple(images.shape)}")
    return images


def to_input(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels, uint8 (B, 112, 112, 3) → float (B, 3, 112, 112) in [−1, 1].

    The result lies in memory as the pixels do, channels last: the faster layout for convolutions
    on CPU and GPU alike.

    Args:
        pixels: RGB.
        dtype: of the result.
    """
    return (pixels.permute(0, 3, 1, 2).to(dtype) - 127.5) / 127.5
