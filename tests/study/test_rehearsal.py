"""A rehearsal tries every stage on the user's faces and finds what would fail later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.study import rehearsal
from evenface.study.plan import plan_study
from evenface.study.rehearsal import Rehearsal, rehearsal_folder, rehearse_study
from evenface.study.spec import StudySpec, load_study
from pattern_people import pattern, write_people

GROUPS = ("east", "west")
PEOPLE = 14
"""Of each group, real ones."""
MADE = 8


def people(each: int) -> list[tuple[str, str, int]]:
    return [(f"{group}-{i}", group, 4) for group in GROUPS for i in range(each)]


def write_images(folder: Path, each: int, *, prefix: str) -> Path:
    """Folders ``<identity>/<number>.png``, without groups, as a generator's authors publish."""
    for person, group, images in people(each):
        at = folder / f"{prefix}{person}"
        at.mkdir(parents=True)
        for number in range(images):
            Image.fromarray(pattern(prefix + person, group, number)).save(at / f"{number}.png")
    return folder


def own_study(root: Path, **changes) -> StudySpec:
    """Prepared real faces with groups, a folder of synthetic ones without."""
    if not (root / "real").exists():
        write_people(root / "real", people(PEOPLE))
        write_images(root / "made", MADE, prefix="made-")
    settings = {
        "faces.real": {"kind": "folder", "path": str(root / "real"), "origin": "real"},
        "faces.synthetic": {"kind": "folder", "path": str(root / "made"), "origin": "synthetic"},
        "faces.synthetic_labels": {"kind": "classifier", "abstain": 0.0},
        "faces.test": {"kind": "held-out", "fraction": 0.3},
        "teachers": [{"name": "own", "recipe": "teacher-study", "set": "real"}],
        "training_sets": {
            "real": {"kind": "real"},
            "mix": {"kind": "mix", "real_fraction": 0.7, "identities": 16},
        },
        "student.overrides": {"schedule.steps": 4000, "batch_size": 8},
        "training_seeds": [0, 1, 2],
        "evaluation.real_people": [],
        "workers": 1,
    }
    return load_study("smoke", settings | changes)


def state_of(made: Rehearsal, what: str) -> str:
    return next(finding.state for finding in made.findings if finding.what == what)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> tuple[StudySpec, Path, Rehearsal]:
    root = tmp_path_factory.mktemp("rehearsal")
    spec, out = own_study(root), root / "studies" / "mine"
    return spec, out, rehearse_study(spec, out, command="evenface study run … --rehearse")


def test_every_stage_and_model_passes(rehearsed):
    _, out, made = rehearsed
    assert not made.fails, made.findings
    for what in ("training set: mix", "train teacher: own", "report"):
        assert state_of(made, what) == "works"
    assert state_of(made, "labels of synthetic faces") == "works"
    runs = [
        path for path in (made.folder / "study" / "runs").iterdir() if "untrained" not in str(path)
    ]
    assert len(runs) == 4  # two sets, with and without distillation, one seed
    for run in runs:
        assert json.loads((run / "run.json").read_text())["steps"] == 2
    assert (made.folder / "study" / "report.html").exists()
    assert not out.exists()


def test_the_full_study_is_reckoned_from_what_was_measured(rehearsed):
    spec, out, made = rehearsed
    needs = {need.stage: need for need in made.needs}
    (importing,) = [n for stage, n in needs.items() if stage.startswith("import synthetic, 64")]
    assert importing.seconds > 0
    assert "train 12 students" in needs
    assert all(need.seconds is not None and need.seconds > 0 for need in made.needs)
    # 12 trainings of 4,000 steps: hours at the pace of a step, whatever this machine's is
    step = needs["train 12 students"].seconds / (12 * 4000)
    assert 1e-4 < step < 10
    assert made.memory == plan_study(spec, out).memory
    assert made.disk > 0


def test_full_sets_are_drawn_from_all_rows(rehearsed):
    _, _, made = rehearsed
    (found,) = [f for f in made.findings if f.what == "set mix, at full size"]
    # 70 % of 8 a group are 6 real people (5.6 rounded), 2 synthetic ones
    assert found.detail.startswith("16 people, 64 images")
    assert "spread evenly" in found.detail  # its teacher is not trained


