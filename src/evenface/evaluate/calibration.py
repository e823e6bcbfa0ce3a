"""From scores to probabilities: one map for all pairs, or one for each cluster of faces.

All maps are fitted with genuine and impostor pairs weighing half each: the probability is that of
a genuine pair where both kinds are equally likely, whatever their numbers in the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import MissingDependencyError

if TYPE_CHECKING:
    from sklearn.cluster import KMeans
    from sklearn.isotonic import IsotonicRegression

Method = Literal["logistic", "beta", "isotonic"]

# Scores of the beta map lie inside (0, 1), where its logarithms are finite.
_MARGIN = 1e-6


class ScoreMap(Protocol):
    """From scores (P,) to probabilities (P,) of a genuine pair."""

    def predict(self, scores: ArrayLike) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class LogisticCalibration:
    """1 / (1 + exp(−(slope · score + intercept))).

    Platt, *Probabilistic outputs for support vector machines*, 1999, with his smoothed targets
    (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2), so that it exists where the kinds are separable. Weighing
    kinds equally makes the exponent a log-likelihood ratio (Brümmer & du Preez, *Application-
    independent evaluation of speaker detection*, 2006).
    """

    slope: float
    intercept: float

    @classmethod
    def fit(cls, scores: ArrayLike, genuine: ArrayLike) -> Self:
        """Fit to scores (P,) with labels (P,); both kinds must occur.

        Raises:
            ValueError: lengths differ, a score is not finite, or one kind only.
        """
        values, labels = _checked(scores, genuine)
        centre, width = values.mean(), values.std() or 1.0
        slope, intercept = _logistic((values - centre)[:, None] / width, labels)
        return cls(slope / width, intercept - slope * centre / width)

    def predict(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities in (0, 1) of scores of any shape."""
        return _sigmoid(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)


