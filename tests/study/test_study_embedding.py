"""Several processes embed what one would, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.errors import DataError, EvenfaceError, UsageError
from evenface.study.embedding import (
    begin_task,
    embed_part,
    embed_together,
    finish_task,
    shards_left,
    tasks,
)
from evenface.study.executors import LocalExecutor
from evenface.study.run import run_study
from evenface.study.spec import load_study, own_faces
from evenface.teachers import load_teacher
from evenface.teachers.cache import cached_embeddings
from pattern_people import write_people
from toy_onnx import write_recogniser

ROWS = 1100
"""Three shards of each view."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Manifest:
    return write_people(tmp_path_factory.mktemp("faces") / "all", [("a", "east", ROWS)])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> str:
    return str(write_recogniser(tmp_path_factory.mktemp("teacher") / "toy.onnx").path)


@pytest.fixture(scope="module")
def alone(faces, teacher, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    cached_embeddings(load_teacher(teacher), faces, folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_processes_write_the_bytes_of_one(faces, teacher, alone, tmp_path):
    folder = tmp_path / "embeddings" / "toy" / "real"
    begin_task(teacher, load_teacher(teacher), faces, folder)
    embed_part(folder, 0, 3)  # as if interrupted
    embed_together(teacher, faces, folder, executor=LocalExecutor(2, every=0.1))
    assert content(folder) == content(alone)


def test_jobs_share_the_shards_of_caches_that_were_begun(faces, teacher, alone, tmp_path):
    folder = tmp_path / "embeddings" / "toy" / "real"
    record = begin_task(teacher, load_teacher(teacher), faces, folder)
    assert tasks(tmp_path) == [folder]
    assert [embed_part(folder, part, 4) for part in (3, 1, 0)] == [0, 2, 2]
    assert embed_part(folder, 0, 4) == 0  # done
    assert shards_left(folder, record) == 2
    with pytest.raises(DataError, match=r"original-000002\.npy: missing"):
        finish_task(folder)
    embed_part(folder, 2, 4)
    finish_task(folder)
    assert content(folder) == content(alone)
    assert tasks(tmp_path) == []


def test_a_study_leaves_its_embeddings_to_jobs(faces, teacher, tmp_path):
    people = [(f"{group}-{i}", group, 4) for group in ("east", "west") for i in range(6)]
    write_people(tmp_path / "real", people)
    write_people(tmp_path / "made", people[:8], origin="synthetic", names={"east-0": "other"})
    folders = own_faces(tmp_path / "real", tmp_path / "made")
    spec = load_study(
        "smoke",
        folders
        | {
            "teachers": [teacher],
            "training_sets": ["real"],
            "student.overrides": {"batch_size": 8, "schedule.steps": 2},
            "evaluation": {"folds": 2, "replicates": 100, "real_people": []},
        },
    )
    out = tmp_path / "study"
    assert run_study(spec, out, command="", embeddings_later=True) == out / "embeddings"
    assert not (out / "runs.json").exists()
    begun = tasks(out)
    assert [folder.name for folder in begun] == ["real", "synthetic"]
    for folder in begun:
        embed_part(folder, 0, 1)
    before = [(folder / "shards" / "flip-000000.npy").read_bytes() for folder in begun]
    assert run_study(spec, out, command="", prepare_only=True) == out / "runs.json"
    assert tasks(out) == []
    for folder, shard in zip(begun, before, strict=True):
        assert (folder / "flip.npy").read_bytes()[-64:] == shard[-64:]
        assert not (folder / "shards").exists()


def test_a_part_that_fails_is_told_and_the_rest_is_kept(faces, teacher, tmp_path):
    folder = tmp_path / "cache"
    gone = Path(write_recogniser(tmp_path / "gone.onnx").path)
    loaded = load_teacher(gone)
    gone.unlink()
    with pytest.raises(EvenfaceError, match=r"(?s)3 of 3 parts failed.*gone\.onnx"):
        embed_together(
            str(gone), faces, folder, teacher=loaded, executor=LocalExecutor(3, attempts=1)
        )
    with pytest.raises(UsageError, match="no part 3 of 3"):
        embed_part(folder, 3, 3)


def test_the_command_takes_a_number_of_processes(faces, teacher, alone, tmp_path, capsys):
    command = ["teacher", "embed", teacher, str(faces.folder), "--out", str(tmp_path / "c")]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--workers", "2"])
    assert stopped.value.code == 0
    assert content(tmp_path / "c") == content(alone)
    assert f"{ROWS:,} images × 2 views" in capsys.readouterr().out
