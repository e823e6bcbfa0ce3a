"""Trainings in one call: what they give, what a callback sees, and how it ends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenface
from evenface.errors import DataError, UsageError
from evenface.files import read_json
from pattern_people import PatternTeacher, pattern, write_people

SHORT = {"schedule.steps": 6, "schedule.warmup_steps": 0, "batch_size": 16, "log_every": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("faces") / "faces"
    return write_people(folder, [(f"p{i}", "north" if i % 2 else "south", 4) for i in range(8)])


@pytest.mark.parametrize("give", ["manifest", "folder", "recipe as a dictionary"])
def test_a_model_is_trained_once(data: Any, tmp_path: Path, give: str) -> None:
    recipe: Any = "student-mini"
    faces = data if give == "manifest" else data.folder
    settings: Any = SHORT
    if give == "recipe as a dictionary":
        recipe = evenface.train.load_recipe("student-mini", SHORT).model_dump(mode="json")
        settings = None
    out = tmp_path / "run"
    trained = evenface.train_model(recipe, faces, out=out, settings=settings, quiet=True)
    assert trained.record["steps"] == 6
    assert [line["step"] for line in trained.log()] == [2, 4, 6]
    assert trained.load().embed(pattern("p0", "south", 0)).shape == (512,)
    assert "stopped" not in trained.record
    before = (out / "weights.safetensors").stat().st_mtime_ns
    evenface.train_model(recipe, faces, out=out, settings=settings, quiet=True)
    assert (out / "weights.safetensors").stat().st_mtime_ns == before


def test_a_callback_sees_the_log_and_ends_the_training(data: Any, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def watch(line: dict[str, Any]) -> bool:
        seen.append(line)
        return line["step"] >= 4

    def run(on_log: Any) -> Any:
        return evenface.train_model(
            "student-mini", data, out=tmp_path / "run", settings=SHORT, quiet=True, on_log=on_log
        )

    trained = run(watch)
    assert [line["step"] for line in seen] == [2, 4]
    assert all(line["steps"] == 6 and "loss" in line for line in seen)
    assert trained.record["stopped"] is True
    assert trained.record["steps"] == 4
    assert trained.record["images_seen"] == 64
    assert run(watch).record == trained.record  # not trained again
    assert len(seen) == 2
    with pytest.raises(UsageError, match="was ended early, at step 4"):
        run(None)


def test_stopping_early_gives_the_weights_of_that_step(data: Any, tmp_path: Path) -> None:
    constant = {**SHORT, "schedule.kind": "step", "threads": 1}
    stopped = evenface.train_model(
        "student-mini", data, out=tmp_path / "stopped", settings=constant, quiet=True,
        on_log=lambda line: line["step"] == 4,
    )  # fmt: skip
    short = evenface.train_model(
        "student-mini", data, out=tmp_path / "short",
        settings={**constant, "schedule.steps": 4}, quiet=True,
    )  # fmt: skip
    one, other = (run.folder / "weights.safetensors" for run in (stopped, short))
    assert one.read_bytes() == other.read_bytes()


def test_a_callback_that_answers_anything_else_ends_nothing(data: Any, tmp_path: Path) -> None:
    trained = evenface.train_model(
        "student-mini", data, out=tmp_path / "run", settings=SHORT, quiet=True,
        on_log=lambda line: "go on",
    )  # fmt: skip
    assert trained.record["steps"] == 6


def test_a_student_is_distilled_in_one_call(data: Any, tmp_path: Path) -> None:
    teacher = PatternTeacher()
    lines: list[dict[str, Any]] = []
    options: Any = {
        "settings": {**SHORT, "backbone.embedding_size": 147}, "quiet": True,
        "cache": tmp_path / "cache",
    }  # fmt: skip
    trained = evenface.distill_student(
        teacher, data, out=tmp_path / "run", on_log=lines.append, **options
    )
    assert trained.record["teacher_fingerprint"] is not None
    assert "distillation" in lines[-1]
    rkd = evenface.distill_student(teacher, data, out=tmp_path / "rkd", loss="rkd", **options)
    recipe = evenface.train.load_recipe(rkd.folder / "recipe.yaml")
    assert recipe.distill is not None
    assert [term.name for term in recipe.distill.terms] == ["rkd"]
    assert read_json(tmp_path / "cache" / "cache.json")["teacher"] == "patterns"
    with pytest.raises(DataError, match="cache"):
        evenface.distill_student(PatternTeacher("another"), data, out=tmp_path / "other", **options)


def test_a_function_and_a_loaded_model_are_teachers(data: Any, tmp_path: Path) -> None:
    def tiles(images: np.ndarray) -> np.ndarray:
        return PatternTeacher().embed(images)

    tiles.fingerprint = "1"  # type: ignore[attr-defined]
    records = [
        evenface.distill_student(
            teacher, data, out=tmp_path / str(i), settings={**SHORT, "distill.projection": True},
            quiet=True,
        ).record
        for i, teacher in enumerate((tiles, evenface.load_model(tiles)))
    ]  # fmt: skip
    assert records[0]["fingerprint"] == records[1]["fingerprint"]
    assert (tmp_path / "0" / "teacher" / "cache.json").is_file()
