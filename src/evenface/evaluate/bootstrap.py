"""Uncertainty by a bootstrap over identities.

Pairs are not independent: an identity takes part in many of them. So identities, not pairs, are
drawn with replacement, within each group. When identity i is drawn c_i times, a genuine pair of i
weighs c_i and an impostor pair (i, j) weighs c_i · c_j; an identity never meets its own copy. That
is the subsets bootstrap of Bolle, Ratha & Pankanti (*Error analysis of pattern recognition systems
– the subsets bootstrap*, CVIU 93, 2004), extended to both members of an impostor pair. FAR and FRR
of a similarity are U-statistics: a naive bootstrap that lets copies meet each other biases the ROC
(Conti & Clémençon, *Assessing Uncertainty in Similarity Scoring*, ICLR 2024, arXiv 2211.07245).

Product weights count what is specific to two people three times: with S_i the summed centred
errors of the pairs of person i and T_ij those of persons i and j, the replicates' variance is
ΣS_i² + ΣT_ij², while the dyadic-robust variance of the estimate is V = ΣS_i² − ΣT_ij² (Fogliato,
Patil & Perona, *Confidence Intervals for Error Rates in 1:1 Matching Tasks*, IJCV 2024, arXiv
2306.01198; Owen & Eckles, *Bootstrapping data arrays of arbitrary order*, AoAS 2012). So a second,
smaller set of replicates resamples pairs of two people instead, each counted twice or not at all
(Owen & Eckles' double-or-nothing bootstrap): their variance estimates ΣT_ij² for any measure. The
replicates over people are then pulled towards the estimate until their variance is V, see
:func:`shrinkage`. Error rates get a Wilson interval from that variance, as Fogliato et al.
recommend; everything else percentiles, those of differences about the estimate, see
:func:`centred`.

No bootstrap sees errors that the sample does not hold: where there are none, see
:func:`zero_error_limit`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.seeds import generator

# Counts of one group that are kept in memory, 8 bits each.
_MOST_KEPT = 8_000_000


def identity_counts(identities: int, replicates: int, seed: int, group: str) -> NDArray[np.int64]:
    """How often each identity of a group is drawn in each replicate.

    The draw depends on the arguments only: two models evaluated on one protocol with one seed are
    resampled alike, which makes their differences paired.

    Returns:
        (replicates, identities) counts; each row sums to ``identities``.
    """
    rng = generator(seed, "identity-bootstrap", group)
    return rng.multinomial(identities, np.full(identities, 1 / identities), size=replicates)


def count_chunks(
    identities: Sequence[int], groups: Sequence[str], replicates: int, seed: int, size: int
) -> Iterator[list[NDArray[Any]]]:
    """The counts of :func:`identity_counts` for every group, ``size`` replicates at a time.

    The same counts whatever the size: (size, identities) for each group, in 16 bits where the
    product of two counts fits. Models of one protocol draw the same, so small ones are kept; large
    ones are never held as a whole.

    Args:
        identities: number in each group.
        groups: their names.
        replicates: in all.
        seed: of the bootstrap.
        size: replicates at a time.
    """
    parts = [
        _drawn_once(n, replicates, seed, group, size)
        if n * replicates <= _MOST_KEPT
        else _drawn_anew(n, replicates, seed, group, size)
        for n, group in zip(identities, groups, strict=True)
    ]
    for of_groups in zip(*parts, strict=True):
        yield [_narrow(counts) for counts in of_groups]


def _drawn_once(
    identities: int, replicates: int, seed: int, group: str, size: int
) -> Iterator[NDArray[Any]]:
    counts = _kept_counts(identities, replicates, seed, group)
    yield from (counts[start : start + size] for start in range(0, replicates, size))


@lru_cache(maxsize=16)
def _kept_counts(identities: int, replicates: int, seed: int, group: str) -> NDArray[Any]:
    counts = identity_counts(identities, replicates, seed, group)
    return counts.astype(np.uint8) if counts.max(initial=0) < 2**8 else counts


def _drawn_anew(
    identities: int, replicates: int, seed: int, group: str, size: int
) -> Iterator[NDArray[np.int64]]:
    rng = generator(seed, "identity-bootstrap", group)
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        yield rng.multinomial(identities, np.full(identities, 1 / identities), size=rows)


def _narrow(counts: NDArray[Any]) -> NDArray[Any]:
    fits = int(counts.max(initial=0)) ** 2 < 2**16
    return counts.astype(np.uint16) if fits else counts.astype(np.int64)


def pair_weights(
    counts: NDArray[Any],
    identity_a: NDArray[np.int64],
    identity_b: NDArray[np.int64],
) -> NDArray[Any]:
    """Weights (R, P) of pairs from identity counts (R, I): c_i if both ends are i, else c_i · c_j.

    Args:
        counts: from :func:`identity_counts`.
        identity_a, identity_b: (P,) columns of ``counts``.
    """
    with_one = np.concatenate([counts, np.ones((len(counts), 1), dtype=counts.dtype)], axis=1)
    second = np.where(identity_a == identity_b, counts.shape[1], identity_b)
    weights = np.take(with_one, identity_a, axis=1)
    weights *= np.take(with_one, second, axis=1)
    return weights


def pair_draws(
    pairs: Sequence[int], groups: Sequence[str], replicates: int, seed: int, size: int
) -> Iterator[list[NDArray[Any]]]:
    """Weights 0 or 2, equally likely, of the pairs of two people of every group.

    Args:
        pairs: how many pairs of two people each group has.
        groups, replicates, seed, size: as in :func:`count_chunks`.

    Yields:
        (size, pairs) of each group.
    """
    draws = [generator(seed, "pair-bootstrap", group) for group in groups]
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        yield [
            # Rows of whole 32-bit words, which bytes are drawn from: parts join without a seam.
            rng.integers(0, 2, size=(rows, -(-n // 4) * 4), dtype=np.uint8)[:, :n] << 1
            for rng, n in zip(draws, pairs, strict=True)
        ]


def shrinkage(people: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """√(V / variance over people): what makes replicates over people as wide as they should be.

    V = A − 2B, with A the variance over people, B that over pairs; never below B, which is what
    would remain if people did not matter, for the difference of two noisy estimates can come out
    too small (Fogliato et al. clamp likewise).

    Args:
        people: (R, …) replicates that resample people.
        pairs: (K, …) replicates that resample pairs of two people.

    Returns:
        (…) factors in [0, 1]; 1 where either has fewer than two finite replicates or no scatter.
    """
    over_people, over_pairs = _variance(people), _variance(pairs)
    robust = np.maximum(over_people - 2 * over_pairs, over_pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(robust / over_people)
    return np.where(over_people > 0, np.minimum(factor, 1.0), 1.0)


def expansion(identities: int | None, level: float) -> float:
    """By how much percentiles of a bootstrap over so many identities are too narrow.

    √(n / (n − 1)) · t / z: the variance of n drawn values is (n − 1)/n of what it should be, and
    being estimated it asks for Student's t (Hesterberg, *What Teachers Should Know About the
    Bootstrap*, The American Statistician 69, 2015: "expanded percentile interval").

    Args:
        identities: n; 1 is returned where it is not known, or below 2.
        level: coverage of the interval.
    """
    if identities is None or identities < 2:
        return 1.0
    from scipy.special import ndtri, stdtrit

    share = (1 + level) / 2
    ratio = float(stdtrit(identities - 1, share) / ndtri(share))
    return math.sqrt(identities / (identities - 1)) * ratio


def _variance(replicates: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(replicates)
    count = np.maximum(finite.sum(axis=0), 1)
    kept = np.where(finite, replicates, 0.0)
    deviation = np.where(finite, replicates - kept.sum(axis=0) / count, 0.0)
    variance: NDArray[np.float64] = (deviation**2).sum(axis=0) / np.maximum(count - 1, 1)
    return variance


def shrink(
    value: NDArray[np.float64] | float,
    replicates: NDArray[np.float64],
    factor: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Replicates (R, …) moved towards the value; undefined and infinite ones stay as they are."""
    with np.errstate(invalid="ignore"):
        moved = value + factor * (replicates - value)
    return np.where(np.isfinite(moved), moved, replicates)


