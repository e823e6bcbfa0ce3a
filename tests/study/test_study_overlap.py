"""People of the tests are left out of training where a study asks for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from evenface.errors import UsageError
from evenface.study import labels, overlap
from evenface.study.faces import StudyFaces, prepare_faces, training_sets
from evenface.study.left_out import LeftOut
from evenface.study.overlap import leave_out_people
from evenface.study.plan import plan_study
from evenface.study.spec import StudySpec, load_study
from evenface.study.stage_log import StageLog
from evenface.study.status import read_status
from pattern_people import PatternTeacher, write_people

GROUPS = ("east", "west")


def shared_people(
    tmp_path: Path, names: dict[str, str] | None = None, **changes: object
) -> StudySpec:
    """12 real people, 12 synthetic ones of the same names, 8 test people: 4 real ones, 4 others.

    Args:
        names: what the test calls the real ones.
    """
    people = [(f"{group}-{i}", group, 2) for group in GROUPS for i in range(6)]
    others = [(f"new-{group}-{i}", group, 2) for group in GROUPS for i in range(2)]
    write_people(tmp_path / "real", people)
    made = {name: f"{name}-made" for name, _, _ in people[1:]}
    write_people(tmp_path / "made", people, origin="synthetic", names=made)
    write_people(tmp_path / "test", [*people[:2], *people[6:8], *others], names=names)
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


def cleaned(spec: StudySpec, log: StageLog) -> StudyFaces:
    return leave_out_people(spec, prepare_faces(spec, log), log)


def left_out(faces: StudyFaces) -> LeftOut:
    assert faces.left_out is not None
    return faces.left_out


def names_of(found: LeftOut, role: str) -> list[str]:
    return [person.identity for person in found.faces[role].people]


class CountingTeacher(PatternTeacher):
    """Counts the images that it embeds."""

    seen = 0

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        return super().embed(images)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> CountingTeacher:
    model = CountingTeacher()
    monkeypatch.setattr(overlap, "load_teacher", lambda spec: model)
    return model


SHARED = ["east-0", "east-1", "west-0", "west-1"]
OTHER_NAMES = {name: f"p{place}" for place, name in enumerate(SHARED)}
BY_LIKENESS = {"by": "embeddings", "threshold": 0.97, "image_threshold": 0.9999}
"""Of patterns, of which those of a group are much alike."""


def test_shared_names_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = cleaned(shared_people(tmp_path), StageLog(tmp_path / "study"))
    said = " ".join(capsys.readouterr().err.split())
    assert "4 identities are both in the real and the test faces" in said
    assert "faces.exclude_overlap=names" in said
    assert len(faces.real.identities()) == 12
    assert faces.left_out is None
    assert list(faces.to_embed()["real"].identities()) == list(faces.real.identities())


def test_shared_names_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = shared_people(tmp_path, **{"faces.exclude_overlap": "names"})
    before = plan_study(spec, tmp_path / "study")
    assert {s.name: s.state for s in before.stages}["people of the tests"] == "to do"
    log = StageLog(tmp_path / "study")
    faces = cleaned(spec, log)
    found = left_out(faces)
    assert names_of(found, "real") == SHARED
    assert found.faces["real"].count(group="east", reason="name") == 2
    assert found.faces["real"].groups == {"east": 6, "west": 6}
    assert not set(faces.real.identities()) & set(faces.test.identities())
    # A synthetic person is nobody of the test, whatever the name.
    assert names_of(found, "synthetic") == []
    assert "east-0" in faces.synthetic.identities()
    sentence = (
        "Left out of training, since a test has them: 4 of 12 identities of the real faces (4 by "
        "name), nobody of the synthetic faces."
    )
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert "identities are both in the real and the test faces" not in said
    assert read_status(tmp_path / "study").left_out == sentence
    sets = training_sets(spec, faces, log)
    assert len(sets["real"].identities()) == 8
    plan = plan_study(spec, tmp_path / "study")
    states = {s.name: s.state for s in plan.stages}
    assert states["people of the tests"] == states["training set: real"] == "finished"
    assert plan.sizes["real"].identities == 8


def test_numbers_for_names_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = shared_people(tmp_path, **{"faces.exclude_overlap": "names"})
    people = [(f"{group}-{i}", group, 2) for group in GROUPS for i in range(6)]
    shutil.rmtree(tmp_path / "real")
    numbers = {name: str(place) for place, (name, _, _) in enumerate(people)}
    write_people(tmp_path / "real", people, names=numbers)
    cleaned(spec, StageLog(tmp_path / "study"))
    assert "numbers for names" in " ".join(capsys.readouterr().err.split())


def test_people_alike_are_left_out_under_any_name(tmp_path: Path, teacher: CountingTeacher) -> None:
    by_name = shared_people(tmp_path / "a", OTHER_NAMES, **{"faces.exclude_overlap": ["names"]})
    assert names_of(left_out(cleaned(by_name, StageLog(tmp_path / "a/study"))), "real") == []
    assert teacher.seen == 0

    spec = shared_people(
        tmp_path / "b",
        OTHER_NAMES,
        **{"faces.exclude_overlap": BY_LIKENESS, "teachers": ["x.onnx"]},
    )
    log = StageLog(tmp_path / "b/study")
    faces = cleaned(spec, log)
    found = left_out(faces).faces["real"]
    assert [(p.identity, OTHER_NAMES[p.identity]) for p in found.people] == [
        (p.identity, p.test_identity) for p in found.people
    ]
    assert names_of(left_out(faces), "real") == SHARED
    assert {person.reason for person in found.people} == {"people alike"}
    cosines = [person.cosine or 0.0 for person in found.people]
    assert min(cosines) >= 0.97 > max(of.cosine or 1.0 for of in found.closest_kept)
    # Real, synthetic and test faces and their mirror images, once.
    assert teacher.seen == 2 * (24 + 24 + 16)
    cleaned(spec, StageLog(tmp_path / "b/study"))
    assert teacher.seen == 2 * (24 + 24 + 16)
    states = {s.name: s.state for s in plan_study(spec, tmp_path / "b/study").stages}
    assert states["people of the tests"] == "finished"


def test_those_who_stay_keep_their_embeddings(
    tmp_path: Path, teacher: CountingTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shared_people(
        tmp_path, OTHER_NAMES, **{"faces.exclude_overlap": BY_LIKENESS, "teachers": ["x.onnx"]}
    )
    log = StageLog(tmp_path / "study")
    faces = cleaned(spec, log)
    monkeypatch.setattr(
        labels,
        "open_teachers",
        lambda *_: [overlap.StudyTeacher("x", "x.onnx", {"x": teacher}, {"x": "x.onnx"})],
    )
    seen = teacher.seen
    (manifest, rows), _ = labels.embedded_rows(spec, None, faces, log)
    assert teacher.seen == seen
    assert len(manifest) == len(rows) == 16
    every = np.arange(16)
    wanted = PatternTeacher().embed(manifest.images(every))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(rows.unit(every), wanted, rtol=1e-5)


def test_a_set_of_everybody_is_of_everybody_left(tmp_path: Path) -> None:
    sets = {"all": {"kind": "real", "identities": 12}, "some": {"kind": "real", "identities": 6}}
    spec = shared_people(tmp_path, **{"faces.exclude_overlap": "names", "training_sets": sets})
    log = StageLog(tmp_path / "study")
    made = training_sets(spec, cleaned(spec, log), log)
    assert {name: len(made[name].identities()) for name in made} == {"all": 8, "some": 6}


def test_another_teacher_may_compare(tmp_path: Path, teacher: CountingTeacher) -> None:
    trained = [{"recipe": "teacher-study", "set": "real"}]
    rules = {**BY_LIKENESS, "by": "both"}
    with pytest.raises(UsageError, match=r"trains its teacher \(teacher\).*teacher=sface"):
        shared_people(tmp_path / "a", **{"faces.exclude_overlap": rules, "teachers": trained})
    spec = shared_people(
        tmp_path / "b",
        OTHER_NAMES,
        **{"faces.exclude_overlap": {**rules, "teacher": "y.onnx"}, "teachers": trained},
    )
    assert "faces.exclude_overlap.teacher: y.onnx is not there" in " ".join(
        plan_study(spec, tmp_path / "b/study").missing
    )
    faces = cleaned(spec, StageLog(tmp_path / "b/study"))
    assert left_out(faces).teacher == "y"
    assert names_of(left_out(faces), "real") == SHARED
    assert teacher.seen == 24 + 24 + 16  # no mirror images: nobody learns from them


def test_nobody_left_is_refused(tmp_path: Path) -> None:
    spec = shared_people(
        tmp_path,
        **{
            "faces.exclude_overlap": "names",
            "faces.test": {"kind": "folder", "path": str(tmp_path / "real"), "origin": "real"},
        },
    )
    with pytest.raises(UsageError, match="all people of the real faces are in a test"):
        cleaned(spec, StageLog(tmp_path / "study"))
