"""From embeddings to the cosines and squared distances of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError

# Pairs scored at a time: bounds the memory of the gathered embeddings to a few dozen MB.
_BLOCK = 8192


def combine_views(original: ArrayLike, flip: ArrayLike) -> NDArray[np.float32]:
    """The field's flip-sum: add the embeddings of image and mirror image, then L2-normalise.

    Args:
        original, flip: (N, D), not normalised.

    Returns:
        (N, D) float32 of unit length.

    Raises:
        ValueError: the shapes differ or are not two-dimensional.
        DataError: a sum is not finite or has zero norm; the message names the row.
    """
    first, second = np.asarray(original), np.asarray(flip)
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"both views must be (N, D) of one shape, got {first.shape} and {second.shape}"
        )
    total = first.astype(np.float64) + second.astype(np.float64)
    return unit_length(total).astype(np.float32)


def unit_length(
    embeddings: ArrayLike,
    rows: NDArray[np.int64] | None = None,
    names: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """L2-normalise (N, D) embeddings in float64.

    Args:
        embeddings: (N, D) of any real dtype.
        rows: the rows that will be used (default all). Only they are checked; others may hold
            anything.
        names: (N,) what messages call the rows' images.

    Raises:
        ValueError: not two-dimensional.
        DataError: a used row holds NaN or infinity, or has zero norm.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"embeddings must be (N, D), got shape {values.shape}")
    norms = np.sqrt(np.einsum("nd,nd->n", values, values))
    used = np.arange(len(values)) if rows is None else rows
    bad = used[~np.isfinite(norms[used]) | (norms[used] == 0)]
    if bad.size:
        row = int(bad[0])
        what = "has zero norm" if norms[row] == 0 else "holds NaN or infinite values"
        more = f" (and {bad.size - 1} more rows)" if bad.size > 1 else ""
        which = f"row {row}" if names is None else repr(names[row])
        raise DataError(
            f"embedding of {which} {what}{more}: the model gave no usable embedding for this "
            "image. Check the image and the model's preprocessing."
        )
    usable = np.isfinite(norms) & (norms > 0)
    return values / np.where(usable, norms, 1.0)[:, None]


def squared_distances(
    unit: NDArray[np.float64], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared Euclidean distances (P,) in [0, 4] of the pairs (a, b) of unit-length rows.

    Computed as the sum of squared differences, the way the reference protocol does it, rather
    than as 2 − 2·cos, which rounds differently next to a threshold.
    """
    distances = np.empty(len(a), dtype=np.float64)
    for start in range(0, len(a), _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = unit[a[part]] - unit[b[part]]
        distances[part] = np.einsum("pd,pd->p", difference, difference)
    return distances


def cosines(
    unit: NDArray[np.floating], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Cosines (P,) float32 of the pairs (a, b) of unit-length rows; single precision suffices."""
    single = unit.astype(np.float32, copy=False)
    scores = np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores[part] = np.einsum("pd,pd->p", single[a[part]], single[b[part]])
    return scores