def centred(value: float, replicates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replicates (R,) moved so that their median is the value; infinite ones stay so.

    A measure that picks a threshold jumps with the data, and its replicates lie about a smoothed
    value, which is nearer to the truth than the estimate (Efron, *Estimation and Accuracy after
    Model Selection*, JASA 109, 2014). Percentiles about that value, as wide as the estimate's own
    error asks for, hold the truth too often. Of a difference, where what biases both models
    cancels, they are taken about the estimate; the measures of one model keep the plain ones.
    """
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return replicates
    middle = float(np.quantile(defined, 0.5, method="inverted_cdf"))
    return replicates + (value - middle) if np.isfinite(middle) else replicates


def wilson_interval(value: float, variance: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate in [0, 1] with a given variance.

    The score interval of a share of n trials, n the effective number that gives this variance,
    value · (1 − value) / variance (Wilson, JASA 22, 1927; for pairs: Fogliato et al., IJCV 2024).
    Without variance, or at 0 and 1, it has no width.
    """
    spread = value * (1 - value)
    if variance <= 0 or spread <= 0:
        return value, value
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = z * z * variance / spread  # z² / n
    middle = (value + share / 2) / (1 + share)
    half = z * math.sqrt(variance + share * share / (4 * z * z)) / (1 + share)
    return max(0.0, middle - half), min(1.0, middle + half)


def percentile_interval(
    samples: ArrayLike, level: float = 0.95, *, floor: float = -np.inf, ceiling: float = np.inf
) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates, without interpolation.

    A replicate in which the measure is undefined (NaN) counts as ``floor`` for the lower bound
    and as ``ceiling`` for the upper one: not knowing widens the interval. Replicates may be
    infinite, and so may the bounds.

    Args:
        samples: (R,) replicates.
        level: coverage, in (0, 1).
        floor, ceiling: the measure's range.

    Raises:
        ValueError: no replicates, or ``level`` out of range.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"replicates must be one-dimensional and not empty, got {values.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    tail = (1 - level) / 2
    undefined = np.isnan(values)
    low = np.quantile(np.where(undefined, floor, values), tail, method="inverted_cdf")
    # The mirror image of the lower bound: a quantile 1 − tail would cut off one replicate more.
    high = -np.quantile(-np.where(undefined, ceiling, values), tail, method="inverted_cdf")
    return float(low), float(high)


def zero_error_limit(trials: int, alpha: float) -> float:
    """Upper confidence limit of a rate of which no event was seen in so many independent trials.

    1 − α^(1/n): Clopper & Pearson, *The use of confidence or fiducial limits*, Biometrika 26,
    1934; with α = 0.05 about 3/n, the rule of three (Hanley & Lippman-Hand, JAMA 249, 1983).

    Args:
        trials: n ≥ 1.
        alpha: probability, in (0, 1), that the limit is too low.
    """
    if trials < 1 or not 0 < alpha < 1:
        raise ValueError(f"needs a trial and 0 < alpha < 1, got {trials} and {alpha}")
    return float(-np.expm1(np.log(alpha) / trials))


@dataclass(frozen=True)
class PairedDifference:
    """Second minus first model, on the same pairs and the same resamples."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    """Two-sided: twice the smaller share of replicates on either side of zero (ties on both),
    counting the data themselves as one more replicate."""
    p_greater: float | None
    """One-sided, for the second being greater: the share of replicates at or below zero."""
    p_less: float | None
    """One-sided, for the second being less: the share of replicates at or above zero."""
    distinguishable: bool
    """Whether the interval excludes zero."""


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    first_value: float | None,
    second_value: float | None,
    level: float = 0.95,
) -> PairedDifference:
    """Interval of ``second − first`` from replicates drawn on the same resamples.

    Args:
        first, second: (R,) replicates of the measure, in the same order of resamples.
        first_value, second_value: the measure on the data. Where one is None (undefined, or not
            supported by the data), so is everything about the difference.
        level: coverage of the interval.

    Raises:
        ValueError: the replicates differ in number, or there are none.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"replicates must match one to one, got {a.shape} and {b.shape}")
    with np.errstate(invalid="ignore"):
        differences = b - a
    if first_value is None or second_value is None:
        return against_zero(None, differences, level)
    value = second_value - first_value
    return against_zero(value, centred(value, differences), level)


