"""Movement while the shutter is open."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_LONGEST = 31


@augmentation("motion_blur", place=70, draws=2, longest=Option(9, 3, _LONGEST))
def motion_blur(images: Tensor, draws: np.ndarray, *, longest: float) -> Tensor:
    """Mean along a straight line; beyond the edge lies the edge's pixel.

    The line has an odd number of pixels, in any direction.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 2): length and direction.
        longest: largest number of pixels of the line; drawn evenly from 3, 5, …
    """
    lengths = 3 + 2 * (draws[:, 0] * ((int(longest) - 1) // 2)).astype(int)
    across, down = line(int(lengths.max()), draws[:, 1])
    reach = len(across) // 2
    height, width = images.shape[1:3]
    padded = F.pad(
        images.permute(0, 3, 1, 2).to(torch.int16), (reach,) * 4, mode="replicate"
    ).permute(0, 2, 3, 1)
    padded = padded.contiguous()
    row, wide = padded.stride()[1], padded.shape[2]
    # The image that a step of the line sees is a window into the padded one.
    windows = padded.as_strided(
        (len(images), (2 * reach) * (wide + 1) + 1, height, width, 3),
        (padded.stride()[0], 3, row, 3, 1),
    )
    which = torch.arange(len(images), device=images.device)
    total = torch.zeros(images.shape, dtype=torch.int16, device=images.device)
    for step in range(-reach, reach + 1):
        start = (down[step + reach] + reach) * wide + across[step + reach] + reach
        seen = to_device((2 * abs(step) < lengths).astype(np.int16), images.device)
        moved = windows[which, to_device(start, images.device)]
        total += moved.mul_(seen[:, None, None, None])
    count = to_device(lengths.astype(np.int16), images.device)[:, None, None, None]
    return (total + count // 2).div_(count, rounding_mode="floor").to(torch.uint8)


def line(length: int, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (x, y), int64 (length, b), of lines through the origin.

    A step is one pixel along the longer of the two axes, so that no pixel comes twice. A shorter
    line is the middle of a longer one.

    Args:
        length: odd number of pixels.
        turns: (b,): directions in [0, 1), of half a turn.
    """
    x, y = np.cos(math.pi * turns), np.sin(math.pi * turns)
    longer = np.maximum(np.abs(x), np.abs(y))
    steps = np.arange(length)[:, None] - length // 2
    return tuple(np.rint(steps * (of / longer)).astype(np.int64) for of in (x, y))  # type: ignore[return-value]
