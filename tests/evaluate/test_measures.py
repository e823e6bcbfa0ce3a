"""The catalogue of measures: complete, of one voice, and behind what evaluations say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from audits import evaluation, score_table

from evenface.evaluate.measures import MEASURES, TERMS, better, measure, of_kind
from evenface.evaluate.results import Overall
from evenface.report.glossary import AUDIT_TERMS, STUDY_TERMS

SHIFTS = tuple(of_kind("scores"))


def test_every_measure_is_in_a_glossary_once() -> None:
    assert {of.term for of in MEASURES.values()} == set(TERMS)
    ids = [term.id for term in AUDIT_TERMS]
    assert len(ids) == len(set(ids))
    assert set(TERMS) <= set(ids)
    assert len({term.id for term in STUDY_TERMS}) == len(STUDY_TERMS)


@pytest.mark.parametrize(
    ("name", "title", "scale", "digits"),
    [
        ("tar@far=1e-3", "TAR@FAR 0.1 %", 100, 2),
        ("own.fmr@1e-4", "FMR at FMR 0.01 %", 100, 4),
        ("overall.accuracy", "mean accuracy", 100, 2),
        ("mean.auc", "AUC", 1, 4),
        ("overall.avg_minus_std", "AVG − STD", 100, 2),
    ],
)
def test_names_are_parsed(name: str, title: str, scale: float, digits: int) -> None:
    found = measure(name)
    assert (found.title, found.scale, found.digits) == (title, scale, digits)


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown measure 'overall\.luck'"):
        measure("overall.luck")


def test_directions() -> None:
    assert better("tar@far=1e-2", 0.1)
    assert better("overall.avg_minus_std", 0.1)
    assert not better("global.garbe", 0.1)


def test_every_replicate_and_only_measures_are_in_the_catalogue() -> None:
    found = evaluation()
    for name in found.replicates:
        assert measure(name).title
        groups = found.replicates[name].ndim == 2
        of = found.estimate(name, "asian" if groups else None)
        assert of.low is None or measure(name).low <= of.low
    computed = {n for n in of_kind("overall") if n not in Overall.model_fields}
    assert set(found.overall.measures) == computed
    assert set(found.operating_points[0].measures) == set(of_kind("threshold"))


def test_score_shifts_are_those_of_the_scores() -> None:
    found, table = evaluation(), score_table()
    for kind, chosen in (("genuine", table.genuine), ("impostor", ~table.genuine)):
        of_group = [
            table.score[chosen & (table.group1 == g) & (table.group2 == g)] for g in range(3)
        ]
        means = np.array([scores.mean() for scores in of_group])
        pooled = np.sqrt(np.mean([scores.var() for scores in of_group]))
        expected = (means - means.mean()) / pooled
        measured = [of.measures[f"{kind}_shift"] for of in found.groups.values()]
        assert [of.value for of in measured] == pytest.approx(list(expected), abs=1e-6)
        assert all(of.low < of.value < of.high for of in measured)
        gap = found.overall.estimate(f"{kind}_shift_gap").value
        assert gap == pytest.approx(np.ptp(expected), abs=1e-6)


def test_average_minus_std() -> None:
    found = evaluation()
    accuracies = [of.accuracy.value for of in found.groups.values()]
    expected = np.mean(accuracies) - np.std(accuracies, ddof=1)
    assert found.overall.measures["avg_minus_std"].value == pytest.approx(expected)


def test_one_group_is_not_compared_with_itself() -> None:
    found = evaluation(groups=("all",))
    assert not found.overall.measures
    assert not found.groups["all"].measures
