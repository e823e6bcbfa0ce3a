"""What a study would do if it were run now: its runs, what they wait for, time, disk, memory.

Nothing is built, and nothing need be there: what the data would tell is estimated from the study
file where it says enough, and is unknown otherwise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evenface.assets import ASSETS
from evenface.assets.cache import state as asset_state
from evenface.data.manifest import Manifest
from evenface.data.store import IMAGE_BYTES
from evenface.errors import EvenfaceError, MissingDependencyError, UsageError
from evenface.parallel import usable_cores
from evenface.study import layout
from evenface.study.cells import Cell, cells
from evenface.study.estimates import (
    Pace,
    Weight,
    embedding_bytes,
    kind_of,
    measure,
    step_seconds,
    together,
    weigh,
)
from evenface.study.faces import (
    StudyFaces,
    check_groups,
    hold_out,
    join_sources,
    obtain,
    path_of,
    real_people,
    source_sizes,
    training_sets,
)
from evenface.study.labels import label_synthetic
from evenface.study.look import LookLog, NotBuilt
from evenface.study.overlap import leave_out_people
from evenface.study.planned import Plan, PlannedRun, PlannedStage, State
from evenface.study.run import RESULTS_NAME
from evenface.study.runs import StudyRun
from evenface.study.settings import changes, recipe_settings
from evenface.study.sizes import (
    RealShare,
    Size,
    counted_real_share,
    faces_size,
    is_dataset,
    real_share,
    set_size,
    share,
    shortfalls,
    total,
)
from evenface.study.spec import (
    MAIN_BENCHMARK,
    FolderFaces,
    GivenTeacher,
    HeldOutFaces,
    PredictionsFile,
    PublishedFaces,
    RenderedFaces,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    teacher_id,
)
from evenface.study.students import (
    processes,
    run_key,
    student_recipe,
    teacher_recipe,
    too_few_seeds,
)
from evenface.teachers import load_teacher, teacher_names
from evenface.teachers.cache import CacheRecord
from evenface.train.log import last_record
from evenface.train.recipe import DEFAULT_EMBEDDING_SIZE, TrainRecipe
from evenface.train.run import LOG_NAME


def plan_study(
    spec: StudySpec,
    out: Path,
    *,
    measuring: bool = False,
    most_images: int | None = None,
    sizes: Mapping[str, Size] | None = None,
) -> Plan:
    """Look at what is there and reckon the rest.

    Args:
        spec: the study.
        out: its folder, which need not exist.
        measuring: take a few steps of each kind of training that no finished run tells the time
            of.
        most_images: of such a step on a CPU; the time of a whole batch is in proportion.
        sizes: of faces by role, and of training sets ("set NAME"), where they are known already.

    Raises:
        UsageError: the study's overrides do not fit its recipes.
        DataError: a file in ``out`` is damaged.
        MissingDependencyError: ``measuring`` without torch.
    """
    if not spec.training_sets:
        raise UsageError(f"{spec.name}: trains nothing, so there is nothing to plan: run it")
    return _Planner(spec, out, sizes or {}).plan(measuring=measuring, most_images=most_images)


class _Planner:
    def __init__(self, spec: StudySpec, out: Path, known: Mapping[str, Size]) -> None:
        self.spec = spec
        self.known = known
        self.log = LookLog(out)
        self.missing: list[str] = []
        self.stages: list[PlannedStage] = []
        self.sizes: dict[str, Size] = {}
        self.real_shares: dict[str, RealShare] = {}
        self.faces: dict[str, Manifest] = {}
        self.searched: StudyFaces | None = None
        """Without the people of the tests, where a finished search names them."""
        self.sets: dict[str, Manifest] = {}
        self.teachers: dict[str, str] = {}
        """Id → fingerprint, of those whose embeddings are there."""
        self.teacher_recipes: dict[str, TrainRecipe] = {}
        """Name → recipe, of those that the study trains."""
        self.networks = {
            name: of for given in spec.teachers for name, of in spec.networks(given).items()
        }
        """Of all teachers."""

    def plan(self, *, measuring: bool, most_images: int | None) -> Plan:
        spec, folder = self.spec, self.log.folder
        self._check_inputs()
        self._look_at_faces()
        labelled = self._look_at_labels()
        self._look_at_sets(labelled)
        size = self._look_at_teachers()
        recipes = self._recipes(size)
        runs = [*self._trained(), *self._look_at_runs(recipes)]
        recipes = self.teacher_recipes | recipes
        workers = _workers(spec)
        paces = _paces(runs, recipes)
        told = ["finished runs of this study"] if paces else []
        if measuring and (new := _untimed(runs, recipes, paces)):
            threads = 1 if workers > 1 else None
            try:
                paces += [
                    measure(recipe, self._identities(), threads=threads, most_images=most_images)
                    for recipe in new
                ]
            except ImportError:
                raise MissingDependencyError("torch", "train", "--measure") from None
            told.append("steps taken just now on this machine, without distillation")
        weights = self._weigh(recipes)
        runs = [_estimated(run, recipes[run.name], paces, weights.get(run.name)) for run in runs]
        teachers = tuple(run for run in runs if run.name in self.teacher_recipes)
        students = tuple(run for run in runs if run.name not in self.teacher_recipes)
        self._look_at_the_rest(students)
        trained = [run for run in runs if run.same_as is None]
        disk, disk_left = self._disk(trained, size)
        memory = [run.memory for run in trained if run.memory is not None]
        return Plan(
            study=spec.name,
            folder=folder,
            stages=tuple(self.stages),
            teachers=teachers,
            runs=students,
            missing=tuple(self.missing),
            sizes=self.sizes,
            seconds=_seconds(teachers, students, workers),
            pace=" and ".join(told) or "unknown",
            workers=workers,
            disk=disk,
            disk_left=disk_left,
            free=_free(folder),
            memory=max(memory, default=None),
            warnings=() if (few := too_few_seeds(spec)) is None else (few,),
            variant=spec.variant,
            epochs_of=spec.epochs_of,
            real_shares=self.real_shares,
        )

    def _check_inputs(self) -> None:
        for role, part in self.spec.faces.by_role().items():
            path = path_of(part)
            if path is not None and not path.exists():
                self.missing.append(f"{role} faces: {path} is not there")
        for teacher in self.spec.teachers:
            if isinstance(teacher, str) and not _at_hand(teacher):
                self.missing.append(f"teacher: {teacher} is not there")
        for model in self.spec.models:
            for source in (model.path, *model.files.values()):
                if source is not None and not _at_hand(str(source)):
                    self.missing.append(f"model {model.name}: {source} is not there")
        known = (teacher for teacher in self.spec.teachers if isinstance(teacher, str))
        assets = [*self.spec.evaluation.real_people, *known]
        if (rules := self.spec.faces.exclude_overlap) and rules.by != "names":
            assets.append(compared := self.spec.overlap_teacher())
            own = {teacher_id(given) for given in self.spec.teachers}
            if compared not in own and not _at_hand(compared):
                self.missing.append(f"faces.exclude_overlap.teacher: {compared} is not there")
        for name in dict.fromkeys(assets):
            if name in ASSETS and (found := asset_state(name)) != "present":
                self.missing.append(f"asset {name} is {found}; the study fetches it")

    def _look_at_faces(self) -> None:
        for role, part in self.spec.faces.by_role().items():
            if isinstance(part, HeldOutFaces):
                continue
            path = path_of(part)
            prepared = path is not None and is_dataset(path)  # it is read and counted below
            unread = Size() if prepared else faces_size(part)
            self.sizes[role] = self.known.get(role, unread)
            manifest = self._faces_of(role, part)
            if manifest is not None:
                self.faces[role] = manifest
        self._join_sources()
        if isinstance(held := self.spec.faces.test, HeldOutFaces):
            whole = self.sizes["real"]
            self.sizes["test"] = share(whole, held.fraction)
            self.sizes["real"] = share(whole, 1 - held.fraction)
            if real := self.faces.get("real"):
                kept, test = hold_out(real, held, self.spec.seed, self._group_by())
                self.faces |= {"real": kept, "test": test}
            state: State = "finished" if "real" in self.faces else "to do"
            self.stages.append(PlannedStage("faces: test", state, ("faces: real",)))
        for role, manifest in self.faces.items():
            self.sizes[role] = Size(len(manifest.identities()), len(manifest), exact=True)
        for name in self.spec.evaluation.real_people:
            try:
                real_people(name, self.log)
                self.stages.append(PlannedStage(f"faces: {name}", "finished"))
            except NotBuilt:
                self.stages.append(PlannedStage(f"faces: {name}", "to do"))

    def _join_sources(self) -> None:
        roles = list(self.spec.faces.synthetic_parts())
        if roles != ["synthetic"]:
            there = all(role in self.faces for role in roles)
            if there:
                self.faces["synthetic"] = join_sources(self.spec, self.faces)
            needs = tuple(f"faces: {role}" for role in roles)
            state: State = "finished" if there else "to do"
            self.stages.append(PlannedStage("faces: synthetic", state, needs))
        for role in ("real", *roles):
            if manifest := self.faces.get(role):
                self.sizes[role] = Size(len(manifest.identities()), len(manifest), exact=True)
        self.sizes["synthetic"] = total(self.sizes[role] for role in roles)
        self.missing += shortfalls(self.spec, source_sizes(self.spec, self.sizes))

    def _faces_of(
        self, role: str, part: RenderedFaces | FolderFaces | PublishedFaces
    ) -> Manifest | None:
        path, manifest, note = path_of(part), None, ""
        there = path is None or path.exists()
        imported = (self.log.folder / layout.faces(role)).exists()
        prepared = path is not None and is_dataset(path)
        if not there:
            note = f"{path} is missing"
        elif imported or prepared:  # else a large folder would be listed for nothing
            try:
                manifest = obtain(part, role, self.spec, self.log)
            except NotBuilt:
                pass
            except EvenfaceError as error:
                note = str(error)
                self.missing.append(f"{role} faces: {error}")
        state: State = "to do" if manifest is None else "finished"
        self.stages.append(PlannedStage(f"faces: {role}", state, note=note))
        return manifest

    def _group_by(self) -> str | None:
        given = self.spec.faces.group_by
        return given or next(iter(self.faces["real"].attributes), None)

    def _look_at_labels(self) -> bool:
        """Whether the synthetic faces have the groups that mixes need, as far as is known."""
        labels = self.spec.faces.synthetic_labels
        known = self._leave_out() and {"real", "synthetic"} <= self.faces.keys()
        if isinstance(labels, PredictionsFile) and not labels.path.is_file():
            self.missing.append(f"labels: {labels.path} is not there")
        if not known:
            if labels is not None:
                self.stages.append(PlannedStage("labels: synthetic", "to do"))
            return labels is None and self.spec.faces.exclude_overlap is None
        faces = self._study_faces()
        try:
            faces = label_synthetic(self.spec, faces, self.log)
            check_groups(self.spec, faces)
        except NotBuilt:
            self.stages.append(PlannedStage("labels: synthetic", "to do"))
            return False
        except EvenfaceError as error:
            self.missing.append(str(error))
            return False
        if labels is not None:
            self.stages.append(PlannedStage("labels: synthetic", "finished"))
            self.faces["synthetic"] = faces.synthetic
        return True

    def _leave_out(self) -> bool:
        """Leave out the people of tests as the study does; False where they are not known."""
        if self.spec.faces.exclude_overlap is None:
            return True
        tests = ("test", *self.spec.faces.more_tests)
        needs = tuple(f"faces: {role}" for role in ("real", "synthetic", *tests))
        state: State = "to do"
        if {"real", "synthetic", *tests} <= self.faces.keys():
            try:
                self.searched = leave_out_people(self.spec, self._study_faces(), self.log)
                state = "finished"
            except NotBuilt:
                pass
            except EvenfaceError as error:
                self.missing.append(str(error))
        self.stages.append(PlannedStage("overlap", state, needs))
        if self.searched is None:
            return False
        for role in ("real", "synthetic"):
            manifest: Manifest = getattr(self.searched, role)
            self.faces[role] = manifest
            self.sizes[role] = Size(len(manifest.identities()), len(manifest), exact=True)
        return True

    def _study_faces(self) -> StudyFaces:
        real, synthetic = self.faces["real"], self.faces["synthetic"]
        if self.searched is not None:
            return replace(self.searched, synthetic=synthetic)  # perhaps with predicted groups
        more = {name: self.faces[name] for name in self.spec.faces.more_tests if name in self.faces}
        return StudyFaces(real, synthetic, self.faces.get("test", real), more, self._group_by(), {})

    def _to_embed(self) -> Mapping[str, Manifest]:
        return self.faces | dict(self.searched.whole if self.searched else {})

    def _look_at_sets(self, labelled: bool) -> None:
        known = labelled and {"real", "synthetic"} <= self.faces.keys()
        for name, wanted in self.spec.training_sets.items():
            sources = self.sizes["real"], self.sizes["synthetic"]
            reckoned = set_size(wanted, *sources)
            self.sizes[f"set {name}"] = self.known.get(f"set {name}", reckoned)
            self.real_shares[name] = real_share(wanted, *sources)
            state: State = (
                "unknown" if (self.log.folder / layout.training_set(name)).exists() else "to do"
            )
            if known:
                state = "to do"
                faces = self._study_faces()
                alone = self.spec.model_copy(update={"training_sets": {name: wanted}})
                try:
                    found = training_sets(alone, faces, self.log)[name]
                    self.sets[name], state = found, "finished"
                    self.sizes[f"set {name}"] = Size(len(found.identities()), len(found), True)
                    folder = self.log.folder / layout.training_set(name)
                    self.real_shares[name] = counted_real_share(wanted, folder)
                except NotBuilt:
                    pass
            self.stages.append(
                PlannedStage(f"set: {name}", state, ("faces: real", "faces: synthetic"))
            )

    def _look_at_teachers(self) -> int:
        """Dimensions of the teachers' embeddings, as far as is known."""
        sizes: list[int] = []
        for name, given in self.networks.items():
            needs: tuple[str, ...] = ()
            state: State = "finished"
            if isinstance(given, ShuffledTeacher):
                needs = (f"teacher: {given.shuffle}",)
                self.stages.append(PlannedStage(f"teacher: {name}", state, needs))
            elif isinstance(given, TrainedTeacher):
                needs = (f"set: {given.set}",)
                state, size = self._trained_teacher(given)
                sizes.append(size)
                self.stages.append(PlannedStage(f"teacher: {name}", state, needs))
            else:
                state = "finished" if _at_hand(given) else "to do"
                note = "" if state == "finished" else "is not there"
                self.stages.append(PlannedStage(f"teacher: {name}", state, needs, note))
            sizes += self._embeddings(name, given)
        return sizes[0] if sizes else DEFAULT_EMBEDDING_SIZE

    def _trained_teacher(self, given: TrainedTeacher) -> tuple[State, int]:
        at, name = layout.teacher(given.name), f"train teacher: {given.name}"
        recipe = teacher_recipe(self.spec, given, self.log.folder / layout.training_set(given.set))
        state: State = "to do" if self.log.mark(name, at) is None else "unknown"
        if manifest := self.sets.get(given.set):
            inputs = {"run": recipe.fingerprint(manifest.fingerprint, None)}
            try:
                self.log.run(name, inputs, _never, at=at)
                state = "finished"
            except NotBuilt:
                state = "to do"
        self.teacher_recipes[at] = recipe = recipe.with_embedding_size()
        return state, recipe.backbone.embedding_size or DEFAULT_EMBEDDING_SIZE

    def _trained(self) -> list[PlannedRun]:
        """The trainings of teachers."""
        states = {stage.name: stage.state for stage in self.stages}
        found = []
        for given in self.networks.values():
            if not isinstance(given, TrainedTeacher):
                continue
            name = layout.teacher(given.name)
            state = states[f"teacher: {given.name}"]
            steps = _steps(self.teacher_recipes[name], self.sizes[f"set {given.set}"].images)
            spent = self.log.seconds.get(f"train teacher: {given.name}", 0.0)
            needs = (f"set: {given.set}",)
            run = PlannedRun(
                name, name, given.seed, given.set, None, {}, given.overrides, state, needs
            )
            done = (steps or 0) if state == "finished" else 0
            found.append(replace(run, steps=steps, step=done, spent=spent))
        return found

    def _embeddings(self, name: str, given: GivenTeacher) -> list[int]:
        """Look at a teacher's embeddings of both sources; their size, where they are there."""
        sizes, states = [], []
        source = (
            self.log.folder / layout.teacher(name) if isinstance(given, TrainedTeacher) else given
        )
        for role in ("real", "synthetic"):
            at = layout.embeddings(name, role)
            state: State = "to do"
            if (self.log.folder / at / "cache.json").exists():
                record = CacheRecord.read(self.log.folder / at)
                sizes.append(record.embedding_size)
                state = "unknown"
                if manifest := self._to_embed().get(role):
                    inputs = {"images": manifest.image_fingerprint}
                    if isinstance(given, ShuffledTeacher):
                        self.teachers[name] = record.teacher_fingerprint
                        whose = self.teachers.get(given.shuffle, "")
                        inputs |= {"teacher": whose, "shuffled": given.shuffle}
                    else:
                        known = self.teachers.setdefault(name, _fingerprint(str(source), record))
                        inputs["teacher"] = known
                    try:
                        self.log.run(f"teacher {name} embeds: {role}", inputs, _never, at=at)
                        state = "finished"
                    except NotBuilt:
                        state = "to do"
            states.append(state)
            needs = (f"teacher: {name}", f"faces: {role}")
            self.stages.append(PlannedStage(f"embeddings: {name} of {role}", state, needs))
        if set(states) != {"finished"}:
            self.teachers.pop(name, None)
        return sizes or _known_size(given)

    def _recipes(self, size: int) -> dict[str, TrainRecipe]:
        """Run → recipe, for every cell and seed."""
        folder = self.log.folder
        epoch = self.sizes["real"].images
        return {
            f"{cell.id}-s{seed}": student_recipe(
                self.spec,
                f"{cell.id}-s{seed}",
                overrides=cell.overrides,
                seed=seed,
                data=folder / layout.training_set(cell.set),
                size=size,
                cache=self._cache(cell.set, cell, seed),
                first=folder / layout.training_set(on) if (on := self._first(cell)) else None,
                first_cache=self._cache(on, cell, seed) if on else None,
                epoch_images=epoch,
            )
            for cell in cells(self.spec)
            for seed in self.spec.training_seeds
        }

    def _look_at_runs(self, recipes: Mapping[str, TrainRecipe]) -> list[PlannedRun]:
        first = next(iter(recipes.values()))
        runs: list[PlannedRun] = []
        known: dict[object, str] = {}
        for cell in cells(self.spec):
            for seed in self.spec.training_seeds:
                name = f"{cell.id}-s{seed}"
                recipe = recipes[name]
                run = PlannedRun(
                    name=name,
                    arm=cell.id,
                    seed=seed,
                    set=cell.set,
                    teacher=cell.teacher,
                    levels=cell.levels,
                    changes={
                        key: change.second
                        for key, change in changes(
                            recipe_settings(first), recipe_settings(recipe)
                        ).items()
                    },
                    needs=self._needs(cell, seed),
                    state="to do",
                    steps=_steps(recipe, self.sizes[f"set {cell.set}"].images),
                    note=cell.note,
                )
                other = known.setdefault(self._identity(cell, recipe), name)
                if other == name:
                    runs.append(self._state_of_run(run, cell, recipe))
                else:
                    there = next(of for of in runs if of.name == other)
                    runs.append(replace(run, same_as=other, state=there.state, step=there.step))
        return runs

    def _network(self, cell: Cell, seed: int) -> str | None:
        return None if cell.teacher is None else self.spec.network(cell.teacher, seed)

    def _first(self, cell: Cell) -> str | None:
        """The training set of a cell's pretraining."""
        of = self.spec.training_sets[cell.set].pretrained
        return None if of is None else of.set

    def _cache(self, name: str, cell: Cell, seed: int) -> Path | None:
        """The folder of a cell's teacher's embeddings of a training set."""
        if cell.teacher is None:
            return None
        return self.log.folder / layout.set_embeddings(str(self._network(cell, seed)), name)

    def _needs(self, cell: Cell, seed: int) -> tuple[str, ...]:
        network = self._network(cell, seed)
        of = (f"embeddings: {network} of {role}" for role in ("real", "synthetic"))
        first = self._first(cell)
        sets = (f"set: {cell.set}", *((f"set: {first}",) if first else ()))
        return (*sets, *(of if cell.teacher else ()))

    def _identity(self, cell: Cell, recipe: TrainRecipe) -> object:
        """Equal for runs that are the same training."""
        if manifest := self.sets.get(cell.set):
            data = manifest.fingerprint
        else:
            data = self.spec.training_sets[cell.set].model_dump_json()
        return recipe.fingerprint(data, cell.teacher, self._first(cell))

    def _state_of_run(self, run: PlannedRun, cell: Cell, recipe: TrainRecipe) -> PlannedRun:
        manifest = self.sets.get(cell.set)
        network = self._network(cell, run.seed)
        whose = None if network is None else self.teachers.get(network)
        lacks_first = self._first(cell) not in {None, *self.sets}
        if manifest is None or lacks_first or (cell.teacher is not None and whose is None):
            begun = self.log.mark(f"train: {run.name}", layout.run(run.name)) is not None
            return replace(run, state="unknown") if begun else run
        on = self._first(cell)
        first = None if on is None else self.sets[on]
        stage = StudyRun(recipe, run_key(recipe, manifest, whose, first), 0).stage()
        found = self.log.find(stage.name, stage.key, stage.at)
        if found is None:
            return run
        place, mark = found
        if mark.finished:
            return replace(run, state="finished", step=run.steps or 0, spent=mark.seconds)
        step = int(last_record(place / LOG_NAME).get("step", 0))
        return replace(run, state="started", step=step, spent=mark.seconds) if step else run

    def _identities(self) -> int:
        """Of the largest training set, as far as it is known; at least 1."""
        sets = (self.sizes[f"set {name}"].identities for name in self.spec.training_sets)
        return max((count for count in sets if count), default=1)

    def _weigh(self, recipes: Mapping[str, TrainRecipe]) -> dict[str, Weight]:
        """Run → what it weighs on the largest training set; {} without torch."""
        kinds: dict[object, Weight] = {}
        found = {}
        for name, recipe in recipes.items():
            optimizer = recipe.optimizer.name, recipe.optimizer.momentum > 0
            kept = recipe.keep_checkpoints, recipe.ema is None, optimizer
            kind = (kind_of(recipe), kept)
            if kind not in kinds:
                try:
                    kinds[kind] = weigh(recipe, self._identities())
                except ImportError:
                    return {}
            found[name] = kinds[kind]
        return found

    def _look_at_the_rest(self, runs: Sequence[PlannedRun]) -> None:
        """Pairs, evaluations and report: whether they are there, if from whatever inputs."""
        done = all(run.state == "finished" for run in runs)
        tests = [MAIN_BENCHMARK, *self.spec.faces.more_tests, *self.spec.evaluation.real_people]
        for name in tests:
            role = "test" if name == MAIN_BENCHMARK else name
            drawn = self._there(f"draw pairs: {name}", layout.benchmark(name))
            state: State = "unknown" if drawn else "to do"
            self.stages.append(PlannedStage(f"pairs: {name}", state, (f"faces: {role}",)))
        there = [self._there(f"evaluate: {run.name}", layout.evaluation(run.name)) for run in runs]
        note = f"{sum(there)} of {len(runs)} networks were evaluated before" if any(there) else ""
        state = "unknown" if done and all(there) else "to do"
        needs = (*(f"pairs: {name}" for name in tests), "runs")
        self.stages.append(PlannedStage("evaluations", state, needs, note))
        found = done and (self.log.folder / RESULTS_NAME).exists()
        state = "unknown" if found else "to do"
        self.stages.append(PlannedStage("report", state, ("evaluations",)))

    def _there(self, name: str, at: str) -> bool:
        mark = self.log.mark(name, at)
        return mark is not None and mark.finished

    def _disk(self, runs: Sequence[PlannedRun], size: int) -> tuple[int | None, int | None]:
        """Bytes of faces, embeddings and runs, and those that are not there yet."""
        parts = [*self._disk_of_faces(), *self._disk_of_embeddings(size)]
        parts += [(run.disk, run.state in ("finished", "unknown")) for run in runs]
        if any(count is None for count, _ in parts):
            return None, None
        return (
            sum(count or 0 for count, _ in parts),
            sum(count or 0 for count, there in parts if not there),
        )

    def _disk_of_faces(self) -> Iterator[tuple[int | None, bool]]:
        parts = self.spec.faces.by_role()
        for role, part in parts.items():
            # Those held out lie with the real ones.
            path = path_of(parts["real"] if isinstance(part, HeldOutFaces) else part)
            if path is None or not is_dataset(path):
                images = self.sizes[role].images
                yield None if images is None else images * IMAGE_BYTES, role in self.faces

    def _disk_of_embeddings(self, size: int) -> Iterator[tuple[int | None, bool]]:
        states = {stage.name: stage.state for stage in self.stages}
        used = {
            (self._network(cell, seed), cell.set)
            for cell in cells(self.spec)
            for seed in self.spec.training_seeds
            if cell.teacher
        }
        for name in self.networks:
            for role in ("real", "synthetic"):
                images = self.sizes[role].images
                there = states[f"embeddings: {name} of {role}"] != "to do"
                yield (None if images is None else embedding_bytes(images, size)), there
            for set_ in (of for teacher, of in used if teacher == name):
                images = self.sizes[f"set {set_}"].images
                folder = self.log.folder / layout.set_embeddings(name, set_)
                yield (None if images is None else embedding_bytes(images, size)), folder.exists()