@dataclass(frozen=True)
class BetaCalibration:
    """1 / (1 + exp(−(a · ln x − b · ln(1 − x) + c))), a, b ≥ 0, x = (score + 1) / 2.

    Kull, Silva Filho & Flach, *Beta calibration*, AISTATS 2017. For cosines in [−1, 1]. As there,
    an exponent that comes out negative is set to zero and the rest is fitted again.
    """

    a: float
    b: float
    c: float

    @classmethod
    def fit(cls, scores: ArrayLike, genuine: ArrayLike) -> Self:
        """As :meth:`LogisticCalibration.fit`; ValueError for scores outside [−1, 1] too."""
        values, labels = _checked(scores, genuine)
        if np.abs(values).max() > 1 + 1e-6:
            raise ValueError("beta calibration takes scores in [-1, 1]; use logistic or isotonic")
        features = _beta_features(values)
        used = [0, 1]
        while True:
            *found, c = _logistic(features[:, used], labels)
            negative = [i for i, weight in zip(used, found, strict=True) if weight < 0]
            if not negative:
                weights = dict(zip(used, found, strict=True))
                return cls(weights.get(0, 0.0), weights.get(1, 0.0), c)
            used.remove(negative[0])

    def predict(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities in (0, 1) of scores (P,)."""
        features = _beta_features(np.asarray(scores, dtype=np.float64))
        return _sigmoid(features @ np.array([self.a, self.b]) + self.c)


@dataclass(frozen=True)
class IsotonicCalibration:
    """The best non-decreasing step function (Zadrozny & Elkan, KDD 2002); needs scikit-learn."""

    regression: IsotonicRegression

    @classmethod
    def fit(cls, scores: ArrayLike, genuine: ArrayLike) -> Self:
        """As :meth:`LogisticCalibration.fit`; MissingDependencyError without scikit-learn."""
        values, labels = _checked(scores, genuine)
        try:
            from sklearn.isotonic import IsotonicRegression
        except ImportError:
            raise _missing("isotonic calibration") from None
        regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        weights = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
        return cls(regression.fit(values, labels.astype(np.float64), sample_weight=weights))

    def predict(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities in [0, 1] of scores (P,)."""
        return np.asarray(self.regression.predict(np.asarray(scores, dtype=np.float64)))


_FITS: dict[Method, Callable[[ArrayLike, ArrayLike], ScoreMap]] = {
    "logistic": LogisticCalibration.fit,
    "beta": BetaCalibration.fit,
    "isotonic": IsotonicCalibration.fit,
}


@dataclass(frozen=True)
class ClusterCalibration:
    """FairCal: a map for each k-means cluster of embeddings, so that no group label is needed.

    Salvador, Cairns, Voleti, Marshall & Oberman, *FairCal: Fairness Calibration for Face
    Verification*, ICLR 2022 (arXiv 2106.03761). The map of a cluster is fitted to the pairs with
    a face in it. A pair whose faces lie in clusters 1 and 2 gets θ m₁(s) + (1 − θ) m₂(s), θ the
    share of cluster 1 in the pairs of both. A cluster without both kinds of pair takes the map of
    all pairs.
    """

    kmeans: KMeans
    maps: tuple[ScoreMap, ...]
    sizes: NDArray[np.int64]
    """(K,) pairs behind each map."""

    @classmethod
    def fit(
        cls,
        embeddings: NDArray[np.floating],
        a: NDArray[np.int64],
        b: NDArray[np.int64],
        scores: ArrayLike,
        genuine: ArrayLike,
        *,
        clusters: int = 100,
        method: Method = "beta",
        seed: int = 0,
    ) -> Self:
        """Cluster the faces of the pairs and fit a map to each cluster.

        Args:
            embeddings: (N, D) of unit length.
            a, b: (P,) rows of the pairs' faces.
            scores: (P,) cosines.
            genuine: (P,) booleans.
            clusters: most clusters (100 in the paper); never more than faces.
            method: the map of a cluster; the paper uses beta.
            seed: of k-means.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
        """
        values, labels = _checked(scores, genuine)
        try:
            from sklearn.cluster import KMeans
        except ImportError:
            raise _missing("calibration by clusters") from None
        faces = np.unique(np.concatenate([a, b]))
        kmeans = KMeans(min(clusters, len(faces)), n_init=1, random_state=seed)
        kmeans.fit(embeddings[faces].astype(np.float32))
        of_a, of_b = (kmeans.predict(embeddings[end].astype(np.float32)) for end in (a, b))
        fit = _FITS[method]
        everyone = fit(values, labels)
        maps: list[ScoreMap] = []
        sizes = []
        for cluster in range(kmeans.n_clusters):
            inside = (of_a == cluster) | (of_b == cluster)
            both = labels[inside].any() and not labels[inside].all()
            maps.append(fit(values[inside], labels[inside]) if both else everyone)
            sizes.append(int(inside.sum()))
        return cls(kmeans, tuple(maps), np.array(sizes))

    def predict(
        self,
        embeddings: NDArray[np.floating],
        a: NDArray[np.int64],
        b: NDArray[np.int64],
        scores: ArrayLike,
    ) -> NDArray[np.float64]:
        """Probabilities (P,) of pairs (a, b) of rows of ``embeddings`` with their cosines."""
        values = np.asarray(scores, dtype=np.float64)
        of_a, of_b = (self.kmeans.predict(embeddings[end].astype(np.float32)) for end in (a, b))
        first, second = np.empty(len(values)), np.empty(len(values))
        for cluster, of_cluster in enumerate(self.maps):
            for result, end in ((first, of_a), (second, of_b)):
                inside = end == cluster
                if inside.any():
                    result[inside] = of_cluster.predict(values[inside])
        weight_a = self.sizes[of_a].astype(np.float64)
        weight_b = self.sizes[of_b].astype(np.float64)
        total = weight_a + weight_b
        share = np.where(total > 0, weight_a / np.where(total > 0, total, 1), 0.5)
        return share * first + (1 - share) * second


def cross_fitted(
    scores: ArrayLike, genuine: ArrayLike, fold: ArrayLike, *, method: Method = "logistic"
) -> NDArray[np.float64]:
    """Probabilities (P,): those of each fold from a map that was fitted on the other folds.

    Args:
        scores, genuine: (P,).
        fold: (P,) integers; folds should be disjoint in identity, or the result is optimistic.
        method: which map, one for all groups.

    Raises:
        ValueError: fewer than two folds, or folds whose complement lacks a kind of pair.
    """
    values, labels = _checked(scores, genuine)
    folds = np.asarray(fold)
    result = np.empty(len(values))
    for f in _folds(folds):
        others = folds != f
        result[~others] = _FITS[method](values[others], labels[others]).predict(values[~others])
    return result


def cross_fitted_by_cluster(
    embeddings: NDArray[np.floating],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    scores: ArrayLike,
    genuine: ArrayLike,
    fold: ArrayLike,
    *,
    clusters: int = 100,
    method: Method = "beta",
    seed: int = 0,
) -> NDArray[np.float64]:
    """:class:`ClusterCalibration` as :func:`cross_fitted` does it; arguments as in its ``fit``."""
    values, labels = _checked(scores, genuine)
    folds = np.asarray(fold)
    result = np.empty(len(values))
    for f in _folds(folds):
        others, own = folds != f, folds == f
        fitted = ClusterCalibration.fit(
            embeddings,
            a[others],
            b[others],
            values[others],
            labels[others],
            clusters=clusters,
            method=method,
            seed=seed,
        )
        result[own] = fitted.predict(embeddings, a[own], b[own], values[own])
    return result


def _folds(folds: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.unique(folds)
    if len(found) < 2:
        raise ValueError("calibration on other people needs at least two folds")
    return found


def _checked(
    scores: ArrayLike, genuine: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(genuine).astype(bool)
    if values.ndim != 1 or values.shape != labels.shape:
        raise ValueError(
            f"scores and genuine must be one-dimensional and of one length, "
            f"got shapes {values.shape} and {labels.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"scores[{int((~np.isfinite(values)).argmax())}] is not finite")
    if not labels.any() or labels.all():
        raise ValueError(f"there is no {'impostor' if labels.any() else 'genuine'} pair")
    return values, labels


def _beta_features(values: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip((values + 1) / 2, _MARGIN, 1 - _MARGIN)
    return np.stack([np.log(x), -np.log1p(-x)], axis=1)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -x))


def _logistic(features: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[float]:
    """Weights of the features, then the intercept: Newton's method with halved steps."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    target = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weight = np.where(labels, 0.5 / positive, 0.5 / negative)
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1)

    def loss(at: NDArray[np.float64]) -> float:
        exponent = design @ at
        return float(weight @ (np.logaddexp(0, exponent) - target * exponent))

    beta = np.zeros(design.shape[1])
    current = loss(beta)
    for _ in range(100):
        probability = _sigmoid(design @ beta)
        gradient = design.T @ (weight * (probability - target))
        curvature = weight * probability * (1 - probability)
        hessian = design.T @ (curvature[:, None] * design)
        # lstsq: a feature without scatter makes the Hessian singular, and then keeps weight zero.
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
        scale = 1.0
        while (proposed := loss(beta - scale * step)) > current and scale > 1e-8:
            scale /= 2
        beta = beta - scale * step
        if current - proposed < 1e-14:
            break
        current = proposed
    return [float(value) for value in beta]


def _missing(purpose: str) -> MissingDependencyError:
    return MissingDependencyError("scikit-learn", "calibrate", purpose)
