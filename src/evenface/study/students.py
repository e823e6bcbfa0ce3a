"""The study's models: teachers, students without and with distillation, an untrained network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from evenface.console import note, progress, warn
from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.files import atomic_path, read_json, write_json
from evenface.run_folder import RUN_NAME, WEIGHTS_NAME
from evenface.study import layout
from evenface.study.answers import Arm
from evenface.study.cells import Cell, cells
from evenface.study.embedding import begin_task, embed_together
from evenface.study.executors import default_workers
from evenface.study.given import Given, open_given
from evenface.study.record import CurvePoint, Failure, Model, Run
from evenface.study.run_list import StudyRun, checkpointed_step, training_stage, write_runs
from evenface.study.spec import (
    GivenTeacher,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    teacher_id,
)
from evenface.study.stage import Stage
from evenface.study.stage_log import StageFailure, StageLog
from evenface.study.teaching import train_teacher
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher
from evenface.teachers.subset import shuffle_cache, subset_cache
from evenface.train.log import last_record
from evenface.train.recipe import TrainRecipe, load_recipe
from evenface.train.run import LOG_NAME, PRETRAINING_NAME

Embedded = list[tuple[Manifest, EmbeddingCache]]
"""Faces and a teacher's embeddings of them: the real ones, then the synthetic ones."""
_OF_RUN = ("fingerprint", "seconds", "images_seen", "final", "environment")
"""What results keep of a run's record."""


@dataclass(frozen=True)
class StudyTeacher:
    """A teacher under the name that the study's results use."""

    id: str
    given: GivenTeacher
    """What the study file says: a known name, a path, or how the study makes it."""
    networks: Mapping[str, LoadedTeacher]
    """By id: one, or one for each training seed of the students."""
    sources: Mapping[str, str]
    """Network → what other processes load it from; none of a shuffled teacher."""
    runs: Mapping[int, Path] = field(default_factory=dict)
    """Training seed → run folder, where each has its own."""

    @property
    def model(self) -> LoadedTeacher:
        """Its first network."""
        return next(iter(self.networks.values()))


@dataclass(frozen=True)
class StudyArm(Arm):
    """An arm with what was trained: training seed → run folder; or the teacher itself."""

    runs: Mapping[int, Path] = field(default_factory=dict)
    model: LoadedTeacher | None = None
    recipe: Mapping[str, Any] | None = None
    """The resolved recipe of a student's first run."""
    given: tuple[Given, ...] = ()
    """In place of runs, models that the user brought."""

    @property
    def models(self) -> dict[int, Path]:
        """Seed → run folder, or what stands for it."""
        return {**self.runs, **{given.spec.seed: given.at for given in self.given}}

    note: str = ""
    """Of its cell."""

    def describe(self) -> Model:
        """What results say of it, its cost aside; seconds are the mean over its seeds."""
        records = [read_json(run / RUN_NAME) for run in self.runs.values()]
        first = records[0] if records else {}
        seconds = [r["seconds"] for r in records if "seconds" in r]
        return Model(
            id=self.id,
            title=self.title,
            kind=self.kind,
            set=self.set,
            kd=self.kd,
            teacher=self.teacher,
            levels=dict(self.levels),
            seeds=self.seeds,
            backbone=first.get("backbone") or self._fact("backbone"),
            head=first.get("head"),
            embedding_size=first.get("embedding_size") or self._embedding_size(),
            steps=first.get("steps"),
            seconds=round(fmean(seconds), 2) if seconds else None,
            runs=tuple(
                Run(
                    seed=seed,
                    run=f"{run.parent.name}/{run.name}",
                    **{key: record.get(key) for key in _OF_RUN},
                )
                for (seed, run), record in zip(self.runs.items(), records, strict=True)
            ),
            recipe=dict(self.recipe or {}),
            given=tuple(given.describe() for given in self.given),
            note=self.note,
        )

    def _loaded(self) -> LoadedTeacher | None:
        return self.model or next((of.model for of in self.given if of.model), None)

    def _embedding_size(self) -> int | None:
        model = self._loaded()
        return None if model is None else model.embedding_size

    def _fact(self, name: str) -> str | None:
        model = self._loaded()
        return None if model is None else model.details.get(name, model.name)

    def curves(self) -> tuple[tuple[CurvePoint, ...], ...]:
        """Logged losses of each run."""
        return tuple(_read_log(run / LOG_NAME) for run in self.runs.values())


