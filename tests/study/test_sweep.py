"""How much real data is needed: answers against constructed truths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from simulated import Chance, Simulation, student

from evenface.study.answers import summarise
from evenface.study.claim_settings import ClaimSettings
from evenface.study.record import Smallest, Sweep

QUIET = Chance(own=0.004, training=0.001, training_of_group=0.0005, rest=0.004)
SHIFT = (-0.03, 0.0, 0.02)


def swept(
    truth: Mapping[float, float | Sequence[float]],
    *,
    teacher: str | None = None,
    seeds: int = 3,
    epsilon: float = 0.01,
    rng: int = 0,
    chance: Chance = QUIET,
) -> Sweep:
    """The entry of a sweep with these mean accuracies, or accuracies of groups, by fraction."""
    simulation = Simulation(chance, rng)
    arms, evaluations, fractions = [], {}, {}
    for fraction, mean in truth.items():
        groups = [mean + s for s in SHIFT] if isinstance(mean, float) else list(mean)
        name = f"real-{round(100 * fraction):03d}"
        arm = student(name, teacher, seeds=range(seeds))
        arms.append(arm)
        fractions[name] = fraction
        evaluations[arm.id] = {"groups": simulation.evaluations(groups, seeds)}
    found = summarise(
        arms,
        evaluations,
        real_fractions=fractions,
        rules=[],
        settings=ClaimSettings(epsilon=epsilon),
    ).sweep
    (entry,) = found
    return entry


def test_the_smallest_fraction_that_is_enough() -> None:
    entry = swept({0.0: 0.70, 0.25: 0.80, 0.5: 0.899, 0.75: 0.90, 1.0: 0.90})
    assert entry.smallest.fraction == 0.5
    statement = entry.smallest.statement
    assert "With a margin of 1 point, 50 % real faces are enough (" in statement
    assert "; 25 % are not shown to be enough (−10." in statement
    assert statement.endswith("Judged by the estimates alone, 50 % would be enough.")
    change = entry.smallest.change
    assert change.low <= change.value <= change.high
    assert f"({100 * change.value:+.2f}".replace("-", "−") in statement
    assert (entry.benchmark, entry.teacher, entry.levels) == ("groups", None, {})
    assert [p.fraction for p in entry.points] == [0.0, 0.25, 0.5, 0.75, 1.0]
    first = entry.points[0]
    assert (first.set, first.model) == ("real-000", "real-000-plain")
    assert first.mean.value == pytest.approx(0.70 - 0.01 / 3, abs=0.02)
    assert first.worst.value == min(g.value for g in first.groups.values())
    for estimate in (first.mean, first.worst, *first.groups.values()):
        assert estimate.low < estimate.value < estimate.high


def test_the_order_of_the_sets_does_not_matter() -> None:
    truth = {1.0: 0.90, 0.0: 0.70, 0.5: 0.898}
    entry = swept(truth)
    assert [p.fraction for p in entry.points] == [0.0, 0.5, 1.0]
    assert entry.smallest.fraction == 0.5


def test_a_dip_ends_the_search_and_is_seen_in_the_values() -> None:
    entry = swept({0.0: 0.70, 0.25: 0.90, 0.5: 0.86, 0.75: 0.90, 1.0: 0.90}, rng=3)
    assert entry.smallest.fraction == 0.75
    assert "; 50 % are not shown to be enough" in entry.smallest.statement
    assert entry.smallest.statement.endswith("Judged by the estimates alone, 25 % would be enough.")


def test_a_better_mean_does_not_make_up_for_the_worst_group() -> None:
    entry = swept({0.0: 0.6, 0.5: [0.80, 0.99, 0.99], 1.0: [0.85, 0.90, 0.92]})
    assert entry.smallest.fraction is None
    assert "no smaller share of real faces is shown to be enough; 50 %" in (
        entry.smallest.statement
    )
    assert entry.smallest.statement.endswith("Judged by the estimates alone, none is enough.")


def test_a_group_may_lose_while_it_stays_above_the_worst() -> None:
    entry = swept({0.0: 0.6, 0.5: [0.86, 0.92, 0.93], 1.0: [0.85, 0.92, 0.99]})
    assert entry.smallest.fraction == 0.5


def test_epsilon_is_declared() -> None:
    truth = {0.0: 0.70, 0.5: 0.87, 1.0: 0.90}
    assert swept(truth).smallest.fraction is None
    wide = swept(truth, epsilon=0.06)
    assert (wide.smallest.fraction, wide.epsilon) == (0.5, 0.06)


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    smallest = swept({0.0: 0.70, 0.5: 0.90, 1.0: 0.90}, seeds=seeds).smallest
    assert smallest.fraction is None
    assert "nothing is decided: there are fewer than 3 training seeds" in smallest.statement
    assert "Judged by the estimates alone" in smallest.statement


def test_without_all_real_training_there_is_nothing_to_compare_with() -> None:
    smallest = swept({0.0: 0.70, 0.5: 0.90, 0.9: 0.90}).smallest
    assert smallest == Smallest(statement="There is no all-real training to compare with.")


def test_students_with_kd_are_compared_with_real_faces_with_and_without_it() -> None:
    simulation = Simulation(QUIET, 7)
    fractions = {"synthetic": 0.0, "half": 0.5, "real": 1.0}
    truth = {
        None: {"synthetic": 0.70, "half": 0.80, "real": 0.85},
        "t": {"synthetic": 0.85, "half": 0.90, "real": 0.95},
    }
    arms = [student(name, teacher) for teacher in truth for name in fractions]
    evaluations = {
        arm.id: {"groups": simulation.evaluations([truth[arm.teacher][arm.set] + s for s in SHIFT])}
        for arm in arms
        if arm.set
    }
    settings = ClaimSettings(epsilon=0.02)
    plain, distilled = summarise(
        arms, evaluations, real_fractions=fractions, rules=[], settings=settings
    ).sweep
    assert (plain.teacher, distilled.teacher) == (None, "t")
    assert plain.smallest_against_plain is None
    assert distilled.smallest.fraction is None
    assert distilled.smallest_against_plain.fraction == 0.0
    assert "all-real training without KD" in distilled.smallest_against_plain.statement


def test_two_fractions_are_no_sweep() -> None:
    simulation = Simulation(QUIET, 7)
    arms = [student("real"), student("synthetic")]
    evaluations = {arm.id: {"groups": simulation.evaluations([0.8] * 3)} for arm in arms}
    found = summarise(arms, evaluations, real_fractions={"real": 1.0, "synthetic": 0.0})
    assert found.sweep == ()


def test_right_labels_are_swept_over_like_real_faces() -> None:
    simulation = Simulation(QUIET, 7)
    truth = {"mix": 0.90, "mix-wrong-10": 0.899, "mix-wrong-20": 0.899, "mix-wrong-50": 0.80}
    arms = [student(name) for name in truth]
    evaluations = {
        arm.id: {"groups": simulation.evaluations([truth[arm.set] + s for s in SHIFT])}
        for arm in arms
        if arm.set
    }
    family = {"mix": 1.0, "mix-wrong-10": 0.9, "mix-wrong-20": 0.8, "mix-wrong-50": 0.5}
    (entry,) = summarise(
        arms,
        evaluations,
        real_fractions={"mix": 0.7},
        right_labels=[family],
        rules=[],
        settings=ClaimSettings(epsilon=0.02),
    ).sweep
    assert entry.of == "right labels"
    assert entry.smallest.fraction == 0.8
    assert "% with all labels right" in entry.smallest.statement
    assert "80 % right labels are enough" in entry.smallest.statement
    assert "; 50 % are not shown to be enough" in entry.smallest.statement
