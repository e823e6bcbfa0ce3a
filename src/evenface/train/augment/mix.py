"""Two faces in one image, for distillation from a teacher that embeds the very same pixels.

Neither has one identity: a recipe that uses them has an online teacher and no classification.
Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022,
distil so.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_PARTS = 256
"""Shares are whole multiples of 1 / 256, so that blends are exact."""


@augmentation(
    "mixup", place=0, draws=1, pairs=True, lowest=Option(0, 0, 1), highest=Option(0.5, 0, 1)
)
def mixup(
    images: Tensor, others: Tensor, draws: np.ndarray, *, lowest: float, highest: float
) -> Tensor:
    """Blend with another image of the training set (Zhang et al., "mixup", ICLR 2018).

    Args:
        images, others: uint8 (b, H, W, 3).
        draws: (b, 1).
        lowest, highest: of the other image's share, which is drawn evenly from between.
    """
    share = np.rint(_PARTS * (lowest + (highest - lowest) * draws[:, 0])).astype(np.int32)
    return _blend(images, others, to_device(share, images.device)[:, None, None])


@augmentation(
    "cutmix", place=10, draws=3, pairs=True, largest=Option(0.5, 0, 1), edge=Option(0.1, 0, 1)
)
def cutmix(
    images: Tensor, others: Tensor, draws: np.ndarray, *, largest: float, edge: float
) -> Tensor:
    """Put a box of another image of the training set over this one (Yun et al., "CutMix", ICCV
    2019), with edges that fade.

    As in the paper the box has the image's shape, its centre is anywhere in the image, and what is
    outside the image is cut off.

    Args:
        images, others: uint8 (b, H, W, 3).
        draws: (b, 3): area, place (y, x).
        largest: share of the area, drawn evenly from [0, largest].
        edge: width of the fading, as a share of the side, half of it on each side of the edge. 0:
            the paper's hard cut.
    """
    height, width = images.shape[1:3]
    half = np.sqrt(largest * draws[:, 0]) / 2
    down = _ramp(draws[:, 1], half, height, edge)
    across = _ramp(draws[:, 2], half, width, edge)
    share = np.rint(_PARTS * down[:, :, None] * across[:, None, :]).astype(np.int32)
    return _blend(images, others, to_device(share, images.device))


def _ramp(centre: np.ndarray, half: np.ndarray, size: int, edge: float) -> np.ndarray:
    """Share (b, size) of the other image along an axis: 1 within ``half`` of the centre, both in
    sides, 0 beyond, ½ at the edge."""
    places = (np.arange(size) + 0.5) / size
    inside = half[:, None] - np.abs(places - centre[:, None])  # distance to the edge
    if edge == 0:
        return (inside >= 0).astype(float)
    return np.clip(0.5 + inside / edge, 0, 1)


def _blend(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """images + share / 256 · (others − images), rounded; share int32 (b, H, W) or broadcast."""
    base = images.to(torch.int32)
    moved = (others.to(torch.int32) - base).mul_(share[..., None]).add_(_PARTS // 2)
    return moved.bitwise_right_shift_(8).add_(base).to(torch.uint8)
