"""The study's models: teachers, students without and with distillation, an untrained network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from evenface.console import progress
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.files import atomic_path, read_json, write_json
from evenface.study.answers import Arm
from evenface.study.executors import default_workers
from evenface.study.spec import StudySpec, teacher_id
from evenface.study.stages import Stage, StageLog
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher
from evenface.teachers.cache import EmbeddingCache, cached_embeddings
from evenface.teachers.subset import subset_cache
from evenface.train.recipe import TrainRecipe, load_recipe
from evenface.train.run import LOG_NAME, RUN_NAME, WEIGHTS_NAME


@dataclass(frozen=True)
class StudyTeacher:
    """A teacher under the name that the study's results use.

    Attributes:
        given: what the study file says: a known name, or a path.
    """

    id: str
    given: str
    model: LoadedTeacher


@dataclass(frozen=True)
class StudyArm(Arm):
    """An arm with what was trained: training seed → run folder; or the teacher itself."""

    runs: Mapping[int, Path] = field(default_factory=dict)
    model: LoadedTeacher | None = None

    def describe(self) -> dict[str, Any]:
        """The arm as ``results.json`` has it; seconds are the mean over its seeds."""
        records = [read_json(run / RUN_NAME) for run in self.runs.values()]
        first = records[0] if records else {}
        seconds = [r["seconds"] for r in records if "seconds" in r]
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "set": self.set,
            "kd": self.kd,
            "teacher": self.teacher,
            "seeds": list(self.seeds),
            "backbone": first.get("backbone") or self._teacher_fact("backbone"),
            "parameters": first.get("parameters"),
            "embedding_size": first.get("embedding_size", self.model and self.model.embedding_size),
            "steps": first.get("steps"),
            "seconds": round(fmean(seconds), 2) if seconds else None,
        }

    def _teacher_fact(self, name: str) -> str | None:
        return self.model.details.get(name, self.model.name) if self.model else None

    def curves(self) -> list[list[dict[str, Any]]]:
        """Logged losses of each run."""
        return [_read_log(run / LOG_NAME) for run in self.runs.values()]


def teacher_arm(teacher: StudyTeacher) -> StudyArm:
    """The arm of a teacher."""
    title = f"teacher {teacher.id}"
    return StudyArm(
        f"teacher-{teacher.id}", title, "teacher", None, None, teacher.id, (), model=teacher.model
    )


def open_teachers(spec: StudySpec) -> list[StudyTeacher]:
    """The study's teachers, the main one first.

    Raises:
        UsageError: their embedding sizes differ: the student without distillation could not be the
            same network as each student with it.
    """
    teachers = [StudyTeacher(teacher_id(name), name, load_teacher(name)) for name in spec.teachers]
    sizes = {teacher.id: teacher.model.embedding_size for teacher in teachers}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise UsageError(
            f"the teachers' embeddings must be of one size ({listed}), or the student without "
            "distillation would not be the same network for each. Run one study for each teacher"
        )
    return teachers


def embed_sources(
    teacher: StudyTeacher, manifests: dict[str, Manifest], log: StageLog
) -> list[tuple[Manifest, EmbeddingCache]]:
    """Teacher embeddings (image and mirror image) of each manifest."""
    caches = []
    for name, manifest in manifests.items():

        def build(folder: Path, manifest: Manifest = manifest) -> None:
            cached_embeddings(teacher.model, manifest, folder)

        inputs = {
            "teacher": teacher.model.fingerprint,
            "images": manifest.image_fingerprint,
        }
        at = f"embeddings/{teacher.id}/{name}"
        folder = log.run(f"teacher {teacher.id} embeds: {name}", inputs, build, at=at)
        caches.append((manifest, EmbeddingCache.open(folder)))
    return caches


def train_students(
    spec: StudySpec,
    sets: dict[str, Manifest],
    embedded: dict[str, list[tuple[Manifest, EmbeddingCache]]],
    log: StageLog,
) -> list[StudyArm]:
    """Each training set without distillation and with each teacher, once with each training seed.

    All arms take the same number of optimiser steps, and runs of one seed start from the same
    weights.

    Args:
        spec: the study.
        sets: training sets by name.
        embedded: teacher id → embeddings of the images that the sets are made of.
        log: where runs are recorded.
    """
    size = next(iter(embedded.values()))[0][1].embedding_size
    epoch = _epoch_steps(spec, sets, embedded)
    arms, stages, steps = [], [], 0
    for name, manifest in sets.items():
        data = log.folder / "sets" / name
        for teacher in (None, *embedded):
            arm = f"{name}-plain" if teacher is None else f"{name}-kd-{teacher}"
            cache = (
                None
                if teacher is None
                else _gather(teacher, embedded[teacher], name, manifest, log)
            )
            runs = {}
            for seed in spec.training_seeds:
                recipe = student_recipe(
                    spec,
                    f"{arm}-s{seed}",
                    seed=seed,
                    data=data,
                    size=size,
                    cache=cache,
                    epoch=epoch,
                )
                whose = _teacher_fingerprint(embedded[teacher]) if teacher else None
                inputs = {"run": recipe.fingerprint(manifest.fingerprint, whose)}
                stage = Stage(
                    f"train: {recipe.name}", inputs, f"runs/{recipe.name}", _train, (recipe,)
                )
                stages.append(stage)
                runs[seed] = log.folder / stage.at
                steps += recipe.schedule.steps or (recipe.schedule.epochs or 0) * epoch
            title = f"{name}, without KD" if teacher is None else f"{name}, KD from {teacher}"
            kd = teacher is not None
            seeds = tuple(runs)
            arms.append(StudyArm(arm, title, "student", name, kd, teacher, seeds, runs))
    title = f"train {len(stages)} students"
    with _watched(title, [run for arm in arms for run in arm.runs.values()], steps) as watch:
        log.run_together(title, stages, workers=processes(spec), watch=watch).all_finished()
    return arms


def _gather(
    teacher: str,
    embedded: list[tuple[Manifest, EmbeddingCache]],
    name: str,
    manifest: Manifest,
    log: StageLog,
) -> Path:
    """The teacher's embeddings of a training set, in its order, gathered beside it once."""

    def build(folder: Path) -> None:
        subset_cache(embedded, manifest, folder)

    inputs = {"teacher": _teacher_fingerprint(embedded), "images": manifest.image_fingerprint}
    at = f"sets/{name}/embeddings-{teacher}"
    return log.run(f"teacher {teacher}, embeddings of set: {name}", inputs, build, at=at)


