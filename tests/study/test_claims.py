"""The rules of the study's claims, case by case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from arm_models import arm
from evenface.evaluate.arms import ArmEvaluation
from evenface.study import claims
from evenface.study.claims import Claim

WHERE: dict[str, Any] = {"benchmark": "groups", "teacher": "sface"}


def raises(plain: ArmEvaluation, distilled: ArmEvaluation) -> Claim:
    return claims.kd_raises_accuracy(plain, distilled, training_set="real", **WHERE)


def people(groups: int = 3, size: float = 0.004, replicates: int = 200) -> np.ndarray:
    """Deviations of the replicates that all arms share."""
    return np.random.default_rng(9).normal(0, size, (replicates, groups))


PLAIN = arm([0.80, 0.85, 0.90], people=people(), own=0.002, rng=1)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.02, 0.01, 0.03), "supported"),
        ((0.02, 0.0, 0.03), "undecided"),
        ((0.02, 0.01, -0.03), "not supported"),
        ((0.0, 0.0, 0.0), "undecided"),
    ],
)
def test_accuracy_must_rise_in_every_group(gains: tuple[float, ...], verdict: str) -> None:
    distilled = arm(np.add([0.80, 0.85, 0.90], gains).tolist(), people=people(), own=0.002, rng=2)
    claim = raises(PLAIN, distilled)
    assert claim.verdict == verdict
    together, mean, *groups = claim.tests
    compared = [PLAIN.compare(distilled, "accuracy", group=g) for g in "abc"]
    assert together.p_value == max(d.p_greater for d in compared)
    assert together.value == pytest.approx(min(gains))
    assert mean.value == pytest.approx(np.mean(gains))
    assert [test.label for test in groups] == ["a", "b", "c"]
    for test, difference in zip(groups, compared, strict=True):
        assert (test.value, test.p_value) == (difference.value, difference.p_value)
        assert difference.p_value <= test.p_holm <= min(1, 3 * difference.p_value)


def test_the_statement_on_accuracy_has_the_numbers() -> None:
    distilled = arm([0.82, 0.86, 0.93], people=people(), own=0.002, rng=2)
    statement = raises(PLAIN, distilled).statement
    assert "“real”" in statement
    assert "sface" in statement
    assert "3 of 3 groups" in statement
    assert "+1.00 points" in statement
    assert "+3.00 points" in statement
    assert "+2.00 points" in statement
    assert "a, b and c differ beyond chance" in statement


def test_the_test_of_all_groups_keeps_its_level() -> None:
    """Two groups gain surely, one not at all: supported in about α of all studies."""
    rng = np.random.default_rng(3)
    supported = 0
    for _ in range(150):
        luck = rng.normal(0, 0.004, 3)
        distilled = arm(
            (np.array([0.83, 0.88, 0.90]) + luck).tolist(),
            own=0.004,
            seeds=1,
            rng=int(rng.integers(1 << 30)),
        )
        plain = arm([0.80, 0.85, 0.90], seeds=1)
        supported += raises(plain, distilled).verdict == "supported"
    # Three standard errors of a share of 0.05 among 150 are 0.053.
    assert supported / 150 <= 0.105


# Mean accuracies: real 92 without KD and 93 with, synthetic 86 and 90.
ARMS = {
    "real": arm([0.91, 0.93], people=people(2), own=0.001, rng=1),
    "real_kd": arm([0.92, 0.94], people=people(2), own=0.001, rng=2),
    "synthetic": arm([0.85, 0.87], people=people(2), own=0.001, rng=3),
    "synthetic_kd": arm([0.89, 0.91], people=people(2), own=0.001, rng=4),
}


def closed(arms: dict[str, ArmEvaluation]) -> tuple[Claim, Claim]:
    real, real_kd, synthetic, synthetic_kd = arms.values()
    return (
        claims.gap_closed(real, real_kd, synthetic, synthetic_kd, **WHERE),
        claims.gap_closed_synthetic(real, synthetic, synthetic_kd, **WHERE),
    )


def test_shares_of_the_gap_worked_by_hand() -> None:
    both, synthetic = closed(ARMS)
    assert both.tests[0].value == pytest.approx(1 - 0.03 / 0.06)
    assert synthetic.tests[0].value == pytest.approx(0.04 / 0.06)
    assert [claim.verdict for claim in (both, synthetic)] == ["supported", "supported"]
    assert both.tests[0].unit == "share"
    assert both.tests[0].low < 0.5 < both.tests[0].high
    assert "+6.00 points" in both.statement
    assert "+3.00 points" in both.statement
    assert "share of the gap closed 50.00 % [" in both.statement
    assert "66.67 % [" in synthetic.statement


def test_a_gap_that_widens_is_not_closed() -> None:
    wider = ARMS | {"real_kd": arm([0.97, 0.99], people=people(2), own=0.001, rng=5)}
    both, synthetic = closed(wider)
    assert (both.verdict, synthetic.verdict) == ("not supported", "supported")
    assert both.tests[0].value == pytest.approx(1 - 0.08 / 0.06)


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [([0.91, 0.93], "its interval includes 0"), ([0.95, 0.96], "“synthetic” is ahead")],
)
def test_without_a_gap_nothing_can_be_closed(accuracies: list[float], reason: str) -> None:
    arms = ARMS | {"synthetic": arm(accuracies, people=people(2), own=0.001, rng=3)}
    for claim in closed(arms):
        assert claim.verdict == "undefined"
        assert claim.tests[0].value is None
        assert reason in claim.statement


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-0.2, 0.02), factor=st.floats(0.5, 1))
def test_shares_ignore_a_common_shift_and_scale(shift: float, factor: float) -> None:
    """Share of a gap: the same whatever the zero and the unit of accuracy."""
    values = {"real": 0.92, "real_kd": 0.93, "synthetic": 0.86, "synthetic_kd": 0.90}
    noise = people(2, 0.002)
    moved = {
        name: arm([shift + factor * value] * 2, people=factor * noise, rng=1)
        for name, value in values.items()
    }
    plain = {name: arm([value] * 2, people=noise, rng=1) for name, value in values.items()}
    for first, second in zip(closed(plain), closed(moved), strict=True):
        for bound in ("value", "low", "high"):
            expected = getattr(first.tests[0], bound)
            assert getattr(second.tests[0], bound) == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_a_ratio_is_fiellers() -> None:
    """Normal numerators and denominators: Fieller (1954) gives the interval in closed form."""
    spread = 0.004
    arms = {
        name: arm([value, value], own=spread, seeds=1, replicates=4000, rng=rng)
        for rng, (name, value) in enumerate(
            {"real": 0.90, "real_kd": 0.90, "synthetic": 0.80, "synthetic_kd": 0.84}.items()
        )
    }
    _, claim = closed(arms)
    # Numerator 0.04 = synthetic_kd − synthetic, denominator 0.10 = real − synthetic; each arm's
    # mean over two groups has variance v, so both have 2v and share synthetic's v.
    v = spread**2 / 2
    z = stats.norm.ppf(0.975)
    a, b = 0.04, 0.10
    roots = np.roots([b**2 - z**2 * 2 * v, -2 * (a * b - z**2 * v), a**2 - z**2 * 2 * v])
    share = claim.tests[0]
    assert (share.low, share.high) == pytest.approx(sorted(roots), abs=0.008)


def test_intervals_have_the_level_of_the_evaluations() -> None:
    bootstrap = ARMS["real"].bootstrap.model_copy(update={"level": 0.5})
    narrow = {name: of.model_copy(update={"bootstrap": bootstrap}) for name, of in ARMS.items()}
    for wide, half in zip(closed(ARMS), closed(narrow), strict=True):
        for first, second in zip(wide.tests, half.tests, strict=True):
            assert first.low < second.low < second.high < first.high


@pytest.mark.parametrize(
    ("mean", "verdict", "words"),
    [
        (0.918, "supported", "lies above"),
        (0.911, "undecided", "includes"),
        (0.890, "not supported", "lies below"),
        (0.95, "supported", "lies above"),
    ],
)
def test_a_mix_may_lose_one_point_at_most(mean: float, verdict: str, words: str) -> None:
    mix = arm([mean - 0.01, mean + 0.01], people=people(2), own=0.002, rng=7)
    claim = claims.mix_matches_real(ARMS["real"], mix, benchmark="groups", teacher=None)
    assert (claim.id, claim.verdict) == ("mix-matches-real-plain", verdict)
    assert f"the interval {words} the margin" in claim.statement
    (test,) = claim.tests
    assert test.value == pytest.approx(mean - 0.92)
    samples = mix.samples("overall.accuracy") - ARMS["real"].samples("overall.accuracy")
    samples += test.value - np.sort(samples)[len(samples) // 2 - 1]
    assert test.p_value == pytest.approx((1 + np.sum(samples <= -0.01)) / 201)


def test_the_claim_with_a_teacher_has_its_own_id() -> None:
    claim = claims.mix_matches_real(ARMS["real_kd"], ARMS["real_kd"], **WHERE)
    assert (claim.id, claim.teacher) == ("mix-matches-real", "sface")
    assert "with KD from sface" in claim.statement


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [(0.85, "supported"), (0.80, "undecided"), (0.75, "not supported")]
)
def test_other_people(accuracy: float, verdict: str) -> None:
    plain, distilled = (
        arm([value], people=people(1), own=0.002, rng=rng)
        for rng, value in enumerate((0.80, accuracy))
    )
    references = {"untrained network": arm([0.6]), "teacher SFace": arm([0.99], seeds=1)}
    claim = claims.kd_helps_on_others(
        plain, distilled, references, benchmark="orl", teacher="sface"
    )
    assert (claim.id, claim.verdict) == ("real-people:orl", verdict)
    assert claim.tests[0].value == pytest.approx(0.80 - accuracy)
    for words in (f"{100 * (1 - accuracy):.2f} %", "20.00 %", "untrained network 40.00 %"):
        assert words in claim.statement
    assert "teacher SFace 1.00 %" in claim.statement
    assert claim.tests[0].note is None


def test_few_other_people_are_flagged() -> None:
    ten = arm([0.8], people=people(1), identities=10)
    claim = claims.kd_helps_on_others(ten, ten, {}, benchmark="openpeople", teacher="sface")
    assert "Only 10 people" in claim.statement
    assert "too narrow" in (claim.tests[0].note or "")


@settings(max_examples=10, deadline=None)
@given(st.permutations([0, 1, 2]))
def test_the_order_of_groups_does_not_matter(order: list[int]) -> None:
    gains, noise = np.array([0.85, 0.86, 0.90]), people()
    own = np.random.default_rng(1).normal(0, 0.002, noise.shape)

    def both(o: list[int]) -> tuple[ArmEvaluation, ArmEvaluation]:
        accuracies = np.array([0.80, 0.85, 0.90])
        return (
            arm(accuracies[o].tolist(), people=noise[:, o]),
            arm(gains[o].tolist(), people=(noise + own)[:, o]),
        )

    first, second = raises(*both([0, 1, 2])), raises(*both(order))
    assert first.verdict == second.verdict
    assert first.tests[0].value == pytest.approx(second.tests[0].value)
    assert first.tests[0].p_value == second.tests[0].p_value
