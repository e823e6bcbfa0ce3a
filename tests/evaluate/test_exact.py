"""Accuracy with exact thresholds against trying every one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evenface.evaluate import exact_fold_accuracy
from evenface.evaluate.exact import ExactFoldSearch


def tried_one_by_one(scores: NDArray, genuine: NDArray, fold: NDArray) -> list[float]:
    accuracies = []
    for f in range(fold.max() + 1):
        others, own = fold != f, fold == f
        thresholds = [np.inf, *np.unique(scores[others])[::-1]]
        right = [np.sum((scores[others] >= t) == genuine[others]) for t in thresholds]
        threshold = thresholds[int(np.argmax(right))]
        accuracies.append(float(np.mean((scores[own] >= threshold) == genuine[own])))
    return accuracies


def pairs(seed: int, decimals: int, folds: int = 3) -> tuple[NDArray, NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2 * folds, 60))
    fold = rng.permutation(np.arange(size) % folds)
    return np.round(rng.normal(size=size), decimals), rng.random(size) < 0.5, fold


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), decimals=st.integers(0, 4))
def test_equals_trying_every_threshold(seed: int, decimals: int) -> None:
    scores, genuine, fold = pairs(seed, decimals)
    expected = tried_one_by_one(scores, genuine, fold)
    assert exact_fold_accuracy(scores, genuine, fold).tolist() == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_and_monotone_transforms_do_not_matter(seed: int) -> None:
    scores, genuine, fold = pairs(seed, 2)
    expected = exact_fold_accuracy(scores, genuine, fold)
    order = np.random.default_rng(seed).permutation(len(scores))
    shuffled = exact_fold_accuracy(scores[order], genuine[order], fold[order])
    np.testing.assert_array_equal(shuffled, expected)
    np.testing.assert_array_equal(exact_fold_accuracy(scores**3 + 7, genuine, fold), expected)


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_copies(seed: int) -> None:
    """Where a resample keeps as many pairs of each kind, weights equal written-out copies."""
    scores, genuine, fold = pairs(seed, 1)
    rng = np.random.default_rng(seed)
    weights = np.zeros(len(scores), dtype=np.int64)
    for kind in (genuine, ~genuine):
        for f in range(3):
            chosen = np.flatnonzero(kind & (fold == f))
            if len(chosen):
                np.add.at(weights, rng.choice(chosen, len(chosen)), 1)
    correct, total = ExactFoldSearch(scores, genuine, fold).held_out(weights[None])
    copied = [np.repeat(values, weights) for values in (scores, genuine, fold)]
    np.testing.assert_allclose(correct[0] / total[0], tried_one_by_one(*copied))


def test_constant_scores_accept_all_or_none() -> None:
    genuine = np.array([True, True, False, True, True, False])
    found = exact_fold_accuracy(np.ones(6), genuine, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_allclose(found, 2 / 3)


@pytest.mark.parametrize(
    ("scores", "genuine", "fold", "message"),
    [
        ([1.0, 2.0], [True, False, True], [0, 1], "one length"),
        ([1.0, np.nan], [True, False], [0, 1], r"scores\[1\] is NaN"),
        ([1.0, 2.0], [True, False], [0, 0], "without a gap"),
        ([1.0, 2.0], [True, False], [0, 2], "without a gap"),
    ],
)
def test_bad_input_is_refused(scores, genuine, fold, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_fold_accuracy(scores, genuine, fold)
