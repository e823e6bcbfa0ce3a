"""What a study would do if it were run now: its stages and runs, time, disk, memory.

Nothing is built, and nothing need be there: what the data would tell is estimated from the study
file where it says enough, and is unknown otherwise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from evenface.assets import ASSETS
from evenface.assets.cache import state as asset_state
from evenface.errors import EvenfaceError, MissingDependencyError, UsageError
from evenface.parallel import usable_cores
from evenface.study import layout
from evenface.study.assets import assets_of
from evenface.study.face_counts import (
    RealShare,
    Size,
    counted_real_share,
    real_share,
    shortfalls,
)
from evenface.study.faces import path_of, source_sizes
from evenface.study.look import LookLog
from evenface.study.pipeline import Group, Pipeline
from evenface.study.plan_result import Plan, PlannedRun, PlannedStage, State
from evenface.study.run import RESULTS_NAME
from evenface.study.settings import changes, recipe_settings
from evenface.study.spec import HeldOutFaces, PredictionsFile, StudySpec, TrainedTeacher, teacher_id
from evenface.study.stage import Kind, NotBuilt, Stage
from evenface.study.students import Training, processes, teacher_recipe, too_few_seeds
from evenface.study.training_load import (
    Pace,
    Weight,
    kind_of,
    measure,
    step_seconds,
    together,
    weigh,
)
from evenface.teachers import teacher_names
from evenface.train.log import last_record
from evenface.train.recipe import TrainRecipe
from evenface.train.run import LOG_NAME


def plan_study(
    spec: StudySpec,
    out: Path,
    *,
    measuring: bool = False,
    most_images: int | None = None,
    sizes: Mapping[str, Size] | None = None,
    reuse: Sequence[Path] = (),
) -> Plan:
    """Look at what is there and estimate the rest.

    Args:
        spec: the study.
        out: its folder, which need not exist.
        measuring: take a few steps of each kind of training whose time no finished run gives.
        most_images: of such a step on a CPU; the time of a whole batch is in proportion.
        sizes: of faces by role, and of training sets ("set NAME"), where they are known already.
        reuse: folders of other studies, whose finished, identical parts need not be built again.

    Raises:
        UsageError: the study's overrides do not fit its recipes.
        DataError: a file in ``out`` is damaged.
        MissingDependencyError: ``measuring`` without torch.
    """
    if not spec.training_sets:
        raise UsageError(f"{spec.name}: trains nothing, so there is nothing to plan. Run it")
    log = LookLog(out, reuse=reuse)
    pipeline = Pipeline(spec, log, sizes)
    all_sizes = _sizes(pipeline)
    stages = [_look(stage, log) for stage in _one_by_one(pipeline)]
    recipes = _teacher_recipes(pipeline)
    runs = list(_teacher_runs(pipeline, recipes, {stage.name: stage for stage in stages}))
    recipes |= {of.recipe.name: of.recipe for of in pipeline.trainings()}
    runs += _student_runs(pipeline, log)
    workers = _workers(spec)
    paces = _paces(runs, recipes)
    sources = ["finished runs of this study"] if paces else []
    classes = _identities(spec, all_sizes)
    if measuring and (new := _untimed(runs, recipes, paces)):
        threads = 1 if workers > 1 else None
        try:
            paces += [
                measure(recipe, classes, threads=threads, most_images=most_images) for recipe in new
            ]
        except ImportError:
            raise MissingDependencyError("torch", "train", "--measure") from None
        sources.append("steps taken just now on this machine, without distillation")
    weights = _weigh(recipes, classes)
    runs = [_estimated(run, recipes[run.name], paces, weights.get(run.name)) for run in runs]
    count = len(_trained(pipeline))
    teachers, students = tuple(runs[:count]), tuple(runs[count:])
    stages = _with_groups(_timed(stages, runs), pipeline, workers)
    trained = [run for run in runs if run.same_as is None]
    disk, disk_left = _disk(stages, trained)
    return Plan(
        study=spec.name,
        folder=log.folder,
        stages=tuple(stages),
        teachers=teachers,
        runs=students,
        missing=tuple(_missing(pipeline, all_sizes)),
        sizes=all_sizes,
        seconds=_seconds(teachers, students, workers),
        pace=" and ".join(sources) or "unknown",
        workers=workers,
        disk=disk,
        disk_left=disk_left,
        free=_free(log.folder),
        memory=max((run.memory for run in trained if run.memory is not None), default=None),
        report=_report(stages, log.folder),
        warnings=() if (few := too_few_seeds(spec)) is None else (few,),
        variant=spec.variant,
        epochs_of=spec.epochs_of,
        real_shares={name: _real_share(pipeline, name, all_sizes) for name in spec.training_sets},
    )


def _sizes(pipeline: Pipeline) -> dict[str, Size]:
    """Of faces by role, of all synthetic ones, and of training sets ("set NAME")."""
    spec = pipeline.spec
    roles = dict.fromkeys([*spec.faces.by_role(), "synthetic"])
    sizes = {role: pipeline.size(role) for role in roles}
    return sizes | {f"set {name}": pipeline.set_size(name) for name in spec.training_sets}


def _real_share(pipeline: Pipeline, name: str, sizes: Mapping[str, Size]) -> RealShare:
    wanted = pipeline.spec.training_sets[name]
    try:
        return counted_real_share(wanted, pipeline.training_set(name).folder)
    except (NotBuilt, EvenfaceError):
        return real_share(wanted, sizes["real"], sizes["synthetic"])


# --- what is missing ---------------------------------------------------------------------------


def _missing(pipeline: Pipeline, sizes: Mapping[str, Size]) -> list[str]:
    """Inputs that are not where the study says, or do not suffice, with what to do."""
    spec = pipeline.spec
    found = [*_missing_faces(pipeline)]
    whole = {role: pipeline.whole_size(role) for role in _present_roles(spec)}
    short = shortfalls(spec, source_sizes(spec, whole))
    found += short
    labels = spec.faces.synthetic_labels
    if isinstance(labels, PredictionsFile) and not labels.path.is_file():
        found.append(f"labels: {labels.path} is not there")
    if not found:
        try:
            pipeline.faces()
        except NotBuilt:
            pass
        except EvenfaceError as error:
            found.append(str(error))
    return [*found, *_missing_models(spec)]


def _present_roles(spec: StudySpec) -> list[str]:
    parts = spec.faces.by_role()
    return [role for role, part in parts.items() if not isinstance(part, HeldOutFaces)]


def _missing_faces(pipeline: Pipeline) -> Iterator[str]:
    for role in _present_roles(pipeline.spec):
        path = path_of(pipeline.spec.faces.by_role()[role])
        if path is not None and not path.exists():
            yield f"{role} faces: {path} is not there"
            continue
        try:
            pipeline.part(role)
        except NotBuilt:
            pass
        except EvenfaceError as error:
            yield f"{role} faces: {error}"


def _missing_models(spec: StudySpec) -> Iterator[str]:
    for teacher in spec.teachers:
        if isinstance(teacher, str) and not _at_hand(teacher):
            yield f"teacher: {teacher} is not there"
    for model in spec.models:
        for source in (model.path, *model.files.values()):
            if source is not None and not _at_hand(str(source)):
                yield f"model {model.name}: {source} is not there"
    rules = spec.faces.exclude_overlap
    if rules and rules.by != "names":
        compared = spec.overlap_teacher()
        own = {teacher_id(given) for given in spec.teachers}
        if compared not in own and not _at_hand(compared):
            yield f"faces.exclude_overlap.teacher: {compared} is not there"
    for name in assets_of(spec):
        if name in ASSETS and (found := asset_state(name)) != "present":
            yield f"asset {name} is {found}; the study fetches it"


def _at_hand(teacher: str) -> bool:
    """Whether a teacher is a known name, a function, or a path where something is."""
    return teacher in teacher_names() or ":" in teacher or Path(teacher).exists()


# --- stages ------------------------------------------------------------------------------------


def _one_by_one(pipeline: Pipeline) -> Iterator[Stage]:
    for stage in pipeline.stages():
        yield from stage.stages if isinstance(stage, Group) else [stage]


def _look(stage: Stage, log: LookLog) -> PlannedStage:
    """A stage as it is, without the time that it will take."""
    cost = stage.cost()
    planned = PlannedStage(
        stage.name, stage.kind, "to do", stage.needs, work=cost.work, disk=cost.disk
    )
    try:
        found = log.find(stage)
    except (NotBuilt, EvenfaceError):
        return planned if log.mark(stage) is None else replace(planned, state="unknown")
    if found is None:
        return planned
    place, mark = found
    inside = place.is_relative_to(log.folder)
    note = "" if inside else f"copied from {place}"
    state: State = "started" if mark.seconds else "to do"
    state = "finished" if mark.finished else state
    return replace(planned, state=state, spent=mark.seconds, note=note)


def _timed(stages: Iterable[PlannedStage], runs: Iterable[PlannedRun]) -> list[PlannedStage]:
    """The stages with the seconds that they will take."""
    stages = list(stages)
    left = {f"train: {run.name}": run.left for run in runs}
    left |= {f"train teacher: {run.name.partition('/')[2]}": run.left for run in runs}
    paces: dict[Kind, list[float]] = {}
    for stage in stages:
        if stage.state == "finished" and stage.work:
            paces.setdefault(stage.kind, []).append(stage.spent / stage.work)
    found = []
    for stage in stages:
        seconds: float | None = None
        if stage.state == "finished":
            seconds = 0.0
        elif stage.name in left:
            seconds = left[stage.name]
        elif stage.work is not None and stage.kind in paces:
            seconds = max(0.0, fmean(paces[stage.kind]) * stage.work)
        found.append(replace(stage, left=seconds))
    return found


def _with_groups(
    stages: Sequence[PlannedStage], pipeline: Pipeline, workers: int
) -> list[PlannedStage]:
    """The stages, each group's own entry after those that it builds together."""
    by_name = {stage.name: stage for stage in stages}
    found = []
    for stage in pipeline.stages():
        if isinstance(stage, Stage):
            found.append(by_name[stage.name])
            continue
        members = [by_name[of.name] for of in stage.stages]
        states = {of.state for of in members}
        state: State = "finished" if states == {"finished"} else "to do"
        if "started" in states or (state == "to do" and "finished" in states):
            state = "started"
        if "unknown" in states:
            state = "unknown"
        done = sum(of.state == "finished" for of in members)
        left = [of.left for of in members]
        seconds = None if None in left else together([s for s in left if s], workers)
        note = f"{done} of {len(members)}" if 0 < done < len(members) else ""
        found += members
        names = tuple(of.name for of in members)
        whole = PlannedStage(stage.name, stage.kind, state, names, note, left=seconds)
        found.append(replace(whole, together=names))
    return found


