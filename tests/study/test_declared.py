"""Declared contrasts on studies whose truth is known: effects, none, and how often rules err."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats
from simulated import Chance, Simulation, student

from evenface.study.answers import Arm, summarise
from evenface.study.claim_settings import ClaimSettings
from evenface.study.record import Claim
from evenface.study.spec import load_study

GROUPS = "abc"
EASE = np.array([0.88, 0.84, 0.80])
"""Accuracy of the groups where they are even: some are harder by themselves."""
LOSS, GAIN = 0.08, 0.01
"""What starving takes from a group, and gives to each of the others."""
REGIMES = {
    "people": Chance(training=0.0, training_of_group=0.0),
    "both": Chance(training=0.007),
    "training": Chance(people=0.02, own=0.002, rest=0.002, training=0.0, training_of_group=0.01),
}


def settings(expect: str = "less", **more: object) -> ClaimSettings:
    harms = {
        end: {"name": name, "starved": f"starved-{{group}}-{end}", "even": f"balanced-{end}"}
        for end, name in (("kd-t", "with KD"), ("plain", "without KD"))
    }
    return ClaimSettings.model_validate(
        {
            "endpoints": {
                "absolute": {"measure": "fnmr", "scale": "points", "margin": 0.02},
                "relative": {"measure": "fnmr", "scale": "ratio", "margin": 1.15},
            },
            "contrasts": {
                "kd": {
                    "question": "Does it hurt less with KD?",
                    "expect": expect,
                    "primary": True,
                    "first": harms["kd-t"],
                    "second": harms["plain"],
                },
                "starving": {
                    "question": "Does it hurt?", "expect": "more", "first": harms["plain"],
                },
            },
            **more,
        }
    )  # fmt: skip


def truths(loss: float, gain: float, ease: np.ndarray = EASE) -> dict[str, np.ndarray]:
    """Of the arms without KD, or of those with it: even groups, and each starved."""
    found = {"balanced": ease}
    for place, group in enumerate(GROUPS):
        found[f"starved-{group}"] = ease + gain
        found[f"starved-{group}"][place] = ease[place] - loss
    return found


def study(
    simulation: Simulation,
    plain: Mapping[str, Sequence[float]],
    kd: Mapping[str, Sequence[float]],
    seeds: int = 8,
) -> tuple[list[Arm], dict[str, dict[str, list]]]:
    arms, evaluations = [], {}
    for teacher, of in ((None, plain), ("t", kd)):
        for name, truth in of.items():
            arm = student(name, teacher, seeds=range(seeds))
            arms.append(arm)
            evaluations[arm.id] = {"groups": simulation.evaluations(truth, seeds)}
    return arms, evaluations


def asked(*of: object, rule: str = "declared-contrasts", **more: object) -> dict[str, Claim]:
    """Claims by what follows the rule's name."""
    found = summarise(*study(*of), rules=[rule], settings=settings(**more)).claims
    return {claim.id.partition(":")[2]: claim for claim in found}


QUIET = Chance(people=0.02, own=0.004, training=0.003, training_of_group=0.001, rest=0.002)


def test_the_harm_is_what_the_arms_say_by_hand():
    simulation = Simulation(QUIET, 1)
    arms, evaluations = study(simulation, truths(LOSS, GAIN), truths(LOSS / 2, GAIN))
    found = summarise(arms, evaluations, rules=["declared-contrasts"], settings=settings())
    error = {
        arm.id: 1 - np.array([[g.accuracy.value for g in e.groups.values()] for e in models])
        for arm in arms
        for models in evaluations[arm.id].values()
    }

    def harm(end: str, transform) -> float:
        of_groups = []
        for g, group in enumerate(GROUPS):
            away = [
                transform(error[arm])[:, g] - np.delete(transform(error[arm]), g, 1).mean(axis=1)
                for arm in (f"starved-{group}-{end}", f"balanced-{end}")
            ]
            of_groups.append((away[0] - away[1]).mean())
        return float(np.mean(of_groups))

    values = {claim.id: claim.tests[0].value for claim in found.claims}
    for endpoint, transform in (("absolute", np.array), ("relative", np.log)):
        plain, kd = harm("plain", transform), harm("kd-t", transform)
        assert values[f"declared-contrasts:starving:{endpoint}"] == pytest.approx(plain)
        assert values[f"declared-contrasts:kd:{endpoint}"] == pytest.approx(kd - plain)


