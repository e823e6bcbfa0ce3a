"""Properties and edge cases of the statistics over groups."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats

from evenface.evaluate import fairness
from evenface.evaluate.measures import of_kind

RATES = hnp.arrays(np.float64, st.integers(2, 8), elements=st.floats(0.01, 0.99))
PAIRS = 500
STATISTICS = [
    partial(fairness.probit_gap, pairs=PAIRS),
    fairness.std_sample,
    fairness.std_population,
    fairness.skewed_error_ratio,
    fairness.gap,
    fairness.gini,
    fairness.worst_to_geometric_mean,
]


@pytest.mark.parametrize("statistic", STATISTICS)
@settings(deadline=None)  # the first probit imports scipy
@given(rates=RATES, seed=st.integers(0, 99))
def test_order_of_groups_does_not_matter(statistic, rates: NDArray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(rates)
    assert statistic(shuffled) == pytest.approx(statistic(rates), abs=1e-12)


@pytest.mark.parametrize(
    ("statistic", "even"), list(zip(STATISTICS, [0, 0, 0, 1, 0, 0, 1], strict=True))
)
def test_equal_groups(statistic, even: float) -> None:
    assert statistic([0.9, 0.9, 0.9]) == pytest.approx(even, abs=1e-12)


@pytest.mark.parametrize("statistic", [*STATISTICS, fairness.worst_group])
def test_leading_axes_are_kept(statistic) -> None:
    replicates = np.random.default_rng(0).uniform(0.5, 0.99, (7, 4))
    assert statistic(replicates).shape == (7,)
    assert statistic(replicates)[3] == pytest.approx(statistic(replicates[3]))


def test_ser_of_an_error_free_group_is_infinite() -> None:
    assert fairness.skewed_error_ratio([1.0, 0.9]) == np.inf


def test_ser_of_error_free_groups_is_nan() -> None:
    assert np.isnan(fairness.skewed_error_ratio([1.0, 1.0]))


def test_gini_of_no_errors_at_all_is_even() -> None:
    assert fairness.gini([0.0, 0.0, 0.0]) == 0


@given(fmr=RATES, seed=st.integers(0, 99))
def test_fdr_and_garbe_are_in_range(fmr: NDArray, seed: int) -> None:
    fnmr = np.random.default_rng(seed).uniform(0, 1, len(fmr))
    assert 0 <= fairness.fairness_discrepancy_rate(fmr, fnmr) <= 1
    assert -1e-12 <= fairness.garbe(fmr, fnmr) <= 1 + 1e-12


@pytest.mark.parametrize("statistic", [*STATISTICS, fairness.worst_group])
@pytest.mark.parametrize("groups", [[0.9], 0.9])
def test_one_group_is_refused(statistic, groups) -> None:
    with pytest.raises(ValueError, match="at least two"):
        statistic(groups)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        fairness.garbe([0.1, 0.2], [0.1, 0.2], alpha=alpha)
    with pytest.raises(ValueError, match="alpha"):
        fairness.fairness_discrepancy_rate([0.1, 0.2], [0.1, 0.2], alpha=alpha)


@given(shares=hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(1e-9, 1 - 1e-9)))
def test_probit_is_the_normal_quantile(shares: NDArray) -> None:
    np.testing.assert_allclose(fairness.probit(shares), stats.norm.ppf(shares), atol=1e-9)
    assert np.isnan(fairness.probit([[np.nan, 0.5]])).tolist() == [[True, False]]


@given(d=st.lists(st.floats(-3, 3), min_size=2, max_size=6), shift=st.floats(-1, 1))
def test_probit_gap_survives_a_common_shift(d: list[float], shift: float) -> None:
    plain, shifted = (stats.norm.cdf(np.array(d) + s) for s in (0, shift))
    gaps = [fairness.probit_gap(accuracies, 10**7) for accuracies in (plain, shifted)]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-6)
    assert gaps[0] == pytest.approx(np.ptp(d), abs=1e-6)


def test_probit_gap_keeps_half_a_pair_from_certainty() -> None:
    # 100 and 200 pairs: 1 counts as 0.995 and 0 as 0.0025.
    expected = stats.norm.ppf(0.995) - stats.norm.ppf(0.0025)
    assert fairness.probit_gap([1.0, 0.0], [100, 200]) == pytest.approx(expected)


def test_ratio_of_rates() -> None:
    assert fairness.rate_ratio([0.02, 0.05, 0.04]) == pytest.approx(2.5)
    assert fairness.rate_ratio([[0.02, 0.0], [0.0, 0.0]])[0] == np.inf
    assert np.isnan(fairness.rate_ratio([0.0, 0.0]))


def test_std_of_equal_groups_ignores_their_means() -> None:
    """Normal noise of one size: the mean of a sample STD over G groups is c4(G) · σ."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (20_000, 5))
    expected = fairness.std_if_equal(noise + np.array([0.9, 0.8, 0.7, 0.95, 0.6]))
    np.testing.assert_allclose(expected, fairness.std_if_equal(noise), atol=1e-12)
    c4 = np.sqrt(2 / 4) * 1.32934038817914  # Γ(5/2) / Γ(2)
    assert expected.mean() == pytest.approx(0.01 * c4, rel=0.01)


