"""k-fold accuracy with exact thresholds: every distinct score of the other folds is tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate.verification import (
    CACHED,
    Weights,
    accepted_at,
    cumulative,
    others,
    scale,
    whole_factors,
)


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
    correct, total = search.held_out(np.ones((1, len(values)), dtype=np.int64))
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
        thresholds = np.unique(scores)[::-1]
        self._folds = int(fold.max()) + 1
        self._genuine, self._impostor = (
            _RankedPairs(scores, np.flatnonzero(kind), fold, self._folds, thresholds)
            for kind in (genuine, ~genuine)
        )

    def held_out(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of correct decisions, and of all pairs, in each fold held out in turn.

        Weights (R, P), whole numbers, are scaled by kind as in ``FoldSearch.held_out``: to sum to
        the number of pairs of the kind, over the other folds and over all folds.

        Returns:
            correct (R, F), total (R, F). NaN where all pairs of a kind weigh nothing.
        """
        # A few rows at a time stay in the processor's cache, which halves the time.
        size = max(1, CACHED // weights.shape[1])
        parts = [
            self._held_out(weights[start : start + size]) for start in range(0, len(weights), size)
        ]
        correct, total = (np.concatenate(column) for column in zip(*parts, strict=True))
        return correct, total

    def _held_out(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        genuine, impostor = self._genuine.sums(weights), self._impostor.sums(weights)
        factors = whole_factors(
            (self._genuine.other_sizes, others(genuine.by_fold)),
            (self._impostor.other_sizes, others(impostor.by_fold)),
        )
        rows = np.arange(len(weights))
        accepted, wrong = np.empty(genuine.by_fold.shape), np.empty(genuine.by_fold.shape)
        for f in range(self._folds):
            mine, theirs = (factor[:, f, None] for factor in factors)
            merit = mine * genuine.elsewhere(f)
            merit -= theirs * impostor.elsewhere(f)
            # The first of the best is a score of the other folds: only there does merit rise.
            best = np.argmax(merit, axis=1)
            accepted[:, f], wrong[:, f] = (
                genuine.in_fold(f, rows, best),
                impostor.in_fold(f, rows, best),
            )
        correct, weight = np.zeros(accepted.shape), np.zeros(accepted.shape)
        for right, sums, pairs in (
            (accepted, genuine, self._genuine.size),
            (impostor.by_fold - wrong, impostor, self._impostor.size),
        ):
            factor = scale(pairs, sums.by_fold.sum(axis=1, keepdims=True))
            correct += factor * right
            weight += factor * sums.by_fold
        return correct, weight


class _RankedPairs:
    """Pairs of one kind by descending score, all together and within each fold."""

    def __init__(
        self,
        scores: NDArray[np.floating],
        chosen: NDArray[np.int64],
        fold: NDArray[np.int64],
        folds: int,
        thresholds: NDArray[np.floating],
    ) -> None:
        self.order = chosen[np.argsort(-scores[chosen], kind="stable")]
        self.size = len(chosen)
        self.at = np.concatenate([[0], accepted_at(scores[self.order][::-1], thresholds)])
        self.by_fold = [self.order[fold[self.order] == f] for f in range(folds)]
        self.at_by_fold = [
            np.concatenate([[0], accepted_at(scores[own][::-1], thresholds)])
            for own in self.by_fold
        ]
        self.other_sizes = self.size - np.array([len(own) for own in self.by_fold])

    def sums(self, weights: Weights) -> _RankedSums:
        """Under weights (R, P)."""
        return _RankedSums(self, weights)


class _RankedSums:
    def __init__(self, ranked: _RankedPairs, weights: Weights) -> None:
        self._ranked = ranked
        self._all = np.take(cumulative(weights[:, ranked.order]), ranked.at, axis=1)
        self._folds = [cumulative(weights[:, own]) for own in ranked.by_fold]
        self.by_fold = np.stack([sums[:, -1] for sums in self._folds], axis=1)

    def elsewhere(self, f: int) -> Weights:
        """(R, T + 1) accepted weight of the other folds, by threshold; first without any."""
        return self._all - np.take(self._folds[f], self._ranked.at_by_fold[f], axis=1)

    def in_fold(self, f: int, rows: NDArray[np.int64], k: NDArray[np.int64]) -> Weights:
        """(R,) accepted weight of a fold at the threshold of each row."""
        return self._folds[f][rows, self._ranked.at_by_fold[f][k]]
