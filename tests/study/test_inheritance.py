"""Whether students copy their teacher's unevenness, with truths that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from simulated import Chance, Simulation, student

from evenface.record import Estimate
from evenface.study.answers import Arm, summarise
from evenface.study.record import Correlation

QUIET = Chance(people=0.03, own=0.01, training=0.002, training_of_group=0.002, rest=0.01)
TEACHER = Arm("teacher-t", "teacher t", "teacher", None, None, "t", ())
BIAS = np.array([-0.04, 0.03, 0.01, -0.01, 0.02])
OWN = np.array([0.01, -0.02, 0.03, -0.02, 0.0])


def inherited(
    plain: Sequence[float],
    kd: Sequence[float],
    *,
    teacher: Sequence[float] = tuple(0.95 + BIAS),
    sets: Sequence[str] = ("real", "synthetic", "mix"),
    seeds: int = 3,
    rng: int = 0,
) -> list[dict[str, Any]]:
    simulation = Simulation(QUIET, rng, groups=len(teacher))
    arms, evaluations = [TEACHER], {"teacher-t": {"groups": simulation.evaluations(teacher, 0)}}
    for name in sets:
        for who, truth in ((None, plain), ("t", kd)):
            arm = student(name, who, seeds=range(seeds))
            arms.append(arm)
            evaluations[arm.id] = {"groups": simulation.evaluations(truth, seeds)}
    return list(summarise(arms, evaluations, rules=[]).inheritance)


def test_a_copied_bias_is_found() -> None:
    entries = inherited((0.8 + OWN).tolist(), (0.85 + BIAS).tolist())
    assert [entry.set for entry in entries] == ["real", "synthetic", "mix", "all"]
    whole = entries[-1]
    assert whole.correlation.kd > 0.9
    assert whole.correlation.plain < 0.5
    assert whole.change.low > 0
    assert whole.p_permutation == pytest.approx(1 / 120)
    assert "The teacher errs most in a, students with KD also" in whole.statement
    assert "over 3 cells and 5 groups" in whole.statement
    assert whole.statement.endswith(
        "Students with KD copy the teacher's unevenness more than those without."
    )
    groups = entries[0].groups["a"]
    assert groups.teacher == pytest.approx(0.09, abs=0.01)
    assert groups.plain == pytest.approx(0.19, abs=0.01)
    assert groups.kd == pytest.approx(0.19, abs=0.01)


def test_correlations_are_pearsons() -> None:
    entry = inherited((0.8 + OWN).tolist(), (0.85 + BIAS).tolist(), sets=("real",))[0]
    errors = {
        who: [getattr(of, who) for of in entry.groups.values()] for who in ("teacher", "plain")
    }
    expected = np.corrcoef(errors["teacher"], errors["plain"])[0, 1]
    assert entry.correlation.plain == pytest.approx(expected)


def test_harder_groups_are_no_inheritance() -> None:
    """All models err most in the same group, with distillation or without."""
    hard = (0.8 + BIAS).tolist()
    whole = inherited(hard, hard, rng=2)[-1]
    assert min(whole.correlation.plain, whole.correlation.kd) > 0.8
    assert whole.change.low < 0 < whole.change.high
    assert "copy" not in whole.statement


def test_three_groups_cannot_decide() -> None:
    teacher = [0.90, 0.97, 0.95]
    whole = inherited([0.85, 0.80, 0.82], [0.83, 0.90, 0.88], teacher=teacher)[-1]
    assert whole.correlation.kd > 0.9
    assert whole.statement.endswith(
        "Undecided: 3 groups can be ordered in 6 ways, so no p can be below 0.17."
    )


def test_few_seeds_decide_nothing() -> None:
    whole = inherited((0.8 + OWN).tolist(), (0.85 + BIAS).tolist(), seeds=2)[-1]
    assert whole.statement.endswith("Undecided: fewer than 3 training seeds.")


def test_an_even_teacher_hands_nothing_on() -> None:
    chance = Chance(0, 0, 0, 0, 0)
    simulation = Simulation(chance, 0)
    arms = [TEACHER, student("real"), student("real", "t")]
    evaluations = {
        arm.id: {"groups": simulation.evaluations([0.9] * 3, len(arm.seeds))} for arm in arms
    }
    (entry,) = summarise(arms, evaluations, rules=[]).inheritance
    assert entry.correlation == Correlation()
    assert entry.change == Estimate()
    assert "no correlation is defined" in entry.statement


def test_without_the_teachers_evaluation_nothing_is_said() -> None:
    simulation = Simulation(QUIET, 0)
    arms = [student("real"), student("real", "t")]
    evaluations = {arm.id: {"groups": simulation.evaluations([0.9] * 3)} for arm in arms}
    assert summarise(arms, evaluations).inheritance == ()
