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


def std_corrected(std: ArrayLike, noise_variance: ArrayLike) -> NDArray[np.float64]:
    """√max(0, std² − noise): the spread of the groups themselves, without that of sampling.

    Observed figures are true ones plus independent noise, so the expected square of their sample
    STD is the true one's plus the mean variance of the noise (the moment estimator of a variance
    between groups: Searle, Casella & McCulloch, *Variance Components*, 1992). Zero is a frequent
    estimate, and no proof of equality.

    Args:
        std: sample standard deviations over groups.
        noise_variance: mean over groups of the sampling variance of a group's figure.
    """
    excess = np.asarray(std, dtype=np.float64) ** 2 - np.asarray(noise_variance, dtype=np.float64)
    return np.sqrt(np.maximum(excess, 0))


def average_minus_std(accuracies: ArrayLike) -> NDArray[np.float64]:
    """Mean accuracy over groups minus its sample STD.

    The trade-off that ranks entries of the FRCSyn challenge, AVG − SD: Melzi, Tolosana et al.,
    *FRCSyn Challenge at WACV 2024: Face Recognition Challenge in the Era of Synthetic Data* (arXiv
    2311.10476).
    """
    return _groups(accuracies).mean(axis=-1) - std_sample(accuracies)


def score_shift(means: ArrayLike, variances: ArrayLike) -> NDArray[np.float64]:
    """(…, G) mean score of each group minus the mean over groups, in pooled standard deviations.

    Of genuine or of impostor pairs. The groups weigh alike in the mean and in the pooled variance,
    which is that within groups. Measures of score distributions, which need no threshold: Kotwal &
    Marcel, *Fairness Index Measures to Evaluate Bias in Biometric Recognition* (arXiv 2306.10919).
    The standardised difference of means is Cohen's d (*Statistical Power Analysis for the
    Behavioral Sciences*, 1988), as in d′. NaN or infinite without any scatter.

    Args:
        means, variances: (…, G) of the groups' scores.
    """
    means = _groups(means)
    pooled = np.sqrt(_groups(variances).mean(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (means - means.mean(axis=-1, keepdims=True)) / pooled


def gap(values: ArrayLike) -> NDArray[np.float64]:
    """Highest minus lowest: of accuracies, of d′, of rates at one threshold."""
    array = _groups(values)
    with np.errstate(invalid="ignore"):  # undefined where all groups are infinite, as few pairs are
        return np.asarray(array.max(axis=-1) - array.min(axis=-1))


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
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(shares, dtype=np.float64)))


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


def inequity_rate(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> NDArray[np.float64]:
    """IR ≥ 1 at one threshold for all groups; 1 means even.

    (max FMR / min FMR)^α · (max FNMR / min FNMR)^(1 − α): Grother (NIST), *Demographic
    differentials in face recognition algorithms*, 2021, as given with α + β = 1 by Howard et al.
    (arXiv 2203.05051). Infinite where only some groups are free of one error, NaN where all are:
    then :func:`rate_ratio` is undefined.
    """
    return _weighted_product(rate_ratio(fmr), rate_ratio(fnmr), alpha)


def worst_to_geometric_mean(rates: ArrayLike) -> NDArray[np.float64]:
    """The largest group rate over the geometric mean of all groups' rates; 1 means even.

    The summary that NIST prefers to max/min, because a single lucky group moves it less: Grother,
    *FRVT Part 8: Summarizing Demographic Differentials*, NISTIR 8429, 2022. Infinite where only
    some rates are zero, NaN where all are.
    """
    values = _groups(rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.exp(np.log(values).mean(axis=-1))
        return values.max(axis=-1) / mean


def werm(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> NDArray[np.float64]:
    """WERM ≥ 1, worst-case error rate to mean, at one threshold for all groups; 1 means even.

    (max FMR / geometric mean FMR)^α · (max FNMR / geometric mean FNMR)^(1 − α), the two ratios of
    :func:`worst_to_geometric_mean` combined as in the inequity rate. Implementations add a small
    ε to the means, which turns a group without errors into an arbitrary number; here it is
    infinite or NaN, to be reported as undefined.
    """
    return _weighted_product(worst_to_geometric_mean(fmr), worst_to_geometric_mean(fnmr), alpha)


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


def _weighted_product(
    of_fmr: NDArray[np.float64], of_fnmr: NDArray[np.float64], alpha: float
) -> NDArray[np.float64]:
    _check_alpha(alpha)
    with np.errstate(invalid="ignore"):
        return of_fmr**alpha * of_fnmr ** (1 - alpha)


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