def _teacher_fingerprint(embedded: list[tuple[Manifest, EmbeddingCache]]) -> str:
    return embedded[0][1].record.teacher_fingerprint


def untrained_students(spec: StudySpec, size: int, log: StageLog) -> StudyArm:
    """The student's network before its first step: what architecture alone gives."""
    runs = {}
    for seed in spec.training_seeds:
        recipe = student_recipe(spec, "untrained", seed=seed, size=size)

        def build(folder: Path, recipe: TrainRecipe = recipe) -> None:
            _initialise(folder, recipe, size)

        inputs = {"backbone": recipe.backbone.model_dump(), "seed": seed, "size": size}
        name = f"untrained network, seed {seed}"
        runs[seed] = log.run(name, inputs, build, at=f"runs/untrained-s{seed}")
    title = "untrained network"
    return StudyArm("untrained", title, "untrained", None, None, None, tuple(runs), runs)


def student_recipe(
    spec: StudySpec,
    name: str,
    *,
    seed: int,
    data: Path = Path(),
    size: int | None = None,
    cache: Path | None = None,
    epoch: int | None = None,
) -> TrainRecipe:
    """The study's training recipe for one run; all differ in data, distillation and seed only.

    Args:
        spec: the study.
        name: of the run.
        seed: of training.
        data: folder of the training set.
        size: dimensions of the embedding.
        cache: the teacher's embeddings, None for no distillation.
        epoch: steps that count as an epoch where the recipe counts epochs.

    Raises:
        UsageError: the study's overrides do not fit the recipe.
    """
    overrides: dict[str, Any] = {
        **spec.student.overrides,
        "name": name,
        "seed": seed,
        "data": str(data),
        "backbone.embedding_size": size,
    }
    if cache is not None:
        overrides |= {"distill.cache": str(cache), "distill.weight": spec.distillation_weight}
    recipe = load_recipe(spec.student.recipe, overrides)
    if recipe.schedule.steps is None and recipe.schedule.epoch_steps is None and epoch:
        schedule = recipe.schedule.model_copy(update={"epoch_steps": epoch})
        recipe = recipe.model_copy(update={"schedule": schedule})
    return recipe


