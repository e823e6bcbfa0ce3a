"""Study files are validated before anything starts."""

from __future__ import annotations

import pytest

from evenface.errors import UsageError
from evenface.study.spec import list_studies, load_study, teacher_id


@pytest.mark.parametrize("name", list_studies())
def test_named_studies_resolve(name):
    spec = load_study(name)
    assert spec.name == name
    assert spec.simulated


def test_own_real_faces_supply_the_tests(tmp_path):
    spec = load_study("quick").with_own_faces(tmp_path, None)
    assert spec.faces.real.kind == "folder"
    assert spec.faces.test.kind == "held-out"
    assert spec.faces.more_tests == {}
    assert spec.faces.synthetic.kind == "render"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"teacher": "sface"}, "did you mean 'teachers'"),
        ({"training_seeds": []}, "training_seeds"),
        ({"training_seeds": [1, 1]}, "training_seeds: 1, 1 are not all different"),
        ({"teachers": ["a/x.onnx", "b/x.onnx"]}, "teachers: x, x are not all different"),
        ({"mix.real_fraction": 1.5}, "real_fraction"),
        ({"faces.test.look": 3}, "look"),
        ({"faces.more_tests": {"orl": {"look": "camera", "identities_per_group": 2,
                                       "images_per_identity": 2}}}, "the name orl is taken"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_study("smoke", overrides)


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
