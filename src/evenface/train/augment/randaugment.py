"""RandAugment for aligned faces (Cubuk et al., NeurIPS 2020), without what hides who it is.

Solarising, inverting and cutting out are left out; what moves the face moves it little, because
faces are aligned.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from evenface.train.augment import colour
from evenface.train.augment.affine import affine
from evenface.train.augment.registry import Option, augmentation
from evenface.train.device import to_device

_MOST_OPERATIONS = 4
_LARGEST_ANGLE = math.radians(30)
_LARGEST_SHEAR = 0.3
_LARGEST_SHIFT = 0.15
"""Of the side."""
_LARGEST_FACTOR = 0.9
_FEWEST_BITS = 4


@augmentation(
    "randaugment",
    place=110,
    draws=2 * _MOST_OPERATIONS,
    operations=Option(2, 1, _MOST_OPERATIONS),
    magnitude=Option(0.5, 0, 1),
)
def randaugment(
    images: Tensor, draws: np.ndarray, *, operations: float, magnitude: float
) -> Tensor:
    """``operations`` changes, one after the other, each drawn from :data:`OPERATIONS`.

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 8): which, and how much and in which direction, for each operation.
        operations: rounded to a whole number.
        magnitude: the strength of a change is drawn from [−magnitude, magnitude]; 1 stands for
            30°, a shear of 0.3, a shift of 0.15 of the side, a factor of 0.1 or 1.9, 4 bits.
    """
    names = list(OPERATIONS)
    for turn in range(round(operations)):
        chosen = (draws[:, 2 * turn] * len(names)).astype(int)
        strengths = magnitude * (2 * draws[:, 2 * turn + 1] - 1)
        for number in np.unique(chosen).tolist():
            which = np.flatnonzero(chosen == number)
            index = to_device(which, images.device)
            change = OPERATIONS[names[number]]
            changed = change(images.index_select(0, index), strengths[which])
            images = images.index_copy(0, index, changed)
    return images


def _moved(a: float, b: float, c: float, d: float, x: float, y: float) -> Callable[..., Tensor]:
    """The map (1 + a·s  b·s  x·s·side; c·s  1 + d·s  y·s·side) for a strength s."""

    def apply(images: Tensor, strengths: np.ndarray) -> Tensor:
        side = images.shape[1]
        change = np.array([[a, b, x * side], [c, d, y * side]])
        return affine(images, np.eye(2, 3) + strengths[:, None, None] * change)

    return apply


def _rotate(images: Tensor, strengths: np.ndarray) -> Tensor:
    sine, cosine = np.sin(strengths * _LARGEST_ANGLE), np.cos(strengths * _LARGEST_ANGLE)
    zero = np.zeros_like(sine)
    maps = np.array([[cosine, -sine, zero], [sine, cosine, zero]])
    return affine(images, np.ascontiguousarray(maps.transpose(2, 0, 1)))


def _enhanced(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(images: Tensor, strengths: np.ndarray) -> Tensor:
        factors = (1 + _LARGEST_FACTOR * strengths).astype(np.float32)
        return change(images, to_device(factors, images.device))

    return apply


def _posterize(images: Tensor, strengths: np.ndarray) -> Tensor:
    bits = 8 - np.rint((8 - _FEWEST_BITS) * np.abs(strengths)).astype(np.int64)
    return colour.posterize(images, to_device(bits, images.device))


OPERATIONS: dict[str, Callable[[Tensor, np.ndarray], Tensor]] = {
    "identity": lambda images, strengths: images,
    "rotate": _rotate,
    "shear x": _moved(0, _LARGEST_SHEAR, 0, 0, 0, 0),
    "shear y": _moved(0, 0, _LARGEST_SHEAR, 0, 0, 0),
    "shift x": _moved(0, 0, 0, 0, _LARGEST_SHIFT, 0),
    "shift y": _moved(0, 0, 0, 0, 0, _LARGEST_SHIFT),
    "brightness": _enhanced(colour.brightness),
    "contrast": _enhanced(colour.contrast),
    "saturation": _enhanced(colour.saturation),
    "sharpness": _enhanced(colour.sharpness),
    "posterize": _posterize,
    "autocontrast": lambda images, strengths: colour.autocontrast(images),
    "equalize": lambda images, strengths: colour.equalize(images),
}
"""Name → change of uint8 (b, H, W, 3) by strengths (b,) in [−1, 1]."""
