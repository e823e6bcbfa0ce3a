"""From arms and evaluations to the entries of results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from arm_models import model
from evenface.evaluate import Evaluation
from evenface.study.answers import Arm, summarise
from evenface.study.claim_settings import ClaimSettings

SEEDS = (0, 1, 2)
OTHERS = ("orl",)
ACCURACY = {"real": 0.90, "synthetic": 0.82, "mix": 0.89}
GAIN = {None: 0.0, "sface": 0.03, "study": 0.02}
Evaluations = dict[str, dict[str, Sequence[Evaluation]]]


def student(training_set: str, teacher: str | None) -> Arm:
    return Arm(
        id=f"{training_set}-kd-{teacher}" if teacher else f"{training_set}-plain",
        title=training_set,
        kind="student",
        set=training_set,
        kd=teacher is not None,
        teacher=teacher,
        seeds=SEEDS,
    )


ARMS = [
    *(student(name, teacher) for name in ACCURACY for teacher in GAIN),
    *(
        Arm(f"teacher-{t}", f"teacher {t}", "teacher", None, None, t, ())
        for t in ("sface", "study")
    ),
    Arm("untrained", "untrained network", "untrained", None, None, None, SEEDS),
]


def models(mean: float, seeds: Sequence[int], groups: int, rng: int) -> list[Evaluation]:
    noise = np.random.default_rng(5).normal(0, 0.004, (100, groups))
    own = np.random.default_rng(rng).normal(0, 0.002, (100, groups))
    found = []
    for seed in seeds or (0,):
        values = mean + 0.02 * (np.arange(groups) - (groups - 1) / 2) + 0.001 * seed
        found.append(model(values.tolist(), values + noise + own))
    return found


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    result: Evaluations = {}
    for rng, arm in enumerate(ARMS):
        mean = ACCURACY[arm.set] + GAIN[arm.teacher] if arm.set else 0.7
        result[arm.id] = {
            "groups": models(mean, arm.seeds, 3, rng),
            "orl": models(mean, arm.seeds, 1, rng),
            "studio": models(mean, arm.seeds, 3, rng + 50),
        }
    return result


OF_UNEVENNESS = (
    "kd-lowers-absolute-unevenness",
    "kd-lowers-relative-unevenness",
    "kd-lowers-absolute-unevenness-of-fnmr",
    "kd-lowers-relative-unevenness-of-fnmr",
    "kd-lowers-absolute-unevenness-of-fmr",
    "kd-lowers-relative-unevenness-of-fmr",
    "worst-group-better-off",
    "no-group-worse-off",
)


def ids(claims: Sequence[Mapping[str, object]]) -> list[tuple[object, object, object]]:
    return [(claim.benchmark, claim.teacher, claim.id) for claim in claims]


def test_every_claim_on_every_benchmark_for_every_teacher(evaluations: Evaluations) -> None:
    claims = summarise(ARMS, evaluations, others=OTHERS).claims
    of_teacher = [
        *(f"kd-raises-accuracy:{name}" for name in ACCURACY),
        *(f"{rule}:{name}" for rule in OF_UNEVENNESS for name in ACCURACY),
        "gap-closed",
        "gap-closed-synthetic",
        "mix-matches-real",
    ]
    expected: list[tuple[object, object, object]] = []
    for benchmark in ("groups", "studio"):
        for teacher in ("sface", "study"):
            expected += [(benchmark, teacher, claim) for claim in of_teacher]
        expected.append((benchmark, None, "mix-matches-real-plain"))
    expected += [("orl", teacher, "real-people:orl") for teacher in ("sface", "study")]
    assert ids(claims) == expected
    for claim in claims:
        assert claim.levels == {}
        assert claim.question.endswith("?")
        assert claim.statement.endswith(".")
        assert claim.rule.endswith(".")
        assert claim.tests
    verdicts = {claim.id: claim.verdict for claim in claims}
    assert verdicts["kd-raises-accuracy:real"] == "supported"
    assert verdicts["gap-closed-synthetic"] == "supported"


def test_own_references_are_named(evaluations: Evaluations) -> None:
    claims = summarise(ARMS, evaluations, others=OTHERS).claims
    on_people = [claim for claim in claims if claim.benchmark == "orl"]
    for claim, own, other in zip(on_people, ("sface", "study"), ("study", "sface"), strict=True):
        assert "untrained network 29.90 %" in claim.statement
        assert f"teacher {own} " in claim.statement
        assert f"teacher {other}" not in claim.statement


def test_differences(evaluations: Evaluations) -> None:
    summary = summarise(ARMS, evaluations, others=OTHERS)
    rows = summary.differences
    over_groups = [
        *("accuracy", "std_sample", "ser", "gap", "dprime_gap", "probit_gap", "avg_minus_std"),
        "fnmr_ratio",
    ]
    of_pair = [
        row for row in rows if (row.set, row.benchmark, row.teacher) == ("mix", "groups", "study")
    ]
    assert [(row.group, row.metric) for row in of_pair] == [
        *((group, metric) for metric in ("accuracy", "eer") for group in "abc"),
        *(("mean", metric) for metric in over_groups),
    ]
    assert [row.value for row in of_pair[:3]] == pytest.approx([0.02] * 3)
    assert [row.value for row in of_pair[3:6]] == pytest.approx([-0.02] * 3)
    for row in of_pair:
        assert (row.p_holm is None) == (row.group == "mean")
        if row.p_holm is not None:
            assert row.p_value <= row.p_holm <= min(1, 3 * row.p_value)
    on_people = [row for row in rows if row.benchmark == "orl"]
    assert {row.metric for row in on_people} == {"accuracy", "eer"}
    assert len(on_people) == 3 * 2 * 2


def test_evaluations_of_arms(evaluations: Evaluations) -> None:
    entries = summarise(ARMS, evaluations, others=OTHERS).evaluations
    assert list(entries) == [arm.id for arm in ARMS]
    entry = entries["real-plain"]["groups"]
    assert [s.seed for s in entry.seeds] == list(SEEDS)
    assert entry.groups["b"].accuracy.value == pytest.approx(0.901)
    assert entries["teacher-sface"]["groups"].seeds == []


def test_it_is_json_and_the_same_each_time(evaluations: Evaluations) -> None:
    first, second = (
        summarise(ARMS, evaluations, others=OTHERS).model_dump_json() for _ in range(2)
    )
    assert first == second


def test_missing_arms_leave_their_claims_out(evaluations: Evaluations) -> None:
    kept = [arm for arm in ARMS if arm.set in ("synthetic", "mix") and arm.teacher != "study"]
    claims = summarise(kept, {arm.id: evaluations[arm.id] for arm in kept}, others=OTHERS).claims
    assert {claim.id for claim in claims} == {
        "kd-raises-accuracy:synthetic",
        "kd-raises-accuracy:mix",
        *(f"{rule}:{name}" for rule in OF_UNEVENNESS for name in ("synthetic", "mix")),
        "real-people:orl",
    }
    plain = [arm for arm in ARMS if arm.kd is False]
    summary = summarise(plain, {arm.id: evaluations[arm.id] for arm in plain}, others=OTHERS)
    assert summary.differences == ()
    assert [claim.id for claim in summary.claims] == ["mix-matches-real-plain"] * 2


def test_without_groups_only_unevenness_is_not_asked_about(evaluations: Evaluations) -> None:
    one_group = {arm: {"groups": of["orl"], "orl": of["orl"]} for arm, of in evaluations.items()}
    claims = summarise(ARMS, one_group, others=OTHERS).claims
    of_teacher = [
        *(f"kd-raises-accuracy:{name}" for name in ACCURACY),
        *("gap-closed", "gap-closed-synthetic", "mix-matches-real"),
    ]
    assert ids(claims) == [
        *(("groups", teacher, claim) for teacher in ("sface", "study") for claim in of_teacher),
        ("groups", None, "mix-matches-real-plain"),
        *(("orl", teacher, "real-people:orl") for teacher in ("sface", "study")),
    ]
    first = claims[0]
    assert (first.verdict, first.tests[0].value) == ("supported", pytest.approx(0.03))
    assert first.question == "Does distillation raise accuracy (training set real)?"
    assert "differ in accuracy by +3.00 points [" in first.statement
    assert "group" not in first.statement


@pytest.mark.parametrize(
    ("seeds", "caution"),
    [
        (
            1,
            " One training seed: chance in training is not covered, so nothing is decided whatever "
            "the intervals say (that takes 3).",
        ),
        (
            2,
            " 2 training seeds show little of the chance in training, so nothing is decided "
            "whatever the intervals say (that takes 3).",
        ),
        (3, " 3 training seeds show little of the chance in training."),
        (7, " 7 training seeds show little of the chance in training."),
        (8, ""),
    ],
)
def test_few_seeds_are_said_in_every_claim(seeds: int, caution: str) -> None:
    arms = [
        replace(student("real", teacher), seeds=tuple(range(seeds))) for teacher in (None, "sface")
    ]
    evaluations: Evaluations = {
        arm.id: {"groups": models(0.8 + GAIN[arm.teacher], arm.seeds, 2, rng)}
        for rng, arm in enumerate(arms)
    }
    claims = summarise(arms, evaluations).claims
    assert len(claims) == 1 + len(OF_UNEVENNESS)
    for claim in claims:
        assert claim.statement.endswith(caution)
        assert ("training seed" in claim.statement) == bool(caution)
    raises = claims[0]
    assert raises.tests[0].p_value < 0.05
    assert raises.verdict == ("supported" if seeds >= 3 else "undecided")


def test_another_level_is_refused(evaluations: Evaluations) -> None:
    with pytest.raises(ValueError, match=r"real-plain on groups: evaluated at level 0\.95"):
        summarise(ARMS, evaluations, settings=ClaimSettings(level=0.9))