def test_effects_that_are_there_are_found_and_told_apart():
    simulation = Simulation(QUIET, 2)
    # With KD all errors are 0.5 of what they were: half the points, the same proportions.
    halved = {name: 1 - 0.5 * (1 - of) for name, of in truths(LOSS, GAIN).items()}
    found = asked(simulation, truths(LOSS, GAIN), halved)
    assert list(found) == ["kd:absolute", "kd:relative", "starving:absolute", "starving:relative"]
    verdicts = {name: claim.verdict for name, claim in found.items()}
    assert verdicts["starving:absolute"] == verdicts["starving:relative"] == "supported"
    assert verdicts["kd:absolute"] == "supported"
    assert verdicts["kd:relative"] == "not supported"
    assert "No effect: a factor of 1.15 or more is excluded" in found["kd:relative"].statement
    worse = asked(simulation, truths(LOSS / 2, GAIN), truths(2 * LOSS, GAIN))
    assert worse["kd:absolute"].verdict == "not supported"


def test_twins_differ_by_nothing_and_others_by_something():
    simulation = Simulation(QUIET, 3)
    twins = asked(simulation, truths(LOSS, GAIN), truths(LOSS, GAIN), expect="nothing")
    assert twins["kd:absolute"].verdict == "supported"
    others = asked(simulation, truths(LOSS, GAIN), truths(0, GAIN), expect="nothing")
    assert others["kd:absolute"].verdict == "not supported"


def test_random_groups_ask_the_primary_contrast_alone():
    simulation = Simulation(QUIET, 4)
    arms, evaluations = study(simulation, truths(0, 0), truths(0, 0, EASE + 0.05))
    both = {
        arm: {"groups": of["groups"], "random-groups": of["groups"]}
        for arm, of in evaluations.items()
    }
    results = summarise(arms, both, rules=["declared-contrasts", "random-groups"],
                        settings=settings())  # fmt: skip
    ids = [claim.id for claim in results.claims if claim.id.startswith("random")]
    assert ids == ["random-groups:kd:absolute", "random-groups:kd:relative"]
    assert {claim.benchmark for claim in results.claims} == {"groups"}
    assert all(set(of) == {"groups"} for of in results.evaluations.values())
    nothing = next(c for c in results.claims if c.id == ids[0])
    assert nothing.verdict == "supported"


def test_few_seeds_decide_nothing_and_missing_arms_ask_nothing():
    simulation = Simulation(QUIET, 5)
    of = (simulation, truths(LOSS, GAIN), truths(0, GAIN))
    assert asked(*of, 2)["kd:absolute"].verdict == "undecided"
    without = truths(0, GAIN)
    del without["starved-b"]
    assert "kd:absolute" not in asked(simulation, truths(LOSS, GAIN), without)


def wrong(count: int, regime: str, plain, kd) -> Counter[str]:
    """How often each verdict is reached of each endpoint."""
    found: Counter[str] = Counter()
    for number in range(count):
        claims = asked(Simulation(REGIMES[regime], number), plain, kd)
        for endpoint in ("absolute", "relative"):
            found[f"{endpoint}: {claims[f'kd:{endpoint}'].verdict}"] += 1
    return found


NO_EFFECT = truths(LOSS, GAIN), truths(LOSS, GAIN, EASE + 0.05)
"""KD raises every accuracy alike: the harm in points stays."""
IN_PROPORTION = (
    truths(LOSS, GAIN),
    {name: 1 - 0.6 * (1 - of) for name, of in truths(LOSS, GAIN).items()},
)


@pytest.mark.parametrize("regime", REGIMES)
def test_no_effect_is_seldom_called_one(regime):
    """A short version of the next."""
    found = wrong(20, regime, *NO_EFFECT)
    assert found["absolute: supported"] <= 3


@pytest.mark.coverage
@pytest.mark.parametrize("regime", REGIMES)
def test_no_effect_is_called_one_at_the_nominal_rate(regime):
    count = 400
    most = stats.binom.ppf(0.999, count, 0.025)
    found = wrong(count, regime, *NO_EFFECT)
    print(regime, "absolute", dict(found))
    assert found["absolute: supported"] <= most
    found = wrong(count, regime, *IN_PROPORTION)
    print(regime, "relative", dict(found))
    assert found["relative: supported"] <= most


def test_the_study_of_bias_names_arms_that_it_has():
    from evenface.study.results import check_claims

    check_claims(load_study("bias"))
