"""Study files are validated before anything starts."""

from __future__ import annotations

import pytest

from evenface.errors import UsageError
from evenface.study.from_python import choose_study
from evenface.study.spec import (
    list_studies,
    load_study,
    own_faces,
    teacher_id,
)


@pytest.mark.parametrize("name", list_studies())
def test_named_studies_resolve(name):
    spec = load_study(name)
    assert spec.name == name
    assert spec.simulated == (not name.startswith("paper") or name == "paper-mini")


def test_own_real_faces_supply_the_tests(tmp_path):
    spec = load_study("quick", own_faces(tmp_path))
    assert spec.faces.real.kind == "folder"
    assert spec.faces.test.kind == "held-out"
    assert spec.faces.more_tests == {}
    assert spec.faces.synthetic.kind == "render"
    assert "rendered" not in spec.description


def test_own_test_faces(tmp_path):
    spec = load_study("quick", own_faces(tmp_path / "a", test=tmp_path / "b"))
    assert spec.faces.test.path == tmp_path / "b"


def test_settings_beside_own_faces_are_kept(tmp_path):
    changes = {
        "faces.group_by": "ethnicity",
        "faces.test.fraction": 0.5,
        "faces.real.align": "never",
    }
    spec = load_study("quick", own_faces(tmp_path) | changes)
    assert spec.faces.group_by == "ethnicity"
    assert spec.faces.test.fraction == 0.5
    assert spec.faces.real.align == "never"


def test_without_own_faces_nothing_changes():
    assert own_faces() == {}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"teacher": "sface"}, "did you mean 'teachers'"),
        ({"training_seeds": []}, "training_seeds"),
        ({"training_seeds": [1, 1]}, "training_seeds: 1, 1 are not all different"),
        ({"teachers": ["a/x.onnx", "b/x.onnx"]}, "teachers: x, x are not all different"),
        ({"training_sets": []}, "training_sets"),
        ({"training_sets": ["real", "real"]}, "training_sets: real, real are not all different"),
        ({"evaluation.pairs_per_group": 5}, "at least two a fold, 20; got 5"),
        ({"teachers": ["study"], "faces.real.split": "teacher"}, "the study teacher learnt from"),
        ({"mix.real_fraction": 1.5}, "real_fraction"),
        ({"faces.test.look": 3}, "look"),
        ({"faces.more_tests": {"orl": {"look": "camera", "identities_per_group": 2,
                                       "images_per_identity": 2}}}, "the name orl is taken"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_study("smoke", overrides)


@pytest.mark.parametrize("name", ["real", "synthetic", "test", "groups"])
def test_further_tests_may_not_take_the_place_of_other_faces(name):
    faces = {"look": "camera", "identities_per_group": 2, "images_per_identity": 2}
    with pytest.raises(UsageError, match=f"the name {name} is taken"):
        load_study("smoke", {"faces.more_tests": {name: faces}})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sface", "sface"),
        ("runs/Teacher Big.v2", "teacher-big"),
        ("/a/IR100 (BUPT).onnx", "ir100-bupt"),
        ("§.onnx", "teacher"),
    ],
)
def test_teachers_are_called_by_their_stem(given, expected):
    assert teacher_id(given) == expected


def test_published_tests_stay_with_own_faces(tmp_path):
    assert choose_study("quick", real=tmp_path / "r").faces.test.kind == "held-out"
    spec = choose_study("paper", real=tmp_path / "r", synthetic=tmp_path / "s")
    assert spec.faces.real.path == tmp_path / "r"
    assert spec.faces.test.kind == "protocol"
    assert list(spec.faces.more_tests) == ["lfw", "cfp-fp", "cplfw", "calfw", "agedb-30"]
    assert spec.description == load_study("paper").description


@pytest.mark.parametrize("made", ["lfw.bin", "txts/", "asian_test.bin"])
def test_own_tests_may_be_published_sets(made, tmp_path):
    if made.endswith("/"):
        (tmp_path / made).mkdir()
    else:
        (tmp_path / made).touch()
    given = tmp_path / made if made == "lfw.bin" else tmp_path
    spec = load_study("quick", own_faces(tmp_path, test=given))
    assert spec.faces.test.kind == "protocol"
    assert spec.faces.test.spec == str(given)
