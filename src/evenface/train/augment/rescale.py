"""Distance and focus: few pixels, or a blur."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from evenface.train.augment.registry import Option, augmentation
from evenface.train.augment.resampling import (
    blur_matrix,
    filter_rows_and_columns,
    shrink_and_enlarge_matrix,
)

_FILTERS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
_SIGMA_STEPS = 32
"""A pixel; blurs of neighbouring widths share a matrix."""


@augmentation("rescale", place=50, draws=3, smallest=Option(0.2, 0.02, 1))
def rescale(images: Tensor, draws: np.ndarray, *, smallest: float) -> Tensor:
    """Shrink to a share of the side drawn from [smallest, 1], and enlarge again.

    Both filters are drawn from five, as AdaFace (Kim et al., CVPR 2022, section 4.1) does; the
    small image is not rounded to whole values.

    Args:
        images: uint8 (b, n, n, 3).
        draws: (b, 3): size, two filters.
        smallest: least share of the side.
    """
    size = images.shape[1]
    sides = np.maximum(1, (size * (smallest + (1 - smallest) * draws[:, 0])).astype(int))
    which = (draws[:, 1:] * len(_FILTERS)).astype(int)
    return filter_rows_and_columns(
        images,
        [
            shrink_and_enlarge_matrix(size, side, _FILTERS[down], _FILTERS[up])
            for side, (down, up) in zip(sides.tolist(), which.tolist(), strict=True)
        ],
    )


@augmentation("blur", place=60, draws=1, lowest=Option(0.5, 0.1, 20), highest=Option(2.5, 0.1, 20))
def blur(images: Tensor, draws: np.ndarray, *, lowest: float, highest: float) -> Tensor:
    """Gaussian blur of a σ drawn from [lowest, highest] pixels.

    Args:
        images: uint8 (b, n, n, 3).
        draws: (b, 1).
        lowest, highest: of σ.
    """
    sigmas = np.rint((lowest + (highest - lowest) * draws[:, 0]) * _SIGMA_STEPS) / _SIGMA_STEPS
    size = images.shape[1]
    return filter_rows_and_columns(
        images, [blur_matrix(size, max(sigma, 1 / _SIGMA_STEPS)) for sigma in sigmas.tolist()]
    )
