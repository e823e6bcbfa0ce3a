"""Run a study: faces → training sets → teacher → students → evaluation → results → report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evenface.assets import ASSETS, get_asset
from evenface.console import note
from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.files import write_json, write_text
from evenface.study.benchmarks import draw_benchmarks, evaluate_arms
from evenface.study.faces import prepare_faces, training_sets
from evenface.study.results import Findings, collect_results
from evenface.study.spec import FolderFaces, StudySpec
from evenface.study.stages import StageLog
from evenface.study.students import (
    check_models,
    embed_sources,
    open_teachers,
    teacher_arm,
    train_students,
    untrained_students,
)

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
SPEC_NAME = "study.yaml"
_FREE = ("description", "workers")
"""Settings that may change between two calls: no result depends on them."""


def run_study(spec: StudySpec, out: Path, *, command: str) -> Path:
    """Run what is not finished yet; write ``results.json`` and ``report.html``.

    Args:
        spec: the study.
        out: its folder. A study found there that was interrupted is continued.
        command: how to repeat it, for the report.

    Returns:
        Path of the report.

    Raises:
        UsageError: ``out`` holds another study.
        EvenfaceError: a stage failed; what is finished is kept.
    """
    _require_extras(spec)
    _settle(spec, out)
    log = StageLog(out)
    log.run("assets", {"assets": _assets(spec)}, lambda _: _fetch(spec), at="assets")
    check_models(spec)
    faces = prepare_faces(spec, log)
    benchmarks = draw_benchmarks(spec, faces, log)
    sets = training_sets(spec, faces, log)
    teachers = open_teachers(spec, sets, log)
    sources = {"real": faces.real, "synthetic": faces.synthetic}
    embedded = {teacher.id: embed_sources(teacher, sources, log) for teacher in teachers}
    arms = [
        *map(teacher_arm, teachers),
        *untrained_students(spec, teachers[0].model.embedding_size, log),
        *train_students(spec, sets, embedded, log),
    ]
    evaluations = evaluate_arms(spec, arms, benchmarks, log)

    findings = Findings(
        spec, command, teachers, faces.group_by, sets, arms, benchmarks, evaluations, log
    )
    write_json(out / RESULTS_NAME, collect_results(findings))
    return build_report(out)


def build_report(out: Path) -> Path:
    """Write ``report.html`` from the ``results.json`` in ``out`` and return its path."""
    from evenface.report import write_report

    return write_report(out / RESULTS_NAME, out / REPORT_NAME)


def _require_extras(spec: StudySpec) -> None:
    """Say now, not after an hour, what is not installed."""
    from importlib.util import find_spec

    needed = {"torch": "train", "safetensors": "train", "matplotlib": "report", "jinja2": "report"}
    if spec.simulated:
        needed |= {"anny": "render", "embreex": "render"}
    for package, extra in needed.items():
        if find_spec(package) is None:
            raise MissingDependencyError(package, extra, "a study")


def _settle(spec: StudySpec, out: Path) -> None:
    """Record the study in its folder; refuse a folder that holds one of another name."""
    path = out / SPEC_NAME
    settings = spec.model_dump(mode="json")
    if path.exists():
        before = _read_settings(path)
        if before.get("name") != spec.name:
            raise UsageError(
                f"{out}: holds the study '{before.get('name')}'. Choose another --out, or delete "
                "the folder"
            )
        changed = sorted(key for key in settings if before.get(key) != settings[key])
        if changed := [key for key in changed if key not in _FREE]:
            note(
                f"{out}: {', '.join(changed)} changed since the last call; what does not depend "
                "on it is kept"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty and holds no study. Choose another --out")
    write_text(path, yaml.safe_dump(settings, sort_keys=False))


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        settings = None
    if not isinstance(settings, dict):
        raise DataError(f"{path}: damaged. Choose another --out, or delete the folder")
    return settings


def _assets(spec: StudySpec) -> list[str]:
    """Names of the assets that the study uses."""
    names: list[str] = list(spec.evaluation.real_people)
    aligned = any(
        isinstance(part, FolderFaces) and part.align != "never"
        for part in spec.faces.by_role().values()
    )
    if names or aligned:
        names.append("yunet")
    names += [
        teacher for teacher in spec.teachers if isinstance(teacher, str) and teacher in ASSETS
    ]
    return names


def _fetch(spec: StudySpec) -> None:
    for name in _assets(spec):
        get_asset(name)
