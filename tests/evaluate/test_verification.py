"""Verification measures: invariants, edge cases, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.evaluate import auc, dprime, eer, fold_accuracy, roc_curve, tar_at_far
from evenface.evaluate.verification import THRESHOLDS, FoldSearch, far_support, first_true


def scores_of(seed: int, pairs: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine = np.arange(pairs) % 3 == 0
    return np.round(rng.normal(genuine * 1.5, 1), 1), genuine


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_measures_ignore_the_order_of_pairs_and_monotone_transforms(seed: int) -> None:
    scores, genuine = scores_of(seed)
    order = np.random.default_rng(seed).permutation(len(scores))
    for measure in (eer, auc, lambda s, g: tar_at_far(s, g, 0.1).value):
        expected = measure(scores, genuine)
        assert measure(scores[order], genuine[order]) == expected
        assert measure(np.exp(scores), genuine) == expected


def test_perfect_separation() -> None:
    scores, genuine = np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False])
    assert eer(scores, genuine) == 0
    assert auc(scores, genuine) == 1
    assert tar_at_far(scores, genuine, 0.5).value == 1


def test_constant_scores_are_chance() -> None:
    scores, genuine = np.zeros(20), np.arange(20) < 10
    assert eer(scores, genuine) == 0.5
    assert auc(scores, genuine) == 0.5
    assert tar_at_far(scores, genuine, 0.5).value == 0
    curve = roc_curve(scores, genuine)
    assert curve.far.tolist() == curve.tar.tolist() == [0, 1]


def test_reversed_scores_are_worse_than_chance() -> None:
    scores, genuine = np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False])
    assert eer(scores, genuine) == 1
    assert auc(scores, genuine) == 0


def test_infinite_scores_are_ordered() -> None:
    scores = np.array([np.inf, 0.5, -np.inf, 0.1])
    genuine = np.array([True, True, False, False])
    assert auc(scores, genuine) == 1
    assert eer(scores, genuine) == 0


@pytest.mark.parametrize("measure", [eer, auc, roc_curve])
@pytest.mark.parametrize(
    ("scores", "genuine", "weights", "message"),
    [
        ([0.1, 0.2], [True, True], None, "no impostor"),
        ([0.1, 0.2], [False, False], None, "no genuine"),
        ([0.1, np.nan], [True, False], None, r"scores\[1\] is NaN"),
        ([0.1, 0.2, 0.3], [True, False], None, "of one length"),
        ([[0.1, 0.2]], [[True, False]], None, "one-dimensional"),
        ([0.1, 0.2], [True, False], [1, 0], "no genuine or no impostor"),
        ([0.1, 0.2], [True, False], [1, -1], "not negative"),
        ([0.1, 0.2], [True, False], [1, np.inf], "finite"),
        ([0.1, 0.2], [True, False], [1], "weights have shape"),
    ],
)
def test_bad_scores_are_refused(measure, scores, genuine, weights, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(scores, genuine, weights)


@pytest.mark.parametrize(
    ("impostors", "far", "measurable", "word"),
    [
        (999, 1e-3, False, "not measurable"),
        (1000, 1e-3, True, "unreliable"),
        (9999, 1e-3, True, "unreliable"),
        (10000, 1e-3, True, None),
        (99, 1e-2, False, "at least 100 pairs"),
    ],
)
def test_a_far_needs_enough_impostors(
    impostors: int, far: float, measurable: bool, word: str | None
) -> None:
    supported, note = far_support(impostors, far)
    assert supported is measurable
    assert (word is None and note is None) or (word is not None and word in (note or ""))


def test_unsupported_tar_is_none_with_the_reason() -> None:
    scores, genuine = scores_of(1)
    result = tar_at_far(scores, genuine, 1e-4)
    assert result.value is None
    assert "not measurable" in (result.note or "")


@pytest.mark.parametrize("far", [0, -0.1, 1.5])
def test_far_out_of_range_is_refused(far: float) -> None:
    with pytest.raises(ValueError, match="far"):
        tar_at_far(*scores_of(1), far)


@pytest.mark.parametrize(
    ("distances", "genuine", "folds", "message"),
    [
        ([0.1, 0.2], [True, False], 3, "folds"),
        ([0.1, 0.2], [True, False], 1, "folds"),
        ([0.1, np.nan], [True, False], 2, r"squared_distances\[1\] is NaN"),
        ([0.1, 0.2, 0.3], [True, False], 2, "one length"),
        ([], [], 2, "folds"),
    ],
)
def test_bad_distances_are_refused(distances, genuine, folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold_accuracy(distances, genuine, folds=folds)


def test_a_distance_on_the_threshold_is_no_match() -> None:
    # Thresholds 0.00 … 1.00 reject all, so those after accept all: the first best is 1.01 or 0.
    distances = np.full(20, THRESHOLDS[100])
    assert fold_accuracy(distances, np.ones(20, dtype=bool), folds=2).tolist() == [1, 1]
    assert fold_accuracy(distances, np.zeros(20, dtype=bool), folds=2).tolist() == [1, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_weighted_fold_search_repeats_pairs(seed: int) -> None:
    """Weights are copies of pairs, once each kind is scaled to the number of its pairs."""
    rng = np.random.default_rng(seed)
    pairs, folds = 40, 4
    distances = rng.choice(THRESHOLDS, pairs)
    genuine = np.tile([True, False], pairs // 2)
    fold = np.repeat(np.arange(folds), pairs // folds)
    weights = rng.integers(0, 4, pairs)
    weights[:2] = 1  # no kind of pair may vanish from all other folds
    weights[-2:] = 1
    search = FoldSearch(distances, genuine, fold)
    correct, total = search.held_out(
        weights[None, search.genuine.order], weights[None, search.impostor.order]
    )
    copies = np.repeat(np.arange(pairs), weights)
    d, g, f = distances[copies], genuine[copies], fold[copies]
    for k in range(folds):
        training = f != k
        rates = [
            sum(
                (genuine[fold != k] == kind).sum() * np.mean((d[rows] < t) == kind)
                for kind in (True, False)
                if (rows := training & (g == kind)).any()
            )
            for t in THRESHOLDS
        ]
        # Rounding of the means must not break ties differently from the code under test.
        threshold = THRESHOLDS[int(np.argmax(np.round(rates, 9)))]
        expected = sum(
            pairs / 2 / (g == kind).sum() * ((d < threshold) == kind)[(f == k) & (g == kind)].sum()
            for kind in (True, False)
        )
        assert correct[0, k] == pytest.approx(expected)
    assert total.sum() == pytest.approx(pairs)


def test_first_true_finds_each_row() -> None:
    wanted = np.array([1, 5, 17, 20])
    np.testing.assert_array_equal(first_true(lambda k: k >= wanted, 4, 20), wanted)


@given(st.integers(0, 10_000))
def test_dprime_is_the_formula_on_written_out_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genuine = np.arange(30) < 12
    scores = rng.normal(0.5 * genuine, 0.2)
    weights = rng.integers(0, 4, 30)
    weights[[0, 1, 20, 21]] = 1
    copies = [np.repeat(scores[kind], weights[kind]) for kind in (genuine, ~genuine)]
    pooled = (np.var(copies[0]) + np.var(copies[1])) / 2
    expected = (copies[0].mean() - copies[1].mean()) / np.sqrt(pooled)
    assert dprime(scores, genuine, weights) == pytest.approx(expected, rel=1e-9)
    assert dprime(3 * scores + 100, genuine, weights) == pytest.approx(expected, rel=1e-6)


def test_dprime_of_normal_scores() -> None:
    rng = np.random.default_rng(0)
    genuine = np.arange(200_000) < 100_000
    scores = rng.normal(np.where(genuine, 2.0, 0.0), np.where(genuine, 0.6, 1.2))
    assert dprime(scores, genuine) == pytest.approx(2 / np.sqrt((0.36 + 1.44) / 2), rel=0.01)


def test_dprime_without_scatter() -> None:
    assert dprime([1.0, 1.0, 0.0, 0.0], [True, True, False, False]) == np.inf
    assert np.isnan(dprime([1.0, 1.0], [True, False]))
