"""Verification measures: 10-fold accuracy, ROC, EER, AUC, TAR at a FAR, d′.

Scores are similarities (higher: more alike); a pair is accepted when its score is at or above the
threshold. Pairs of equal score are accepted together, so ties never depend on the order of the
pairs. FAR (false accept rate) is the accepted share of impostor pairs, TAR (true accept rate) that
of genuine pairs, FRR = 1 − TAR.

Each measure exists twice on one implementation: a function of scores for one answer, and a method
of :class:`ScoreRanking` or :class:`FoldSearch` that sorts once and then answers for many
weightings of the same pairs, which is what a bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Squared distance of unit vectors is in [0, 4]; the field's grid (insightface, verification.py).
THRESHOLDS = np.arange(0, 4, 0.01)
THRESHOLDS.flags.writeable = False

# Counts (int64, exact) in a bootstrap; float64 weights are allowed too.
Weights = NDArray[Any]

CACHED = 50_000
"""Whole numbers that are worked on at a time: few enough to stay in the processor's cache."""


def fold_accuracy(
    squared_distances: ArrayLike, genuine: ArrayLike, *, folds: int = 10
) -> NDArray[np.float64]:
    """Accuracy of each fold in the field's reference protocol.

    Folds are contiguous and unshuffled, like scikit-learn's ``KFold``: the first ``P % folds``
    folds hold one pair more. The threshold of a fold is the first of ``np.arange(0, 4, 0.01)``
    with the most correct decisions on the other folds; a pair counts as genuine when its distance
    is strictly below. Results equal the reference loop (400 thresholds × folds) to the last digit.

    Args:
        squared_distances: (P,) squared Euclidean distances of L2-normalised embeddings, in [0, 4].
        genuine: (P,) booleans.
        folds: number of folds, 2 … P.

    Returns:
        (folds,) accuracies in [0, 1].

    Raises:
        ValueError: lengths differ, NaN among the distances, or ``folds`` out of range.
    """
    distances, labels = _pairs(squared_distances, genuine, "squared_distances")
    if not 2 <= folds <= len(distances):
        raise ValueError(f"folds must be 2 … number of pairs ({len(distances)}), got {folds}")
    sizes = np.full(folds, len(distances) // folds)
    sizes[: len(distances) % folds] += 1
    search = FoldSearch(distances, labels, np.repeat(np.arange(folds), sizes))
    ones = np.ones((1, len(distances)), dtype=np.int64)
    genuine_weights, impostor_weights = (
        ones[:, kind.order] for kind in (search.genuine, search.impostor)
    )
    correct, total = search.held_out(genuine_weights, impostor_weights)
    return correct[0] / total[0]


class FoldSearch:
    """The threshold search of :func:`fold_accuracy`, sorted once for many weightings.

    Args:
        squared_distances: (P,) in [0, 4].
        genuine: (P,) booleans.
        fold: (P,) integers; every fold 0 … F − 1 must hold a pair.

    Attributes:
        genuine, impostor: the pairs of each kind; weights follow their ``order``.
    """

    def __init__(
        self,
        squared_distances: NDArray[np.float64],
        genuine: NDArray[np.bool_],
        fold: NDArray[np.int64],
    ) -> None:
        self._folds = int(fold.max()) + 1
        bins = np.searchsorted(THRESHOLDS, squared_distances, side="right")
        # From one threshold to the next decisions can improve only by accepting a genuine pair, so
        # the first of the best is among these.
        tried = np.unique(np.concatenate([[0], bins[genuine & (bins < len(THRESHOLDS))]]))
        columns = np.searchsorted(tried, bins)
        self.genuine, self.impostor = (
            _BinnedPairs(columns, fold, np.flatnonzero(kind), self._folds, len(tried))
            for kind in (genuine, ~genuine)
        )
        self._rows = max(1, CACHED // (self._folds * len(tried)))

    def held_out(
        self, genuine_weights: Weights, impostor_weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of correct decisions, and of all pairs, in each fold held out in turn.

        A protocol fixes how many pairs of either kind are compared, and a resample must not
        change that. So the weights of each kind are scaled to sum to its number of pairs: over
        the other folds for the choice of a fold's threshold, over all folds for the result.

        Args:
            genuine_weights, impostor_weights: (R, n) integers of each kind, in its ``order``.

        Returns:
            correct (R, F), total (R, F): their quotient is the accuracy of the fold. NaN where
            all pairs of a kind weigh nothing.
        """
        correct, weight = (np.empty((len(genuine_weights), self._folds)) for _ in range(2))
        for start in range(0, len(correct), self._rows):
            rows = slice(start, start + self._rows)
            correct[rows], weight[rows] = self._held_out(
                genuine_weights[rows], impostor_weights[rows]
            )
        return correct, weight

    def _held_out(
        self, genuine_weights: Weights, impostor_weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        matched, genuine_total = self.genuine.accepted(genuine_weights)
        mistaken, impostor_total = self.impostor.accepted(impostor_weights)
        genuine_factor, impostor_factor = whole_factors(
            (self.genuine.sizes.sum() - self.genuine.sizes, others(genuine_total)),
            (self.impostor.sizes.sum() - self.impostor.sizes, others(impostor_total)),
        )
        merit = genuine_factor[:, :, None] * others(matched)
        merit -= impostor_factor[:, :, None] * others(mistaken)
        best = np.argmax(merit, axis=2)[:, :, None]
        right, wrong = (np.take_along_axis(of, best, axis=2)[:, :, 0] for of in (matched, mistaken))
        correct, weight = np.zeros(genuine_total.shape), np.zeros(genuine_total.shape)
        for decided, total, kind in (
            (right, genuine_total, self.genuine),
            (impostor_total - wrong, impostor_total, self.impostor),
        ):
            factor = scale(kind.sizes.sum(), total.sum(axis=1, keepdims=True))
            correct += factor * decided
            weight += factor * total
        return correct, weight


class _BinnedPairs:
    """Pairs of one kind sorted by fold and by the first threshold above their distance.

    Args:
        columns: (P,) number of that threshold among those tried; one past the last for none.
        fold: (P,).
        chosen: the pairs of this kind.
        folds, thresholds: how many there are.
    """

    def __init__(
        self,
        columns: NDArray[np.int64],
        fold: NDArray[np.int64],
        chosen: NDArray[np.int64],
        folds: int,
        thresholds: int,
    ) -> None:
        keys = fold[chosen] * (thresholds + 1) + columns[chosen]
        ranks = np.argsort(keys, kind="stable")
        keys = keys[ranks]
        self.order = chosen[ranks]
        first_keys = np.arange(folds + 1) * (thresholds + 1)
        self._start = np.searchsorted(keys, first_keys)
        grid = first_keys[:-1, None] + np.arange(thresholds)
        self._at = np.searchsorted(keys, grid, side="right")
        self.sizes = np.diff(self._start)

    def accepted(self, weights: Weights) -> tuple[Weights, Weights]:
        """Weight accepted at each threshold (R, F, T), and in all (R, F), by fold."""
        sums = cumulative(weights)
        starts = sums[:, self._start]
        accepted = np.take(sums, self._at, axis=1)
        accepted -= starts[:, :-1, None]
        return accepted, np.diff(starts, axis=1)


@dataclass(frozen=True)
class RocCurve:
    """Corners of the ROC, from the strictest threshold (nothing accepted) to the loosest."""

    far: NDArray[np.float64]
    tar: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    """Accept scores at or above it; the first is +infinity."""


class ScoreRanking:
    """Pairs sorted by score once, to be measured under many weightings.

    A measure is NaN under a weighting that leaves no genuine or no impostor pair.

    Args:
        scores: (P,) similarities.
        genuine: (P,) booleans, with at least one pair of either kind.

    Attributes:
        genuine_order, impostor_order: pair indices of each kind in descending score. Weights
            passed to the methods follow these orders.
        thresholds: (K + 1,) infinity, then the distinct scores in descending order.
    """

    def __init__(self, scores: NDArray[np.floating], genuine: NDArray[np.bool_]) -> None:
        order = np.argsort(-scores, kind="stable")
        self.genuine_order = order[genuine[order]]
        self.impostor_order = order[~genuine[order]]
        distinct = np.unique(scores)[::-1].astype(np.float64)
        self.thresholds = np.concatenate([[np.inf], distinct])
        ascending_genuine = scores[self.genuine_order][::-1]
        ascending_impostor = scores[self.impostor_order][::-1]
        self._genuine_at = accepted_at(ascending_genuine, self.thresholds)
        self._impostor_at = accepted_at(ascending_impostor, self.thresholds)
        descending_genuine = ascending_genuine[::-1]
        self._impostors_above = len(ascending_impostor) - np.searchsorted(
            ascending_impostor, descending_genuine, side="right"
        )
        level = accepted_at(ascending_impostor, descending_genuine)
        self._tied = np.flatnonzero(level > self._impostors_above)
        self._impostors_level = level[self._tied]
        self._ascending = ascending_genuine, ascending_impostor

    def cumulate(
        self, genuine_weights: Weights, impostor_weights: Weights
    ) -> tuple[Weights, Weights]:
        """Cumulative weights (R, n + 1) from weights (R, n); the methods below take the result."""
        return cumulative(genuine_weights), cumulative(impostor_weights)

    def accepted(
        self, thresholds: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many genuine and impostor pairs score at or above each threshold.

        These are columns of the cumulative weights.
        """
        genuine, impostor = self._ascending
        return accepted_at(genuine, thresholds), accepted_at(impostor, thresholds)

    def roc(self, genuine: Weights, impostor: Weights) -> RocCurve:
        """The curve of one weighting (R = 1): a corner for each distinct score."""
        with np.errstate(invalid="ignore"):
            far = impostor[0, self._impostor_at] / impostor[0, -1]
            tar = genuine[0, self._genuine_at] / genuine[0, -1]
        return RocCurve(far, tar, self.thresholds)

    def eer(self, genuine: Weights, impostor: Weights) -> NDArray[np.float64]:
        """(R,) equal error rates: where FAR = FRR on the ROC's straight segments."""

        def rates(k: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return self._far(impostor, k), 1 - self._tar(genuine, k)

        def crossed(k: NDArray[np.int64]) -> NDArray[np.bool_]:
            far, frr = rates(k)
            return far >= frr

        k = first_true(crossed, len(impostor), len(self.thresholds) - 1)
        far_before, frr_before = rates(k - 1)
        far, frr = rates(k)
        gap_before, gap = frr_before - far_before, far - frr
        with np.errstate(invalid="ignore"):
            share = gap_before / (gap_before + gap)
        return far_before + share * (far - far_before)

    def auc(self, genuine: Weights, impostor: Weights) -> NDArray[np.float64]:
        """(R,) areas under the ROC: P(genuine score > impostor score), ties counted half."""
        # Twice the impostor weight that beats each genuine pair, so that ties stay whole numbers.
        above = np.take(impostor, self._impostors_above, axis=1)
        beaten_by = 2 * above
        beaten_by[:, self._tied] += impostor[:, self._impostors_level] - above[:, self._tied]
        beaten_by *= np.diff(genuine, axis=1)
        total = genuine[:, -1].astype(np.float64) * impostor[:, -1]
        with np.errstate(invalid="ignore"):
            return 1 - beaten_by.sum(axis=1) / 2 / total

    def tar_at_far(self, genuine: Weights, impostor: Weights, far: float) -> NDArray[np.float64]:
        """(R,) TAR at the loosest threshold whose FAR is at most ``far`` (no interpolation)."""
        above = first_true(
            lambda k: self._far(impostor, k) > far, len(impostor), len(self.thresholds)
        )
        tar = self._tar(genuine, above - 1)
        return np.where(impostor[:, -1] > 0, tar, np.nan)

    def _far(self, impostor: Weights, k: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return impostor[np.arange(len(k)), self._impostor_at[k]] / impostor[:, -1]

    def _tar(self, genuine: Weights, k: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return genuine[np.arange(len(k)), self._genuine_at[k]] / genuine[:, -1]


def roc_curve(scores: ArrayLike, genuine: ArrayLike, weights: ArrayLike | None = None) -> RocCurve:
    """The exact ROC: one corner per distinct score, from (0, 0) to (1, 1).

    Args:
        scores: (P,) similarities; infinities allowed, NaN not.
        genuine: (P,) booleans with at least one of each.
        weights: (P,) non-negative pair weights (default 1).

    Raises:
        ValueError: lengths differ, NaN, a kind of pair missing or without weight.
    """
    ranking, genuine_sum, impostor_sum = _ranked(scores, genuine, weights)
    return ranking.roc(genuine_sum, impostor_sum)


def eer(scores: ArrayLike, genuine: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Equal error rate in [0, 1]: FAR = FRR on the linearly joined ROC. See :func:`roc_curve`."""
    ranking, genuine_sum, impostor_sum = _ranked(scores, genuine, weights)
    return float(ranking.eer(genuine_sum, impostor_sum)[0])


def auc(scores: ArrayLike, genuine: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC in [0, 1], ties counted half. See :func:`roc_curve`."""
    ranking, genuine_sum, impostor_sum = _ranked(scores, genuine, weights)
    return float(ranking.auc(genuine_sum, impostor_sum)[0])


def dprime(scores: ArrayLike, genuine: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Sensitivity index d′: how many standard deviations genuine scores lie above impostor scores.

    It needs no threshold and does not saturate where errors run out (Green & Swets, *Signal
    Detection Theory and Psychophysics*, 1966; Daugman, *Biometric decision landscapes*,
    UCAM-CL-TR-482, 2000).
    See :func:`dprime_of_moments` for the formula and :func:`roc_curve` for the arguments.
    """
    values, labels = _both_kinds(scores, genuine)
    pair_weights = _pair_weights(values, labels, weights)
    centred = values - values.mean()
    sums = [pair_weights[None, kind] @ powers_of(centred[kind]) for kind in (labels, ~labels)]
    return float(dprime_of_moments(*sums)[0])


def powers_of(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, 3): 1, score and score², whose weighted sums :func:`dprime_of_moments` takes.

    Centre the scores beforehand: squares of large means cost the variances their digits.
    """
    values = scores.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.stack([np.ones_like(values), values, values**2], axis=1)


def moments_of(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(R,) mean and variance, with the total weight as divisor, from (R, 3) weighted sums."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = (sums[:, 1:] / sums[:, :1]).T
    return mean, np.maximum(square - mean**2, 0)


def dprime_of_moments(
    genuine: NDArray[np.float64], impostor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R,) d′ from weighted sums of :func:`powers_of` of the scores of each kind, (R, 3).

    (μ_genuine − μ_impostor) / √((σ²_genuine + σ²_impostor) / 2), moments over the weighted
    pairs (variances with their total weight as divisor). Infinite without any scatter, NaN
    where the means are equal besides, or a kind has no weight.
    """
    (high, high_variance), (low, low_variance) = moments_of(genuine), moments_of(impostor)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (high - low) / np.sqrt((high_variance + low_variance) / 2)


@dataclass(frozen=True)
class TarAtFar:
    """TAR at one FAR, or None with the reason when the impostor pairs cannot support it."""

    value: float | None
    note: str | None = None


def tar_at_far(
    scores: ArrayLike, genuine: ArrayLike, far: float, weights: ArrayLike | None = None
) -> TarAtFar:
    """True accept rate at the loosest threshold whose false accept rate is at most ``far``.

    The level must be supported by the number of impostor pairs, see :func:`far_support`.

    Args:
        scores, genuine, weights: as in :func:`roc_curve`.
        far: the level, 0 < far ≤ 1.
    """
    ranking, genuine_sum, impostor_sum = _ranked(scores, genuine, weights)
    supported, note = far_support(len(ranking.impostor_order), far)
    if not supported:
        return TarAtFar(None, note)
    return TarAtFar(float(ranking.tar_at_far(genuine_sum, impostor_sum, far)[0]), note)


def far_support(
    impostor_pairs: int, far: float, *, trials: str = "impostor pairs", rate: str = "FAR"
) -> tuple[bool, str | None]:
    """Whether a FAR can be measured with so many impostor pairs, and what to say about it.

    With fewer than one expected false accept (pairs · far < 1) the level is not measurable: its
    threshold would be the highest impostor score whatever the level. With fewer than ten the
    threshold rests on a handful of pairs: measurable, but flagged as unreliable.

    Args:
        impostor_pairs: number of pairs, or of other trials that can be accepted falsely.
        far: the level.
        trials, rate: what the message calls them.

    Returns:
        (measurable, note or None).

    Raises:
        ValueError: ``far`` outside (0, 1].
    """
    if not 0 < far <= 1:
        raise ValueError(f"far must be in (0, 1], got {far}")
    expected = impostor_pairs * far
    # Half a unit in the twelfth digit: 1000 · 1e-3 must count as one.
    if expected < 1 - 1e-12:
        return False, (
            f"not measurable: {impostor_pairs:,} {trials} give {expected:.2g} expected "
            f"false accepts at {rate} {far:g}; at least {int(np.ceil(1 / far)):,} "
            f"{trials.split()[-1]} are needed"
        )
    if expected < 10 - 1e-12:
        return True, (
            f"unreliable: only {expected:.2g} expected false accepts at {rate} {far:g}; "
            f"{int(np.ceil(10 / far)):,} {trials} would give ten"
        )
    return True, None


def first_true(
    predicate: Callable[[NDArray[np.int64]], NDArray[np.bool_]], rows: int, last: int
) -> NDArray[np.int64]:
    """Smallest k in 1 … ``last`` for which a predicate monotone in k holds, for each of ``rows``.

    ``predicate`` takes (rows,) integers and answers for each row; it is never asked at ``last``,
    where it is taken to hold.
    """
    low, high = np.ones(rows, dtype=np.int64), np.full(rows, last, dtype=np.int64)
    while np.any(low < high):
        middle = (low + high) // 2
        holds = predicate(np.minimum(middle, last - 1))
        high = np.where(holds, middle, high)
        low = np.where(holds, low, np.minimum(middle + 1, high))
    return low


def accepted_at(
    ascending: NDArray[np.floating], thresholds: NDArray[np.floating]
) -> NDArray[np.int64]:
    """How many of the ascending scores are at or above each threshold."""
    return len(ascending) - np.searchsorted(ascending, thresholds, side="left")


def cumulative(weights: Weights) -> Weights:
    """Sums of the first 0 … n weights, (R, n + 1); whole numbers become int64."""
    dtype = np.float64 if weights.dtype.kind == "f" else np.int64
    total = np.zeros((len(weights), weights.shape[1] + 1), dtype=dtype)
    np.cumsum(weights, axis=1, dtype=dtype, out=total[:, 1:])
    return total


def others(values: Weights) -> Weights:
    """Sum over all folds but each one in turn; folds are axis 1."""
    return values.sum(axis=1, keepdims=True) - values


def scale(pairs: int, weight: Weights) -> NDArray[np.float64]:
    """What makes ``weight`` equal the number of pairs; NaN without weight, 1 without pairs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, pairs / weight, np.nan if pairs else 1.0)


def whole_factors(
    first: tuple[NDArray[np.int64], NDArray[np.int64]],
    second: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Integers in the proportion of pairs₁/weight₁ to pairs₂/weight₂, given (pairs, weight) twice.

    Whole numbers, so that thresholds of equal merit tie exactly and the first of them wins.
    """
    (pairs, weight), (other_pairs, other_weight) = first, second
    mine = np.maximum(pairs, 1) * np.maximum(other_weight, 1)
    theirs = np.maximum(other_pairs, 1) * np.maximum(weight, 1)
    common = np.gcd(mine, theirs)
    mine, theirs = mine // common, theirs // common
    highest = int(mine.max()) * int(weight.max()) + int(theirs.max()) * int(other_weight.max())
    if highest >= 2**63:
        return mine.astype(np.float64), theirs.astype(np.float64)
    return mine, theirs


def _pairs(
    values: ArrayLike, genuine: ArrayLike, what: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    scores = np.asarray(values, dtype=np.float64)
    labels = np.asarray(genuine).astype(bool)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"{what} and genuine must be one-dimensional and of one length, "
            f"got shapes {scores.shape} and {labels.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(f"{what}[{int(np.isnan(scores).argmax())}] is NaN")
    return scores, labels


def _both_kinds(
    scores: ArrayLike, genuine: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, labels = _pairs(scores, genuine, "scores")
    if labels.all() or not labels.any():
        missing = "impostor" if labels.any() else "genuine"
        raise ValueError(f"there is no {missing} pair")
    return values, labels


def _pair_weights(
    values: NDArray[np.float64], labels: NDArray[np.bool_], weights: ArrayLike | None
) -> Weights:
    if weights is None:
        return np.ones(len(values), dtype=np.int64)
    given = np.asarray(weights)
    dtype = np.int64 if given.dtype.kind in "biu" else np.float64
    pair_weights: Weights = given.astype(dtype)
    if pair_weights.shape != values.shape:
        raise ValueError(f"weights have shape {pair_weights.shape}, scores {values.shape}")
    if not np.isfinite(pair_weights).all() or (pair_weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    if not pair_weights[labels].any() or not pair_weights[~labels].any():
        raise ValueError("the weights leave no genuine or no impostor pair")
    return pair_weights


def _ranked(
    scores: ArrayLike, genuine: ArrayLike, weights: ArrayLike | None
) -> tuple[ScoreRanking, Weights, Weights]:
    values, labels = _both_kinds(scores, genuine)
    pair_weights = _pair_weights(values, labels, weights)
    ranking = ScoreRanking(values, labels)
    sums = ranking.cumulate(
        pair_weights[ranking.genuine_order][None], pair_weights[ranking.impostor_order][None]
    )
    return ranking, *sums
