"""One graph declares a study: what runs it and what plans it agree on every stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.files import read_json
from evenface.study.plan import plan_study
from evenface.study.run import run_study
from evenface.study.spec import StudySpec, load_study, own_faces


@pytest.fixture(scope="module")
def spec(face_folders, teacher_file) -> StudySpec:
    return load_study(
        "smoke",
        {
            **own_faces(face_folders["real"], face_folders["synthetic"]),
            "teachers": [str(teacher_file)],
            "student.overrides": {"schedule.steps": 2, "batch_size": 8, "log_every": 1},
            "training_sets": ["real", "mix"],
            "training_seeds": [0],
            "evaluation.real_people": [],
            "evaluation.replicates": 100,
            "evaluation.folds": 2,
            "workers": 1,
        },
    )


@pytest.fixture(scope="module")
def finished(spec, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pipeline") / "study"
    run_study(spec, out, command="")
    return out


def test_the_plan_of_a_finished_study_is_its_record(spec, finished):
    plan = plan_study(spec, finished)
    recorded = read_json(finished / "stages.json")
    assert [stage.name for stage in plan.stages] == list(recorded)
    assert {stage.state for stage in plan.stages} == {"finished"}
    assert plan.report == "finished"
    for stage in plan.stages:
        if not stage.together:
            assert stage.spent == recorded[stage.name]["seconds"], stage.name
    assert all(stage.left == 0.0 for stage in plan.stages)


def test_every_stage_comes_after_those_that_it_needs(spec, tmp_path):
    plan = plan_study(spec, tmp_path / "out")
    before: set[str] = set()
    for stage in plan.stages:
        assert set(stage.needs) <= before, stage.name
        before.add(stage.name)
    assert {stage.state for stage in plan.stages} == {"to do"}


def test_the_time_of_a_stage_is_that_of_its_kind(spec, finished):
    longer = spec.model_copy(update={"seed": spec.seed + 1})
    stages = {stage.name: stage for stage in plan_study(longer, finished).stages}
    drawn = stages["draw pairs: groups"]
    assert drawn.state == "to do"
    assert drawn.left is None  # no other test was drawn
    assert stages["import: real"].left == 0.0