def teacher_arm(teacher: StudyTeacher) -> StudyArm:
    """The arm of a teacher."""
    return StudyArm(
        f"teacher-{teacher.id}",
        f"teacher {teacher.id}",
        "teacher",
        None,
        None,
        teacher.id,
        tuple(teacher.runs),
        runs=teacher.runs,
        model=None if teacher.runs else teacher.model,
    )


def given_arms(spec: StudySpec) -> list[StudyArm]:
    """The arms of models that the user brought.

    Raises:
        EvenfaceError: see :func:`evenface.study.given.open_given`.
    """
    arms = []
    for (identifier, title), models in open_given(spec).items():
        first = models[0].spec
        arms.append(
            StudyArm(
                id=identifier,
                title=title,
                kind="student",
                set=first.set,
                kd=first.teacher is not None,
                teacher=first.teacher,
                seeds=tuple(of.spec.seed for of in models),
                levels=first.levels,
                given=tuple(models),
            )
        )
    return arms


def open_teachers(spec: StudySpec, sets: dict[str, Manifest], log: StageLog) -> list[StudyTeacher]:
    """The study's teachers, the main one first; those that it trains are trained.

    Raises:
        UsageError: their embedding sizes differ: the student without distillation could not be the
            same network as each student with it.
    """
    teachers: list[StudyTeacher] = []
    for given in spec.teachers:
        networks: dict[str, LoadedTeacher] = {}
        places: dict[str, str] = {}
        for name, of in spec.networks(given).items():
            if isinstance(of, ShuffledTeacher):
                networks[name] = next(t.model for t in teachers if t.id == of.shuffle)
            else:
                places[name] = _source(spec, of, sets, log)
                networks[name] = load_teacher(places[name])
        runs: dict[int, Path] = {}
        if len(networks) > 1:
            runs = dict(zip(spec.training_seeds, map(Path, places.values()), strict=True))
        teachers.append(StudyTeacher(teacher_id(given), given, networks, places, runs))
    if spec.training_sets:
        check_embedding_sizes(teachers)
    return teachers


def check_embedding_sizes(teachers: Sequence[StudyTeacher]) -> None:
    """Refuse teachers whose students could not be the same network.

    Raises:
        UsageError: their embedding sizes differ.
    """
    sizes = {teacher.id: teacher.model.embedding_size for teacher in teachers}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise UsageError(
            f"the teachers' embeddings must be of one size ({listed}), or the student without "
            "distillation would not be the same network for each. Run one study for each teacher"
        )


def _source(
    spec: StudySpec, given: str | TrainedTeacher, sets: dict[str, Manifest], log: StageLog
) -> str:
    """What a teacher is loaded from; one that the study trains is trained."""
    if isinstance(given, str):
        return given
    return str(log.run(teacher_stage(spec, given, log.folder, lambda: sets[given.set])))


def teacher_stage(
    spec: StudySpec, given: TrainedTeacher, study: Path, faces: Callable[[], Manifest]
) -> Stage:
    """Trains a teacher.

    Args:
        spec: the study.
        given: the teacher.
        study: the study's folder.
        faces: its training set.
    """
    recipe = teacher_recipe(spec, given, study / layout.training_set(given.set))

    def inputs() -> dict[str, Any]:
        return {"run": recipe.fingerprint(faces().fingerprint, None)}

    def build(folder: Path) -> None:
        train_teacher(folder, recipe, given.processes)

    at = layout.teacher(given.name)
    return Stage(f"train teacher: {given.name}", inputs, at, build, kind="teacher")


