"""Light: brightness, contrast and saturation (Kim et al., AdaFace, CVPR 2022, section 4.1)."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment import colour
from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_CHANGES = (colour.brightness, colour.contrast, colour.saturation)
_ORDERS = np.array(list(permutations(range(len(_CHANGES)))))


@augmentation("grey", place=100, draws=0)
def grey(images: Tensor, draws: np.ndarray) -> Tensor:
    """Without colour: ITU-R 601 luma in all channels, as of a monochrome camera.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 0).
    """
    return colour.saturation(images, images.new_zeros(len(draws), dtype=torch.float32))


@augmentation("photometric", place=80, draws=4, strength=Option(0.5, 0, 1))
def photometric(images: Tensor, draws: np.ndarray, *, strength: float) -> Tensor:
    """All three, in a drawn order, each by a factor drawn from [1 − strength, 1 + strength].

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 4): three factors, order.
        strength: largest change.
    """
    factors = (1 + strength * (2 * draws[:, :3] - 1)).astype(np.float32)
    orders = _ORDERS[(draws[:, 3] * len(_ORDERS)).astype(int)]
    for turn in range(len(_CHANGES)):
        for number, change in enumerate(_CHANGES):
            which = np.flatnonzero(orders[:, turn] == number)
            if len(which):
                index = to_device(which, images.device)
                amount = to_device(np.ascontiguousarray(factors[which, number]), images.device)
                images = images.index_copy(0, index, change(images.index_select(0, index), amount))
    return images