def against_zero(
    value: float | None, differences: NDArray[np.float64], level: float = 0.95
) -> PairedDifference:
    """The same of a difference (None where undefined) and its replicates (R,), as they are."""
    if value is None:
        return PairedDifference(None, None, None, None, None, None, distinguishable=False)
    low, high = percentile_interval(differences, level)
    undefined = np.isnan(differences)
    at_most = 1 + int(np.count_nonzero(undefined | (differences <= 0)))
    at_least = 1 + int(np.count_nonzero(undefined | (differences >= 0)))
    return PairedDifference(
        value=value,
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        p_value=min(1.0, 2 * min(at_most, at_least) / (len(differences) + 1)),
        p_greater=at_most / (len(differences) + 1),
        p_less=at_least / (len(differences) + 1),
        distinguishable=bool(low > 0 or high < 0),
    )


@dataclass(frozen=True, eq=False)
class Figure:
    """A number with the replicates that sums and differences of such numbers need.

    What is specific to two people is another share of a difference than of its parts, so it is
    the replicates of the difference that are shrunk, see :func:`shrinkage`.

    Attributes:
        value: None where undefined.
        people: (R,) replicates that resample people, not yet shrunk.
        pairs: (K,) replicates that resample pairs of two people; empty where ``people`` are as wide
            as they should be.
        training: (R,) deviations from the mean over training seeds, the seeds resampled; 0 without.
        models: (n,) of each training seed's model; NaN where undefined, empty without seeds.
        level: of intervals.
        expansion: what shrunk replicates are multiplied by, see :func:`expansion`.
    """

    value: float | None
    people: NDArray[np.float64]
    pairs: NDArray[np.float64]
    training: NDArray[np.float64]
    models: NDArray[np.float64]
    level: float
    expansion: float = 1.0

    @classmethod
    def settled(
        cls,
        value: float | None,
        samples: NDArray[np.float64],
        models: NDArray[np.float64],
        level: float,
    ) -> Figure:
        """One whose replicates (R,) are as wide as they should be."""
        return cls(value, samples, np.empty(0), np.zeros(len(samples)), models, level)

    @property
    def samples(self) -> NDArray[np.float64]:
        """(R,) joint replicates of people and seeds."""
        with np.errstate(invalid="ignore"):
            if self.value is None:
                return self.people + self.training
            factor = shrinkage(self.people, self.pairs) * self.expansion
            return shrink(self.value, self.people, factor) + self.training

    def __sub__(self, other: Figure | float) -> Figure:
        if isinstance(other, Figure):
            return _combined([self, other], [1.0, -1.0])
        return replace(
            self,
            value=None if self.value is None else self.value - other,
            people=self.people - other,
            models=self.models - other,
        )

    def difference(self) -> PairedDifference:
        """The figure, being a difference, against 0, its replicates :func:`centred`."""
        samples = self.samples if self.value is None else centred(self.value, self.samples)
        return against_zero(self.value, samples, self.level)


def mean_figure(figures: Sequence[Figure]) -> Figure:
    """Their mean, replicate by replicate and seed by seed."""
    return _combined(figures, [1 / len(figures)] * len(figures))


def _combined(figures: Sequence[Figure], weights: Sequence[float]) -> Figure:
    shapes = {(of.people.shape, of.training.shape, of.models.shape) for of in figures}
    if len(shapes) > 1:
        raise ValueError(f"replicates and seeds must match one to one, got {sorted(shapes)}")

    def total(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            parts = [w * column for w, column in zip(weights, columns, strict=True)]
            return np.sum(parts, axis=0)

    values = [of.value for of in figures if of.value is not None]
    defined = len(values) == len(figures)
    alike = len({of.pairs.shape for of in figures}) == 1
    return Figure(
        float(np.dot(weights, values)) if defined else None,
        total([of.people for of in figures]),
        total([of.pairs for of in figures]) if alike else np.empty(0),
        total([of.training for of in figures]),
        total([of.models for of in figures]),
        figures[0].level,
        max(of.expansion for of in figures),
    )
