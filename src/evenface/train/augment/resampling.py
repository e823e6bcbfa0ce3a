"""Separable linear filters as matrices, in the fixed-point arithmetic of image libraries.

A filter along one side of n pixels is a matrix (m, n). Its entries are whole multiples of 2⁻¹⁴ and
pixels are whole numbers up to 255, so that float32 sums of their products are exact: the result
does not depend on the order of summation, and so not on device or batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from evenface.train.device import to_device

_ONE = 1 << 14

FILTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "box": lambda x: ((x > -0.5) & (x <= 0.5)).astype(float),
    "bilinear": lambda x: np.clip(1 - np.abs(x), 0, None),
    "bicubic": lambda x: _cubic(np.abs(x)),
    "lanczos": lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0),
}
"""Name → kernel, as in Pillow's ``Image.resize``."""


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = −0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@lru_cache(maxsize=512)
def resize_matrix(source: int, target: int, name: str) -> np.ndarray:
    """From ``source`` to ``target`` pixels, float32 (target, source); widened when shrinking.

    Args:
        source, target: lengths of the side.
        name: one of :data:`FILTERS`, or "nearest".
    """
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale
    if name == "nearest":
        return np.eye(source, dtype=np.float32)[np.floor(centres).astype(int)]
    wide = max(scale, 1.0)
    places = np.arange(source)[None, :] + 0.5 - centres[:, None]
    return _fixed(FILTERS[name](places / wide))


@lru_cache(maxsize=1024)
def shrink_and_enlarge_matrix(size: int, side: int, down: str, up: str) -> np.ndarray:
    """From ``size`` to ``side`` pixels and back, float32 (size, size)."""
    small = resize_matrix(size, side, down).astype(np.float64)
    return _fixed(resize_matrix(side, size, up).astype(np.float64) @ small)


@lru_cache(maxsize=256)
def blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Gaussian of ``sigma`` pixels, float32 (size, size); beyond the edge lies the edge's pixel."""
    reach = math.ceil(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix = np.zeros((size, size))
    columns = np.clip(np.arange(size)[:, None] + offsets, 0, size - 1)
    np.add.at(matrix, (np.arange(size)[:, None], columns), weights)
    return _fixed(matrix)


def filter_rows_and_columns(images: Tensor, matrices: list[np.ndarray]) -> Tensor:
    """Apply a filter of its own to the width and then to the height of each image.

    Args:
        images: uint8 (b, n, n, 3).
        matrices: b of them, (m, n).

    Returns:
        uint8 (b, m, m, 3).
    """
    batch, size = images.shape[:2]
    matrix = to_device(np.stack(matrices), images.device)
    across = matrix @ images.permute(0, 2, 1, 3).float().reshape(batch, size, -1)
    across = _pixels(across).unflatten(2, (size, 3)).permute(0, 2, 1, 3)  # (b, n, m, 3)
    down = matrix @ across.reshape(batch, size, -1)
    return _pixels(down).unflatten(2, (-1, 3)).to(torch.uint8)


def _fixed(matrix: np.ndarray) -> np.ndarray:
    """Rows that sum to exactly 1, in multiples of 2⁻¹⁴."""
    whole = np.rint(matrix / matrix.sum(axis=1, keepdims=True) * _ONE)
    largest = whole.argmax(axis=1)
    whole[np.arange(len(whole)), largest] += _ONE - whole.sum(axis=1)
    return (whole / _ONE).astype(np.float32)


def _pixels(values: Tensor) -> Tensor:
    return (values + 0.5).floor_().clamp_(0, 255)
