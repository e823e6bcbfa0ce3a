"""Calibration maps against scikit-learn, and what they do to groups."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from evenface.errors import MissingDependencyError
from evenface.evaluate.calibration import (
    BetaCalibration,
    ClusterCalibration,
    IsotonicCalibration,
    LogisticCalibration,
    cross_fitted,
    cross_fitted_by_cluster,
)
from evenface.evaluate.operating import SplitScores
from evenface.evaluate.reliability import BINS, CalibrationScorer

MAPS = {
    "logistic": LogisticCalibration,
    "beta": BetaCalibration,
    "isotonic": IsotonicCalibration,
}


def pairs(seed: int = 0, size: int = 400) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    genuine = rng.random(size) < 0.3
    return np.clip(rng.normal(0.1 + 0.4 * genuine, 0.2), -0.99, 0.99), genuine


def test_logistic_is_scikit_learns_with_platts_targets() -> None:
    """A smoothed target t is t copies of the pair as genuine and 1 − t as impostor."""
    scores, genuine = pairs()
    positive, negative = genuine.sum(), (~genuine).sum()
    target = np.where(genuine, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weight = np.where(genuine, 0.5 / positive, 0.5 / negative)
    reference = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(
        np.concatenate([scores, scores])[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=1e3 * np.concatenate([weight * target, weight * (1 - target)]),
    )
    fitted = LogisticCalibration.fit(scores, genuine)
    assert fitted.slope == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert fitted.intercept == pytest.approx(reference.intercept_[0], rel=1e-3)


def test_logistic_is_the_log_likelihood_ratio_of_normal_scores() -> None:
    """Means 1 and 0, one variance: ln p(s|genuine)/p(s|impostor) = (s − ½) / σ²."""
    rng = np.random.default_rng(0)
    genuine = np.arange(200_000) % 10 == 0
    scores = rng.normal(genuine, 0.5)
    fitted = LogisticCalibration.fit(scores, genuine)
    assert fitted.slope == pytest.approx(4, rel=0.03)
    assert fitted.intercept == pytest.approx(-2, rel=0.03)


def test_beta_recovers_beta_distributed_scores() -> None:
    """Beta(a₁, b₁) against Beta(a₀, b₀): the map's exponents are their differences."""
    rng = np.random.default_rng(0)
    genuine = np.arange(200_000) % 2 == 0
    x = np.where(genuine, rng.beta(6, 2, 200_000), rng.beta(3, 4, 200_000))
    fitted = BetaCalibration.fit(2 * x - 1, genuine)
    assert fitted.a == pytest.approx(3, rel=0.05)
    assert fitted.b == pytest.approx(2, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), method=st.sampled_from(["logistic", "beta", "isotonic"]))
def test_maps_rise_with_the_score(seed: int, method: str) -> None:
    scores, genuine = pairs(seed, 60)
    found = MAPS[method].fit(scores, genuine).predict(np.linspace(-0.9, 0.9, 50))
    assert ((found >= 0) & (found <= 1)).all()
    if method != "logistic" or LogisticCalibration.fit(scores, genuine).slope > 0:
        assert (np.diff(found) >= -1e-12).all()