def teacher_recipe(
    spec: StudySpec, teacher: TrainedTeacher, data: Path | None = None
) -> TrainRecipe:
    """How the study trains a teacher.

    Args:
        spec: the study.
        teacher: the teacher.
        data: folder of its training set.

    Raises:
        UsageError: the overrides do not fit the recipe.
    """
    overrides: dict[str, Any] = {
        **teacher.overrides,
        "name": teacher.name,
        "seed": teacher.seed,
        "data": None if data is None else str(data),
    }
    recipe = load_recipe(spec.recipe_name(teacher.recipe), overrides)
    return recipe if recipe.backbone.start else recipe.with_embedding_size()


class EmbeddingsWait(Exception):
    """Embeddings were begun for jobs to fill; for :func:`evenface.study.run.run_study`."""


def embed_sources(
    teacher: StudyTeacher,
    manifests: dict[str, Manifest],
    log: StageLog,
    *,
    network: str | None = None,
) -> Embedded:
    """Teacher embeddings (image and mirror image) of each manifest.

    Args:
        teacher: a shuffled one takes the embeddings that are there of the other one.
        manifests: by name.
        log: where they are recorded.
        network: which one of the teacher; None for its first.

    Raises:
        EmbeddingsWait: with ``log.embeddings_later``, where some are not finished.
    """
    caches = []
    waiting = False
    network = network or next(iter(teacher.networks))
    for role, manifest in manifests.items():
        faces = partial(manifests.__getitem__, role)
        try:
            folder = log.run(embedding_stage(network, role, lambda: teacher, faces, log))
        except EmbeddingsWait:
            waiting = True
        else:
            caches.append((manifest, EmbeddingCache.open(folder)))
    if waiting:
        raise EmbeddingsWait
    return caches


def embedding_stage(
    network: str,
    role: str,
    teacher: Callable[[], StudyTeacher],
    faces: Callable[[], Manifest],
    log: StageLog,
) -> Stage:
    """Embeds the faces of a role and their mirror images; see :func:`embed_sources`."""

    def inputs() -> dict[str, Any]:
        given = teacher().given
        return {
            "teacher": teacher().networks[network].fingerprint,
            "images": faces().image_fingerprint,
            **({"shuffled": given.shuffle} if isinstance(given, ShuffledTeacher) else {}),
        }

    def build(folder: Path) -> None:
        if isinstance(given := teacher().given, ShuffledTeacher):
            other = EmbeddingCache.open(log.folder / layout.embeddings(given.shuffle, role))
            shuffle_cache(other, folder)
            return
        source, model = teacher().sources[network], teacher().networks[network]
        if log.embeddings_later:
            begin_task(source, model, faces(), folder)
            raise EmbeddingsWait
        embed_together(source, faces(), folder, executor=log.executor(None), teacher=model)

    return Stage(
        f"teacher {network} embeds: {role}",
        inputs,
        layout.embeddings(network, role),
        build,
        kind="embeddings",
        portable=True,
    )


@dataclass(frozen=True)
class Training:
    """A student of one cell and seed.

    Attributes:
        recipe: what is trained, as far as it is known before its faces and teacher are there.
        key: gives the fingerprint of recipe, training set and teacher.
        needs: names of the stages that come first.
        same_as: the name of an earlier run that is the same training; None: it is trained itself.
    """

    cell: Cell
    seed: int
    recipe: TrainRecipe
    key: Callable[[], str]
    needs: tuple[str, ...] = ()
    same_as: str | None = None

    @cached_property
    def stage(self) -> Stage:
        """Trains it."""
        return replace(training_stage(self.recipe, self._inputs), needs=self.needs)

    def _inputs(self) -> dict[str, Any]:
        return {"run": self.key()}


