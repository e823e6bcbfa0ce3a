"""Cutting: only a part of the face is seen (Kim et al., AdaFace, CVPR 2022, section 4.1)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device


@augmentation("crop", draws=4, smallest=Option(0.2, 0.01, 1), ratio=Option(4 / 3, 1, 4))
def crop(images: Tensor, draws: np.ndarray, *, smallest: float, ratio: float) -> Tensor:
    """Black outside a random box; what is inside stays where it is, as AdaFace does it.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 4): area, ratio of the sides, place.
        smallest: least share of the area that is kept; drawn from [smallest, 1].
        ratio: largest width / height, and height / width; drawn evenly on a logarithmic scale.
    """
    height, width = images.shape[1:3]
    area = (smallest + (1 - smallest) * draws[:, 0]) * height * width
    aspect = np.exp(math.log(ratio) * (2 * draws[:, 1] - 1))
    rows = np.clip(np.rint(np.sqrt(area / aspect)), 1, height)
    columns = np.clip(np.rint(np.sqrt(area * aspect)), 1, width)
    top = np.floor(draws[:, 2] * (height - rows + 1))
    left = np.floor(draws[:, 3] * (width - columns + 1))
    box = to_device(np.stack([top, top + rows, left, left + columns]), images.device)[:, :, None]
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    seen_y = (y >= box[0]) & (y < box[1])
    seen_x = (x >= box[2]) & (x < box[3])
    return images * (seen_y[:, :, None] & seen_x[:, None, :])[..., None]