def test_separable_and_constant_scores_have_a_map() -> None:
    genuine = np.array([True, True, False, False])
    fitted = LogisticCalibration.fit(np.array([0.9, 0.8, 0.1, 0.2]), genuine)
    assert np.isfinite(fitted.slope)
    assert fitted.slope > 0
    constant = LogisticCalibration.fit(np.full(4, 0.3), genuine).predict(np.full(4, 0.3))
    np.testing.assert_allclose(constant, 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "genuine", "message"),
    [
        ([0.1, np.nan], [True, False], "not finite"),
        ([0.1, 0.2], [True, True], "no impostor pair"),
        ([0.1], [True, False], "one length"),
    ],
)
def test_bad_input_is_refused(scores, genuine, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticCalibration.fit(scores, genuine)


def test_beta_without_either_exponent_is_the_mean_target() -> None:
    """Scores that tell the wrong way round: what is left is the intercept, Platt's mean target."""
    genuine = np.arange(90) < 30
    scores = np.where(genuine, -0.5, 0.5) + np.random.default_rng(0).uniform(-0.4, 0.4, 90)
    fitted = BetaCalibration.fit(scores, genuine)
    share = (31 / 32 + 1 / 62) / 2
    assert (fitted.a, fitted.b) == (0, 0)
    assert fitted.c == pytest.approx(np.log(share / (1 - share)), abs=1e-6)
    assert fitted.c != 0


def test_beta_takes_cosines_only() -> None:
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        BetaCalibration.fit([3.0, 0.2], [True, False])


def test_probabilities_of_a_fold_do_not_depend_on_its_labels() -> None:
    scores, genuine = pairs()
    fold = np.arange(len(scores)) % 4
    found = cross_fitted(scores, genuine, fold)
    changed = np.where(fold == 2, ~genuine, genuine)
    other = cross_fitted(scores, changed, fold)
    np.testing.assert_array_equal(found[fold == 2], other[fold == 2])
    assert (found[fold != 2] != other[fold != 2]).all()
    with pytest.raises(ValueError, match="two folds"):
        cross_fitted(scores, genuine, np.zeros(len(scores)))


def two_kinds_of_people(seed: int = 0) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Two groups in different corners of the space; one is packed closer, so all its scores are
    higher: (embeddings, a, b, genuine, group of a)."""
    rng = np.random.default_rng(seed)
    identities, images = 60, 4
    group = np.repeat([0, 1], identities // 2 * images)
    corner = np.eye(8)[group] * np.where(group == 0, 3.0, 0.8)[:, None]
    people = np.repeat(rng.normal(size=(identities, 8)), images, axis=0)
    embeddings = corner + people + 0.5 * rng.normal(size=people.shape)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    who = np.repeat(np.arange(identities), images)
    a, b = np.triu_indices(len(who), k=1)
    same_group = group[a] == group[b]
    genuine = who[a] == who[b]
    chosen = same_group & (genuine | (rng.random(len(a)) < 0.1))
    return embeddings, a[chosen], b[chosen], genuine[chosen], group[a[chosen]]


def test_clusters_even_out_groups_without_their_labels() -> None:
    embeddings, a, b, genuine, group = two_kinds_of_people()
    scores = (embeddings[a] * embeddings[b]).sum(axis=1)
    fold = np.random.default_rng(0).integers(0, 3, len(a))
    single = cross_fitted(scores, genuine, fold, method="beta")
    clustered = cross_fitted_by_cluster(embeddings, a, b, scores, genuine, fold, clusters=2)

    def gap_of_fmr(values: NDArray) -> float:
        threshold = np.quantile(values[~genuine], 0.95)
        rates = [np.mean(values[~genuine & (group == g)] >= threshold) for g in (0, 1)]
        return max(rates) - min(rates)

    assert gap_of_fmr(clustered) < 0.5 * gap_of_fmr(single)


def test_a_pair_mixes_the_maps_of_its_two_clusters() -> None:
    embeddings, a, b, genuine, _ = two_kinds_of_people()
    scores = (embeddings[a] * embeddings[b]).sum(axis=1)
    fitted = ClusterCalibration.fit(
        embeddings, a, b, scores, genuine, clusters=2, method="logistic"
    )
    of = fitted.kmeans.predict(embeddings.astype(np.float32))
    first, second = np.flatnonzero(of == 0)[:1], np.flatnonzero(of == 1)[:1]
    found = fitted.predict(embeddings, first, second, [0.4])[0]
    share = fitted.sizes[0] / fitted.sizes.sum()
    one, other = (m.predict([0.4])[0] for m in fitted.maps)
    assert found == pytest.approx(share * one + (1 - share) * other)


def _isotonic(scores: NDArray, genuine: NDArray) -> object:
    return IsotonicCalibration.fit(scores, genuine)


def _by_cluster(scores: NDArray, genuine: NDArray) -> object:
    rows = np.arange(len(scores))
    return ClusterCalibration.fit(np.ones((len(rows), 3)), rows, rows, scores, genuine)


@pytest.mark.parametrize(
    ("module", "fit"), [("sklearn.isotonic", _isotonic), ("sklearn.cluster", _by_cluster)]
)
def test_without_scikit_learn_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, fit: Callable[..., object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[calibrate\]"):
        fit(*pairs(size=40))


def test_brier_and_calibration_error_by_hand() -> None:
    rng = np.random.default_rng(0)
    scores, genuine = pairs(size=300)
    part = rng.integers(0, 2, 300)
    scorer = CalibrationScorer([SplitScores(scores, genuine, part)])
    weights = rng.integers(0, 3, (2, 300))
    measured = scorer.measure([weights])
    probability = cross_fitted(scores, genuine, part)
    for r in range(2):
        w = np.where(genuine, weights[r] / weights[r][genuine].sum(), 0) + np.where(
            ~genuine, weights[r] / weights[r][~genuine].sum(), 0
        )
        w = w / 2
        assert measured["calibration.brier"][r, 0] == pytest.approx(
            np.sum(w * (probability - genuine) ** 2)
        )
        bins = np.minimum((probability * BINS).astype(int), BINS - 1)
        error = sum(abs(np.sum((w * (genuine - probability))[bins == k])) for k in range(BINS))
        assert measured["calibration.error"][r, 0] == pytest.approx(error)
    predicted, observed, counts = scorer.bins(0)
    assert counts.sum() == 300
    filled = counts > 0
    assert ((predicted[filled] >= 0) & (observed[filled] <= 1)).all()
    assert np.isnan(predicted[~filled]).all()