def test_std_of_equal_groups_with_undefined_replicates() -> None:
    found = fairness.std_if_equal([[0.9, 0.8], [np.nan, 0.8], [0.7, 0.8]])
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[0] == pytest.approx(np.std([0.1, 0.0], ddof=1))
    assert np.isnan(fairness.std_if_equal([[np.nan, 0.8]])).all()


def test_inequity_rate_worked_by_hand() -> None:
    fmr, fnmr = [0.01, 0.04], [0.02, 0.18]
    # √(4 · 9)
    assert fairness.inequity_rate(fmr, fnmr) == pytest.approx(6)
    assert fairness.inequity_rate(fmr, fnmr, alpha=1) == pytest.approx(4)
    assert fairness.inequity_rate(fmr, fnmr, alpha=0) == pytest.approx(9)


def test_werm_worked_by_hand() -> None:
    # Geometric means 0.02 and 0.06: ratios 2 and 3.
    fmr, fnmr = [0.01, 0.04], [0.02, 0.18]
    assert fairness.worst_to_geometric_mean(fmr) == pytest.approx(2)
    assert fairness.werm(fmr, fnmr) == pytest.approx(np.sqrt(6))
    assert fairness.werm(fmr, fnmr, alpha=1) == pytest.approx(2)


@given(rates=RATES)
def test_the_geometric_mean_is_scipys(rates: NDArray) -> None:
    expected = rates.max() / stats.gmean(rates)
    assert fairness.worst_to_geometric_mean(rates) == pytest.approx(expected)
    assert 1 - 1e-12 <= expected <= fairness.rate_ratio(rates) + 1e-12


@given(rates=RATES, scale=st.floats(0.1, 1))
def test_ratios_survive_a_common_factor(rates: NDArray, scale: float) -> None:
    for measure in (fairness.inequity_rate, fairness.werm, fairness.garbe):
        assert measure(scale * rates, scale * rates) == pytest.approx(measure(rates, rates))


def test_ratios_with_an_error_free_group_are_not_finite() -> None:
    some, none = [0.0, 0.1], [0.0, 0.0]
    for measure in (fairness.inequity_rate, fairness.werm):
        assert measure(some, [0.1, 0.1]) == np.inf
        assert np.isnan(measure(none, [0.1, 0.1]))
    with pytest.raises(ValueError, match="alpha"):
        fairness.werm(some, some, alpha=2)


def test_measures_at_a_threshold_agree_with_each_other() -> None:
    rates = np.random.default_rng(0).uniform(0.01, 0.2, (2, 5, 4))
    values = dict(zip(("fmr", "fnmr"), rates, strict=True))
    found = {name: of.compute(values) for name, of in of_kind("threshold").items()}
    assert all(values.shape == (5,) for values in found.values())
    np.testing.assert_allclose(found["garbe"], (found["fmr_gini"] + found["fnmr_gini"]) / 2)
    np.testing.assert_allclose(
        found["werm"], np.sqrt(found["fmr_worst_to_mean"] * found["fnmr_worst_to_mean"])
    )
    np.testing.assert_allclose(found["fdr"], 1 - (found["fmr_gap"] + found["fnmr_gap"]) / 2)


def test_corrected_std_is_that_of_the_groups() -> None:
    """Groups of STD 0.02 seen through noise of 0.02: its square is recovered on the average."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0.9, 0.02, (20_000, 4))
    seen = truth + rng.normal(0, 0.02, truth.shape)
    observed = fairness.std_sample(seen)
    assert np.mean(observed**2 - 0.02**2) == pytest.approx(0.02**2, rel=0.03)
    np.testing.assert_allclose(
        fairness.std_corrected([0.05, 0.01], 0.03**2), [0.04, 0.0], atol=1e-12
    )
