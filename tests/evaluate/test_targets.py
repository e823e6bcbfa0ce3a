"""Declared limits: how they are read, and what an evaluation says to them."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.errors import UsageError
from evenface.evaluate import Evaluation, evaluate_scores
from evenface.evaluate.score_table import ScoreTable
from evenface.evaluate.targets import check_target, parse_target


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two groups of 120 people; genuine scores of "b" are lower."""
    rng = np.random.default_rng(0)
    people, pairs = 120, 10
    parts: list[list[np.ndarray]] = []
    for g, genuine_mean in enumerate((3.0, 2.2)):
        who = np.repeat(np.arange(people), pairs) + 1000 * g
        other = 1000 * g + (who - 1000 * g + rng.integers(1, people, len(who))) % people
        parts.append(
            [rng.normal(genuine_mean, 1, len(who)), np.ones(len(who)), who, who, who * 0 + g]
        )
        parts.append([rng.normal(0, 1, len(who)), np.zeros(len(who)), who, other, who * 0 + g])
    score, genuine, first, second, group = (np.concatenate(of) for of in zip(*parts, strict=True))
    table = ScoreTable(
        score=score,
        genuine=genuine.astype(bool),
        group1=group.astype(np.int64),
        group2=group.astype(np.int64),
        groups=("a", "b"),
        fold=np.full(len(score), -1),
        identity1=first.astype(np.int64),
        identity2=second.astype(np.int64),
    )
    return evaluate_scores(table, replicates=200)


@pytest.mark.parametrize(
    ("text", "measure", "at_most", "limit", "fmr"),
    [
        ("fnmr_ratio<=1.5@fmr=1e-3", "fnmr_ratio", True, 1.5, 1e-3),
        ("fnmr <= 2% @ fmr=0.01", "fnmr", True, 0.02, 0.01),
        ("accuracy>=95%", "accuracy", False, 0.95, None),
        ("tar@far=1e-2≥0.9", "tar@far=1e-2", False, 0.9, None),
    ],
)
def test_targets_are_read(
    text: str, measure: str, at_most: bool, limit: float, fmr: float | None
) -> None:
    target = parse_target(text)
    assert (target.measure, target.at_most, target.fmr) == (measure, at_most, fmr)
    assert target.limit == pytest.approx(limit)


@pytest.mark.parametrize("text", ["", "fnmr", "fnmr=2", "fnmr<=x", "fnmr<=1@fmr=", "<=1"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="target"):
        parse_target(text)


def test_verdicts_follow_the_interval(evaluation: Evaluation) -> None:
    gap = evaluation.overall.gap
    assert gap.low is not None
    assert gap.high is not None
    for limit, verdict in (
        (gap.high, "met"),
        ((gap.low + gap.high) / 2, "undecided"),
        (gap.low * 0.99, "missed"),
    ):
        result = check_target(evaluation, parse_target(f"gap<={limit!r}"))
        assert (result.verdict, result.group) == (verdict, None)


def test_a_measure_of_groups_must_hold_in_every_one(evaluation: Evaluation) -> None:
    b = evaluation.groups["b"].accuracy
    assert b.low is not None
    assert b.high is not None
    met = check_target(evaluation, parse_target(f"accuracy>={b.low!r}"))
    missed = check_target(evaluation, parse_target(f"accuracy>={b.high * 1.001!r}"))
    assert (met.verdict, met.group) == ("met", "b")
    assert (missed.verdict, missed.group) == ("missed", "b")
    assert "in group b" in missed.statement


def test_rates_at_an_operating_point(evaluation: Evaluation) -> None:
    result = check_target(evaluation, parse_target("fnmr<=0.9@fmr=1e-2"))
    assert result.verdict == "met"
    point = next(p for p in evaluation.operating_points if p.key == "1e-2")
    assert result.estimate == max(point.fnmr.values(), key=lambda of: of.value or 0)
    assert check_target(evaluation, parse_target("fnmr_ratio>=1@fmr=1e-2")).verdict == "met"


def test_unknown_measures_and_points_are_named(evaluation: Evaluation) -> None:
    with pytest.raises(UsageError, match="there are accuracy, accuracy_exact, eer"):
        check_target(evaluation, parse_target("fairness<=1"))
    with pytest.raises(UsageError, match="there are fmr, fnmr, fdr"):
        check_target(evaluation, parse_target("accuracy<=1@fmr=1e-2"))
    with pytest.raises(UsageError, match=r"no operating point at FMR 0\.3"):
        check_target(evaluation, parse_target("fnmr<=1@fmr=0.3"))


def test_without_intervals_nothing_is_decided(evaluation: Evaluation) -> None:
    bare = evaluation.overall.model_copy(
        update={"gap": evaluation.overall.gap.model_copy(update={"low": None, "high": None})}
    )
    result = check_target(
        evaluation.model_copy(update={"overall": bare}), parse_target("gap<=0.99")
    )
    assert result.verdict == "undecided"
