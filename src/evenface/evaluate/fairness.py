"""How evenly a model serves the groups: statistics over per-group figures.

Accuracies, error rates and their spreads are fractions in [0, 1]. All functions reduce the last
axis (the groups), so that (G,) gives a number and (R, G) one number per bootstrap replicate. They
need at least two groups.

STD and SER: Wang & Deng, *Mitigating Bias in Face Recognition using Skewness-Aware Reinforcement
Learning*, CVPR 2020 (arXiv 1911.10692). The literature mixes sample and population deviation: both
are here, under names that say which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def std_sample(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation over groups with divisor G − 1."""
    return np.std(_groups(accuracies), axis=-1, ddof=1)


def std_population(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation over groups with divisor G."""
    return np.std(_groups(accuracies), axis=-1)


def accuracy_gap(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Highest minus lowest accuracy."""
    values = _groups(accuracies)
    return values.max(axis=-1) - values.min(axis=-1)


def skewed_error_ratio(accuracies: ArrayLike) -> NDArray[np.float64]:
    """SER: the largest group error over the smallest, error = 1 − accuracy; 1 means even.

    Infinite when only some groups are free of error, NaN when all are: the ratio of two errors
    that were not seen is undefined. Neither may be written to JSON; report no value, and the
    bootstrap's lower bound.
    """
    errors = 1 - _groups(accuracies)
    with np.errstate(divide="ignore", invalid="ignore"):
        return errors.max(axis=-1) / errors.min(axis=-1)


def worst_group(accuracies: ArrayLike) -> NDArray[np.int64]:
    """Index of the group of the lowest accuracy (the first of several)."""
    return np.argmin(_groups(accuracies), axis=-1)


def fairness_discrepancy_rate(
    fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5
) -> NDArray[np.float64]:
    """FDR in [0, 1] at one threshold for all groups; 1 means even.

    1 − (α · max|FMR_i − FMR_j| + (1 − α) · max|FNMR_i − FNMR_j|): de Freitas Pereira & Marcel,
    *Fairness in Biometrics*, IEEE T-BIOM 2021 (arXiv 2011.02395).

    Args:
        fmr, fnmr: (…, G) false match and false non-match rates of the groups.
        alpha: weight of the false matches, in [0, 1].
    """
    _check_alpha(alpha)
    return 1 - (alpha * accuracy_gap(fmr) + (1 - alpha) * accuracy_gap(fnmr))


def garbe(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> NDArray[np.float64]:
    """GARBE in [0, 1] at one threshold for all groups; 0 means even.

    α · Gini(FMR) + (1 − α) · Gini(FNMR): Howard, Laird et al., *Evaluating Proposed Fairness
    Models for Face Recognition Algorithms*, 2022 (arXiv 2203.05051). See :func:`gini`.
    """
    _check_alpha(alpha)
    return alpha * gini(fmr) + (1 - alpha) * gini(fnmr)


def gini(rates: ArrayLike) -> NDArray[np.float64]:
    """Gini coefficient with the small-sample factor n / (n − 1), in [0, 1].

    n/(n − 1) · Σ_i Σ_j |x_i − x_j| / (2 n² · mean(x)). Zero where all rates are zero: they are
    equal.
    """
    x = _groups(rates)
    n = x.shape[-1]
    spread = np.abs(x[..., :, None] - x[..., None, :]).sum(axis=(-1, -2))
    mean = x.mean(axis=-1)
    scale = 2 * n * (n - 1) * np.where(mean == 0, 1.0, mean)
    return spread / scale


def _groups(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] < 2:
        raise ValueError(f"a statistic over groups needs at least two, got shape {array.shape}")
    return array


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
