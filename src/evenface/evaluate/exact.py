"""k-fold accuracy with exact thresholds: every distinct score of the other folds is tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate.verification import Weights, accepted_at, cumulative


def exact_fold_accuracy(
    scores: ArrayLike, genuine: ArrayLike, fold: ArrayLike
) -> NDArray[np.float64]:
    """Accuracy of each fold at the score of the other folds that serves these best.

    Unlike the reference protocol's grid (:func:`evenface.evaluate.fold_accuracy`) it needs no
    range of scores and loses nothing where scores lie closer together than the grid. Of equally
    good thresholds the highest is taken; a pair is accepted at or above it.

    Args:
        scores: (P,) similarities.
        genuine: (P,) booleans.
        fold: (P,) integers; every fold 0 … F − 1 must hold a pair, F ≥ 2.

    Returns:
        (F,) accuracies in [0, 1].

    Raises:
        ValueError: lengths differ, NaN among the scores, or folds missing.
    """
    values = np.asarray(scores, dtype=np.float64)
    labels, folds = np.asarray(genuine).astype(bool), np.asarray(fold)
    if values.ndim != 1 or not values.shape == labels.shape == folds.shape:
        raise ValueError(
            "scores, genuine and fold must be one-dimensional and of one length, "
            f"got shapes {values.shape}, {labels.shape} and {folds.shape}"
        )
    if np.isnan(values).any():
        raise ValueError(f"scores[{int(np.isnan(values).argmax())}] is NaN")
    if len(np.unique(folds)) < 2 or not np.array_equal(
        np.unique(folds), np.arange(folds.max() + 1)
    ):
        raise ValueError("folds must be numbered 0 … F − 1 without a gap, F at least 2")
    search = ExactFoldSearch(values, labels, folds)
    correct, total = search.held_out(np.ones((1, len(values))))
    return correct[0] / total[0]


class ExactFoldSearch:
    """The search of :func:`exact_fold_accuracy`, sorted once for many weightings.

    Args:
        scores: (P,) similarities.
        genuine: (P,) booleans.
        fold: (P,) integers 0 … F − 1, each present.
    """

    def __init__(
        self, scores: NDArray[np.floating], genuine: NDArray[np.bool_], fold: NDArray[np.int64]
    ) -> None:
        order = np.argsort(-scores, kind="stable")
        self._genuine = genuine
        self._folds = [_HeldOut(scores, genuine, order, fold, f) for f in range(fold.max() + 1)]

    def held_out(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of correct decisions, and of all pairs, in each fold held out in turn.

        Weights (R, P) are scaled by kind as in ``FoldSearch.held_out``: to sum to the number of
        pairs of the kind, over the other folds and over all folds.

        Returns:
            correct (R, F), total (R, F). NaN where all pairs of a kind weigh nothing.
        """
        values = weights.astype(np.float64)
        scales = _scale(values, self._genuine), _scale(values, ~self._genuine)
        columns = [of_fold.measure(values, scales) for of_fold in self._folds]
        correct, total = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
        return correct, total


class _HeldOut:
    """One fold, and what the others choose from."""

    def __init__(
        self,
        scores: NDArray[np.floating],
        genuine: NDArray[np.bool_],
        order: NDArray[np.int64],
        fold: NDArray[np.int64],
        f: int,
    ) -> None:
        self._others = order[fold[order] != f]
        ranked = scores[self._others]
        # The last of each run of equal scores: they are accepted together.
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
        self._other_genuine = genuine[self._others]
        own = order[fold[order] == f]
        self._own = own[genuine[own]], own[~genuine[own]]
        thresholds = np.concatenate([[np.inf], ranked[self._ends - 1]])
        self._own_at = [accepted_at(scores[kind][::-1], thresholds) for kind in self._own]

    def measure(
        self,
        weights: NDArray[np.float64],
        scales: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scaled weight of correct decisions and of all, (R,) each.

        Args:
            weights: (R, P), not scaled.
            scales: (R, 1) of genuine and impostor pairs over all folds.
        """
        others = weights[:, self._others]
        sign = np.where(
            self._other_genuine,
            _scale(others, self._other_genuine),
            -_scale(others, ~self._other_genuine),
        )
        others *= sign
        merit = cumulative(others)[:, self._ends]
        best = np.argmax(merit, axis=1)
        rows = np.arange(len(weights))
        # Accepting nothing is as good as the rejected impostors alone: merit 0.
        best = np.where(merit[rows, best] > 0, best + 1, 0)
        genuine, impostor = (
            scale * cumulative(weights[:, kind])
            for kind, scale in zip(self._own, scales, strict=True)
        )
        accepted, wrong = (
            sums[rows, at[best]] for sums, at in zip((genuine, impostor), self._own_at, strict=True)
        )
        total = genuine[:, -1] + impostor[:, -1]
        return accepted + impostor[:, -1] - wrong, total


def _scale(weights: NDArray[np.float64], kind: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(R, 1) number of pairs of a kind over their weight; NaN without weight, 1 without pairs."""
    pairs = np.count_nonzero(kind)
    weight = weights[:, kind].sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, pairs / weight, np.nan if pairs else 1.0)
