"""Absolute and relative unevenness, the worst group, and whether a group loses: case by case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arm_models import arm
from evenface.evaluate import fairness
from evenface.evaluate.arms import ArmEvaluation
from evenface.study import unevenness
from evenface.study.inference import figure, over_groups, uneven_p
from evenface.study.record import Claim

WHERE: dict[str, Any] = {"benchmark": "groups", "teacher": "sface", "training_set": "real"}


def people(groups: int = 3, size: float = 0.004, replicates: int = 200) -> np.ndarray:
    """Deviations of the replicates that all arms share."""
    return np.random.default_rng(9).normal(0, size, (replicates, groups))


def lowers(plain: ArmEvaluation, distilled: ArmEvaluation, ending: str = "") -> tuple[Claim, Claim]:
    return unevenness.kd_lowers_unevenness(plain, distilled, ending=ending, **WHERE)


UNEVEN = arm([0.80, 0.85, 0.90], people=people(), own=0.001, rng=1)


def test_errors_that_fall_in_proportion_lower_absolute_unevenness_alone() -> None:
    """Without noise: all errors × 0.625, so STD falls and SER stays."""
    quiet = people(size=1e-5)
    plain = arm([0.897, 0.913, 0.929], people=quiet)
    distilled = arm([1 - 0.625 * e for e in (0.103, 0.087, 0.071)], people=quiet)
    absolute, relative = lowers(plain, distilled)
    assert (absolute.verdict, relative.verdict) == ("supported", "undecided")
    assert relative.tests[0].value == pytest.approx(0, abs=1e-9)
    assert absolute.tests[0].value == pytest.approx(-0.375 * np.std([0.103, 0.087, 0.071], ddof=1))
    assert "errors fell about in proportion" in absolute.statement
    assert absolute.id == "kd-lowers-absolute-unevenness:real"
    assert relative.id == "kd-lowers-relative-unevenness:real"


def test_the_two_may_have_opposite_answers() -> None:
    """Errors fall to a quarter and to a twentieth: fewer points between groups, a larger ratio."""
    better = arm([0.95, 0.97, 0.995], people=people(size=0.0005), rng=2)
    absolute, relative = lowers(UNEVEN, better)
    assert (absolute.verdict, relative.verdict) == ("supported", "not supported")
    assert "the worst group errs more times as often" in relative.statement
    back = lowers(better, UNEVEN)
    assert [claim.verdict for claim in back] == ["not supported", "supported"]


def test_groups_that_come_closer_in_both_ways() -> None:
    even = arm([0.885, 0.89, 0.895], people=people(), own=0.001, rng=2)
    absolute, relative = lowers(UNEVEN, even)
    assert (absolute.verdict, relative.verdict) == ("supported", "supported")
    assert "Both kinds of unevenness fall." in absolute.statement
    assert (
        "lie 5.00 points from their mean without KD and 0.50 points with KD" in absolute.statement
    )
    assert "errs 2.00 times as often as the best without KD and 1.10 times" in relative.statement
    assert absolute.tests[0].note == "decides"
    assert [test.label for test in absolute.tests] == [
        "STD of accuracy",
        "gap of accuracy",
        "FNMR of the worst group",
        "FMR of the worst group",
    ]


def test_less_noise_is_not_less_unevenness() -> None:
    """Groups alike without KD and with it, and a tenth of the noise with it."""
    noisy = arm([0.75, 0.80, 0.83], people=people(size=0.03), rng=1)
    quiet = arm([0.95, 0.9505, 0.951], people=people(size=0.0003), rng=2)
    absolute, _ = lowers(noisy, quiet)
    assert absolute.tests[0].high < 0
    assert noisy.overall.std_excess_p > 0.05
    assert absolute.verdict == "undecided"


def test_a_group_without_errors_leaves_the_ratio_undefined() -> None:
    clean = arm([0.99, 0.995, 1.0], people=people(size=0.001), rng=2)
    absolute, relative = lowers(UNEVEN, clean)
    assert relative.verdict == "undefined"
    assert relative.tests[0].value is None
    assert absolute.verdict == "supported"


@pytest.mark.parametrize("error", ["fnmr", "fmr"])
def test_at_one_threshold_each_error_is_asked_about(error: str) -> None:
    """These arms have FNMR = 1 − accuracy and one FMR in all groups."""
    even = arm([0.885, 0.89, 0.895], people=people(), own=0.001, rng=2)
    absolute, relative = lowers(UNEVEN, even, f"-of-{error}")
    expected = "supported" if error == "fnmr" else "undecided"
    assert (absolute.verdict, relative.verdict) == (expected, expected)
    assert absolute.id == f"kd-lowers-absolute-unevenness-of-{error}:real"
    assert "At one threshold for all groups" in relative.question


def test_a_statistic_over_groups_is_that_of_each_model_averaged() -> None:
    of = over_groups(UNEVEN, "accuracy", fairness.skewed_error_ratio)
    whole = figure(UNEVEN, "overall.ser")
    assert of.value == pytest.approx(whole.value)
    np.testing.assert_allclose(of.samples, whole.samples)
    np.testing.assert_allclose(of.models, whole.models)


def test_p_of_equal_groups_at_one_threshold() -> None:
    assert uneven_p(UNEVEN, "fnmr") == pytest.approx(1 / 201)
    alike = arm([0.80, 0.801, 0.802], people=people(size=0.01))
    assert uneven_p(alike, "fnmr") > 0.5


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ((0.84, 0.85, 0.90), "supported"),
        # Another group is the worst, and better than the worst was.
        ((0.90, 0.84, 0.90), "supported"),
        ((0.80, 0.95, 0.95), "undecided"),
        ((0.77, 0.95, 0.95), "not supported"),
    ],
)
def test_the_worst_group(accuracies: tuple[float, ...], verdict: str) -> None:
    distilled = arm(list(accuracies), people=people(), own=0.001, rng=2)
    claim = unevenness.worst_group_better_off(UNEVEN, distilled, **WHERE)
    assert claim.verdict == verdict
    assert "the worst group is a without KD" in claim.statement


@pytest.mark.parametrize(
    ("gains", "verdict", "words"),
    [
        ((0.02, 0.00, 0.03), "supported", "no group is shown to lose more"),
        ((0.02, -0.01, 0.03), "undecided", "no group is shown to lose more"),
        ((0.02, -0.03, -0.04), "not supported", "b and c lose more than that"),
    ],
)
def test_whether_a_group_loses(gains: tuple[float, ...], verdict: str, words: str) -> None:
    distilled = arm(np.add([0.80, 0.85, 0.90], gains).tolist(), people=people(), rng=2)
    claim = unevenness.no_group_worse_off(UNEVEN, distilled, margin=0.01, **WHERE)
    assert claim.verdict == verdict
    assert words in claim.statement
    assert "1 point" in claim.question
