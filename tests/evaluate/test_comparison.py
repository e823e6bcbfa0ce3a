"""Two models on the same pairs."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_faces import faces

from arm_models import model
from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, compare_evaluations, evaluate_embeddings
from evenface.evaluate.comparison import ComparedMeasure, better
from evenface.evaluate.protocols import protocol_from_manifest


def measure(first: Evaluation, second: Evaluation, name: str) -> ComparedMeasure:
    found = {m.measure: m for m in compare_evaluations(first, second).by_group}
    return found[name]


def samples(means: list[float], noise: float, rng: int) -> np.ndarray:
    return np.random.default_rng(rng).normal(means, noise, (400, len(means)))


def test_holm_and_intersection_union_by_hand() -> None:
    """Replicates with 3, 9 and 15 of 399 at or below zero: p is twice the share, plus one."""
    low = np.zeros((399, 3))
    high = np.full((399, 3), 0.01)
    for g, count in enumerate((3, 9, 15)):
        high[:count, g] = -0.01
    compared = measure(model([0.9] * 3, 0.9 + low), model([0.91] * 3, 0.9 + high), "accuracy")
    p_values = [g.difference.p_value for g in compared.groups]
    np.testing.assert_allclose(p_values, np.array([4, 10, 16]) * 2 / 400)
    np.testing.assert_allclose(
        [g.p_holm for g in compared.groups], [3 * 8 / 400, 2 * 20 / 400, 2 * 20 / 400]
    )
    assert [g.answer for g in compared.groups] == [
        "not distinguishable",
        "not distinguishable",
        "not distinguishable",
    ]
    # One-sided, the largest of the three: all groups together are better, none can be singled out.
    assert compared.p_better_everywhere == pytest.approx(16 / 400)
    assert compared.better_everywhere


def test_errors_are_better_when_lower() -> None:
    first = model([0.8, 0.8], samples([0.8, 0.8], 0.01, 0))
    second = model([0.9, 0.9], samples([0.9, 0.9], 0.01, 1))
    for name, answer in (("accuracy", "higher"), ("eer", "lower"), ("fnmr", "lower")):
        compared = measure(first, second, name)
        assert [g.answer for g in compared.groups] == [answer, answer]
        assert compared.better_everywhere
        assert not measure(second, first, name).better_everywhere


def test_one_group_that_is_no_better_decides() -> None:
    first = model([0.8, 0.8], samples([0.8, 0.8], 0.01, 0))
    second = model([0.9, 0.8], samples([0.9, 0.8], 0.01, 1))
    compared = measure(first, second, "accuracy")
    assert [g.answer for g in compared.groups] == ["higher", "not distinguishable"]
    assert not compared.better_everywhere


def test_a_model_is_not_distinguishable_from_itself(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, folds=6)
    one = evaluate_embeddings(faces(two_groups, 1.2), protocol, replicates=60)
    comparison = compare_evaluations(one, one)
    assert len(comparison.by_group) > 6
    for compared in comparison.by_group:
        assert {g.answer for g in compared.groups} <= {"not distinguishable", "undefined"}
    assert {o.answer for o in comparison.overall} <= {"not distinguishable", "undefined"}


def test_a_better_model_is_told_apart_at_the_operating_point(two_groups: Manifest) -> None:
    protocol = protocol_from_manifest(two_groups, folds=6)
    worse, good = (
        evaluate_embeddings(faces(two_groups, noise), protocol, replicates=200)
        for noise in (1.6, 0.8)
    )
    compared = measure(worse, good, "fnmr@1e-3")
    assert [g.answer for g in compared.groups] == ["lower", "lower"]
    assert compared.better_everywhere
    overall = {o.measure: o for o in compare_evaluations(worse, good).overall}
    assert overall["overall.accuracy"].answer == "higher"
    assert overall["worst_case.worst_error"].answer == "lower"


@pytest.mark.parametrize(
    ("name", "rise_is_good"),
    [
        ("overall.accuracy", True),
        ("dprime", True),
        ("tar@far=1e-3", True),
        ("fdr@1e-3", True),
        ("global.fdr", True),
        ("eer", False),
        ("overall.dprime_gap", False),
        ("global.fnmr_ratio", False),
    ],
)
def test_which_way_is_better(name: str, rise_is_good: bool) -> None:
    assert better(name, 1.0) == rise_is_good
    assert better(name, -1.0) != rise_is_good


def test_evaluations_of_other_pairs_are_refused(two_groups: Manifest) -> None:
    first, second = (
        evaluate_embeddings(
            faces(two_groups), protocol_from_manifest(two_groups, folds=folds), replicates=20
        )
        for folds in (4, 6)
    )
    with pytest.raises(ValueError, match="cannot be paired"):
        compare_evaluations(first, second)
    without = evaluate_embeddings(
        faces(two_groups), protocol_from_manifest(two_groups, folds=4), replicates=0
    )
    with pytest.raises(ValueError, match="without bootstrap"):
        compare_evaluations(without, without)
