"""The grid that a study file declares."""

from __future__ import annotations

import pytest

from evenface.errors import UsageError
from evenface.study.cells import cells
from evenface.study.spec import load_study

BACKBONES = {"large": {"backbone.name": "mini_l"}, "small": {"backbone.name": "mini_s"}}
LOSSES = {"cosine": {"distill.name": "template"}, "rkd": {"distill.name": "rkd"}}


def grid(**changes):
    base = {"training_sets": ["real", "synthetic"], "teachers": ["study"]}
    return cells(load_study("smoke", base | changes))


def test_without_factors_it_is_sets_and_teachers():
    assert [c.id for c in grid(teachers=["study", "sface"])] == [
        f"{s}-{kd}" for s in ("real", "synthetic") for kd in ("plain", "kd-study", "kd-sface")
    ]


def test_every_level_meets_every_set():
    found = grid(factors={"backbone": BACKBONES})
    assert len(found) == 2 * 2 * 2
    assert found[0].id == "real-large-plain"
    assert found[0].levels == {"backbone": "large"}
    assert found[0].overrides == {"backbone.name": "mini_l"}


def test_the_first_note_that_matches_an_arm_is_its_own():
    notes = [
        {"when": {"set": "real", "teacher": ["none"]}, "note": "a"},
        {"when": {"set": ["real"]}, "note": "b"},
        {"note": "c"},
    ]
    assert [c.note for c in grid(arm_notes=notes)] == ["a", "b", "c", "c"]
    assert {c.note for c in grid(arm_notes=notes[:2])} == {"a", "b", ""}
    with pytest.raises(UsageError, match="arm_notes: no factor 'sets'"):
        grid(arm_notes=[{"when": {"sets": "real"}, "note": "a"}])


def test_a_factor_of_one_level_is_not_named():
    found = grid(factors={"backbone": {"large": BACKBONES["large"]}})
    assert [c.id for c in found][:2] == ["real-plain", "real-kd-study"]
    assert found[0].overrides == {"backbone.name": "mini_l"}


def test_a_factor_of_distillation_is_one_of_distilled_students():
    found = grid(factors={"loss": LOSSES}, training_sets=["real"])
    assert [c.id for c in found] == ["real-plain", "real-cosine-kd-study", "real-rkd-kd-study"]
    assert found[0].levels == {}


def test_constraints_leave_out_what_they_forbid():
    rules = [
        {"when": {"backbone": "large"}, "require": {"set": "real"}},
        {"when": {"set": "real"}, "require": {"teacher": ["study"]}},
    ]
    found = grid(factors={"backbone": BACKBONES}, constraints=rules)
    assert [c.id for c in found] == [
        "real-large-kd-study",
        "real-small-kd-study",
        "synthetic-small-plain",
        "synthetic-small-kd-study",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": {"set": BACKBONES}}, "set is one already"),
        ({"factors": {"backbone": {}}}, "backbone has no level"),
        ({"constraints": [{"when": {"head": "x"}, "require": {}}]}, "no factor 'head'"),
        ({"constraints": [{"when": {"set": "moon"}, "require": {}}]}, "set has no level moon"),
        (
            {"constraints": [{"when": {"set": ["real", "synthetic"]}, "require": {"teacher": []}}]},
            "leave no arm",
        ),
        (
            {"factors": {"a": BACKBONES, "b": {"x": {"backbone.name": "mini_m"}, "y": {}}}},
            "two factors, .* change backbone.name",
        ),
        (
            {"teachers": [{"recipe": "teacher-study", "set": "moon"}]},
            "learns from 'moon', which is no training set",
        ),
        ({"student": {"recipe": "student-{variant}"}}, "variant: a recipe is named with"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        grid(**changes)


def test_two_arms_of_one_name_are_refused():
    levels = {"a": {}, "b": {"batch_size": 32}}
    other = {"b-c": {"head.weight": 1.0}, "c": {"head.weight": 0.5}}
    sets = {"real": {"kind": "real"}, "real-a": {"kind": "real"}}
    with pytest.raises(UsageError, match="two arms would be called real-a"):
        grid(
            training_sets=sets,
            factors={"x": {"a-b": {"flip": True}, "b": {"flip": False}}, "y": {**other, **levels}},
        )
