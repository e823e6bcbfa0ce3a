"""Differences with few training seeds, against closed forms and cases worked by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from arm_models import arm
from evenface.evaluate.bootstrap import Figure, mean_figure
from evenface.study.inference import (
    MEAN,
    WORST,
    Contrast,
    by_group,
    compare,
    contrast,
    figure,
    worst_group_p,
)


def made(models: Sequence[float], *, people: float = 0.0, replicates: int = 1000) -> Contrast:
    """A difference with these values for each seed, whose replicates have exactly the variance
    s²/n of the seeds' mean and that of people."""
    values = np.asarray(models, dtype=np.float64)
    spread = np.sqrt(values.var(ddof=1) / len(values) + people**2)
    shape = stats.norm.ppf((np.arange(replicates) + 0.5) / replicates)
    samples = values.mean() + spread * shape / shape.std()
    return contrast(Figure.settled(float(values.mean()), samples, values, 0.95))


def test_where_training_is_all_the_chance_it_is_the_paired_t_test() -> None:
    models = [0.010, 0.014, 0.027]
    found = made(models)
    expected = stats.ttest_1samp(models, 0.0)
    assert found.spread is not None
    assert found.spread.freedom == pytest.approx(2)
    # The replicates, expanded, reach as far.
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95), abs=3e-4)
    assert found.bounds == pytest.approx(expected.confidence_interval(0.95), abs=3e-4)
    one_sided = stats.ttest_1samp(models, 0.0, alternative="greater").pvalue
    assert found.sure_greater == pytest.approx(one_sided)
    assert found.sure == pytest.approx(expected.pvalue)
    assert not found.above(0)


def test_where_people_are_all_the_chance_it_is_the_normal_test() -> None:
    found = made([0.01, 0.01, 0.01], people=0.004)
    assert found.spread is not None
    assert found.spread.freedom > 1e5
    assert found.bounds == pytest.approx((0.01 - 1.96 * 0.004, 0.01 + 1.96 * 0.004), abs=1e-4)
    assert found.above(0)


def test_degrees_of_freedom_by_hand() -> None:
    """s_t²/n = 1 and people 1: s² = 2, ν = 2² / (1² / 2) = 8."""
    unit = np.sqrt(3 / np.var([-1.0, 0.0, 1.0], ddof=1))
    found = made([-unit, 0.0, unit], people=1.0)
    assert found.spread is not None
    assert found.spread.error == pytest.approx(np.sqrt(2))
    assert found.spread.freedom == pytest.approx(8)


@pytest.mark.parametrize("models", [[], [0.02]])
def test_without_two_seeds_there_is_no_t_interval(models: list[float]) -> None:
    samples = np.linspace(0.01, 0.03, 100)
    found = contrast(Figure.settled(0.02, samples, np.array(models), 0.95))
    assert found.spread is None
    assert found.bounds == (found.low, found.high)
    assert found.sure_greater == found.p_greater


def test_p_beyond_what_replicates_can_show_are_those_of_the_t_interval() -> None:
    found = made([0.05, 0.05, 0.051], people=0.004, replicates=200)
    assert found.p_greater == pytest.approx(1 / 201)
    assert found.sure_greater < 1e-6
    assert found.sure_less == 1


def test_what_is_undefined_is_never_sure() -> None:
    found = contrast(Figure.settled(None, np.full(10, np.nan), np.full(3, np.nan), 0.95))
    assert (found.value, found.sure_greater, found.sure_less, found.sure) == (None, 1, 1, 1)
    assert not found.above(-9)
    assert not found.below(9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=6), st.floats(0, 0.05))
@example([0.0, 1e-120], 0.05)
@example([0.0, 1e-160], 0.0)  # squares of such variances underflow
def test_verdicts_never_go_beyond_the_replicates(models: list[float], people: float) -> None:
    found = made(models, people=people, replicates=100)
    low, high = found.bounds
    assert low is not None
    assert high is not None
    assert found.low is not None
    assert found.high is not None
    assert low <= found.low <= found.high <= high
    assert not (found.above(0) and found.below(0))


def test_a_comparison_of_arms_has_both_intervals() -> None:
    first, second = arm([0.80, 0.84], own=0.002, rng=1), arm([0.83, 0.85], own=0.002, rng=2)
    found, plain = compare(first, second, MEAN), first.compare(second, MEAN)
    assert (found.value, found.low, found.high) == (plain.value, plain.low, plain.high)
    assert found.seeds == 3
    worst = compare(first, second, WORST)
    assert worst.value == pytest.approx(0.03)


def test_a_mean_over_cells_is_taken_replicate_by_replicate() -> None:
    arms = [arm([0.80, 0.84], own=0.002, rng=r) for r in range(4)]
    figures = [figure(of, MEAN) for of in arms]
    mean = mean_figure(figures)
    np.testing.assert_allclose(mean.samples, np.mean([f.samples for f in figures], axis=0))
    assert mean.value == pytest.approx(0.82)
    # Four independent cells: half the spread of one.
    assert mean.samples.std() == pytest.approx(figures[0].samples.std() / 2, rel=0.2)


def test_the_worst_group_by_hand() -> None:
    """p of each group is the least over ways: twice that against itself, twice the other's."""
    first = arm([0.80, 0.90], own=0.004, rng=1)
    second = arm([0.81, 0.89], own=0.004, rng=2)
    one, two = by_group(first), by_group(second)

    def p(group: str, against: str) -> float:
        return contrast(two[group] - (one[against] - 0.005)).sure_greater

    expected = max(
        min(2 * p("a", "a"), 2 * p("a", "b")),
        min(2 * p("b", "b"), 2 * p("b", "a")),
    )
    assert worst_group_p(one, two, 0.005) == pytest.approx(expected)
    # Group b lost a point, but is far above the worst.
    assert 2 * p("b", "a") < 1e-6


def test_one_group_is_its_own_worst() -> None:
    first, second = arm([0.80], own=0.004, rng=1), arm([0.81], own=0.004, rng=2)
    plain = compare(first, second, "accuracy", "a").sure_greater
    assert worst_group_p(by_group(first), by_group(second)) == pytest.approx(plain)
