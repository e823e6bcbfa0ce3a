"""Covering: something is in front of the face (Zhong et al., "Random Erasing Data Augmentation",
AAAI 2020)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment.box import random_boxes
from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device


@augmentation(
    "erase",
    place=130,
    draws=7,
    smallest=Option(0.02, 0.001, 1),
    largest=Option(0.25, 0.001, 1),
    ratio=Option(3.3, 1, 10),
)
def erase(
    images: Tensor, draws: np.ndarray, *, smallest: float, largest: float, ratio: float
) -> Tensor:
    """Cover a random box with one random colour; the paper's boxes hold random pixels.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 7): area, ratio of the sides, place (y, x), colour.
        smallest, largest: share of the area, drawn from between. A side is cut off at the image's.
        ratio: largest width / height, and height / width; drawn evenly on a logarithmic scale.
    """
    covered = random_boxes(draws[:, :4], images, smallest=smallest, largest=largest, ratio=ratio)
    colours = to_device((256 * draws[:, 4:]).astype(np.uint8), images.device)
    return torch.where(covered, colours[:, None, None, :], images)
