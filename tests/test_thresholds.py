"""Which threshold a model decides by: as given, of an audit, from photographs, or its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.errors import DataError, UsageError
from evenface.evaluate.results import Evaluation
from evenface.files import read_json, write_json
from evenface.recogniser import Recogniser
from evenface.teachers import load_teacher
from evenface.teachers.on_photographs import MeasuredModel, Point
from evenface.thresholds import Threshold, choose_threshold, short
from pattern_people import write_people
from toy_onnx import write_recogniser

ONE_VIEW = ("original",)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return load_teacher(write_recogniser(tmp_path_factory.mktemp("toy") / "toy.onnx").path)


@pytest.fixture
def measured(toy) -> MeasuredModel:
    points = (
        Point(fmr=1e-2, fnmr=0.1, threshold=0.3),
        Point(fmr=1e-3, fnmr=0.2, threshold=0.4),
        Point(fmr=1e-4, fnmr=0.3),
    )
    return MeasuredModel(title="", fingerprint=toy.fingerprint, views=ONE_VIEW, points=points)


@pytest.fixture(scope="module")
def audit(toy, tmp_path_factory) -> Path:
    """What `evenface evaluate toy.onnx people --no-flip --out audit` writes."""
    folder = tmp_path_factory.mktemp("audit")
    write_people(folder / "people", [(f"p{i}", "north", 3) for i in range(24)])
    command = ["evaluate", toy.path, folder / "people", "--no-flip", "--replicates", "5"]
    with pytest.raises(SystemExit) as exit_:
        main([*map(str, command), "--out", str(folder / "audit")])
    assert exit_.value.code == 0
    return folder / "audit"


def test_the_default_is_one_in_a_thousand(toy, measured):
    assert choose_threshold(toy, measured, ONE_VIEW) == Threshold(0.4, "photographs", 1e-3)
    assert choose_threshold(toy, measured, ONE_VIEW, fmr=0.01).value == 0.3


def test_an_fmr_without_a_threshold_is_refused_and_the_known_are_listed(toy, measured):
    for fmr in (1e-4, 3e-3):
        with pytest.raises(UsageError, match=rf"FMR {short(fmr)}; known: 1e-2, 1e-3$"):
            choose_threshold(toy, measured, ONE_VIEW, fmr=fmr)


def test_a_model_without_thresholds_has_none(toy):
    assert choose_threshold(toy, None, ONE_VIEW) is None
    for fmr in (0, 1, -1e-3, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            choose_threshold(toy, None, ONE_VIEW, fmr=fmr)
    with pytest.raises(UsageError, match="give a threshold, or an audit of the model"):
        choose_threshold(toy, None, ONE_VIEW, fmr=1e-3)


def test_small_decides_by_renders_and_says_so():
    small = load_teacher("small")
    found = choose_threshold(small, None, ONE_VIEW)
    assert found.value == pytest.approx(0.6851, abs=1e-4)
    assert str(found) == "threshold 0.685 from renders; not valid for photographs"
    with pytest.raises(UsageError, match="known: 1e-3"):
        choose_threshold(small, None, ONE_VIEW, fmr=1e-4)


def test_a_threshold_as_given_has_no_known_rates(toy, measured):
    found = choose_threshold(toy, measured, ONE_VIEW, value=0.25)
    assert (found.value, found.basis, found.fmr) == (0.25, "given", None)
    assert "not known" in str(found)
    with pytest.raises(UsageError, match="between −1 and 1"):
        choose_threshold(toy, measured, ONE_VIEW, value=1.5)
    for other in ({"fmr": 1e-3}, {"audit": "x"}):
        with pytest.raises(UsageError, match="not both"):
            choose_threshold(toy, measured, ONE_VIEW, value=0.2, **other)


@pytest.mark.parametrize("place", [".", "evaluation.json"])
def test_an_audit_brings_its_threshold(toy, audit, place):
    points = {p.key: p for p in Evaluation.read(audit).operating_points}
    found = choose_threshold(toy, None, ONE_VIEW, fmr=1e-1, audit=audit / place)
    assert (found.value, found.basis) == (points["1e-1"].threshold, "audit")
    assert found.audit.fmr == points["1e-1"].fmr
    recogniser = Recogniser.load(toy.path, fmr=1e-1, audit=audit)
    assert recogniser.decides_by == found
    assert str(recogniser.about) == f"model: toy. Audited on {found.audit.protocol}."


def test_an_audit_that_does_not_support_the_fmr_is_refused(toy, audit):
    with pytest.raises(UsageError, match="sets no threshold for FMR 1e-5; known: 1e-1"):
        choose_threshold(toy, None, ONE_VIEW, fmr=1e-5, audit=audit)


def test_an_audit_of_another_model_or_view_is_refused(toy, audit, tmp_path):
    other = load_teacher(write_recogniser(tmp_path / "other.onnx", seed=7).path)
    with pytest.raises(DataError, match="audits another model"):
        choose_threshold(other, None, ONE_VIEW, audit=audit)
    with pytest.raises(DataError, match=r"original, but toy is used with original\+flip.*--flip"):
        choose_threshold(toy, None, ("original", "flip"), audit=audit)


def test_a_folder_that_names_no_model_is_refused(toy, audit, tmp_path):
    with pytest.raises(DataError, match=r"does not say which model it audits.*evenface evaluate"):
        choose_threshold(toy, None, ONE_VIEW, audit=tmp_path)
    write_json(tmp_path / "made_from.json", {**read_json(audit / "made_from.json"), "settings": 1})
    with pytest.raises(DataError, match="does not name a model and its views"):
        choose_threshold(toy, None, ONE_VIEW, audit=tmp_path)


@pytest.mark.parametrize(
    ("fmr", "text"), [(1e-3, "1e-3"), (0.01, "1e-2"), (2.5e-4, "2.5e-4"), (1.0, "1e0")]
)
def test_rates_are_written_as_in_the_field(fmr, text):
    assert short(fmr) == text
