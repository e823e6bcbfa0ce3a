"""Rates over groups against fairlearn, and measures of scores against PyEER, as recorded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from record_peers import RECORD, THRESHOLDS, scores

from evenface.evaluate import auc, dprime, eer
from evenface.evaluate.measures import of_kind
from evenface.evaluate.operating import HeldOutThresholds, SplitScores


@pytest.fixture(scope="module")
def peers() -> dict[str, Any]:
    return json.loads(RECORD.read_text())


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_differences_and_ratios_of_rates_are_fairlearns(
    peers: dict[str, Any], threshold: float
) -> None:
    score, genuine, group = scores()
    accepted = score >= threshold
    names = ("a", "b", "c")
    fmr = [accepted[(group == g) & ~genuine].mean() for g in names]
    fnmr = [1 - accepted[(group == g) & genuine].mean() for g in names]
    ours = {n: of.compute({"fmr": fmr, "fnmr": fnmr}) for n, of in of_kind("threshold").items()}
    for name, rates in (("fmr", fmr), ("fnmr", fnmr)):
        theirs = peers["fairlearn"][str(threshold)][name]
        np.testing.assert_allclose(rates, [theirs["by_group"][g] for g in names])
        assert ours[f"{name}_gap"] == pytest.approx(theirs["difference"])
        assert ours[f"{name}_ratio"] == pytest.approx(_inverse(theirs["smallest_over_largest"]))
    differences = [peers["fairlearn"][str(threshold)][n]["difference"] for n in ("fmr", "fnmr")]
    assert ours["fdr"] == pytest.approx(1 - np.mean(differences))
    ratios = [
        _inverse(peers["fairlearn"][str(threshold)][n]["smallest_over_largest"])
        for n in ("fmr", "fnmr")
    ]
    assert ours["inequity_rate"] == pytest.approx(np.sqrt(np.prod(ratios)))


def test_no_threshold_that_fairlearn_measured_serves_the_worst_group_better(
    peers: dict[str, Any],
) -> None:
    score, genuine, group = scores()
    splits = [
        SplitScores(score[group == g], genuine[group == g], np.zeros((group == g).sum(), int))
        for g in ("a", "b", "c")
    ]
    ones = [np.ones((1, len(split.scores)), dtype=np.int64) for split in splits]
    errors = HeldOutThresholds(splits).measure(ones)["worst_case.error"][0]
    for of_threshold in peers["fairlearn"].values():
        rates = [list(of_threshold[n]["by_group"].values()) for n in ("fmr", "fnmr")]
        assert errors.max() <= np.mean(rates, axis=0).max() + 1e-12


def test_scores_measure_as_in_pyeer(peers: dict[str, Any]) -> None:
    score, genuine, _ = scores()
    theirs = peers["pyeer"]
    assert auc(score, genuine) == pytest.approx(theirs["auc"], abs=2e-4)
    assert dprime(score, genuine) == pytest.approx(theirs["decidability"], rel=1e-9)
    # PyEER takes the mean of both rates where they are closest; ours lies between its bounds.
    step = 1 / np.count_nonzero(genuine)
    assert theirs["eer_low"] - step <= eer(score, genuine) <= theirs["eer_high"] + step
    assert eer(score, genuine) == pytest.approx(theirs["eer"], abs=step)


def _inverse(ratio: float) -> float:
    """fairlearn divides the smallest by the largest: zero where a group is free of errors."""
    return 1 / ratio if ratio else np.inf
