"""How evenly a model serves the groups: statistics over per-group figures.

Accuracies, error rates and their spreads are fractions in [0, 1]; d′ and probits are in standard
deviations. All functions reduce the last
axis (the groups), so that (G,) gives a number and (R, G) one number per bootstrap replicate. They
need at least two groups.

STD and SER: Wang & Deng, *Mitigating Bias in Face Recognition using Skewness-Aware Reinforcement
Learning*, CVPR 2020 (arXiv 1911.10692). The literature mixes sample and population deviation: both
are here, under names that say which.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def std_sample(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation over groups with divisor G − 1."""
    return np.std(_groups(accuracies), axis=-1, ddof=1)


def std_population(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation over groups with divisor G."""
    return np.std(_groups(accuracies), axis=-1)


def std_if_equal(accuracies: ArrayLike) -> NDArray[np.float64]:
    """(R,) sample STDs over groups as sampling noise alone gives them, were the groups equal.

    Each group's bootstrap replicates keep their scatter and lose their mean, so that all groups
    share one: replicates of the null hypothesis (Hall & Wilson, *Two Guidelines for Bootstrap
    Hypothesis Testing*, Biometrics 47, 1991). An STD is never negative, so it must be read
    against these, not against zero.

    Args:
        accuracies: (R, G) replicates. Rows with NaN give NaN and take no part in the means.
    """
    values = _groups(accuracies)
    complete = values[~np.isnan(values).any(axis=1)]
    means = complete.mean(axis=0) if len(complete) else np.full(values.shape[1], np.nan)
    return std_sample(values - means)


def gap(values: ArrayLike) -> NDArray[np.float64]:
    """Highest minus lowest: of accuracies, of d′, of rates at one threshold."""
    array = _groups(values)
    return array.max(axis=-1) - array.min(axis=-1)


def probit_gap(accuracies: ArrayLike, pairs: ArrayLike) -> NDArray[np.float64]:
    """Highest minus lowest Φ⁻¹(accuracy), in standard deviations.

    Accuracies near 100 % are squeezed together, so a gap in points shrinks as all groups improve.
    On the probit scale a shift common to all groups leaves the gap as it is; for two equal normal
    distributions of scores it is half the gap in d′ (Macmillan & Creelman, *Detection Theory*,
    2005). Accuracies are kept half a pair away from 0 and 1, where Φ⁻¹ is infinite.

    Args:
        accuracies: (…, G) in [0, 1].
        pairs: number of pairs behind each accuracy, (G,) or one number.
    """
    half = 0.5 / np.asarray(pairs, dtype=np.float64)
    return gap(probit(np.clip(_groups(accuracies), half, 1 - half)))


def probit(shares: ArrayLike) -> NDArray[np.float64]:
    """Φ⁻¹ of shares in (0, 1), to full precision; NaN stays NaN."""
    # The base install has no scipy.
    inverse = NormalDist().inv_cdf
    values = np.asarray(shares, dtype=np.float64)
    flat = [inverse(share) if share == share else np.nan for share in values.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def rate_ratio(rates: ArrayLike) -> NDArray[np.float64]:
    """The largest group rate over the smallest; 1 means even.

    Infinite when only some rates are zero, NaN when all are: the ratio of two errors that were
    not seen is undefined. Neither may be written to JSON; report no value, and a lower bound.
    """
    values = _groups(rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        return values.max(axis=-1) / values.min(axis=-1)


def skewed_error_ratio(accuracies: ArrayLike) -> NDArray[np.float64]:
    """SER: :func:`rate_ratio` of the groups' errors, error = 1 − accuracy."""
    return rate_ratio(1 - _groups(accuracies))


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
    return 1 - (alpha * gap(fmr) + (1 - alpha) * gap(fnmr))


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