def train_students(
    spec: StudySpec,
    trainings: Sequence[Training],
    sets: Callable[[str], Manifest],
    log: StageLog,
    *,
    prepare_only: bool = False,
) -> tuple[list[StudyArm], list[Failure]]:
    """Every arm of the grid, once with each training seed, and the runs that failed.

    Runs of one seed and backbone start from the same weights. A run whose recipe and inputs are
    those of another is trained once.

    Args:
        spec: the study.
        trainings: those of all arms.
        sets: gives a training set by name.
        log: where runs are recorded.
        prepare_only: write ``runs.json`` and train nothing.

    Raises:
        UsageError: a training set does not fill a batch.
        EvenfaceError: every run failed.
    """
    for of in trainings:
        _check_batch(of.recipe, of.cell.set, len(sets(of.cell.set)))
    trained = [of for of in trainings if of.same_as is None]
    runs = [
        StudyRun(of.recipe, of.key(), of.recipe.steps(len(sets(of.cell.set)))) for of in trained
    ]
    arms = _arms(trainings, log.folder)
    stages = [of.stage for of in trained]
    log.prepare(stages)
    write_runs(log.folder, runs)
    if prepare_only:
        return arms, []
    for run, stage in zip(runs, stages, strict=True):
        step = checkpointed_step(log.folder / run.at)
        if step and not log.finished([stage]):
            note(f"{run.name}: resumed at step {step:,} of {run.steps:,}")
    title = f"train {len(stages)} students"
    steps = sum(run.steps for run in runs)
    with _watched(title, [log.folder / stage.folder for stage in stages], steps) as watch:
        together = log.run_together(title, stages, workers=processes(spec), watch=watch)
    if len(together.failures) == len(stages):
        together.all_finished()
    failed = {log.folder / failure.stage.folder: failure for failure in together.failures}
    return without_failed(arms, failed)


def _arms(trainings: Sequence[Training], study: Path) -> list[StudyArm]:
    """The arms that the trainings are of, in their order."""
    of_cell: dict[str, list[Training]] = {}
    for of in trainings:
        of_cell.setdefault(of.cell.id, []).append(of)
    return [
        _arm(
            found[0].cell,
            {of.seed: study / layout.run(of.same_as or of.recipe.name) for of in found},
            found[0].recipe,
        )
        for found in of_cell.values()
    ]


def run_key(
    recipe: TrainRecipe, manifest: Manifest, teacher: str | None, first: Manifest | None
) -> str:
    """The fingerprint of a run, known before it is trained.

    Args:
        recipe: its embedding size settled.
        manifest: the training set.
        teacher: its fingerprint, None without distillation.
        first: the training set of its pretraining.
    """
    before = recipe.pretraining()
    if before is None or first is None:
        return recipe.fingerprint(manifest.fingerprint, teacher)
    of_first = before.fingerprint(first.fingerprint, teacher if before.distill else None)
    return recipe.fingerprint(manifest.fingerprint, teacher, of_first)


def without_failed(
    arms: Sequence[StudyArm], failed: Mapping[Path, StageFailure]
) -> tuple[list[StudyArm], list[Failure]]:
    """The arms with the runs that there are, and what is not there.

    Args:
        arms: of students or untrained networks.
        failed: run folder → what became of it.
    """
    left, failures = [], []
    for arm in arms:
        runs = {seed: run for seed, run in arm.runs.items() if run not in failed}
        given = tuple(of for of in arm.given if of.at not in failed)
        failures += [
            Failure(
                model=arm.id,
                seed=seed,
                stage=of.stage.name,
                error=of.error,
                attempts=of.attempts,
            )
            for seed, run in arm.models.items()
            if (of := failed.get(run))
        ]
        kept = replace(arm, runs=runs, given=given)
        left.append(replace(kept, seeds=tuple(kept.models)) if arm.models else arm)
    return left, failures


def number_of_runs(spec: StudySpec) -> int:
    """Trainings of students, at most: arms that turn out to be equal are trained once."""
    return len(cells(spec)) * len(spec.training_seeds)


def too_few_seeds(spec: StudySpec) -> str | None:
    """What to say where the training seeds are too few for any verdict; None where they are not."""
    if not spec.training_sets:
        return None
    seeds, needed = len(spec.training_seeds), spec.claim_settings.seeds
    if seeds >= needed or spec.claims == ():
        return None
    made = [len(spec.networks(t)) for t in spec.teachers if isinstance(t, TrainedTeacher)]
    teachers = sum(made)
    trainings = [teachers + len(cells(spec)) * count for count in (seeds, needed)]
    listed = ",".join(map(str, range(needed)))
    return (
        f"with {seeds} training {'seed' if seeds == 1 else 'seeds'} every verdict will be "
        f"'undecided': {needed} are needed. --set training_seeds=[{listed}] takes {trainings[1]:,} "
        f"trainings instead of {trainings[0]:,}"
    )