def check_student(spec: StudySpec) -> None:
    """UsageError if the student cannot be made: told before anything else is done."""
    import torch

    from evenface.train.learner import build_backbone
    from evenface.train.objective import Objective

    recipe = student_recipe(spec, "student", seed=spec.training_seeds[0], size=8)
    with torch.device("meta"):  # sizes without memory
        build_backbone(recipe)
        Objective.from_recipe(recipe, num_identities=2)


def processes(spec: StudySpec) -> int:
    """Processes at once: a small network uses one core well, and a GPU is one."""
    return spec.workers or default_workers()


def _epoch_steps(
    spec: StudySpec,
    sets: dict[str, Manifest],
    embedded: dict[str, list[tuple[Manifest, EmbeddingCache]]],
) -> int:
    """Steps of an epoch of the real faces, which is what an epoch is for every set.

    UsageError where a set does not fill a batch: its batches would be smaller than the others'.
    """
    batch = student_recipe(spec, "student", seed=0).batch_size
    for name, manifest in sets.items():
        if len(manifest) < batch:
            raise UsageError(
                f"the training set '{name}' has {len(manifest)} images, fewer than a batch of "
                f"{batch}. Add --set student.overrides.batch_size=N, at most {len(manifest)}"
            )
    real = next(iter(embedded.values()))[0][0]
    return max(1, len(real) // batch)


def _train(folder: Path, recipe: TrainRecipe) -> None:
    from evenface.train.loop import train

    train(recipe, folder, quiet=True)


def _initialise(folder: Path, recipe: TrainRecipe, size: int) -> None:
    import safetensors.torch
    import torch

    from evenface.models import create_backbone
    from evenface.seeds import derive_seed

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        backbone = create_backbone(recipe.backbone.name, embedding_size=size)
    with atomic_path(folder / WEIGHTS_NAME) as temporary:
        safetensors.torch.save_file(backbone.state_dict(), temporary)
    record = {
        "backbone": recipe.backbone.name,
        "embedding_size": size,
        "parameters": sum(p.numel() for p in backbone.parameters()),
        "steps": 0,
    }
    write_json(folder / RUN_NAME, record)


@contextmanager
def _watched(title: str, runs: list[Path], steps: int) -> Iterator[Callable[[], None]]:
    """A progress bar over the steps of runs that other processes are at; yields its update."""
    seen = {run: _steps_done(run) for run in runs}
    with progress(title, steps, unit="steps", done=sum(seen.values())) as bar:

        def update() -> None:
            for run, before in seen.items():
                now = _steps_done(run)
                if now > before:
                    bar.advance(now - before)
                    seen[run] = now

        yield update


def _steps_done(run: Path) -> int:
    """The last step in a run's log, which may be in the middle of being written."""
    log = run / LOG_NAME
    lines = log.read_bytes().splitlines() if log.exists() else []
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except ValueError:
            continue
    return 0


def _read_log(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        {
            "step": record["step"],
            "loss": record["loss"],
            "classification": record["classification"],
            "distillation": record.get("distillation"),
        }
        for record in records
    ]
