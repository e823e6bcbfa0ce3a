"""Properties and edge cases of the statistics over groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from evenface.evaluate import fairness

RATES = hnp.arrays(np.float64, st.integers(2, 8), elements=st.floats(0.01, 0.99))
STATISTICS = [
    fairness.std_sample,
    fairness.std_population,
    fairness.skewed_error_ratio,
    fairness.gap,
    fairness.gini,
]


@pytest.mark.parametrize("statistic", STATISTICS)
@given(rates=RATES, seed=st.integers(0, 99))
def test_order_of_groups_does_not_matter(statistic, rates: NDArray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(rates)
    assert statistic(shuffled) == pytest.approx(statistic(rates), abs=1e-12)


@pytest.mark.parametrize(("statistic", "even"), list(zip(STATISTICS, [0, 0, 1, 0, 0], strict=True)))
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
