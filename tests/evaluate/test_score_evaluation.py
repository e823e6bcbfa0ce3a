"""Evaluations of tables of scores."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from simulated_faces import faces

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate import (
    ScoreTable,
    compare_evaluations,
    evaluate_embeddings,
    evaluate_scores,
    protocol_from_manifest,
    protocol_scores,
)
from evenface.evaluate.calibration import cross_fitted_by_cluster
from evenface.evaluate.embeddings import unit_length


def table(seed: int = 0, size: int = 3000, *, folds: int = 5, named: bool = True) -> ScoreTable:
    """Scores of two groups of 40 people, some pairs across; people keep to one fold."""
    rng = np.random.default_rng(seed)
    group1 = rng.integers(0, 2, size)
    genuine = rng.random(size) < 0.4
    group2 = np.where(genuine | (rng.random(size) < 0.7), group1, 1 - group1)
    fold = rng.integers(0, folds, size)
    people = 40 // folds
    first = rng.integers(0, people, size)
    second = np.where(genuine, first, (first + rng.integers(1, people, size)) % people)
    unknown = np.full(size, -1)
    return ScoreTable(
        score=rng.normal(0.6 * genuine + 0.1 * (group1 == group2), 0.2),
        genuine=genuine,
        group1=group1,
        group2=group2,
        groups=("x", "y"),
        fold=fold,
        identity1=group1 * 40 + fold * people + first if named else unknown,
        identity2=group2 * 40 + fold * people + second if named else unknown,
    )


def _estimates(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        found = [value] if {"value", "low", "high"} <= set(value) else []
        return found + [e for child in value.values() for e in _estimates(child)]
    if isinstance(value, list):
        return [e for child in value for e in _estimates(child)]
    return []


def test_equals_the_evaluation_of_the_embeddings(two_groups: Manifest) -> None:
    """The fold pairs of a protocol, as a table of their cosines."""
    drawn = protocol_from_manifest(two_groups, folds=6)
    protocol = replace(drawn, score_pairs=drawn.fold_pairs)
    embeddings = faces(two_groups)
    scores = protocol_scores(embeddings, protocol)
    of_table = evaluate_scores(scores, cosine=True, replicates=60)
    of_faces = evaluate_embeddings(embeddings, protocol, replicates=60)
    assert of_table.bootstrap == of_faces.bootstrap
    for name in ("a", "b"):
        mine, theirs = of_table.groups[name], of_faces.groups[name]
        for measure in ("accuracy", "accuracy_exact", "eer", "auc"):
            for part in ("value", "low", "high"):
                expected = getattr(getattr(theirs, measure), part)
                assert getattr(getattr(mine, measure), part) == pytest.approx(expected, abs=1e-9)
        assert mine.tar_at_far["1e-2"] == theirs.tar_at_far["1e-2"]
        assert mine.dprime.value == pytest.approx(theirs.dprime.value, rel=1e-6)
    points = zip(of_table.operating_points, of_faces.operating_points, strict=True)
    for mine, theirs in points:
        assert mine.chosen_on == theirs.chosen_on == "other folds"
        assert mine.fmr == theirs.fmr
        assert mine.fnmr == theirs.fnmr
        assert mine.measures == theirs.measures


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_every_figure_has_an_interval(named: bool, folded: bool) -> None:
    scores = table(named=named)
    if not folded:
        scores = replace(scores, fold=np.full(len(scores), -1))
    result = evaluate_scores(scores, replicates=100)
    assert result.bootstrap.unit == ("identity" if named else "pair")
    assert ("too narrow" in " ".join(result.protocol.notes)) == (not named)
    assert ("dealt to 10 folds" in " ".join(result.protocol.notes)) == (not folded)
    halves = "other half of the identities" if named and not folded else "other folds"
    assert {point.chosen_on for point in result.operating_points} == {halves}
    estimates = _estimates(result.to_dict())
    assert len(estimates) > 80
    for estimate in estimates:
        if estimate["value"] is not None:
            assert estimate["low"] is not None
            assert estimate["low"] <= estimate["high"] if estimate["high"] is not None else True
        else:
            assert estimate["note"]
    json.dumps(result.to_dict(), allow_nan=False)
    assert set(result.cross_tables[0].cells["x"]) == {"x", "y"}


def test_calibration_by_clusters_evens_out_groups(two_groups: Manifest) -> None:
    """All faces of one group share a direction, so its scores are higher; clusters see that."""
    rng = np.random.default_rng(0)
    embeddings = faces(two_groups, noise=0.9)
    shared = rng.normal(size=embeddings.shape[1])
    embeddings[two_groups.groups() == "b"] += 2 * shared / np.abs(shared).mean()
    protocol = protocol_from_manifest(two_groups, folds=6)
    table_ = protocol_scores(embeddings, protocol)
    pairs = protocol.fold_pairs
    calibrated = cross_fitted_by_cluster(
        unit_length(embeddings),
        pairs.a,
        pairs.b,
        table_.score,
        table_.genuine,
        table_.fold,
        clusters=2,
    )
    before, after = (
        evaluate_scores(scores, replicates=150)
        for scores in (table_, replace(table_, score=calibrated))
    )
    assert after.worst_case_threshold.worst_error.value < (
        before.worst_case_threshold.worst_error.value
    )
    overall = {c.measure: c for c in compare_evaluations(before, after).overall}
    assert overall["worst_case.worst_error"].answer == "lower"


def test_cross_table_counts_the_pairs_of_the_table() -> None:
    scores = table()
    result = evaluate_scores(scores, replicates=0)
    cross = result.cross_tables[0]
    across = (scores.group1 != scores.group2) & ~scores.genuine
    cell = cross.cells["x"]["y"]
    assert cell.pairs == across.sum()
    assert cell.matches == np.sum(scores.score[across] >= cross.threshold)
    within = (scores.group1 == 1) & (scores.group2 == 1) & ~scores.genuine
    assert cross.cells["y"]["y"].pairs == within.sum()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 100))
def test_order_and_monotone_transforms_do_not_matter(seed: int) -> None:
    scores = table(seed, 600)
    plain = evaluate_scores(scores, replicates=0)
    order = np.random.default_rng(seed).permutation(len(scores))
    arrays = ("score", "genuine", "group1", "group2", "fold", "identity1", "identity2")
    shuffled = replace(scores, **{name: getattr(scores, name)[order] for name in arrays})
    # Exact in floating point, and strictly rising.
    stretched = replace(scores, score=np.where(scores.score > 0, 8 * scores.score, scores.score))
    for other in (shuffled, stretched):
        found = evaluate_scores(other, replicates=0)
        for name, group in found.groups.items():
            expected = plain.groups[name]
            assert group.accuracy_exact == expected.accuracy_exact
            assert group.eer == expected.eer
            assert group.auc.value == pytest.approx(expected.auc.value)
            assert group.tar_at_far == expected.tar_at_far
        for mine, theirs in zip(found.operating_points, plain.operating_points, strict=True):
            assert (mine.fmr, mine.fnmr) == (theirs.fmr, theirs.fnmr)
            assert mine.measures == theirs.measures


@pytest.mark.parametrize("score", ["constant", "ties"])
def test_ties_everywhere(score: str) -> None:
    scores = table()
    values = np.zeros(len(scores)) if score == "constant" else np.round(scores.score)
    result = evaluate_scores(replace(scores, score=values), replicates=40)
    json.dumps(result.to_dict(), allow_nan=False)
    if score == "constant":
        assert result.groups["x"].eer.value == 0.5
        assert result.groups["x"].dprime.value is None
        point = next(p for p in result.operating_points if p.key == "1e-1")
        assert point.threshold is None
        assert "impostors have the highest score" in (point.note or "")
        assert result.cross_tables == []


def test_folds_that_share_people_are_said() -> None:
    scores = table()
    leaking = replace(scores, fold=np.arange(len(scores)) % 5)
    notes = evaluate_scores(leaking, replicates=0).protocol.notes
    assert any("of 80 identities are in more than one fold" in note for note in notes)
    assert not evaluate_scores(scores, replicates=0).protocol.notes


def test_one_group_has_nothing_to_compare() -> None:
    scores = table()
    one = np.zeros(len(scores), dtype=np.int64)
    result = evaluate_scores(replace(scores, group1=one, group2=one, groups=("all",)))
    assert result.overall.std_corrected.value is None
    assert all(point.measures == {} for point in result.operating_points)
    assert result.cross_tables == []
    assert result.worst_case_threshold.worst_error.low is not None


def _changed(scores: ScoreTable, **rows: Any) -> ScoreTable:
    """With the named arrays' first element set."""
    copies: dict[str, NDArray] = {}
    for name, value in rows.items():
        copies[name] = getattr(scores, name).copy()
        copies[name][0] = value
    return replace(scores, **copies)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.inf}, "pair 0: the score is inf"),
        ({"genuine": True, "group1": 0, "group2": 1}, "pair 0 is genuine, but its groups differ"),
        ({"genuine": True, "group1": 0, "group2": 0, "identity1": 0, "identity2": 1}, "differ"),
        ({"genuine": False, "identity1": 0, "identity2": 0}, "of one identity"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_scores(_changed(table(), **change))


def test_groups_without_pairs_of_a_kind_are_named() -> None:
    scores = table()
    arrays = ("score", "genuine", "group1", "group2", "fold", "identity1", "identity2")
    kept = ~(scores.genuine & (scores.group1 == 1))
    lacking = replace(scores, **{name: getattr(scores, name)[kept] for name in arrays})
    with pytest.raises(DataError, match="group 'y' has no genuine pair"):
        evaluate_scores(lacking)
    nothing = replace(scores, **{name: getattr(scores, name)[:0] for name in arrays})
    with pytest.raises(DataError, match="no pairs"):
        evaluate_scores(nothing)


def test_scores_that_are_no_cosines_have_no_reference_grid() -> None:
    scores = table()
    with pytest.raises(DataError, match="is no cosine"):
        evaluate_scores(replace(scores, score=9 * scores.score), cosine=True)
    result = evaluate_scores(replace(scores, score=9 * scores.score), replicates=0)
    assert "exact thresholds" in (result.groups["x"].accuracy.note or "")
    assert result.groups["x"].accuracy.value == result.groups["x"].accuracy_exact.value


def test_arrays_that_do_not_fit_are_refused() -> None:
    scores = table()
    with pytest.raises(ValueError, match="must be"):
        evaluate_scores(replace(scores, fold=scores.fold[:-1]))
    with pytest.raises(ValueError, match="groups are numbered 0 … 1"):
        evaluate_scores(replace(scores, group2=scores.group2 + 1))


def test_pairs_without_names_are_counted() -> None:
    unnamed = _changed(table(), identity1=-1)
    result = evaluate_scores(unnamed, replicates=0)
    assert result.bootstrap.unit == "pair"
    assert "1 pairs name no identities, so none are used" in result.protocol.notes


def test_too_few_pairs_for_folds() -> None:
    scores = table(size=3)
    tiny = replace(
        scores,
        genuine=np.array([True, False, False]),
        group1=np.zeros(3, dtype=np.int64),
        group2=np.zeros(3, dtype=np.int64),
        groups=("x",),
        fold=np.full(3, -1),
        identity1=np.full(3, -1),
        identity2=np.full(3, -1),
    )
    with pytest.raises(DataError, match="fewer than two pairs of a kind"):
        evaluate_scores(tiny)


def test_folds_that_cannot_be_used_are_noted() -> None:
    one_fold = replace(table(), fold=np.zeros(len(table()), dtype=np.int64))
    notes = evaluate_scores(one_fold, replicates=0).protocol.notes
    assert any("folds are not used" in note for note in notes)


def test_a_rate_of_zero_is_bounded_at_every_threshold() -> None:
    good = table()
    perfect = replace(good, score=good.genuine + 0.01 * good.score)
    found = evaluate_scores(perfect, replicates=20)
    for group in found.groups.values():
        tar = group.tar_at_far["1e-1"]
        assert tar.value == 1
        assert tar.low is not None
        assert 0.5 < tar.low < 1
    point = found.operating_points[0]
    for of in (found.global_threshold.fnmr, {n: own.fnmr for n, own in point.own.items()}):
        for estimate in of.values():
            assert estimate.value == 0
            assert estimate.high is not None
            assert estimate.high > 0


def test_a_rate_of_zero_without_identities_says_what_its_interval_cannot() -> None:
    good = table(named=False)
    found = evaluate_scores(replace(good, score=good.genuine + 0.01 * good.score), replicates=20)
    for estimate in found.operating_points[0].fnmr.values():
        assert "no error among" in (estimate.note or "")


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_that_look_like_distances_are_noted(sign: int) -> None:
    good = table()
    notes = evaluate_scores(replace(good, score=sign * good.score), replicates=0).protocol.notes
    assert any("--distance" in note for note in notes) == (sign < 0)
