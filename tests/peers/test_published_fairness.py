"""Fairness statistics on figures worked elsewhere."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy import stats

from evenface.evaluate import fairness

# Accuracies of one model on RFW's four groups, for which SER 1.64 and, depending on the author,
# STD 1.10 (sample) or 0.96 (population) is quoted.
RFW = np.array([0.9618, 0.9467, 0.9372, 0.9398])


def test_spread_of_published_rfw_accuracies() -> None:
    assert 100 * fairness.std_sample(RFW) == pytest.approx(1.104, abs=5e-4)
    assert 100 * fairness.std_population(RFW) == pytest.approx(0.956, abs=5e-4)
    assert fairness.skewed_error_ratio(RFW) == pytest.approx(1.64, abs=5e-3)
    assert 100 * fairness.gap(RFW) == pytest.approx(2.46)
    assert fairness.worst_group(RFW) == 2


def test_deviations_agree_with_the_standard_library() -> None:
    values = [0.81, 0.93, 0.78]
    assert fairness.std_sample(values) == pytest.approx(statistics.stdev(values))
    assert fairness.std_population(values) == pytest.approx(statistics.pstdev(values))


def test_fdr_worked_by_hand() -> None:
    fmr, fnmr = [0.01, 0.03, 0.02], [0.10, 0.04, 0.06]
    # 1 − (0.5 · 0.02 + 0.5 · 0.06)
    assert fairness.fairness_discrepancy_rate(fmr, fnmr) == pytest.approx(0.96)
    assert fairness.fairness_discrepancy_rate(fmr, fnmr, alpha=1) == pytest.approx(0.98)


def test_gini_and_garbe_worked_by_hand() -> None:
    # |1−3| counted twice = 4; 2 · 2² · 2 = 16; times 2/1.
    assert fairness.gini([1, 3]) == pytest.approx(0.5)
    assert fairness.gini([0, 0, 1]) == pytest.approx(1.0)
    assert fairness.garbe([1, 3], [0, 1], alpha=0.25) == pytest.approx(0.25 * 0.5 + 0.75)


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    rates = np.array([0.02, 0.05, 0.11, 0.01])
    differences = [abs(x - y) for i, x in enumerate(rates) for y in rates[i + 1 :]]
    expected = np.mean(differences) / (2 * stats.tmean(rates))
    assert fairness.gini(rates) == pytest.approx(expected)