def _arm(cell: Cell, runs: dict[int, Path], recipe: TrainRecipe | None) -> StudyArm:
    return StudyArm(
        id=cell.id,
        title=cell.title,
        kind="student",
        set=cell.set,
        kd=cell.teacher is not None,
        teacher=cell.teacher,
        seeds=tuple(runs),
        levels=cell.levels,
        runs=runs,
        recipe=None if recipe is None else _without_paths(recipe),
        note=cell.note,
    )


def _without_paths(recipe: TrainRecipe) -> dict[str, Any]:
    content = recipe.model_dump(mode="json", exclude={"name", "data"}, exclude_defaults=True)
    content.get("distill", {}).pop("cache", None)
    for key in ("data", "cache"):
        content.get("pretrain", {}).pop(key, None)
    return content


def _check_batch(recipe: TrainRecipe, name: str, images: int) -> None:
    if images < recipe.batch_size:
        raise UsageError(
            f"the training set '{name}' has {images} images, fewer than a batch of "
            f"{recipe.batch_size}. Add --set student.overrides.batch_size=N, at most {images}"
        )


def gather_stage(
    network: str, name: str, embedded: Callable[[], Embedded], faces: Callable[[], Manifest]
) -> Stage:
    """Gathers a teacher's embeddings of a training set, in its order, beside it."""

    def inputs() -> dict[str, Any]:
        whose = _teacher_fingerprint(embedded())
        return {"teacher": whose, "images": faces().image_fingerprint}

    def build(folder: Path) -> None:
        subset_cache(embedded(), faces(), folder)

    title = f"teacher {network}, embeddings of set: {name}"
    return Stage(title, inputs, layout.set_embeddings(network, name), build, kind="gather")


def _teacher_fingerprint(embedded: Embedded) -> str:
    return embedded[0][1].record.teacher_fingerprint


def untrained_students(spec: StudySpec, size: int, study: Path) -> list[StudyArm]:
    """Each student's network before its first step: what architecture alone gives."""
    return [
        StudyArm(
            arm,
            title,
            "untrained",
            None,
            None,
            None,
            tuple(stages),
            runs={seed: study / stage.folder for seed, stage in stages.items()},
        )
        for (arm, title), stages in untrained_stages(spec, size).items()
    ]


def untrained_stages(spec: StudySpec, size: int) -> dict[tuple[str, str], dict[int, Stage]]:
    """Id and title of an untrained arm → training seed → what initialises its network.

    Args:
        spec: the study.
        size: dimensions of the embedding.
    """
    found = {}
    for name, overrides in _backbones(spec).items():
        arm = "untrained" if name is None else f"untrained-{name}"
        title = "untrained network" if name is None else f"untrained {name}"
        stages = {}
        for seed in spec.training_seeds:
            recipe = student_recipe(spec, arm, overrides=overrides, seed=seed, size=size)
            inputs = {"backbone": recipe.backbone.model_dump(), "seed": seed, "size": size}
            stages[seed] = Stage(
                f"{title}, seed {seed}",
                inputs,
                layout.run(f"{arm}-s{seed}"),
                _initialise,
                (recipe, size),
                kind="untrained",
            )
        found[arm, title] = stages
    return found


def _backbones(spec: StudySpec) -> dict[str | None, Mapping[str, Any]]:
    """Backbone → what makes a recipe have it; None where all students have the same."""
    found: dict[str, Mapping[str, Any]] = {}
    for cell in cells(spec):
        recipe = student_recipe(spec, "student", overrides=cell.overrides, seed=0)
        found.setdefault(recipe.backbone.name, cell.overrides)
    several = len(found) > 1
    return {name if several else None: overrides for name, overrides in found.items()}


