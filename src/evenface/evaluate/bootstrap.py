"""Uncertainty by a bootstrap over identities.

Pairs are not independent: an identity stands in many of them. So identities, not pairs, are drawn
with replacement, within each group. When identity i was drawn c_i times, a genuine pair of i
weighs c_i and an impostor pair (i, j) weighs c_i · c_j; no pair of an identity with its own copy
arises. That is the subsets bootstrap of Bolle, Ratha & Pankanti (*Error analysis of pattern
recognition systems – the subsets bootstrap*, CVIU 93, 2004), extended to both members of an
impostor pair. FAR and FRR of a similarity are U-statistics: a naive bootstrap that lets copies meet
each other biases the ROC (Conti & Clémençon, *Assessing Uncertainty in Similarity Scoring*, ICLR
2024, arXiv 2211.07245), which the weights avoid: every pair of a kind has the same expected weight.

Two limits to know. Product weights are conservative (Owen & Eckles, *Bootstrapping data arrays of
arbitrary order*, AoAS 2012): where few impostor pairs share identities, as in the folds of the
10-fold accuracy, intervals are wider than need be. And no bootstrap sees errors that the sample
does not hold: with none, the interval has no width, which is no certainty (Fogliato et al.,
*Confidence Intervals for Error Rates in 1:1 Matching Tasks*, IJCV 2024, arXiv 2306.01198).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.seeds import generator


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

    The same counts whatever the size, without holding all of them: (size, identities) for each
    group, in 16 bits where the product of two counts fits.

    Args:
        identities: number in each group.
        groups: their names.
        replicates: in all.
        seed: of the bootstrap.
        size: replicates at a time.
    """
    draws = [generator(seed, "identity-bootstrap", group) for group in groups]
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        yield [
            _narrow(rng.multinomial(n, np.full(n, 1 / n), size=rows))
            for rng, n in zip(draws, identities, strict=True)
        ]


def _narrow(counts: NDArray[np.int64]) -> NDArray[Any]:
    fits = counts.size == 0 or int(counts.max()) ** 2 < 2**16
    return counts.astype(np.uint16) if fits else counts


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
    high = np.quantile(np.where(undefined, ceiling, values), 1 - tail, method="inverted_cdf")
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
    if first_value is None or second_value is None:
        return PairedDifference(None, None, None, None, None, None, distinguishable=False)
    with np.errstate(invalid="ignore"):
        differences = b - a
    low, high = percentile_interval(differences, level)
    undefined = np.isnan(differences)
    at_most = 1 + int(np.count_nonzero(undefined | (differences <= 0)))
    at_least = 1 + int(np.count_nonzero(undefined | (differences >= 0)))
    return PairedDifference(
        value=second_value - first_value,
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        p_value=min(1.0, 2 * min(at_most, at_least) / (len(differences) + 1)),
        p_greater=at_most / (len(differences) + 1),
        p_less=at_least / (len(differences) + 1),
        distinguishable=bool(low > 0 or high < 0),
    )