def _never(folder: Path) -> None:
    raise AssertionError(f"{folder}: nothing is built by who only looks")


def _at_hand(teacher: str) -> bool:
    """Whether a teacher is a known name, a function, or a path where something is."""
    return teacher in teacher_names() or ":" in teacher or Path(teacher).exists()


def _known_size(given: GivenTeacher) -> list[int]:
    """Dimensions of a teacher's embeddings, or [] where it cannot be opened."""
    if not isinstance(given, str):
        return []
    try:
        return [load_teacher(given).embedding_size]
    except EvenfaceError:
        return []


def _fingerprint(source: str, record: CacheRecord) -> str:
    """Of a teacher; what its embeddings record where it cannot be opened here."""
    try:
        return load_teacher(source).fingerprint
    except EvenfaceError:
        return record.teacher_fingerprint


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
    """A recipe of each kind that is to be trained and that no pace tells the time of."""
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


def _seconds(
    teachers: Sequence[PlannedRun], students: Sequence[PlannedRun], workers: int
) -> float | None:
    """On the clock, for what is left; None where some of it is not known."""
    first = [run.left for run in teachers]
    then = [run.left for run in students if run.same_as is None]
    if None in first or None in then:
        return None
    return sum(of for of in first if of) + together([of for of in then if of], workers)


def _free(folder: Path) -> int:
    """Bytes free on the disk that a folder is on or will be on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
