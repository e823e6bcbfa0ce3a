"""Claims over a grid of training sets, backbones and heads, with truths that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from simulated import Chance, Simulation, student

from evenface.evaluate import Evaluation
from evenface.study.answers import Arm, summarise
from evenface.study.claim_settings import ClaimSettings

KINDS: dict[str, Any] = {
    "balanced": "real",
    "synthetic": "synthetic",
    "mix-ids": "mix",
    "mix-img": "mix",
}
ACCURACY = {"balanced": 0.86, "synthetic": 0.70, "mix-ids": 0.87, "mix-img": 0.78}
GAIN = {"balanced": 0.05, "synthetic": 0.10, "mix-ids": 0.05, "mix-img": 0.05}
LEVELS = {"large": 0.0, "small": -0.06}
SHIFT = (-0.02, 0.0, 0.02)
QUIET = Chance(own=0.01, training=0.0015, training_of_group=0.001, rest=0.01, replicates=400)
Evaluations = dict[str, dict[str, Sequence[Evaluation]]]


def paper() -> list[tuple[Arm, float]]:
    """Arms with their true mean accuracy: all sets on two backbones, another head on one cell."""
    found = []
    for backbone, loss in LEVELS.items():
        for name in KINDS:
            for teacher in (None, "t"):
                gain = GAIN[name] if teacher else 0.0
                levels = {"backbone": backbone, "head": "elastic"}
                found.append((student(name, teacher, levels), ACCURACY[name] + loss + gain))
    for teacher in (None, "t"):
        gain = GAIN["balanced"] if teacher else 0.0
        levels = {"backbone": "large", "head": "adaface"}
        found.append((student("balanced", teacher, levels), ACCURACY["balanced"] + gain))
    return found


def evaluated(arms: Sequence[tuple[Arm, float]], rng: int = 0) -> Evaluations:
    simulation = Simulation(QUIET, rng)
    return {
        arm.id: {"groups": simulation.evaluations([mean + s for s in SHIFT], len(arm.seeds))}
        for arm, mean in arms
    }


@pytest.fixture(scope="module")
def arms() -> list[Arm]:
    return [arm for arm, _ in paper()]


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    return evaluated(paper())


@pytest.fixture(scope="module")
def claims(arms: list[Arm], evaluations: Evaluations) -> dict[str, Mapping[str, Any]]:
    found = summarise(arms, evaluations, kinds=KINDS).claims
    by_id = {claim.id: claim for claim in found}
    assert len(by_id) == len(found), "ids are not unique"
    return by_id


def test_every_slice_is_asked_about_with_its_own_id(claims: Mapping[str, Any]) -> None:
    raises = [i for i in claims if i.startswith("kd-raises-accuracy:")]
    assert raises == [
        *(f"kd-raises-accuracy:{name}:large-elastic" for name in KINDS),
        *(f"kd-raises-accuracy:{name}:small-elastic" for name in KINDS),
        "kd-raises-accuracy:balanced:large-adaface",
    ]
    for i in raises:
        assert claims[i].verdict == "supported"
    claim = claims["kd-raises-accuracy:balanced:large-adaface"]
    assert claim.question == (
        "Does distillation raise accuracy in every group (training set balanced), "
        "for backbone large and head adaface?"
    )
    assert claim.statement.startswith("For backbone large and head adaface: Trained on “bal")
    assert claim.levels == {"backbone": "large", "head": "adaface"}
    # Only one training set has the second head: nothing to set it against.
    assert not [i for i in claims if i.startswith("gap-closed") and "adaface" in i]


def test_gaps_have_the_names_of_the_sets(claims: Mapping[str, Any]) -> None:
    claim = claims["gap-closed-synthetic:small-elastic"]
    assert claim.verdict == "supported"
    assert claim.tests[0].value == pytest.approx(0.10 / 0.16, abs=0.06)
    assert "“balanced” minus “synthetic”" in claim.statement
    assert claims["gap-closed:large-elastic"].tests[0].value == pytest.approx(
        1 - 0.11 / 0.16, abs=0.06
    )


def test_each_mix_is_set_against_real_faces_with_and_without_kd(claims: Mapping[str, Any]) -> None:
    of = {i: c.verdict for i, c in claims.items() if i.startswith("mix-matches-real")}
    assert {i: v for i, v in of.items() if "small" in i} == {
        "mix-matches-real:mix-ids:small-elastic": "supported",
        "mix-matches-real-plain:mix-ids:small-elastic": "supported",
        "mix-matches-real-without-kd:mix-ids:small-elastic": "supported",
        "mix-matches-real:mix-img:small-elastic": "not supported",
        "mix-matches-real-plain:mix-img:small-elastic": "not supported",
        "mix-matches-real-without-kd:mix-img:small-elastic": "not supported",
    }
    assert len(of) == 12
    claim = claims["mix-matches-real-without-kd:mix-img:large-elastic"]
    assert claim.tests[0].value == pytest.approx(-0.03, abs=0.01)
    assert "“balanced” without KD" in claim.statement


def test_which_mixes_match(claims: Mapping[str, Any]) -> None:
    with_kd = claims["which-mixes-match:with-kd:large-elastic"]
    assert with_kd.verdict == "supported"
    assert "a loss of 1 point being excluded: “mix-ids”" in with_kd.statement
    assert "more than 1 point below: “mix-img”" in with_kd.statement
    first, second = with_kd.tests
    assert first.p_holm <= 2 * first.p_value
    assert second.value == pytest.approx(-0.08, abs=0.01)
    assert claims["which-mixes-match:without-kd:small-elastic"].verdict == "supported"


def test_one_answer_for_all_cells(claims: Mapping[str, Any]) -> None:
    everywhere = claims["kd-raises-accuracy-everywhere"]
    assert everywhere.verdict == "supported"
    assert "in 27 of 27 cases (3 groups in 9 cells)" in everywhere.statement
    average = claims["kd-helps-on-average"]
    assert average.verdict == "supported"
    assert "rises in 9 of 9 cells, beyond chance in 9" in average.statement
    gains = [GAIN[name] for name in KINDS for _ in LEVELS] + [GAIN["balanced"]]
    assert average.tests[0].value == pytest.approx(sum(gains) / 9, abs=0.005)
    cells = average.tests[-9:]
    assert cells[0].label == "balanced, backbone large and head elastic"
    # A mean over cells that share people is surer than a cell, and no surer than if all were one.
    width = average.tests[0].high - average.tests[0].low
    assert width < max(cell.high - cell.low for cell in cells)


def test_levels_with_and_without_a_teacher(arms: list[Arm], evaluations: Evaluations) -> None:
    found = summarise(arms, evaluations, kinds=KINDS, rules=["level-beats-baseline"]).claims
    assert [c.id for c in found] == [
        "level-beats-baseline:backbone:small",
        "level-beats-baseline:head:adaface",
        "level-beats-baseline:backbone:small:plain",
        "level-beats-baseline:head:adaface:plain",
    ]
    by = {(c.id.split(":")[2], c.teacher): c for c in found}
    assert set(by) == {("small", "t"), ("adaface", "t"), ("small", None), ("adaface", None)}
    for teacher in ("t", None):
        small = by["small", teacher]
        assert small.verdict == "not supported"
        assert small.levels == {"backbone": "small"}
        assert small.tests[1].value == pytest.approx(-0.06, abs=0.005)
        assert "on average over 4 cells" in small.statement
        assert by["adaface", teacher].verdict == "undecided"
        assert "cells" not in by["adaface", teacher].statement


def test_losses_of_distillation_are_compared(arms: list[Arm]) -> None:
    """A factor that only students with a teacher have: each level against the first one."""
    truth = {"cosine": 0.80, "rkd": 0.80, "weighted": 0.84, "pkt": 0.75}
    plain = student("real")
    losses = [(student("real", "t", {"loss": loss}), mean) for loss, mean in truth.items()]
    grid = [(plain, 0.72), *losses]
    summary = summarise([arm for arm, _ in grid], evaluated(grid, 3))
    verdicts = {c.id: c.verdict for c in summary.claims}
    assert {i: v for i, v in verdicts.items() if i.startswith("level")} == {
        "level-beats-baseline:loss:rkd": "undecided",
        "level-beats-baseline:loss:weighted": "supported",
        "level-beats-baseline:loss:pkt": "not supported",
    }
    # Each loss is compared with the one student without a teacher.
    for loss in truth:
        assert f"kd-raises-accuracy:real:{loss}" in verdicts
    rows = [r for r in summary.differences if r.metric == "accuracy" and r.group == "mean"]
    assert [r.levels for r in rows] == [{"loss": loss} for loss in truth]
    assert [r.value for r in rows] == pytest.approx([v - 0.72 for v in truth.values()], abs=0.01)
    worst = {c.id: c.tests[2] for c in summary.claims if c.id.startswith("level")}
    assert worst["level-beats-baseline:loss:pkt"].label == "worst group"
    assert worst["level-beats-baseline:loss:pkt"].value == pytest.approx(-0.05, abs=0.01)


def test_better_on_average_but_worse_for_the_worst_is_not_better() -> None:
    simulation = Simulation(QUIET, 5)
    first, second = (student("real", "t", {"loss": loss}) for loss in ("cosine", "greedy"))
    evaluations = {
        first.id: {"groups": simulation.evaluations([0.80, 0.80, 0.80])},
        second.id: {"groups": simulation.evaluations([0.75, 0.90, 0.90])},
    }
    (claim,) = summarise([first, second], evaluations).claims
    assert claim.verdict == "not supported"
    assert claim.tests[1].value > 0.02
    assert claim.tests[2].value < -0.02


def test_an_arm_with_a_failed_run_is_compared_on_common_seeds() -> None:
    whole, part = student("real"), student("real", "t", seeds=(0, 2, 3))
    whole = student("real", seeds=(0, 1, 2, 3))
    evaluations = evaluated([(whole, 0.8), (part, 0.85)])
    claims = summarise([whole, part], evaluations).claims
    for claim in claims:
        assert "Compared on training seeds 0, 2 and 3, which all have." in claim.statement
    assert claims[0].verdict == "supported"
    lost = student("real", "t", seeds=(4,))
    evaluations = evaluated([(whole, 0.8), (lost, 0.85)])
    assert summarise([whole, lost], evaluations).claims == ()


def test_a_cell_without_a_seed_is_left_out_of_averages(
    arms: list[Arm], evaluations: Evaluations
) -> None:
    broken = "mix-img-small-elastic-plain"
    shortened = [
        student("mix-img", None, arm.levels, seeds=(0, 2)) if arm.id == broken else arm
        for arm in arms
    ]
    models = evaluations[broken]["groups"]
    holes = {**evaluations, broken: {"groups": [models[0], models[2]]}}
    found = summarise(shortened, holes, kinds=KINDS).claims
    by_id = {claim.id: claim for claim in found}
    average = by_id["kd-helps-on-average"]
    assert "On average over 8 cells" in average.statement
    assert "missing: mix-img, backbone small and head elastic." in average.statement
    assert average.verdict == "supported"
    assert by_id["kd-raises-accuracy:mix-img:small-elastic"].verdict == "undecided"
    # "Every cell" cannot be answered without that cell.
    assert by_id["kd-raises-accuracy-everywhere"].verdict == "undecided"


def test_missing_arms_are_holes(arms: list[Arm], evaluations: Evaluations) -> None:
    without = {a: of for a, of in evaluations.items() if not a.startswith("balanced-large-elastic")}
    found = summarise(arms, without, kinds=KINDS)
    ids = {claim.id for claim in found.claims}
    assert "gap-closed:small-elastic" in ids
    assert "gap-closed:large-elastic" not in ids
    assert found.evaluations["balanced-large-elastic-plain"] == {}
    by_id = {claim.id: claim for claim in found.claims}
    said = "left out: balanced-large-elastic-plain; balanced-large-elastic-kd-t."
    for rule in ("kd-raises-accuracy-everywhere", "kd-helps-on-average"):
        assert said in by_id[rule].statement
    # All runs of all arms failed on the one benchmark there is.
    nothing = summarise(arms, {arm.id: {"groups": []} for arm in arms}, kinds=KINDS)
    assert nothing.claims == ()
    assert summarise([], {}).evaluations == {}


def test_rules_are_chosen_by_name(arms: list[Arm], evaluations: Evaluations) -> None:
    found = summarise(arms, evaluations, kinds=KINDS, rules=["gap-closed", "gap-closed"])
    assert [c.id for c in found.claims] == [
        "gap-closed:large-elastic",
        "gap-closed:small-elastic",
    ]
    with pytest.raises(ValueError, match=r"unknown claim 'gap-close'; did you mean 'gap-closed'\?"):
        summarise(arms, evaluations, rules=["gap-close"])
    with pytest.raises(ValueError, match=r"unknown claim 'zzz'; known: .*kd-raises-accuracy,"):
        summarise(arms, evaluations, rules=["zzz"])


def test_the_first_level_is_the_declared_one(arms: list[Arm], evaluations: Evaluations) -> None:
    factors = {"backbone": ["small", "large"], "head": ["elastic", "adaface"]}
    found = summarise(
        arms, evaluations, kinds=KINDS, factors=factors, rules=["level-beats-baseline"]
    ).claims
    first = found[0]
    assert (first.id, first.verdict) == ("level-beats-baseline:backbone:large", "supported")


def test_a_mix_of_real_faces_alone_is_real(arms: list[Arm], evaluations: Evaluations) -> None:
    every: dict[str, Any] = dict.fromkeys(KINDS, "mix")
    fractions = {"balanced": 1.0, "synthetic": 0.0, "mix-ids": 0.7, "mix-img": 0.7}
    by_fraction = summarise(arms, evaluations, kinds=every, real_fractions=fractions)
    assert by_fraction.claims == summarise(arms, evaluations, kinds=KINDS).claims
    # Two sets have one fraction: both must pass.
    assert len(by_fraction.sweep[0].points) == 4
    assert by_fraction.sweep[0].smallest.fraction is None


def test_the_margin_is_declared(arms: list[Arm], evaluations: Evaluations) -> None:
    found = summarise(
        arms,
        evaluations,
        kinds=KINDS,
        rules=["mix-matches-real"],
        settings=ClaimSettings(margin=0.12),
    ).claims
    assert {c.verdict for c in found} == {"supported"}
    assert "lies above −12 points" in found[0].rule


def test_it_is_json(arms: list[Arm], evaluations: Evaluations) -> None:
    summarise(arms, evaluations, kinds=KINDS).model_dump_json()
