"""Groups of synthetic faces that declare none: refused, predicted, or wrong on purpose."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenface.data.labels import label_dataset
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.study import students
from evenface.study.faces import StudyFaces, check_groups, training_sets
from evenface.study.labels import label_synthetic, mislabelled
from evenface.study.plan import plan_study
from evenface.study.record import PredictedLabels
from evenface.study.results import _describe_labels, _label_sources, _set_title
from evenface.study.run import run_study
from evenface.study.spec import StudySpec, load_study, own_faces
from evenface.study.stage_log import StageLog
from pattern_people import PatternTeacher, embed, write_people

GROUPS = ("east", "west")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """2 × 12 labelled people; 2 × 10 whose names tell their group, and one who is of both."""
    root = tmp_path_factory.mktemp("labels")
    real = [(f"{group}-real-{i}", group, 3) for group in GROUPS for i in range(12)]
    made = [(f"{group}-made-{i}", group, 3) for group in GROUPS for i in range(10)]
    made += [("both", "east", 2), ("both", "west", 2)]
    write_people(root / "real", real)
    write_people(root / "made", made, origin="synthetic", declared=False)
    return {"root": root, "real": root / "real", "made": root / "made"}


@pytest.fixture
def spec_of(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(students, "load_teacher", lambda given: PatternTeacher())

    def make(**changes) -> StudySpec:
        part = {"kind": "folder", "align": "never"}
        faces = {
            "faces.real": {**part, "path": str(folders["real"]), "origin": "real"},
            "faces.synthetic": {**part, "path": str(folders["made"]), "origin": "synthetic"},
            "faces.test": {"kind": "held-out"},
            "faces.more_tests": {},
            "teachers": ["sface"],
            "evaluation.real_people": [],
            "training_sets": {"mix": {"kind": "mix", "real_fraction": 0.5, "identities": 16}},
        }
        return load_study("smoke", faces | changes)

    return make


@pytest.fixture
def faces(folders: dict[str, Path]) -> StudyFaces:
    real = Manifest.read(folders["real"])
    return StudyFaces(real, Manifest.read(folders["made"]), real, {}, "ethnicity", {})


CLASSIFIER = {"faces.synthetic_labels": {"kind": "classifier"}}


def test_a_balanced_mix_of_unlabelled_faces_is_refused(spec_of, faces: StudyFaces) -> None:
    with pytest.raises(
        UsageError,
        match=r"training sets mix balance 'ethnicity', but the synthetic faces \(patterns\) "
        r"declare no 'ethnicity'.*faces\.synthetic_labels.*training_sets\.mix\.balance=none",
    ):
        check_groups(spec_of(), faces)
    check_groups(spec_of(**{"training_sets.mix.balance": "none"}), faces)
    check_groups(spec_of(training_sets={"real": {"kind": "real"}}), faces)


def test_the_plan_says_that_groups_are_missing(spec_of, tmp_path: Path) -> None:
    plan = plan_study(spec_of(), tmp_path / "study")
    assert any("declare no 'ethnicity'" in what for what in plan.missing)
    labelled = plan_study(spec_of(**CLASSIFIER), tmp_path / "study")
    assert not any("declare" in what for what in labelled.missing)
    states = {stage.name: stage.state for stage in labelled.stages}
    assert states["label: synthetic"] == "to do"


def test_a_classifier_labels_them_as_data_label_does(
    spec_of, faces: StudyFaces, folders: dict[str, Path], tmp_path: Path
) -> None:
    spec, log = spec_of(**CLASSIFIER), StageLog(tmp_path / "study")
    found = label_synthetic(spec, faces, log)
    caches = [embed(Manifest.read(folders[n]), tmp_path / n) for n in ("real", "made")]
    expected = label_dataset(
        folders["made"],
        tmp_path / "out",
        attribute="ethnicity",
        train=folders["real"],
        embeddings=caches,
    )
    assert found.labels == expected
    assert found.synthetic.column("ethnicity").tolist() == (
        Manifest.read(tmp_path / "out").column("ethnicity").tolist()
    )
    for name, label in zip(
        found.synthetic.column("identity"), found.synthetic.column("ethnicity"), strict=True
    ):
        assert label == (None if name == "both" else name.split("-")[0])
    assert set(found.synthetic.column("ethnicity_source")) == {"predicted", ""}
    described = _describe_labels(expected)
    assert described.uncertain == 1
    assert sum(map(sum, described.held_out.confusion.values())) == 4
    assert PredictedLabels.model_validate_json(described.model_dump_json()) == described


def test_the_mix_is_balanced_by_the_labels(spec_of, faces: StudyFaces, tmp_path: Path) -> None:
    spec, log = spec_of(**CLASSIFIER), StageLog(tmp_path / "study")
    found = label_synthetic(spec, faces, log)
    mix = training_sets(spec, found, log)["mix"]
    made = {
        n for n, o in zip(mix.column("identity"), mix.column("origin"), strict=True) if o != "real"
    }
    assert Counter(name.split("-")[0] for name in made) == {"east": 4, "west": 4}
    assert _label_sources(mix, "ethnicity") == {"declared": 24, "predicted": 24}
    assert _set_title(spec, "mix").endswith("synthetic groups predicted")


def test_a_labelling_is_done_once(spec_of, faces: StudyFaces, tmp_path: Path) -> None:
    spec = spec_of(**CLASSIFIER)
    first = StageLog(tmp_path / "study")
    label_synthetic(spec, faces, first)
    again = StageLog(tmp_path / "study")
    label_synthetic(spec, faces, again)
    students.embed_sources(
        students.open_teachers(spec, {}, again)[0],
        {"real": faces.real, "synthetic": faces.synthetic},
        again,
    )
    names = [stage.name for stage in again.summary()]
    assert len(set(names)) == len(names) == 3
    assert all(stage.reused for stage in again.summary())


def test_a_file_of_predictions(spec_of, faces: StudyFaces, tmp_path: Path) -> None:
    rows = [
        f"{name},{float(name < 'f')},{float(name > 'f')}" for name in faces.synthetic.identities()
    ]
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(["identity,east,west", *rows]))
    spec = spec_of(**{"faces.synthetic_labels": {"kind": "predictions", "path": str(path)}})
    found = label_synthetic(spec, faces, StageLog(tmp_path / "study"))
    assert found.labels is not None
    assert found.labels.held_out is None
    assert {n: c.identities for n, c in found.labels.predicted.items()} == {"east": 11, "west": 10}
    path.unlink()
    with pytest.raises(UsageError, match=r"scores\.csv: no such file"):
        label_synthetic(spec, faces, StageLog(tmp_path / "study"))


def test_groups_that_are_there_are_kept(spec_of, faces: StudyFaces, tmp_path: Path) -> None:
    spec, log = spec_of(**CLASSIFIER), StageLog(tmp_path / "study")
    found = label_synthetic(spec, faces, log)
    again = label_synthetic(spec, replace(found, labels=None), StageLog(tmp_path / "again"))
    assert again.labels is None
    assert again.synthetic is found.synthetic


def test_real_faces_without_groups_teach_nothing(
    spec_of, faces: StudyFaces, tmp_path: Path
) -> None:
    bare = StudyFaces(faces.synthetic, faces.synthetic, faces.test, {}, None, {})
    with pytest.raises(UsageError, match="declare no attribute that could be predicted"):
        label_synthetic(spec_of(**CLASSIFIER), bare, StageLog(tmp_path / "study"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faces.synthetic_labels": {"kind": "classifier", "teacher": "x"}}, "no teacher 'x'"),
        (
            {
                **CLASSIFIER,
                "teachers": [{"name": "own", "recipe": "teacher-study", "set": "mix"}],
            },
            "learns from 'mix', which may need the labels first",
        ),
        ({"training_sets.mix.wrong_labels": 2}, "wrong_labels"),
    ],
)
def test_labels_that_cannot_be_are_refused(spec_of, changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        spec_of(**changes)


def test_wrong_labels_are_as_many_as_asked_and_nested(tmp_path: Path) -> None:
    people = [(f"{group}-{i}", group, 2) for group in ("a", "b", "c") for i in range(40)]
    manifest = write_people(tmp_path / "people", people)
    truth = manifest.column("ethnicity")
    names = manifest.column("identity")
    before: dict[str, str] = {}
    for share in (0.0, 0.05, 0.1, 0.2, 1.0):
        labels, wrong = mislabelled(manifest, "ethnicity", share, seed=4)
        assert len(wrong) == round(share * 120)
        assert set(names[labels != truth]) == set(wrong)
        found = dict(zip(names, labels, strict=True))
        assert all(found[name] == label for name, label in before.items())
        before = {name: found[name] for name in wrong}
    others = Counter(label for name, label in before.items() if name.startswith("a"))
    assert set(others) == {"b", "c"}
    # 40 fair draws: within 3.3 standard deviations of 20
    assert abs(others["b"] - 20) < 11
    again, _ = mislabelled(manifest, "ethnicity", 0.2, seed=4)
    other, _ = mislabelled(manifest, "ethnicity", 0.2, seed=5)
    np.testing.assert_array_equal(again, mislabelled(manifest, "ethnicity", 0.2, seed=4)[0])
    assert (again != other).any()


def test_a_mix_by_wrong_labels_keeps_the_true_ones(
    spec_of, faces: StudyFaces, tmp_path: Path
) -> None:
    sets = {"mix": {"kind": "mix", "real_fraction": 0.5, "identities": 16, "wrong_labels": 1.0}}
    spec, log = spec_of(**CLASSIFIER, training_sets=sets), StageLog(tmp_path / "study")
    mix = training_sets(spec, label_synthetic(spec, faces, log), log)["mix"]
    made = mix.column("origin") == "synthetic"
    assert (mix.column("ethnicity")[made] != mix.column("ethnicity_drawn")[made]).all()
    assert (mix.column("ethnicity")[~made] == mix.column("ethnicity_drawn")[~made]).all()
    assert mix.attributes[0] == "ethnicity"
    assert Counter(mix.column("ethnicity_drawn")[made]) == {"east": 12, "west": 12}
    assert "100 % of labels wrong" in _set_title(spec, "mix")


def test_sets_without_wrong_labels_keep_their_stages() -> None:
    from evenface.study.faces import _as_input

    sets = load_study("quick").training_sets
    assert "wrong_labels" not in _as_input(sets["mix"])


def test_a_study_of_unlabelled_faces_ends_in_a_report(
    folders: dict[str, Path], teacher_file: Path, tmp_path: Path
) -> None:
    small = {
        "student.overrides": {"schedule.steps": 2, "schedule.warmup_steps": 1, "batch_size": 8},
        "training_sets": {
            "mix": {"kind": "mix", "real_fraction": 0.5, "wrong_labels": [0, 0.5, 1]}
        },
        "teachers": [str(teacher_file)],
        "training_seeds": [0],
        "evaluation.real_people": [],
        "evaluation.replicates": 100,
        "evaluation.folds": 2,
        "faces.synthetic_labels": {"kind": "classifier", "abstain": 0},
    }
    spec = load_study("smoke", own_faces(folders["real"], folders["made"]) | small)
    run_study(spec, tmp_path / "study", command="evenface study run …")
    results = json.loads((tmp_path / "study" / "results.json").read_text())
    plain, distilled = results["sweep"]
    assert plain["of"] == distilled["of"] == "right labels"
    assert [point["set"] for point in plain["points"]] == ["mix-wrong-100", "mix-wrong-50", "mix"]
    assert "How many right labels?" in (tmp_path / "study" / "report.html").read_text("utf-8")
    labels = results["labels"]
    assert labels["method"] == "classifier"
    assert sum(of["identities"] for of in labels["predicted"].values()) == 21
    held = labels["held_out"]
    assert held["columns"] == ["east", "west", "abstained"]
    assert sum(map(sum, held["confusion"].values())) == held["identities"] == 4
    mix = results["sets"][0]
    assert mix["labels"]["predicted"] > 0
    assert "is predicted by a classifier" in results["study"]["statement"]
    page = (tmp_path / "study" / "report.html").read_text()
    assert "Predicted ethnicity of the synthetic identities" in page
    assert "held out, declared east" in page
    assert "synthetic groups predicted" in page
