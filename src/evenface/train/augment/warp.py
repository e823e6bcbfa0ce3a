"""Perspective: the corners of the image move, each for itself."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from evenface.train.augment.affine import projective
from evenface.train.augment.registry import Option, augmentation


@augmentation("warp", place=30, draws=8, strength=Option(0.1, 0, 0.2))
def warp(images: Tensor, draws: np.ndarray, *, strength: float) -> Tensor:
    """Move each corner by up to ``strength`` of the side in x and in y; black beyond the image.

    The four-corner warp of DigiFace-1M (Bae et al., WACV 2023, section 4.2).

    Args:
        images: uint8 (b, H, W, 3).
        draws: (b, 8): x and y of the corners, upper left first, clockwise; 0.5 leaves them.
        strength: largest move, as a share of the side.
    """
    height, width = images.shape[1:3]
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width - 1, height - 1) / 2
    moves = strength * (2 * draws.reshape(-1, 4, 2) - 1) * (width, height)
    return projective(images, homographies(np.broadcast_to(corners, moves.shape) + moves, corners))


def homographies(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Maps float64 (b, 3, 3) that take (x, y, 1) of ``target`` to places of ``source``.

    The eight linear equations of Hartley & Zisserman, *Multiple View Geometry*, section 4.1, with
    the last entry 1.

    Args:
        source: (b, 4, 2) corners (x, y), none three on a line.
        target: (4, 2) the corners that they come to.
    """
    x, y = target.T
    one, zero = np.ones(4), np.zeros(4)
    equations = np.zeros((len(source), 8, 8))
    for axis, row in enumerate(([x, y, one, zero, zero, zero], [zero, zero, zero, x, y, one])):
        equations[:, axis::2, :6] = np.stack(row, axis=1)
        equations[:, axis::2, 6:] = -target * source[:, :, axis, None]
    entries = np.linalg.solve(equations, source.reshape(-1, 8, 1))[..., 0]
    return np.concatenate([entries, np.ones((len(source), 1))], axis=1).reshape(-1, 3, 3)