def student_recipe(
    spec: StudySpec,
    name: str,
    *,
    overrides: Mapping[str, Any],
    seed: int,
    data: Path = Path(),
    size: int | None = None,
    cache: Path | None = None,
    first: Path | None = None,
    first_cache: Path | None = None,
    epoch_images: int | None = None,
) -> TrainRecipe:
    """The study's training recipe for one run.

    Args:
        spec: the study.
        name: of the run.
        overrides: of the cell's levels.
        seed: of training.
        data: folder of the training set.
        size: dimensions of the embedding.
        cache: the teacher's embeddings, None for no distillation.
        first: folder of the training set of its pretraining; None: it is only named.
        first_cache: the teacher's embeddings of that; None: as ``cache``.
        epoch_images: images of the real faces, which count as an epoch where the recipe counts
            epochs, so that all sets take the same number of steps; not used where the study counts
            epochs of each set (``epochs_of``).

    Raises:
        UsageError: the study's overrides do not fit the recipe.
    """
    changes: dict[str, Any] = {
        **spec.student.overrides,
        **overrides,
        "name": name,
        # Twins differ by seeds only: a level's seed comes on top.
        "seed": seed + overrides.get("seed", 0),
        "data": str(data),
        "backbone.embedding_size": size,
    }
    if first is not None:
        changes["pretrain.data"] = str(first)
    if cache is None:
        changes = {key: of for key, of in changes.items() if key.split(".")[0] != "distill"}
    else:
        changes["distill.cache"] = str(cache)
        if "pretrain.data" in changes and changes.get("distill.during") != "fine-tuning":
            changes["pretrain.cache"] = str(first_cache or cache)
        if not {"distill.name", "distill.losses", "distill.weight"} & set(changes):
            changes["distill.weight"] = spec.distillation_weight
    recipe = load_recipe(spec.recipe_name(spec.student.recipe), changes)
    of_real = spec.epochs_of == "real" and epoch_images
    if recipe.schedule.steps is None and recipe.schedule.epoch_steps is None and of_real:
        epoch = max(1, of_real // recipe.batch_size)
        schedule = recipe.schedule.model_copy(update={"epoch_steps": epoch})
        recipe = recipe.model_copy(update={"schedule": schedule})
    return recipe


def check_models(spec: StudySpec) -> None:
    """Check, before anything else is done, that networks can be made and teachers opened.

    Warns where the device emulates a recipe's precision.

    Raises:
        EvenfaceError: a network cannot be made, or a teacher cannot be opened.
    """
    import torch

    from evenface.train.device import choose_device, slow_precision
    from evenface.train.learner import build_backbone
    from evenface.train.objective import Objective

    seen: list[TrainRecipe] = []
    for cell in cells(spec) if spec.training_sets else ():
        cache = None if cell.teacher is None else Path("of the teacher")
        recipe = student_recipe(
            spec, "student", overrides=cell.overrides, seed=0, size=8, cache=cache
        )
        if recipe not in seen:
            seen.append(recipe)
    for teacher in spec.teachers:
        if isinstance(teacher, TrainedTeacher):
            seen.append(teacher_recipe(spec, teacher))
        elif isinstance(teacher, str):
            load_teacher(teacher)
    with torch.device("meta"):  # sizes without memory
        for recipe in seen:
            build_backbone(recipe)
            Objective.from_recipe(recipe, num_identities=2)
    remarks = {slow_precision(recipe.precision, choose_device(recipe.device)) for recipe in seen}
    for remark in filter(None, remarks):
        warn(remark)


def processes(spec: StudySpec) -> int:
    """Processes at once: a small network uses one core well, and a GPU is one."""
    return spec.workers or default_workers()


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
    logs = (run / LOG_NAME, run / PRETRAINING_NAME / LOG_NAME)
    return sum(int(last_record(log).get("step", 0)) for log in logs)


def _read_log(path: Path) -> tuple[CurvePoint, ...]:
    records = map(json.loads, path.read_text("utf-8").splitlines())
    return tuple(
        CurvePoint(**{name: record.get(name) for name in CurvePoint.model_fields})
        for record in records
        if "loss" in record  # others are setbacks and verifications
    )
