"""Run a study: faces → training sets → teacher → students → evaluation → results → report."""

from __future__ import annotations

from pathlib import Path

import yaml

from evenface.assets import get_asset
from evenface.errors import MissingDependencyError, UsageError
from evenface.files import write_json, write_text
from evenface.study.benchmarks import draw_benchmarks, evaluate_models
from evenface.study.faces import prepare_faces, training_sets
from evenface.study.results import Findings, collect_results
from evenface.study.spec import FolderFaces, StudySpec
from evenface.study.stages import StageLog
from evenface.study.students import (
    StudyModel,
    embed_sources,
    train_students,
    untrained_student,
)
from evenface.teachers import load_teacher

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
SPEC_NAME = "study.yaml"


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

    faces = prepare_faces(spec, log)
    sets = training_sets(spec, faces, log)
    teacher = load_teacher(spec.teacher)
    sources = {"real": faces.real, "synthetic": faces.synthetic}
    embedded = embed_sources(teacher, sources, log)
    students = train_students(spec, sets, embedded, log)
    models = [
        StudyModel("teacher", f"teacher ({teacher.name})", "teacher", teacher),
        untrained_student(spec, teacher.embedding_size, log),
        *students,
    ]
    benchmarks = draw_benchmarks(spec, faces)
    evaluations = evaluate_models(spec, models, benchmarks, log)

    findings = Findings(spec, command, teacher, sets, models, benchmarks, evaluations, log)
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
    """Record the study in its folder; refuse a folder that holds another one."""
    path = out / SPEC_NAME
    content = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    if path.exists():
        before = yaml.safe_load(path.read_text("utf-8"))
        if before != yaml.safe_load(content):
            changed = sorted(
                k
                for k in spec.model_dump(mode="json")
                if before.get(k) != spec.model_dump(mode="json")[k]
            )
            raise UsageError(
                f"{out}: holds a study with other settings ({', '.join(changed)} differ). Choose "
                "another --out, or delete the folder"
            )
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: is not empty and holds no study. Choose another --out")
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def _assets(spec: StudySpec) -> list[str]:
    """Names of the assets that the study uses."""
    names: list[str] = list(spec.evaluation.real_people)
    aligned = any(
        isinstance(part, FolderFaces) and part.align != "never"
        for part in (spec.faces.real, spec.faces.synthetic, spec.faces.test)
    )
    if names or aligned:
        names.append("yunet")
    if spec.teacher == "sface":
        names.append("sface")
    return names


def _fetch(spec: StudySpec) -> None:
    for name in _assets(spec):
        get_asset(name)
