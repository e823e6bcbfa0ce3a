"""A plan says what a study would do, from what is there, and does nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evenface.cli.main import build_app
from evenface.data.store import IMAGE_BYTES
from evenface.errors import MissingDependencyError, UsageError
from evenface.study.face_counts import RealShare, Size
from evenface.study.plan import plan_study
from evenface.study.plan_result import Plan
from evenface.study.run import run_study
from evenface.study.run_list import read_runs, work
from evenface.study.spec import StudySpec, load_study, own_faces
from evenface.study.stage import Mark
from evenface.study.students import too_few_seeds
from evenface.study.training_load import (
    Pace,
    embedding_bytes,
    measure,
    step_seconds,
    together,
    weigh,
)
from evenface.train.recipe import load_recipe

SMALL = {"schedule.steps": 6, "schedule.warmup_steps": 1, "batch_size": 8, "log_every": 2}


def own_study(face_folders, teacher_file, **changes) -> StudySpec:
    overrides = {
        **own_faces(face_folders["real"], face_folders["synthetic"]),
        "teachers": [str(teacher_file)],
        "student.overrides": SMALL,
        "training_seeds": [0, 1],
        "evaluation.real_people": [],
        "evaluation.folds": 2,
        **changes,
    }
    return load_study("smoke", overrides)


@pytest.fixture(scope="module")
def prepared(face_folders, teacher_file, tmp_path_factory) -> Path:
    """A study whose first run is finished and whose second was stopped at step 4."""
    out = tmp_path_factory.mktemp("study") / "own"
    spec = own_study(face_folders, teacher_file)
    run_study(spec, out, command="", prepare_only=True)
    first, second = read_runs(out)[:2]
    work(out, first)
    stopped = out / second.at
    Mark(second.stage().key, seconds=2.0).write(stopped)
    (stopped / "log.jsonl").write_text('{"step": 4, "loss": 1.0}\n', encoding="utf-8")
    return out


def states(plan: Plan) -> list[str]:
    return [run.state for run in plan.runs]


def stage(plan: Plan, name: str):
    return next(of for of in plan.stages if of.name == name)


def content_of(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_is_there_is_told_from_what_is_not(prepared, face_folders, teacher_file):
    before = content_of(prepared)
    plan = plan_study(own_study(face_folders, teacher_file), prepared)
    assert content_of(prepared) == before
    assert states(plan) == ["finished", "started"] + ["to do"] * 10
    first, second, third = plan.runs[:3]
    assert (first.step, first.steps, first.left) == (6, 6, 0.0)
    assert second.step == 4
    assert second.left == pytest.approx(first.spent / 6 * 2)
    assert third.changes == {"distill.name": "template", "distill.weight": 39.0625}
    assert third.left == pytest.approx(first.spent)  # no other pace is known
    assert plan.seconds == pytest.approx(together([r.left for r in plan.runs[1:]], plan.workers))
    assert plan.pace == "finished runs of this study"
    assert stage(plan, "training set: mix").state == "finished"
    assert stage(plan, "teacher toy-teacher embeds: real").state == "finished"
    assert stage(plan, "evaluate 14 networks").state == "to do"
    assert plan.sizes["real"].exact
    assert not plan.missing


def test_a_changed_factor_leaves_what_does_not_depend_on_it(prepared, face_folders, teacher_file):
    changed = own_study(face_folders, teacher_file, distillation_weight=10.0)
    assert states(plan_study(changed, prepared))[:2] == ["finished", "started"]
    longer = {"student.overrides": {**SMALL, "schedule.steps": 7}}
    plan = plan_study(own_study(face_folders, teacher_file, **longer), prepared)
    assert set(states(plan)) == {"to do"}
    assert stage(plan, "training set: real").state == "finished"
    other = plan_study(own_study(face_folders, teacher_file, seed=5), prepared)
    assert stage(other, "training set: real").state == "to do"
    # Its set must be made first: whether the run was trained on that very set shows then.
    assert states(other)[:2] == ["unknown", "unknown"]
    assert other.seconds is None


def test_another_teacher_is_seen(prepared, face_folders, teacher_file, tmp_path):
    from toy_onnx import write_recogniser

    other = write_recogniser(tmp_path / "Toy Teacher.onnx", seed=9).path
    plan = plan_study(own_study(face_folders, other), prepared)
    assert stage(plan, "teacher toy-teacher embeds: real").state == "to do"
    assert states(plan)[:2] == ["finished", "started"]  # without distillation


def test_missing_inputs_are_listed(tmp_path):
    spec = load_study(
        "quick",
        {**own_faces(tmp_path / "a", tmp_path / "b", tmp_path / "c"), "teachers": ["no.onnx"]},
    )
    plan = plan_study(spec, tmp_path / "out")
    listed = "\n".join(plan.missing)
    for name in ("a is not there", "b is not there", "c is not there", "no.onnx is not there"):
        assert name in listed
    assert set(states(plan)) == {"to do"}
    assert plan.seconds is None
    assert plan.disk is None
    assert not (tmp_path / "out").exists()


def test_a_damaged_data_set_is_listed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "manifest.parquet").write_bytes(b"no parquet")
    plan = plan_study(load_study("quick", own_faces(tmp_path / "real")), tmp_path / "out")
    assert any("manifest.parquet" in what for what in plan.missing)


def test_sizes_of_rendered_faces_are_reckoned(tmp_path):
    spec = load_study("paper-mini", {"training_seeds": [0]})
    plan = plan_study(spec, tmp_path / "out")
    assert len(plan.runs) == 32
    assert plan.sizes["real"] == Size(240, 2400)
    assert plan.sizes["synthetic"] == Size(232, 2320)
    assert plan.sizes["set balanced"] == Size(240, 2400)
    assert plan.sizes["set synthetic-mix"] == Size(189, 1890)
    assert plan.real_shares["synthetic-mix"] == RealShare(0.7, pytest.approx(0.7))
    images = 2400 + 2320 + 2 * 960
    gathered = 2400 + 2320 + 1890 + 2400 + 1980
    expected = images * IMAGE_BYTES + embedding_bytes(2400 + 2320 + gathered, 128)
    assert plan.disk == expected + sum(run.disk for run in plan.runs)
    assert plan.disk_left == plan.disk


def test_the_papers_grid_is_planned_before_there_are_data(tmp_path):
    plan = plan_study(load_study("paper-full"), tmp_path / "out")
    assert len(plan.runs) == 60
    [teacher] = plan.teachers
    assert teacher.needs == ("training set: balanced",)
    # IResNet-100 with a batch of 128 takes more than any student.
    assert plan.memory == teacher.memory
    assert plan.memory > max(run.memory for run in plan.runs)
    names = {of.name for of in plan.stages}
    assert {need for run in plan.runs for need in run.needs} <= names
    assert {need for of in plan.stages for need in of.needs} <= names


def test_held_out_faces_are_taken_from_the_real_ones(tmp_path):
    held = {"faces.test": {"kind": "held-out", "fraction": 0.25}, "faces.more_tests": {}}
    plan = plan_study(load_study("quick", held), tmp_path / "out")
    assert plan.sizes["test"] == Size(60, 600)
    assert plan.sizes["real"] == Size(180, 1800)
    assert plan.disk - sum(run.disk for run in plan.runs) > (2400 + 2400) * IMAGE_BYTES


def test_equal_recipes_are_trained_once(tmp_path):
    factors = {"twin": {"one": {"flip": True}, "two": {}}}
    plan = plan_study(load_study("smoke", {"factors": factors}), tmp_path / "out")
    twins = [run for run in plan.runs if run.same_as]
    assert len(plan.trainings) == len(twins) == 12
    assert twins[0].same_as == "real-one-plain-s0"


def test_epochs_are_those_of_the_real_faces(tmp_path):
    epochs = {"student.overrides": {"schedule.steps": None, "schedule.epochs": 3}}
    plan = plan_study(load_study("quick", epochs), tmp_path / "out")
    assert {run.steps for run in plan.runs} == {3 * (2400 // 64)}


def test_measured_steps(tmp_path):
    spec = load_study("smoke", {"student.overrides": {"schedule.steps": 60, "batch_size": 4}})
    plan = plan_study(spec, tmp_path / "out", measuring=True)
    assert "steps taken just now" in plan.pace
    assert plan.seconds is not None
    assert plan.seconds > 0


def test_paces_are_of_the_like():
    mini = load_recipe("student-mini")
    other = load_recipe("student-mini", {"batch_size": 128})
    distilled = load_recipe("student-mini", {"distill.cache": "cache"})
    paces = [Pace(mini, 1.0), Pace(mini, 3.0), Pace(distilled, 9.0)]
    assert step_seconds(mini, paces) == 2.0
    assert step_seconds(distilled, paces) == 9.0
    assert step_seconds(distilled, paces[:2]) == 2.0
    assert step_seconds(other, paces) is None


def test_a_measurement_needs_no_head():
    recipe = load_recipe("student-mini", {"head": None, "distill.cache": "c", "batch_size": 4})
    recipe = recipe.with_embedding_size(128)
    assert measure(recipe, 5, threads=1).seconds > 0


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [([3.0, 2.0, 2.0], 2, 4.0), ([5.0], 4, 5.0), ([], 2, 0.0), ([1.0] * 6, 3, 2.0)],
)
def test_work_is_dealt_to_workers(seconds, workers, expected):
    assert together(seconds, workers) == expected


def test_a_training_is_weighed():
    import torch

    from evenface.models import create_backbone

    recipe = load_recipe("student-mini").with_embedding_size(128)
    weight = weigh(recipe, 100)
    with torch.device("meta"):
        backbone = create_backbone("mini_s", embedding_size=128)
    parameters = sum(p.numel() for p in backbone.parameters())
    assert weight.parameters == parameters
    learned = 4 * (parameters + 100 * 128)
    assert weight.disk == 4 * parameters + 2 * (learned + learned)  # weights and momenta


def test_the_command(prepared, face_folders, teacher_file):
    arguments = ["study", "plan", "smoke", "--out", str(prepared)]
    for role in ("real", "synthetic"):
        arguments += [f"--{role}", str(face_folders[role])]
    arguments += ["--teacher", str(teacher_file)]
    done = CliRunner().invoke(build_app(), [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["runs"][0]["name"] == "real-plain-s0"
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    assert "runs: 12" in done.output
    assert "Device memory of the largest training" in done.output


def test_without_torch_memory_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith("evenface.train.")]:
        if name not in ("evenface.train.recipe", "evenface.train.run", "evenface.train.log"):
            monkeypatch.delitem(sys.modules, name)
    spec = load_study("smoke")
    plan = plan_study(spec, tmp_path / "out")
    assert (len(plan.runs), plan.memory, plan.disk) == (12, None, None)
    with pytest.raises(MissingDependencyError, match="train"):
        plan_study(spec, tmp_path / "out", measuring=True)


def test_an_impossible_study_is_refused(tmp_path):
    spec = load_study("smoke", {"student.overrides": {"backbone.name": "nothing"}})
    with pytest.raises(UsageError, match="nothing"):
        plan_study(spec, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "now", "needed"), [("paper", 33, 97), ("paper-full", 61, 181), ("smoke", 12, 18)]
)
def test_too_few_seeds_are_said_with_what_more_would_take(name, now, needed):
    said = too_few_seeds(load_study(name))
    assert "every verdict will be 'undecided': 3 are needed" in said
    assert f"training_seeds=[0,1,2] takes {needed} trainings instead of {now}" in said
    assert too_few_seeds(load_study(name, {"training_seeds": [0, 1, 2]})) is None
    assert too_few_seeds(load_study(name, {"claims": []})) is None


def test_the_plan_of_the_paper_warns_before_a_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build_app(), ["study", "plan", "paper"])
    said = " ".join(result.output.split())
    assert "Warning: with 1 training seed every verdict will be 'undecided'" in said
    for role in ("real", "synthetic-dcface", "synthetic-idiff", "test"):
        assert f"Missing: {role} faces: data/" in said
    assert "Variant: corrected." in said
    assert "Students: 30 ours; 2 in the reference's configuration." in said
    assert "mix-equal-ids 70.0 % of identities, unknown share of images" in said
    assert "mix-equal-img unknown share of identities, 70.0 % of images" in said


def test_the_plan_of_a_variant_shows_its_teachers(tmp_path):
    plan = plan_study(load_study("paper", {"variant": "faithful"}), tmp_path / "out")
    assert [run.changes["schedule.stop_epoch"] for run in plan.teachers] == [16, 14]
    assert plan.taught == {
        "adaface-teacher": ("balanced", "synthetic", "synthetic-mix"),
        "elastic-teacher": ("mix-equal-ids", "mix-equal-img"),
    }
    assert (plan.variant, plan.epochs_of) == ("faithful", "set")