def _report(stages: Iterable[PlannedStage], folder: Path) -> State:
    finished = all(stage.state == "finished" for stage in stages)
    return "finished" if finished and (folder / RESULTS_NAME).exists() else "to do"


# --- runs --------------------------------------------------------------------------------------


def _trained(pipeline: Pipeline) -> list[TrainedTeacher]:
    return [of for of in pipeline.networks.values() if isinstance(of, TrainedTeacher)]


def _teacher_recipes(pipeline: Pipeline) -> dict[str, TrainRecipe]:
    """Run → recipe, of the teachers that the study trains."""
    spec, folder = pipeline.spec, pipeline.log.folder
    return {
        layout.teacher(of.name): teacher_recipe(
            spec, of, folder / layout.training_set(of.set)
        ).with_embedding_size()
        for of in _trained(pipeline)
    }


def _teacher_runs(
    pipeline: Pipeline, recipes: Mapping[str, TrainRecipe], stages: Mapping[str, PlannedStage]
) -> Iterator[PlannedRun]:
    for of in _trained(pipeline):
        name, stage = layout.teacher(of.name), stages[f"train teacher: {of.name}"]
        steps = _steps(recipes[name], pipeline.set_size(of.set).images)
        yield PlannedRun(
            name=name,
            arm=name,
            seed=of.seed,
            set=of.set,
            teacher=None,
            levels={},
            changes=of.overrides,
            state=stage.state,
            needs=stage.needs,
            steps=steps,
            step=(steps or 0) if stage.state == "finished" else 0,
            spent=stage.spent,
        )


