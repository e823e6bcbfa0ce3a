"""Cutting: only a part of the face is seen (Kim et al., AdaFace, CVPR 2022, section 4.1)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from evenface.train.augment.box import random_boxes
from evenface.train.augment.registry import Option, augmentation


@augmentation("crop", place=40, draws=4, smallest=Option(0.2, 0.01, 1), ratio=Option(4 / 3, 1, 4))
def crop(images: Tensor, draws: np.ndarray, *, smallest: float, ratio: float) -> Tensor:
    """Black outside a random box; what is inside stays where it is, as AdaFace does it.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 4): area, ratio of the sides, place.
        smallest: least share of the area that is kept; drawn from [smallest, 1].
        ratio: largest width / height, and height / width; drawn evenly on a logarithmic scale.
    """
    return images * random_boxes(draws, images, smallest=smallest, largest=1, ratio=ratio)
