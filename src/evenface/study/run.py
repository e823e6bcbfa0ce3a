"""Run a study: faces → training sets → teacher → students → evaluation → results → report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from evenface.console import note, warn
from evenface.display import display
from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.files import write_json, write_text
from evenface.lock import LOCK_NAME, FolderLock
from evenface.study import layout
from evenface.study.assets import assets_stage
from evenface.study.benchmarks import evaluate_arms
from evenface.study.executors import Executor
from evenface.study.faces import check_inputs
from evenface.study.pipeline import Pipeline
from evenface.study.record import Failure
from evenface.study.results import Findings, check_claims, collect_results
from evenface.study.run_list import RUNS_NAME
from evenface.study.spec import ClassifierLabels, ShuffledTeacher, StudySpec
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog
from evenface.study.students import (
    EmbeddingsWait,
    StudyArm,
    StudyTeacher,
    check_models,
    given_arms,
    teacher_arm,
    too_few_seeds,
    train_students,
    untrained_students,
)

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
SPEC_NAME = "study.yaml"
_FREE = ("description", "workers")
"""Settings that may change between two calls: no result depends on them."""


def run_study(
    spec: StudySpec,
    out: Path,
    *,
    command: str,
    executor: Executor | None = None,
    reuse: Sequence[Path] = (),
    prepare_only: bool = False,
    embeddings_later: bool = False,
) -> Path:
    """Run what is not finished yet; write ``results.json`` and ``report.html``.

    Args:
        spec: the study.
        out: its folder. A study found there that was interrupted is continued.
        command: how to repeat it, for the report.
        executor: where students are trained and evaluated; None: processes of this machine.
        reuse: folders of other studies, whose finished parts are copied where they are the same.
        prepare_only: stop before students are trained; ``runs.json`` lists what is to do.
        embeddings_later: stop before teachers embed, with everything begun for jobs that do.

    Returns:
        Path of the report, of ``runs.json``, or of the embeddings to fill.

    Raises:
        UsageError: ``out`` holds another study, or another process is at it.
        EvenfaceError: a stage failed; what is finished is kept.
    """
    _require_extras(spec)
    with _held(spec, out):
        log = StageLog(out, executor=executor, reuse=reuse, embeddings_later=embeddings_later)
        try:
            return _run(spec, out, log, command=command, prepare_only=prepare_only)
        except EmbeddingsWait:
            return out / layout.EMBEDDINGS


def _run(spec: StudySpec, out: Path, log: StageLog, *, command: str, prepare_only: bool) -> Path:
    log.run(assets_stage(spec))
    check_claims(spec)
    check_models(spec)
    if few := too_few_seeds(spec):
        warn(few)
    given = given_arms(spec)
    check_inputs(spec)
    pipeline = Pipeline(spec, log)
    evaluating: tuple[Stage, ...] = ()
    students: list[StudyArm] = []
    failures: list[Failure] = []
    waiting: set[str] = set()
    for stage in pipeline.stages():
        if isinstance(stage, Stage):
            _bring_up(stage, log, waiting)
        elif waiting:
            raise EmbeddingsWait
        elif stage.kind == "train":
            only = prepare_only or log.embeddings_later
            trainings = pipeline.trainings()
            students, failures = train_students(
                spec, trainings, pipeline.training_set, log, prepare_only=only
            )
            if only:
                return out / RUNS_NAME
        else:
            evaluating = stage.stages
    learned = pipeline.faces() if spec.training_sets else None
    teachers = pipeline.teachers()
    if learned is not None:
        students = [*untrained_students(spec, pipeline.embedding_size(), log.folder), *students]
    models = [*_teacher_arms(teachers), *students, *given]
    arms, evaluations, more = evaluate_arms(spec, models, pipeline.benchmarks(), evaluating, log)
    findings = Findings(
        spec=spec,
        command=command,
        teachers=teachers,
        group_by=pipeline.prepared().group_by,
        sets={name: pipeline.training_set(name) for name in spec.training_sets},
        arms=arms,
        benchmarks=pipeline.benchmarks(),
        evaluations=evaluations,
        failures=[*failures, *more],
        log=log,
        labels=learned.labels if learned else None,
        left_out=learned.left_out if learned else None,
    )
    write_json(out / RESULTS_NAME, collect_results(findings).to_dict())
    return display().study_report(out)


def _bring_up(stage: Stage, log: StageLog, waiting: set[str]) -> None:
    """Run a stage, or add it to those that wait for jobs to embed."""
    if waiting & set(stage.needs):
        waiting.add(stage.name)
        return
    try:
        log.run(stage)
    except EmbeddingsWait:
        waiting.add(stage.name)


def _teacher_arms(teachers: Sequence[StudyTeacher]) -> list[StudyArm]:
    """Of all but shuffled ones, which are no models."""
    return [teacher_arm(of) for of in teachers if not isinstance(of.given, ShuffledTeacher)]


def record_study(spec: StudySpec, out: Path) -> None:
    """Write the study's settings into its folder, for jobs to run it from there.

    Raises:
        UsageError: ``out`` holds another study, or a process is running it.
    """
    with _held(spec, out):
        pass


@contextmanager
def _held(spec: StudySpec, out: Path) -> Iterator[None]:
    """The study's folder for this process alone, its settings recorded."""
    _refuse_other(spec, out)  # before anything is written there
    with FolderLock(out, doing="is running this study. Wait for it, or choose another --out"):
        _settle(spec, out)
        yield


def _require_extras(spec: StudySpec) -> None:
    """Say now, not after an hour, what is not installed."""
    if lacking := missing_packages(spec):
        extras = ",".join(dict.fromkeys(lacking.values()))
        raise MissingDependencyError(next(iter(lacking)), extras, "a study")


def missing_packages(spec: StudySpec) -> dict[str, str]:
    """Package → extra that brings it, of those that the study needs and that are not installed."""
    from importlib.util import find_spec

    needed = {"torch": "train", "safetensors": "train", "matplotlib": "report", "jinja2": "report"}
    if isinstance(spec.faces.synthetic_labels, ClassifierLabels):
        needed |= {"sklearn": "label"}
    if spec.simulated:
        needed |= {"anny": "render", "embreex": "render"}
    return {package: extra for package, extra in needed.items() if find_spec(package) is None}


def _settle(spec: StudySpec, out: Path) -> None:
    """Record the study in its folder."""
    before = _refuse_other(spec, out)
    settings = spec.model_dump(mode="json")
    changed = sorted(key for key in settings if before.get(key) != settings[key])
    if before and (changed := [key for key in changed if key not in _FREE]):
        note(
            f"{out}: {', '.join(changed)} changed since the last call; what does not depend on it "
            "is kept"
        )
    write_text(out / SPEC_NAME, yaml.safe_dump(settings, sort_keys=False))


def _refuse_other(spec: StudySpec, out: Path) -> dict[str, Any]:
    """The settings recorded in the folder, {} for none.

    Raises:
        UsageError: it holds a study of another name, or something else.
    """
    path = out / SPEC_NAME
    if path.exists():
        before = _read_settings(path)
        if before.get("name") != spec.name:
            raise UsageError(
                f"{out}: holds the study '{before.get('name')}'. Choose another --out, or delete "
                "the folder"
            )
        return before
    if out.exists() and (not out.is_dir() or _content(out)):
        raise UsageError(f"{out}: is not empty and is not a study. Choose another --out")
    return {}


def _content(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK_NAME}


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        settings = None
    if not isinstance(settings, dict):
        raise DataError(f"{path}: damaged. Choose another --out, or delete the folder")
    return settings