def test_what_fails_later_is_found_with_a_remedy(tmp_path, rehearsed):
    spec, _, _ = rehearsed
    root = Path(spec.faces.real.path).parent
    spec = own_study(
        root,
        training_seeds=[0],
        training_sets={
            "real": {"kind": "real"},
            "mix": {"kind": "mix", "real_fraction": 0.7, "identities": 40},
        },
        **{
            "faces.more_tests": {"lfw": {"kind": "protocol", "spec": str(root / "lfw.bin")}},
            "faces.synthetic_labels": None,
            "teachers": ["small", str(root / "gone.onnx")],
        },
    )
    made = rehearse_study(spec, tmp_path / "mine", command="")
    found = [(f.what, f.detail) for f in made.findings if f.state == "fails"]
    for what, detail in (
        ("faces: lfw", "lfw.bin: no such file"),
        ("training sets at full size", "faces.synthetic_labels"),
        ("inputs", "mix: asks for 28"),
        ("inputs", "gone.onnx is not there"),
        ("verdicts", "every verdict will be 'undecided'"),
    ):
        (at,) = [pair for pair in found if pair[0] == what and detail in pair[1]]
        found.remove(at)
    assert not found
    assert all(finding.remedy for finding in made.findings if finding.what == "verdicts")
    assert state_of(made, "report") == "works"  # the rest was tried all the same


def test_images_that_cannot_be_read_fail_now(tmp_path, rehearsed):
    spec, _, _ = rehearsed
    broken = write_images(tmp_path / "made", 6, prefix="made-")
    for path in broken.rglob("0.png"):
        path.write_bytes(b"no image")
    root = Path(spec.faces.real.path).parent
    faces = {"kind": "folder", "path": str(broken), "origin": "synthetic"}
    made = rehearse_study(
        own_study(root, **{"faces.synthetic": faces}), tmp_path / "mine", command=""
    )
    (failing,) = [finding for finding in made.findings if finding.what == "faces: synthetic"]
    assert failing.state == "fails"


def test_the_command_exits_with_1_and_says_why(tmp_path, monkeypatch, capsys, rehearsed):
    spec, _, _ = rehearsed
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(
            ["study", "run", "smoke", "--real", str(spec.faces.real.path), "--synthetic",
             str(tmp_path / "none"), "--out", str(tmp_path / "mine"), "--rehearse",
             "--set", "teachers=[small]", "--set", "evaluation.real_people=[]"]
        )  # fmt: skip
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "Will fail:" in said
    assert "faces: synthetic" in said
    assert (rehearsal_folder(tmp_path / "mine") / "rehearsal.json").exists()


def test_a_step_that_does_not_fit_fails_now(tmp_path, monkeypatch, rehearsed):
    spec, _, _ = rehearsed

    def planned(spec, out, *, measuring=False, **known):
        if measuring:
            raise RuntimeError("CUDA out of memory")
        return plan_study(spec, out, **known)

    monkeypatch.setattr(rehearsal, "plan_study", planned)
    monkeypatch.setattr(rehearsal, "run_study", lambda *_, **__: None)
    faces = {"kind": "folder", "path": str(tmp_path / "none"), "origin": "synthetic"}
    root = Path(spec.faces.real.path).parent
    made = rehearse_study(
        own_study(root, **{"faces.synthetic": faces}), tmp_path / "mine", command=""
    )
    (failing,) = [finding for finding in made.findings if finding.what == "a step at full size"]
    assert failing.detail == "RuntimeError: CUDA out of memory"
    assert "micro_batches" in failing.remedy


def test_people_of_the_tests_are_left_out_as_the_study_does(tmp_path, rehearsed):
    """A set of all people takes those who are left, and does not fail for want of the others."""
    first, _, _ = rehearsed
    root = Path(first.faces.real.path).parent
    write_people(tmp_path / "test", people(4))  # the first of each group, by the same names
    spec = own_study(
        root,
        training_sets={"real": {"kind": "real", "identities": 2 * PEOPLE}},
        **{
            "faces.test": {"kind": "folder", "path": str(tmp_path / "test"), "origin": "real"},
            "faces.exclude_overlap": "names",
            "faces.synthetic_labels": None,
            "teachers": ["small"],
        },
    )
    made = rehearse_study(spec, tmp_path / "mine", command="")
    (found,) = [f for f in made.findings if f.what == "set real, at full size"]
    assert found.state == "works"
    assert found.detail.startswith(f"{2 * (PEOPLE - 4)} people")
