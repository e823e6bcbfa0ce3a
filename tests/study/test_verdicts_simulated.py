"""Verdicts on studies whose truth is known: how often each rule errs where there is no effect.

Every rule is put where erring is most likely: the effect that it asks about is absent (or, for
rules with a margin, exactly at the margin), everything else it needs is there. The heavy version
(``-m coverage``) repeats that in many studies under three kinds of chance; the fast one has few
studies and the kind of chance that intervals of three seeds are worst at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from scipy import stats
from simulated import Chance, Simulation, student

from evenface.evaluate.arms import ArmEvaluation
from evenface.study import claims, unevenness
from evenface.study.answers import Arm, summarise
from evenface.study.inference import MEAN, compare
from evenface.study.record import Claim

# People alone, people and training in equal parts, nearly training alone.
REGIMES = {
    "people": Chance(training=0.0, training_of_group=0.0),
    "both": Chance(training=0.007),
    "training": Chance(people=0.02, own=0.002, rest=0.002, training=0.02, training_of_group=0.0),
}
WHERE: dict[str, Any] = {"benchmark": "groups", "teacher": "t"}
EVEN, UNEVEN = [0.80, 0.80, 0.80], [0.72, 0.80, 0.88]
IN_PROPORTION = [0.832, 0.88, 0.928]
Truths = Mapping[Arm, Sequence[float]]


def verdicts(simulation: Simulation, truths: Truths, rule: str, **more: Any) -> list[Claim]:
    """What one rule finds in a study with these accuracies."""
    evaluations = {arm.id: {"groups": simulation.evaluations(of)} for arm, of in truths.items()}
    return list(summarise(list(truths), evaluations, rules=[rule], **more).claims)


def pair(simulation: Simulation, *truths: Sequence[float]) -> list[ArmEvaluation]:
    return [simulation.arm(truth) for truth in truths]


def nothing_gained(s: Simulation) -> str:
    return raises(s, EVEN, EVEN)


def one_group_left_behind(s: Simulation) -> str:
    """Two groups gain surely, one not at all: "every" is as nearly true as can be."""
    return raises(s, EVEN, [0.80, 0.90, 0.90])


def raises(s: Simulation, plain: Sequence[float], distilled: Sequence[float]) -> str:
    both = pair(s, plain, distilled)
    return claims.kd_raises_accuracy(*both, training_set="real", **WHERE).verdict


def uneven(
    which: int, ending: str, plain: Sequence[float], distilled: Sequence[float], name: str
) -> Callable[[Simulation], str]:
    """Absolute (0) or relative (1) unevenness, of accuracy or of an error at one threshold."""

    def found(s: Simulation) -> str:
        both = pair(s, plain, distilled)
        claim = unevenness.kd_lowers_unevenness(*both, ending=ending, training_set="real", **WHERE)[
            which
        ]
        return claim.verdict

    found.__name__ = name
    return found


def in_proportion(s: Simulation) -> str:
    """All errors fall to 0.6: relative unevenness stays."""
    return uneven(1, "", UNEVEN, IN_PROPORTION, "")(s)


def by_as_many_points(s: Simulation) -> str:
    """All errors fall by six points: absolute unevenness stays."""
    return uneven(0, "", UNEVEN, [0.78, 0.86, 0.94], "")(s)


def worst_group_as_before(s: Simulation) -> str:
    """The others gain: the worst group of one truth is the same in the other."""
    both = pair(s, EVEN, [0.80, 0.85, 0.85])
    return unevenness.worst_group_better_off(*both, training_set="real", **WHERE).verdict


def a_group_loses_the_margin(s: Simulation) -> str:
    both = pair(s, EVEN, [0.79, 0.85, 0.85])
    return unevenness.no_group_worse_off(*both, training_set="real", margin=0.01, **WHERE).verdict


def all_groups_lose_the_margin(s: Simulation) -> str:
    both = pair(s, EVEN, [0.79, 0.79, 0.79])
    return unevenness.no_group_worse_off(*both, training_set="real", margin=0.01, **WHERE).verdict


def gap_stays(s: Simulation) -> str:
    low = [0.60, 0.60, 0.60]
    return claims.gap_closed(*pair(s, EVEN, EVEN, low, low), **WHERE).verdict


def synthetic_gains_nothing(s: Simulation) -> str:
    low = [0.60, 0.60, 0.60]
    return claims.gap_closed_synthetic(*pair(s, EVEN, low, low), **WHERE).verdict


def mix_at_the_margin(s: Simulation) -> str:
    return claims.mix_matches_real(*pair(s, EVEN, [0.79, 0.79, 0.79]), **WHERE).verdict


def mixes_at_the_margin(s: Simulation) -> str:
    truths = {student("real", "t"): EVEN}
    truths |= {student(f"mix-{i}", "t"): [0.79, 0.79, 0.79] for i in range(3)}
    (claim,) = verdicts(s, truths, "which-mixes-match")
    return str(claim.verdict)


def everywhere_but_once(s: Simulation) -> str:
    """A gain in every cell and group but in one group of one cell."""
    truths: dict[Arm, Sequence[float]] = {}
    for level in ("large", "small"):
        for name in ("real", "synthetic"):
            gained = [0.90, 0.90, 0.90]
            if (level, name) == ("large", "real"):
                gained = [0.80, 0.90, 0.90]
            truths[student(name, None, {"backbone": level})] = EVEN
            truths[student(name, "t", {"backbone": level})] = gained
    (claim,) = verdicts(s, truths, "kd-raises-accuracy-everywhere")
    return str(claim.verdict)


def nowhere(rule: str) -> Callable[[Simulation], str]:
    def found(s: Simulation) -> str:
        truths = {
            student(name, teacher, {"backbone": level}): EVEN
            for level in ("large", "small")
            for name in ("real", "synthetic")
            for teacher in (None, "t")
        }
        (claim,) = verdicts(s, truths, rule)
        return str(claim.verdict)

    found.__name__ = f"nowhere_{rule}"
    return found


def no_level_differs(s: Simulation) -> str:
    return levels(s, {"cosine": EVEN, "rkd": EVEN, "pkt": EVEN, "sp": EVEN})


def worst_group_stays(s: Simulation) -> str:
    """The mean rises, the worst group does not; the groups of the first level are all the worst."""
    return levels(s, {"cosine": EVEN, "rkd": [0.80, 0.85, 0.85]})


def levels(s: Simulation, truths: Mapping[str, Sequence[float]]) -> str:
    """The surest verdict on any of the levels: what picking among them would find."""
    arms = {student("real", "t", {"loss": loss}): of for loss, of in truths.items()}
    found = [claim.verdict for claim in verdicts(s, arms, "level-beats-baseline")]
    return next((v for v in ("supported", "not supported") if v in found), "undecided")


def other_people_as_before(s: Simulation) -> str:
    one = Simulation(s.chance, s.rng, groups=1)
    return claims.kd_helps_on_others(*pair(one, [0.8], [0.8]), {}, **WHERE).verdict


def fractions_at_epsilon(s: Simulation) -> str:
    """The worst group of both smaller fractions loses ε exactly; the others gain."""
    loss = [0.79, 0.85, 0.85]
    arms = {student(n): of for n, of in (("real", EVEN), ("half", loss), ("synthetic", loss))}
    evaluations = {arm.id: {"groups": s.evaluations(of)} for arm, of in arms.items()}
    fractions = {"real": 1.0, "half": 0.5, "synthetic": 0.0}
    (entry,) = summarise(list(arms), evaluations, rules=[], real_fractions=fractions).sweep
    return "undecided" if entry.smallest.fraction is None else "supported"


# Scenario → the largest rate of "supported" and of "not supported" that is no fault of the rule;
# None where that verdict would be right, or more often right than not.
SCENARIOS: dict[Callable[[Simulation], str], tuple[float, float | None]] = {
    nothing_gained: (0.05, 0.025),
    one_group_left_behind: (0.05, 0.025),
    **{
        uneven(which, ending, truth, truth, f"{kind}{ending}_{name}"): (0.025, 0.025)
        for which, kind in enumerate(("absolute", "relative"))
        for ending in ("", "-of-fnmr")
        for name, truth in (("as_uneven", UNEVEN), ("as_even", EVEN))
    },
    in_proportion: (0.025, 0.025),
    by_as_many_points: (0.025, 0.025),
    worst_group_as_before: (0.025, 0.025),
    a_group_loses_the_margin: (0.025, 0.025),
    all_groups_lose_the_margin: (0.025, 0.025),
    gap_stays: (0.025, 0.025),
    synthetic_gains_nothing: (0.025, 0.025),
    mix_at_the_margin: (0.025, 0.025),
    mixes_at_the_margin: (0.025, 0.025),
    everywhere_but_once: (0.05, 0.025),
    nowhere("kd-raises-accuracy-everywhere"): (0.05, 0.025),
    nowhere("kd-helps-on-average"): (0.025, 0.025),
    no_level_differs: (0.05, 0.025),
    worst_group_stays: (0.05, 0.025),
    other_people_as_before: (0.025, 0.025),
    fractions_at_epsilon: (0.025, None),
}
NAMES = [scenario.__name__ for scenario in SCENARIOS]


def rates(scenario: Callable[[Simulation], str], chance: Chance, studies: Iterable[int]) -> Counter:
    return Counter(scenario(Simulation(chance, rng)) for rng in studies)


def at_most(rate: float, studies: int, *, surely: float) -> int:
    """How many of so many studies may err at this rate, but for a chance of 1 − ``surely``."""
    return int(stats.binom.ppf(surely, studies, rate))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_no_effect_is_seldom_found(scenario: Callable[[Simulation], str]) -> None:
    studies = 10
    found = rates(scenario, REGIMES["training"], range(studies))
    supported, against = SCENARIOS[scenario]
    assert found["supported"] <= at_most(supported, studies, surely=0.999)
    if against is not None:
        assert found["not supported"] <= at_most(against, studies, surely=0.999)


@pytest.mark.coverage
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_no_effect_is_found_at_the_nominal_rate(
    scenario: Callable[[Simulation], str], regime: str
) -> None:
    studies = 400
    found = rates(scenario, REGIMES[regime], range(studies))
    supported, against = SCENARIOS[scenario]
    share = {verdict: count / studies for verdict, count in found.items()}
    print(f"{regime} {scenario.__name__}: {share}")
    assert found["supported"] <= at_most(supported, studies, surely=0.999), share
    if against is not None:
        assert found["not supported"] <= at_most(against, studies, surely=0.999), share


def test_intervals_of_three_seeds_alone_would_err_often() -> None:
    """Why verdicts need the t interval too: replicates of three seeds reach no further than they
    do, and three seeds agree by luck in one case of four."""
    alone = together = 0
    studies = 50
    for rng in range(studies):
        plain, distilled = pair(Simulation(REGIMES["training"], rng), EVEN, EVEN)
        difference = compare(plain, distilled, MEAN)
        alone += difference.distinguishable
        together += difference.above(0) or difference.below(0)
    assert alone >= 7
    assert together <= at_most(0.05, studies, surely=0.999)


@pytest.mark.parametrize("regime", ["people", "both"])
def test_large_effects_are_found(regime: str) -> None:
    up, low, near = [0.90, 0.90, 0.90], [0.60, 0.60, 0.60], [0.78, 0.80, 0.82]
    found: Counter[str] = Counter()
    studies = 4
    for rng in range(studies):
        s = Simulation(REGIMES[regime], rng)
        both = pair(s, [0.60, 0.80, 0.95], near)
        evens = unevenness.kd_lowers_unevenness(*both, training_set="real", **WHERE)
        verdict_of = {
            "raises": raises(s, EVEN, up),
            "falls": {"not supported": "supported"}.get(raises(s, up, EVEN), ""),
            "evens": evens[0].verdict,
            "evens, relatively": evens[1].verdict,
            "worst": unevenness.worst_group_better_off(*both, training_set="real", **WHERE).verdict,
            "none loses": unevenness.no_group_worse_off(
                *pair(s, EVEN, up), training_set="real", margin=0.01, **WHERE
            ).verdict,
            "gap": claims.gap_closed(*pair(s, EVEN, EVEN, low, near), **WHERE).verdict,
            "nearer": claims.gap_closed_synthetic(*pair(s, EVEN, low, near), **WHERE).verdict,
            "mix": claims.mix_matches_real(*pair(s, EVEN, up), **WHERE).verdict,
            "levels": levels(s, {"cosine": EVEN, "rkd": up}),
        }
        found.update(what for what, verdict in verdict_of.items() if verdict == "supported")
    assert {what: found[what] for what in verdict_of} == dict.fromkeys(verdict_of, studies)


def test_two_seeds_decide_nothing_whatever_the_effect() -> None:
    arms = [student("real", teacher, seeds=(0, 1)) for teacher in (None, "t")]
    s = Simulation(REGIMES["people"], 0)
    evaluations = {
        arm.id: {"groups": s.evaluations([0.95] * 3 if arm.kd else [0.6] * 3, 2)} for arm in arms
    }
    found = summarise(arms, evaluations).claims
    raised = found[0]
    assert raised.tests[0].low is None
    assert raised.tests[1].low > 0.3
    assert {claim.verdict for claim in found} == {"undecided"}
    for claim in found:
        assert "2 training seeds" in claim.statement
        assert "nothing is decided whatever the intervals say (that takes 3)" in claim.statement
