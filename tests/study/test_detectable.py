"""The smallest effect that a study would detect, from its intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evenface.evaluate import fairness
from evenface.report.study.detects import chance_of, claim_detects
from evenface.study.detectable import Chance, by_chance, detectable, pooled_freedom, smallest
from evenface.study.power import Design, smallest_effect
from evenface.study.power_plan import questions
from evenface.study.record import Evidence, Unit, read_results
from evenface.study.spec import load_study
from evenface.study.variance import parts_of

QUICK = Path(__file__).parents[2] / "docs" / "results" / "quick" / "results.json"
CHANCE = Chance(level=0.95, seeds=3, least_seeds=3, freedom=1e6, freedom_of_mean=1e6, margin=0.01)


def figure(label: str, low: float, high: float, unit: Unit = "points") -> Evidence:
    return Evidence(label=label, value=(low + high) / 2, low=low, high=high, unit=unit)


ONE_POINT = 1.959964 * 0.01
"""Half the width of an interval of a standard error of one point."""


def test_one_figure_needs_the_textbook_effect() -> None:
    """z of 97.5 % plus z of 80 %: 2.80 standard errors."""
    textbook = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert smallest([0.01], 1e6, 0.025) == pytest.approx(0.01 * textbook, rel=1e-3)


@pytest.mark.parametrize("freedom", [2, 7])
@pytest.mark.parametrize("errors", [[1.0], [1.0, 0.8, 1.3]])
def test_four_of_five_t_tests_find_the_smallest_effect(freedom: int, errors: list[float]) -> None:
    rng = np.random.default_rng(0)
    effect = smallest(errors, freedom, 0.05)
    count = 40_000
    passed = np.ones(count, dtype=bool)
    for error in errors:
        scale = np.sqrt(rng.chisquare(freedom, count) / freedom)
        t = (effect / error + rng.normal(size=count)) / scale
        passed &= t > stats.t.ppf(0.95, freedom)
    assert passed.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("unit", "to_mean"), [("points", False), ("ratio", False), ("ratio", True)]
)
def test_chance_makes_equal_groups_look_uneven(unit: str, to_mean: bool) -> None:
    rng = np.random.default_rng(1)
    drawn = 0.2 + rng.normal(0, 0.01, (40_000, 4))
    statistic = fairness.worst_to_geometric_mean if to_mean else fairness.rate_ratio
    expected = fairness.std_sample(drawn) if unit == "points" else statistic(drawn)
    found = by_chance([0.2] * 4, [0.01] * 4, unit=unit, to_mean=to_mean)
    assert found == pytest.approx(expected.mean(), rel=0.01)


def test_freedom_is_that_of_the_seeds_where_training_is_all_there_is() -> None:
    by_seed = [[0.01, 0.03, 0.02], [0.0, 0.02, 0.01]]
    error = (1e-4 / 3) ** 0.5
    assert pooled_freedom([error, error], by_seed) == pytest.approx(2)
    assert pooled_freedom([10 * error], by_seed) > 1e4
    assert pooled_freedom([error], []) == 1


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "kd-helps-on-average",
            "This study would detect a change of 2.8 points or more in 4 of 5 runs.",
        ),
        ("real-people", "This study would detect a fall of 2.8 points or more in 4 of 5 runs."),
        (
            "mix-matches-real-plain",
            "This study would show it in 4 of 5 runs only if the mix differed by +1.8 points or "
            "more.",
        ),
        (
            "of-a-later-version",
            "This study would detect a change of 2.8 points or more in 4 of 5 runs.",
        ),
    ],
)
def test_sentences(rule: str, sentence: str) -> None:
    found = detectable(rule, [figure("x", -ONE_POINT, ONE_POINT)], CHANCE)
    assert found is not None
    assert found.sentence == sentence


def test_nothing_differing_is_enough_where_the_margin_is_wide() -> None:
    narrow = figure("x", -ONE_POINT / 4, ONE_POINT / 4)
    found = detectable("mix-matches-real", [narrow], CHANCE)
    assert found is not None
    assert found.sentence == "This study would show it in 4 of 5 runs if nothing differed."


def test_what_cannot_fall_so_far_is_said() -> None:
    std = [figure("STD of accuracy", -ONE_POINT, ONE_POINT)]
    rule = "kd-lowers-absolute-unevenness"
    enough = detectable(rule, std, CHANCE, before=0.05, floor=0.01)
    assert enough is not None
    assert enough.effect == pytest.approx(0.028, abs=1e-4)
    none = detectable(rule, std, CHANCE, before=0.03, floor=0.01)
    assert none is not None
    assert none.effect is None
    assert none.sentence == (
        "This study cannot show a fall from 3.0 points: it would take 2.8 points."
    )


def test_few_seeds_decide_nothing() -> None:
    one = Chance(0.95, 1, 3, 1e6, 1e6, 0.01)
    found = detectable("kd-raises-accuracy", [figure("x", 0, 1)], one)
    assert found is not None
    assert found.sentence == "With 1 training seed nothing is decided, whatever the effect."


def test_figures_without_intervals_tell_nothing() -> None:
    bare = Evidence(label="x", value=0.1)
    assert detectable("gap-closed", [bare], CHANCE) is None


def test_page_and_plan_agree_on_a_committed_study() -> None:
    """From intervals alone, and by simulation: two ways to one number."""
    results = read_results(QUICK)
    chance = chance_of(results)
    found = parts_of(results, "quick")
    plan = {of.rule: of for of in questions(load_study("quick", {}), found)}
    design = Design(found.people, found.seeds, found.groups, pairs_per_person=12)
    for rule in ("kd-raises-accuracy", "no-group-worse-off"):
        shown = [
            of.effect
            for claim in results.claims
            if claim.id.startswith(f"{rule}:")
            and claim.benchmark == "groups"
            and (of := claim_detects(results, chance, claim))
        ]
        planned, _ = smallest_effect(plan[rule], found.parts["accuracy"], design)
        assert planned == pytest.approx(np.mean(shown), rel=0.25)


def test_only_undecided_claims_say_what_would_be_detected() -> None:
    results = read_results(QUICK)
    chance = chance_of(results)
    for claim in results.claims:
        told = claim_detects(results, chance, claim) is not None
        assert told == (claim.verdict == "undecided")
