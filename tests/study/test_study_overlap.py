"""People of the tests are left out of training where a study asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.errors import UsageError
from evenface.study.faces import prepare_faces, training_sets
from evenface.study.plan import plan_study
from evenface.study.spec import StudySpec, load_study
from evenface.study.stages import StageLog
from pattern_people import write_people

GROUPS = ("east", "west")


def shared_people(tmp_path: Path, **changes: object) -> StudySpec:
    """12 real people, 12 synthetic ones of the same names, 8 test people: 4 real ones, 4 others."""
    people = [(f"{group}-{i}", group, 2) for group in GROUPS for i in range(6)]
    others = [(f"new-{group}-{i}", group, 2) for group in GROUPS for i in range(2)]
    write_people(tmp_path / "real", people)
    made = {name: f"{name}-made" for name, _, _ in people[1:]}
    write_people(tmp_path / "made", people, origin="synthetic", names=made)
    write_people(tmp_path / "test", [*people[:2], *people[6:8], *others])
    part = {"kind": "folder", "origin": "real"}
    settings = {
        "faces.real": {**part, "path": str(tmp_path / "real")},
        "faces.synthetic": {
            "kind": "folder",
            "path": str(tmp_path / "made"),
            "origin": "synthetic",
        },
        "faces.test": {**part, "path": str(tmp_path / "test")},
        "faces.more_tests": {},
        "training_sets": ["real", "synthetic"],
        "evaluation.real_people": [],
    }
    return load_study("smoke", settings | changes)


def test_shared_names_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = prepare_faces(shared_people(tmp_path), StageLog(tmp_path / "study"))
    said = " ".join(capsys.readouterr().err.split())
    assert "4 identities are both in the real and the test faces" in said
    assert "faces.exclude_overlap=names" in said
    assert len(faces.real.identities()) == 12
    assert faces.left_out == {}


def test_shared_names_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = shared_people(tmp_path, **{"faces.exclude_overlap": "names"})
    log = StageLog(tmp_path / "study")
    faces = prepare_faces(spec, log)
    assert faces.left_out == {"real": {"test": ["east-0", "east-1", "west-0", "west-1"]}}
    assert not set(faces.real.identities()) & set(faces.test.identities())
    assert len(faces.real.identities()) == 8
    # A synthetic person is nobody of the test, whatever the name.
    assert "east-0" in faces.synthetic.identities()
    assert "4 people left out, whose names are in test" in capsys.readouterr().err
    sets = training_sets(spec, faces, log)
    assert len(sets["real"].identities()) == 8
    plan = plan_study(spec, tmp_path / "study")
    assert {s.name: s.state for s in plan.stages}["set: real"] == "finished"
    assert plan.sizes["real"].identities == 8


def test_nobody_left_is_refused(tmp_path: Path) -> None:
    spec = shared_people(
        tmp_path,
        **{
            "faces.exclude_overlap": "names",
            "faces.test": {"kind": "folder", "path": str(tmp_path / "real"), "origin": "real"},
        },
    )
    with pytest.raises(UsageError, match="all people of the real faces are in a test"):
        prepare_faces(spec, StageLog(tmp_path / "study"))
