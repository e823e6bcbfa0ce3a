"""A model that is evaluated on the people it was trained on: said where the reader sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation
from evenface.evaluate.results import SEEN, seen_notes
from evenface.evaluate.seen import TrainingSet, seen_in_training, training_set
from evenface.export.hub import write_card
from evenface.export.ship import export_onnx
from evenface.files import read_json, write_json, write_text
from evenface.teachers.loading import load_teacher
from untrained_run import write_faces, write_run

Trained = Callable[[Path], Path]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", seed=1)


@pytest.fixture
def trained_on(tmp_path: Path) -> Trained:
    """Writes a run that records this folder as its training set."""

    def write(data: Path) -> Path:
        run = write_run(tmp_path / "student")
        described = read_json(run / "run.json")
        described["data_fingerprint"] = Manifest.read(data).fingerprint
        write_json(run / "run.json", described)
        write_text(run / "recipe.yaml", f"name: untrained\ndata: {data}\n")
        return run

    return write


def test_the_training_set_itself_is_recognised(faces: Path, trained_on: Trained) -> None:
    run, manifest = trained_on(faces), Manifest.read(faces)
    for source in (run, load_teacher(str(run))):
        note = seen_in_training(training_set(source), manifest)
        assert note.startswith(f"{SEEN}: this is the model's training set")
    (run / "recipe.yaml").unlink()  # run.json suffices for the set itself
    assert seen_in_training(training_set(run), manifest).startswith(SEEN)


def test_people_are_recognised_by_name(faces: Path, trained_on: Trained, tmp_path: Path) -> None:
    run, manifest = trained_on(faces), Manifest.read(faces)
    part = manifest.select(range(4, 20))  # four of the people, another fingerprint
    note = seen_in_training(training_set(run), part)
    assert "4 of 4 identities are in the model's training set by name" in note
    assert "the first is 'person-1-1'" in note
    others = Manifest.read(write_faces(tmp_path / "others", seed=2))
    assert seen_in_training(training_set(run), others) == ""
    # A set that is no longer what was trained on says nothing about its names.
    manifest.select(range(8)).write(faces / "manifest.parquet")
    assert seen_in_training(training_set(run), part) == ""


def test_nothing_is_said_where_nothing_is_known(faces: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(faces)
    assert training_set(None) is None
    assert training_set(tmp_path) is None
    assert seen_in_training(None, manifest) == ""
    assert seen_in_training(TrainingSet("d" * 64), manifest) == ""


def test_an_evaluation_and_its_page_say_it(
    faces: Path, trained_on: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result"
    command = ["evaluate", str(trained_on(faces)), "--protocol", str(faces), "--out", str(out)]
    with suppress(SystemExit):
        main([*command, "--replicates", "5"])
    assert SEEN in capsys.readouterr().err
    (written,) = out.rglob("evaluation.json")
    assert len(seen_notes(Evaluation.read(written.parent).notes)) == 1
    page = (out / "report.html").read_text("utf-8")
    assert re.search(f'<p class="seen"><strong>\\S+ on \\S+: {SEEN}: this is', page)


def test_an_exported_model_its_card_and_its_record_say_it(
    faces: Path, trained_on: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "shipped"
    report = export_onnx(
        trained_on(faces), out, audit=Manifest.read(faces), target_fmr=1e-1, replicates=5
    )
    assert len(seen_notes(report.notes)) == 1
    assert len(seen_notes(Evaluation.read(out / "audit-fp32").notes)) == 1
    write_card(tmp_path / "student", out, tmp_path / "README.md")
    card = (tmp_path / "README.md").read_text("utf-8")
    assert f"> **{SEEN}: this is the model's training set" in card
    (file,) = out.glob("*.onnx")
    teacher = load_teacher(str(file))
    assert len(seen_notes(teacher.record.operating_point.notes)) == 1
    # The file carries the fingerprint, so that it is recognised without its run.
    assert seen_in_training(training_set(teacher), Manifest.read(faces)).startswith(SEEN)