def _student_runs(pipeline: Pipeline, log: LookLog) -> list[PlannedRun]:
    trainings = pipeline.trainings()
    first = recipe_settings(trainings[0].recipe)
    runs: dict[str, PlannedRun] = {}
    for of in trainings:
        differing = changes(first, recipe_settings(of.recipe))
        run = PlannedRun(
            name=of.recipe.name,
            arm=of.cell.id,
            seed=of.seed,
            set=of.cell.set,
            teacher=of.cell.teacher,
            levels=of.cell.levels,
            changes={key: change.second for key, change in differing.items()},
            needs=of.needs,
            state="to do",
            steps=_steps(of.recipe, pipeline.set_size(of.cell.set).images),
            note=of.cell.note,
        )
        if of.same_as is None:
            run = _state_of_run(run, of, log)
        else:
            there = runs[of.same_as]
            run = replace(run, same_as=of.same_as, state=there.state, step=there.step)
        runs[run.name] = run
    return list(runs.values())


def _state_of_run(run: PlannedRun, training: Training, log: LookLog) -> PlannedRun:
    stage = training.stage
    try:
        found = log.find(stage)
    except (NotBuilt, EvenfaceError):
        return run if log.mark(stage) is None else replace(run, state="unknown")
    if found is None:
        return run
    place, mark = found
    if mark.finished:
        return replace(run, state="finished", step=run.steps or 0, spent=mark.seconds)
    step = int(last_record(place / LOG_NAME).get("step", 0))
    return replace(run, state="started", step=step, spent=mark.seconds) if step else run


