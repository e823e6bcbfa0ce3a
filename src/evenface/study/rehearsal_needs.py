"""Time that the stages of a study take, from what a rehearsal measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenface.errors import EvenfaceError
from evenface.evaluate import Protocol, evaluate_embeddings
from evenface.study import layout
from evenface.study.executors.local import visible_gpus
from evenface.study.face_counts import total
from evenface.study.plan_result import Plan
from evenface.study.run_list import StudyRun
from evenface.study.samples import Sample
from evenface.study.spec import ShuffledTeacher, StudySpec, TrainedTeacher, teacher_id
from evenface.study.stage import Mark
from evenface.study.students import number_of_runs, processes
from evenface.teachers import load_teacher
from evenface.teachers.base import IMAGE_SHAPE, Teacher

_VIEWS = 2
_BLOCK = 32
"""Images that are embedded at once."""
_LONGEST = 1.0
"""Seconds of measuring a model, at least one block."""
_REPLICATES = 100


@dataclass(frozen=True)
class Need:
    """Time that a stage of the full study takes.

    Attributes:
        seconds: on the clock; None: not known.
        basis: what it is reckoned from.
    """

    stage: str
    seconds: float | None
    basis: str


def time_needs(
    spec: StudySpec,
    plan: Plan,
    samples: Mapping[str, Sample],
    folder: Path,
    runs: list[StudyRun],
) -> list[Need]:
    """What each stage of the full study takes on this machine.

    Args:
        spec: the study.
        plan: of it, with measured paces.
        samples: of its faces, by role.
        folder: of the study in small, whose models are timed.
        runs: trainings of that.
    """
    return [
        *_import_needs(samples),
        *(
            Need(f"train {run.name}, {run.steps or 0:,} steps", run.left, plan.pace)
            for run in plan.teachers
        ),
        *_embedding_needs(spec, plan, folder),
        _training_need(plan),
        _evaluation_need(spec, plan, samples, folder, runs),
    ]


def _import_needs(samples: Mapping[str, Sample]) -> list[Need]:
    return [
        Need(
            f"import {role}, {found.size.images:,} images",
            found.image_seconds * found.size.images,
            "the sample's images, all cores",
        )
        for role, found in samples.items()
        if found.image_seconds is not None and found.size.images
    ]


def _embedding_needs(spec: StudySpec, plan: Plan, folder: Path) -> list[Need]:
    images = total(plan.sizes[role] for role in ("real", "synthetic")).images
    needs = []
    for given in spec.teachers:
        if isinstance(given, ShuffledTeacher):
            continue  # it embeds nothing
        name, networks = teacher_id(given), list(spec.networks(given))
        trained = isinstance(given, TrainedTeacher)
        each = _image_seconds(folder / layout.teacher(networks[0]) if trained else str(given))
        if each is None or images is None:
            needs.append(Need(f"embed the faces by {name}", None, "unknown"))
            continue
        views = images * _VIEWS * len(networks)
        seconds = each * views / _devices()
        needs.append(Need(f"embed {views:,} views by {name}", seconds, f"noise, {_where()}"))
    return needs


def _training_need(plan: Plan) -> Need:
    seconds = plan.seconds
    if seconds is not None:
        seconds -= sum(run.left or 0.0 for run in plan.teachers)
    basis = f"{plan.pace}; {plan.workers} at once"
    return Need(f"train {len(plan.trainings)} students", seconds, basis)


def _evaluation_need(
    spec: StudySpec,
    plan: Plan,
    samples: Mapping[str, Sample],
    folder: Path,
    runs: list[StudyRun],
) -> Need:
    models = f"evaluate {number_of_runs(spec)} students"
    training = ("real", *spec.faces.synthetic_parts())
    tests = {role: found for role, found in samples.items() if role not in training}
    images = [plan.sizes[role].images for role in tests]
    backbones: dict[str, Path] = {}
    for run in runs:
        if (Mark.read(folder / run.at) or Mark("")).finished:
            backbones.setdefault(run.recipe.backbone.name, folder / run.at)
    each = [seconds for at in backbones.values() if (seconds := _image_seconds(at)) is not None]
    if not each or None in images:
        return Need(models, None, "unknown until the tests are there and a model works")
    views = _VIEWS * sum(count or 0 for count in images)
    statistics = sum(
        _statistics_seconds(found.tests, spec.evaluation.replicates)
        for found in tests.values()
        if found.tests is not None
    )
    embedding = views * sum(each) / len(each) / _devices()
    seconds = number_of_runs(spec) * (embedding + statistics / processes(spec))
    return Need(models, seconds, f"{views:,} views each: noise and random embeddings, {_where()}")


def _image_seconds(source: str | Path) -> float | None:
    """Seconds that embedding an image takes, measured on noise; None where a model is not there."""
    try:
        model: Teacher = load_teacher(source)
    except EvenfaceError:
        return None
    images = np.random.default_rng(0).integers(0, 256, (_BLOCK, *IMAGE_SHAPE), dtype=np.uint8)
    model.embed(images[:4])  # warm up
    begun, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - begun < _LONGEST:
        model.embed(images)
        count += len(images)
    return (time.perf_counter() - begun) / count


def _statistics_seconds(protocol: Protocol, replicates: int) -> float:
    """Seconds that one model's measures take on these pairs, from fewer replicates."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(protocol.identity), 64)).astype(np.float32)
    begun = time.perf_counter()
    evaluate_embeddings(embeddings, protocol, replicates=_REPLICATES, detail=False)
    return (time.perf_counter() - begun) * max(1.0, replicates / _REPLICATES)


def _devices() -> int:
    """GPUs, or one where all cores work as one."""
    return len(visible_gpus()) or 1


def _where() -> str:
    gpus = len(visible_gpus())
    return f"on one of {gpus} GPUs just now" if gpus else "on all cores just now"
