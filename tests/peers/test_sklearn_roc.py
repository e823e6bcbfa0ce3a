"""ROC, EER, AUC and TAR@FAR against scikit-learn, plain and weighted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn import metrics

from evenface.evaluate import auc, eer, roc_curve, tar_at_far

Case = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many ties, labels of both kinds, integer weights with zeros among them."""
    pairs = draw(st.integers(2, 40))
    scores = draw(
        hnp.arrays(np.float64, pairs, elements=st.one_of(st.integers(-2, 2), st.floats(-1, 1)))
    )
    genuine = draw(hnp.arrays(np.bool_, pairs))
    weights = draw(hnp.arrays(np.int64, pairs, elements=st.integers(0, 4)))
    assume(weights[genuine].sum() > 0)
    assume(weights[~genuine].sum() > 0)
    return scores, genuine, weights


@settings(max_examples=150, deadline=None)
@given(cases())
def test_roc_has_a_corner_per_distinct_score(case: Case) -> None:
    scores, genuine, weights = case
    curve = roc_curve(scores, genuine, weights)
    far, tar, thresholds = metrics.roc_curve(
        genuine, scores, sample_weight=weights, drop_intermediate=False
    )
    # scikit-learn leaves out scores that only weightless pairs have.
    kept = np.isin(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.far[kept], far, atol=1e-12)
    np.testing.assert_allclose(curve.tar[kept], tar, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_auc(case: Case) -> None:
    scores, genuine, weights = case
    expected = metrics.roc_auc_score(genuine, scores, sample_weight=weights)
    assert auc(scores, genuine, weights) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_eer_is_where_the_roc_meets_the_diagonal(case: Case) -> None:
    scores, genuine, weights = case
    far, tar, _ = metrics.roc_curve(genuine, scores, sample_weight=weights, drop_intermediate=False)
    # Walk along the joined corners: FAR − FRR rises from −1 to 1.
    steps = np.arange(len(far), dtype=float)

    def excess(step: float) -> float:
        return np.interp(step, steps, far) + np.interp(step, steps, tar) - 1

    crossing = brentq(excess, 0, steps[-1])
    expected = np.interp(crossing, steps, far)
    assert eer(scores, genuine, weights) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([0.05, 0.2, 0.5, 1.0]))
def test_tar_at_far_is_the_best_corner_within_the_level(case: Case, level: float) -> None:
    scores, genuine, weights = case
    assume((~genuine).sum() * level >= 1)
    far, tar, _ = metrics.roc_curve(genuine, scores, sample_weight=weights, drop_intermediate=False)
    assert tar_at_far(scores, genuine, level, weights).value == pytest.approx(
        tar[far <= level + 1e-15].max(), abs=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(cases())
def test_integer_weights_are_repeated_pairs(case: Case) -> None:
    scores, genuine, weights = case
    repeated_scores, repeated = np.repeat(scores, weights), np.repeat(genuine, weights)
    assert eer(scores, genuine, weights) == pytest.approx(eer(repeated_scores, repeated), abs=1e-12)
    assert auc(scores, genuine, weights) == pytest.approx(auc(repeated_scores, repeated), abs=1e-12)