def _identities(spec: StudySpec, sizes: Mapping[str, Size]) -> int:
    """Of the largest training set, as far as it is known; at least 1."""
    counts = (sizes[f"set {name}"].identities for name in spec.training_sets)
    return max((count for count in counts if count), default=1)


def _weigh(recipes: Mapping[str, TrainRecipe], identities: int) -> dict[str, Weight]:
    """Run → what it weighs on the largest training set; {} without torch."""
    kinds: dict[object, Weight] = {}
    found = {}
    for name, recipe in recipes.items():
        optimizer = recipe.optimizer.name, recipe.optimizer.momentum > 0
        kept = recipe.keep_checkpoints, recipe.ema is None, optimizer
        kind = (kind_of(recipe), kept)
        if kind not in kinds:
            try:
                kinds[kind] = weigh(recipe, identities)
            except ImportError:
                return {}
        found[name] = kinds[kind]
    return found


def _steps(recipe: TrainRecipe, images: int | None) -> int | None:
    return recipe.steps(images or 0) or None


def _workers(spec: StudySpec) -> int:
    try:
        return processes(spec)
    except ImportError:  # no torch, which knows the GPUs
        return usable_cores()


def _paces(runs: Sequence[PlannedRun], recipes: Mapping[str, TrainRecipe]) -> list[Pace]:
    return [
        Pace(recipes[run.name], run.spent / run.steps)
        for run in runs
        if run.state == "finished" and run.spent and run.steps and run.same_as is None
    ]


def _untimed(
    runs: Sequence[PlannedRun], recipes: Mapping[str, TrainRecipe], paces: Sequence[Pace]
) -> list[TrainRecipe]:
    """A recipe of each kind that is to be trained and whose time no pace gives."""
    todo = (recipes[run.name] for run in runs if run.state in ("started", "to do"))
    kinds = {kind_of(recipe): recipe for recipe in todo}
    return [recipe for recipe in kinds.values() if step_seconds(recipe, paces) is None]


def _estimated(
    run: PlannedRun, recipe: TrainRecipe, paces: Sequence[Pace], weight: Weight | None
) -> PlannedRun:
    left: float | None = 0.0
    if run.state in ("started", "to do") and run.same_as is None:
        pace = step_seconds(recipe, paces)
        left = None if pace is None or run.steps is None else pace * (run.steps - run.step)
    elif run.state == "unknown":
        left = None
    if weight is None:
        return replace(run, left=left)
    return replace(run, left=left, memory=weight.memory, disk=weight.disk)


# --- totals ------------------------------------------------------------------------------------


def _seconds(
    teachers: Sequence[PlannedRun], students: Sequence[PlannedRun], workers: int
) -> float | None:
    """On the clock, for the trainings that are left; None where some of it is not known."""
    first = [run.left for run in teachers]
    then = [run.left for run in students if run.same_as is None]
    if None in first or None in then:
        return None
    return sum(of for of in first if of) + together([of for of in then if of], workers)


def _disk(
    stages: Sequence[PlannedStage], runs: Sequence[PlannedRun]
) -> tuple[int | None, int | None]:
    """Bytes of faces, embeddings and runs, and those that are not there yet."""
    parts = [(stage.disk, stage.state) for stage in stages]
    parts += [(run.disk, run.state) for run in runs]
    if any(count is None for count, _ in parts):
        return None, None
    left = (count or 0 for count, state in parts if state in ("to do", "started"))
    return sum(count or 0 for count, _ in parts), sum(left)


def _free(folder: Path) -> int:
    """Bytes free on the disk that a folder is on or will be on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
