"""Random boxes within an image."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from evenface.train.device import to_device


def random_boxes(
    draws: np.ndarray, images: Tensor, *, smallest: float, largest: float, ratio: float
) -> Tensor:
    """Which pixels are in the boxes: bool (b, H, W, 1).

    Args:
        draws: (b, 4): area, ratio of the sides, place (y, x).
        images: (b, H, W, 3).
        smallest, largest: share of the area, drawn from between. A side is cut off at the image's.
        ratio: largest width / height, and height / width; drawn evenly on a logarithmic scale.
    """
    height, width = images.shape[1:3]
    area = (smallest + (largest - smallest) * draws[:, 0]) * height * width
    aspect = np.exp(math.log(ratio) * (2 * draws[:, 1] - 1))
    rows = np.clip(np.rint(np.sqrt(area / aspect)), 1, height)
    columns = np.clip(np.rint(np.sqrt(area * aspect)), 1, width)
    top = np.floor(draws[:, 2] * (height - rows + 1))
    left = np.floor(draws[:, 3] * (width - columns + 1))
    box = to_device(np.stack([top, top + rows, left, left + columns]), images.device)[:, :, None]
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    in_y = (y >= box[0]) & (y < box[1])
    in_x = (x >= box[2]) & (x < box[3])
    return (in_y[:, :, None] & in_x[:, None, :])[..., None]
