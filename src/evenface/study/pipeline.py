"""A study as one graph of stages: what runs a study and what plans it walk this graph.

Products such as a manifest are read from the folders of finished stages when they are first asked
for. With a log that only looks, they raise :class:`~evenface.study.stage.NotBuilt` until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

from evenface.data.embedded import EmbeddedRows
from evenface.data.manifest import Manifest
from evenface.data.store import IMAGE_BYTES
from evenface.errors import EvenfaceError
from evenface.study import layout
from evenface.study.assets import assets_stage
from evenface.study.benchmarks import (
    Benchmark,
    EvaluationStages,
    benchmark_names,
    draw_benchmarks,
    pairs_stage,
)
from evenface.study.cells import Cell, cells
from evenface.study.face_counts import Size, faces_size, set_size, share, total
from evenface.study.faces import (
    StudyFaces,
    TestSets,
    assemble_faces,
    check_groups,
    check_part,
    faces_stage,
    hold_out,
    prepare_tests,
    read_faces,
    real_people_stage,
    set_stage,
    without_groups,
)
from evenface.study.given import open_given
from evenface.study.labels import embedded_rows, label_stage, label_synthetic
from evenface.study.overlap import STAGE as OVERLAP_STAGE
from evenface.study.overlap import (
    comparing_teacher,
    comparison_stage,
    embed_to_compare,
    leave_out_people,
    overlap_stage,
)
from evenface.study.spec import (
    MAIN_BENCHMARK,
    RANDOM_GROUPS,
    ClassifierLabels,
    GivenTeacher,
    HeldOutFaces,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    plain_name,
    teacher_id,
)
from evenface.study.stage import Cost, Kind, NotBuilt, Stage
from evenface.study.stage_log import StageLog
from evenface.study.students import (
    Embedded,
    StudyTeacher,
    Training,
    check_embedding_sizes,
    embed_sources,
    embedding_stage,
    gather_stage,
    open_teachers,
    run_key,
    student_recipe,
    teacher_recipe,
    teacher_stage,
    untrained_stages,
)
from evenface.study.training_load import embedding_bytes
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher
from evenface.train.recipe import DEFAULT_EMBEDDING_SIZE, TrainRecipe

T = TypeVar("T")
SOURCES = ("real", "synthetic")
"""Roles of the faces that training sets are made of."""


@dataclass(frozen=True)
class Group:
    """Stages that do not depend on each other, built together as one entry."""

    name: str
    kind: Kind
    stages: tuple[Stage, ...]


class Pipeline:
    """The stages of a study, and what the finished ones made.

    Args:
        spec: the study.
        log: brings stages up to date, or only looks at them.
        sizes: of faces by role, and of training sets ("set NAME"), where they are known already.
    """

    def __init__(
        self, spec: StudySpec, log: StageLog, sizes: Mapping[str, Size] | None = None
    ) -> None:
        self.spec = spec
        self.log = log
        self.networks: dict[str, GivenTeacher] = {
            name: of for given in spec.teachers for name, of in spec.networks(given).items()
        }
        """Of all teachers, by id."""
        self._known = dict(sizes or {})
        self._products: dict[object, tuple[Any, Exception | None]] = {}

    # --- products --------------------------------------------------------------------------------

    def _once(self, key: object, make: Callable[[], T]) -> T:
        """What ``make`` returns or raises, made once."""
        if key not in self._products:
            try:
                self._products[key] = make(), None
            except (NotBuilt, EvenfaceError) as error:
                self._products[key] = None, error
        value, problem = self._products[key]
        if problem is not None:
            raise problem.with_traceback(None)  # not those of earlier callers
        return cast(T, value)

    def faces_stage(self, role: str) -> Stage | None:
        """What renders or imports the faces of a role; None where nothing does."""
        part = self.spec.faces.by_role()[role]
        return self._once(("part", role), lambda: faces_stage(part, role, self.spec))

    def part(self, role: str) -> Manifest:
        """The faces of a role as they are rendered, imported or found."""

        def make() -> Manifest:
            part = self.spec.faces.by_role()[role]
            assert not isinstance(part, HeldOutFaces)
            check_part(part, role, self.spec)
            stage = self.faces_stage(role)
            return read_faces(part, role, None if stage is None else self.log.run(stage))

        return self._once(("faces", role), make)

    def prepared(self) -> StudyFaces | TestSets:
        """All faces, split and joined."""

        def people(name: str) -> Manifest:
            return Manifest.read(self.log.run(real_people_stage(name)))

        def make() -> StudyFaces | TestSets:
            if not self.spec.training_sets:
                return prepare_tests(self.spec, self.log)
            return assemble_faces(self.spec, self.part, people)

        return self._once("prepared", make)

    def cleaned(self) -> StudyFaces:
        """The faces without training people who are in a test."""

        def make() -> StudyFaces:
            return leave_out_people(self.spec, cast(StudyFaces, self.prepared()), self.log)

        return self._once("cleaned", make)

    def faces(self) -> StudyFaces:
        """The faces to learn from, their groups known."""

        def make() -> StudyFaces:
            faces = label_synthetic(self.spec, self.cleaned(), self.log)
            check_groups(self.spec, faces)
            return faces

        return self._once("labelled", make)

    def training_set(self, name: str) -> Manifest:
        """A training set."""
        stage = set_stage(self.spec, name, self.faces)
        return self._once(("set", name), lambda: Manifest.read(self.log.run(stage)))

    def teacher(self, identifier: str) -> StudyTeacher:
        """A teacher with its networks."""

        def make() -> StudyTeacher:
            given = next(of for of in self.spec.teachers if teacher_id(of) == identifier)
            if isinstance(given, ShuffledTeacher):
                other = self.teacher(given.shuffle)
                return StudyTeacher(identifier, given, {identifier: other.model}, {})
            sets = {
                of.set: self.training_set(of.set)
                for of in self.spec.networks(given).values()
                if isinstance(of, TrainedTeacher)
            }
            alone = self.spec.model_copy(update={"teachers": (given,)})
            return open_teachers(alone, sets, self.log)[0]

        return self._once(("teacher", identifier), make)

    def teachers(self) -> list[StudyTeacher]:
        """All teachers. UsageError: students learn from embeddings of different sizes."""

        def make() -> list[StudyTeacher]:
            found = [self.teacher(teacher_id(given)) for given in self.spec.teachers]
            if self.spec.training_sets:
                check_embedding_sizes(found)
            return found

        return self._once("teachers", make)

    def teacher_of(self, network: str) -> StudyTeacher:
        """The teacher that a network is of."""
        given = next(g for g in self.spec.teachers if network in self.spec.networks(g))
        return self.teacher(teacher_id(given))

    def embedded(self, network: str) -> Embedded:
        """The real and the synthetic faces with a network's embeddings."""

        def make() -> Embedded:
            teacher, sources = self.teacher_of(network), self.to_embed()
            return embed_sources(teacher, sources, self.log, network=network)

        return self._once(("embedded", network), make)

    def to_embed(self) -> dict[str, Manifest]:
        """The training faces that teachers embed."""
        return self.faces().to_embed()

    def benchmarks(self) -> list[Benchmark]:
        """The tests."""
        return self._once("tests", lambda: draw_benchmarks(self.spec, self.prepared(), self.log))

    # --- sizes: counted where the faces are there, else estimated -------------------------------

    def size(self, role: str) -> Size:
        """Of the faces of a role, or of all synthetic ones, without people who are left out."""
        return self._once(("size", role), lambda: self._size(role))

    def _size(self, role: str) -> Size:
        if role in SOURCES:
            try:
                return counted(getattr(self.cleaned(), role))
            except (NotBuilt, EvenfaceError):
                pass
        parts = self.spec.faces.by_role()
        if role == "synthetic" and role not in parts:
            return total(self.size(source) for source in self.spec.faces.synthetic_parts())
        part, held = parts[role], self.spec.faces.test
        if isinstance(part, HeldOutFaces) or (role == "real" and isinstance(held, HeldOutFaces)):
            assert isinstance(held, HeldOutFaces)
            try:
                real = self.part("real")
                group_by = self.spec.faces.group_by or next(iter(real.attributes), None)
                both = hold_out(real, held, self.spec.seed, group_by)
                return counted(both[0] if role == "real" else both[1])
            except (NotBuilt, EvenfaceError):
                fraction = held.fraction if role == "test" else 1 - held.fraction
                return share(self.whole_size("real"), fraction)
        return self.whole_size(role)

    def whole_size(self, role: str) -> Size:
        """Of the faces of a role, those held out among them."""
        try:
            return counted(self.part(role))
        except (NotBuilt, EvenfaceError):
            pass
        if role in self._known:
            return self._known[role]
        in_place = self.faces_stage(role) is None  # they can only be counted
        return Size() if in_place else faces_size(self.spec.faces.by_role()[role])

    def set_size(self, name: str) -> Size:
        """Of a training set."""
        try:
            return counted(self.training_set(name))
        except (NotBuilt, EvenfaceError):
            known = self._known.get(f"set {name}")
        wanted = self.spec.training_sets[name]
        return known or set_size(wanted, self.size("real"), self.size("synthetic"))

    def embedding_size(self) -> int:
        """Dimensions of the teachers' embeddings, as far as is known."""
        return self._once("dimensions", self._embedding_size)

    def _embedding_size(self) -> int:
        network, given = next(iter(self.networks.items()))
        try:
            return self.embedded(network)[0][1].embedding_size
        except (NotBuilt, EvenfaceError):
            pass
        if isinstance(given, TrainedTeacher):
            recipe = teacher_recipe(self.spec, given).with_embedding_size()
            return recipe.backbone.embedding_size or DEFAULT_EMBEDDING_SIZE
        try:
            return load_teacher(cast(str, given)).embedding_size
        except EvenfaceError:
            return DEFAULT_EMBEDDING_SIZE

    # --- stages ----------------------------------------------------------------------------------

    def stages(self) -> Iterator[Stage | Group]:
        """All stages, each once, in an order in which each comes after those that it needs."""
        seen: set[str] = set()
        for stage in self._in_order():
            if stage.name not in seen:
                seen.add(stage.name)
                yield stage

    def _in_order(self) -> Iterator[Stage | Group]:
        yield assets_stage(self.spec)
        yield from self._faces()
        if self.spec.training_sets:
            yield from self._overlap()
            yield from self._labels()
        yield from self._pairs()
        if self.spec.training_sets:
            yield from self._sets(self.spec.training_sets)
            for given in self.spec.teachers:
                yield from self._teacher(given)
            for network in self.networks:
                yield from self._embeddings(network, SOURCES)
            yield from self._gathered()
            yield from self._trainings()
            yield from self._untrained()
        yield from self._evaluations()

    def _faces(self) -> Iterator[Stage]:
        for role in self.spec.faces.by_role():
            if (stage := self.faces_stage(role)) is not None:
                yield replace(stage, cost=partial(self._cost_of_faces, role))
        yield from map(real_people_stage, self.spec.evaluation.real_people)

    def _cost_of_faces(self, role: str) -> Cost:
        images = self.whole_size(role).images
        return Cost(images, _times(images, IMAGE_BYTES))

    def _role_stages(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Names of the stages that make the faces of roles."""
        parts = self.spec.faces.by_role()
        found: dict[str, None] = {}
        for role in roles:
            several = role == "synthetic" and role not in parts
            for part in self.spec.faces.synthetic_parts() if several else [role]:
                held = isinstance(parts[part], HeldOutFaces)
                stage = self.faces_stage("real" if held else part)
                found |= {} if stage is None else {stage.name: None}
        return tuple(found)

    def _overlap(self) -> Iterator[Stage]:
        rules = self.spec.faces.exclude_overlap
        if rules is None:
            return
        tests = ("test", *self.spec.faces.more_tests)
        needs = self._role_stages((*SOURCES, *tests))
        if rules.by != "names":
            for role in (*SOURCES, *tests):
                stage = self._comparison(role)
                needs = (*needs, stage.name)
                yield stage
        stage = overlap_stage(self.spec, self._trained_faces, self._comparing, self._compared)
        yield replace(stage, needs=needs)

    def _trained_faces(self) -> StudyFaces:
        return cast(StudyFaces, self.prepared())

    def _compared(self) -> Mapping[str, EmbeddedRows]:
        teacher, faces = self._comparing(), self._trained_faces()
        if teacher is None:
            return {}
        roles = {"real": faces.real, "synthetic": faces.synthetic, "test": faces.test}
        return embed_to_compare(self.spec, teacher, roles | faces.more_tests, self.log)

    def _comparing(self) -> StudyTeacher | None:
        return self._once("comparing", lambda: comparing_teacher(self.spec))

    def _comparison(self, role: str) -> Stage:
        given = self.spec.overlap_teacher()
        own = {teacher_id(of): of for of in self.spec.teachers if isinstance(of, str)}
        name = plain_name(own.get(given, given)) or "teacher"

        def teacher() -> StudyTeacher:
            return cast(StudyTeacher, self._comparing())

        def faces() -> Manifest:
            found = self._trained_faces()
            roles = {"real": found.real, "synthetic": found.synthetic, "test": found.test}
            return (roles | found.more_tests)[role]

        if own.get(given, given) in self.spec.teachers:
            stage = embedding_stage(name, role, teacher, faces, self.log)
        else:
            stage = comparison_stage(name, role, teacher, faces)
        return self._embedding(stage, role)

    def _embedding(self, stage: Stage, role: str, *needs: str) -> Stage:
        def cost() -> Cost:
            images = self.size(role).images
            if images is None:
                return Cost(None, None)
            return Cost(images, embedding_bytes(images, self.embedding_size()))

        return replace(stage, needs=(*needs, *self._role_stages([role])), cost=cost)

    def _labels(self) -> Iterator[Stage]:
        wanted = self.spec.faces.synthetic_labels
        if wanted is None or self._declares_groups():
            return
        needs = self._role_stages(SOURCES)
        if isinstance(wanted, ClassifierLabels):
            given = next(t for t in self.spec.teachers if wanted.teacher in (None, teacher_id(t)))
            # A teacher that the study trains is trained within this stage, on unlabelled faces.
            stages = self._embeddings(teacher_id(given), SOURCES) if isinstance(given, str) else ()
            for stage in stages:
                needs = (*needs, stage.name)
                yield stage
        yield replace(label_stage(self.spec, self.cleaned, self._label_rows), needs=needs)

    def _declares_groups(self) -> bool:
        """Whether all synthetic faces are known to have the groups already."""
        try:
            faces = self.cleaned()
        except (NotBuilt, EvenfaceError):
            return False
        group_by = faces.group_by
        return group_by is not None and not without_groups(self.spec, faces.synthetic, group_by)

    def _label_rows(self) -> list[EmbeddedRows]:
        wanted = self.spec.faces.synthetic_labels
        assert isinstance(wanted, ClassifierLabels)
        rows = embedded_rows(self.spec, wanted.teacher, self.cleaned(), self.log)
        return [of for _, of in rows]

    def _pairs(self) -> Iterator[Stage]:
        for name in benchmark_names(self.spec):
            role = "test" if name in (MAIN_BENCHMARK, RANDOM_GROUPS) else name
            needs: tuple[str, ...] = (f"import: {name}",)
            if name not in self.spec.evaluation.real_people:
                needs = self._role_stages([role])
            yield replace(
                pairs_stage(self.spec, name, self.prepared, self.log.folder),
                needs=needs,
                cost=partial(self._cost_of_pairs, role),
            )

    def _cost_of_pairs(self, role: str) -> Cost:
        known = role in self.spec.faces.by_role()
        return Cost(self.size(role).images if known else None)

    def _sets(self, names: Iterable[str]) -> Iterator[Stage]:
        needs = self._role_stages(SOURCES)
        if self.spec.faces.exclude_overlap is not None:
            needs += (OVERLAP_STAGE,)
        needs += tuple(stage.name for stage in self._labels())
        for name in names:
            yield replace(
                set_stage(self.spec, name, self.faces),
                needs=needs,
                cost=partial(self._cost_of_set, name),
            )

    def _cost_of_set(self, name: str) -> Cost:
        return Cost(self.set_size(name).images)

    def _set_stage(self, name: str) -> str:
        return next(stage.name for stage in self._sets([name]))

    def _teacher(self, given: GivenTeacher) -> Iterator[Stage]:
        for of in self.spec.networks(given).values():
            if isinstance(of, TrainedTeacher):
                faces = partial(self.training_set, of.set)
                stage = teacher_stage(self.spec, of, self.log.folder, faces)
                yield replace(stage, needs=(self._set_stage(of.set),))

    def _embeddings(self, network: str, roles: Iterable[str]) -> Iterator[Stage]:
        teacher = partial(self._checked_teacher, network)
        given = self.networks[network]
        needs: tuple[str, ...] = ()
        if isinstance(given, TrainedTeacher):
            needs = tuple(stage.name for stage in self._teacher(given))
        for role in roles:
            if isinstance(given, ShuffledTeacher):
                needs = tuple(stage.name for stage in self._embeddings(given.shuffle, [role]))
            faces = partial(self._to_embed, role)
            stage = embedding_stage(network, role, teacher, faces, self.log)
            yield self._embedding(stage, role, *needs)

    def _checked_teacher(self, network: str) -> StudyTeacher:
        """The teacher of a network, compared with those of the others that are there."""
        with suppress(NotBuilt):
            self.teachers()
        return self.teacher_of(network)

    def _to_embed(self, role: str) -> Manifest:
        return self.cleaned().to_embed()[role]

    def taught(self) -> list[tuple[str, str]]:
        """Pairs of a network and a training set that a student, or its pretraining, learns from."""
        pairs = [
            (self.spec.network(cell.teacher, seed), cell.set)
            for cell in cells(self.spec)
            if cell.teacher is not None
            for seed in self.spec.training_seeds
        ]
        pairs += [(network, first) for network, name in pairs if (first := self.first(name))]
        return list(dict.fromkeys(pairs))

    def first(self, name: str) -> str | None:
        """The training set that students of a training set are pretrained on."""
        of = self.spec.training_sets[name].pretrained
        return None if of is None else of.set

    def _gathered(self, taught: Iterable[tuple[str, str]] | None = None) -> Iterator[Stage]:
        for network, name in self.taught() if taught is None else taught:
            stage = gather_stage(
                network, name, partial(self.embedded, network), partial(self.training_set, name)
            )
            needs = (*(of.name for of in self._embeddings(network, SOURCES)), self._set_stage(name))
            yield replace(stage, needs=needs, cost=partial(self._cost_of_gathered, name))

    def _cost_of_gathered(self, name: str) -> Cost:
        images = self.set_size(name).images
        return Cost(images, _times(images, embedding_bytes(1, self.embedding_size())))

    def _recipe(self, cell: Cell, seed: int) -> TrainRecipe:
        first, folder = self.first(cell.set), self.log.folder
        cache = first_cache = None
        if cell.teacher is not None:
            network = self.spec.network(cell.teacher, seed)
            cache = folder / layout.set_embeddings(network, cell.set)
            first_cache = folder / layout.set_embeddings(network, first) if first else None
        return student_recipe(
            self.spec,
            f"{cell.id}-s{seed}",
            overrides=cell.overrides,
            seed=seed,
            data=folder / layout.training_set(cell.set),
            size=self.embedding_size(),
            cache=cache,
            first=None if first is None else folder / layout.training_set(first),
            first_cache=first_cache,
            epoch_images=self.size("real").images,
        )

    def _run_key(self, cell: Cell, seed: int, recipe: TrainRecipe) -> str:
        first, whose = self.first(cell.set), None
        if cell.teacher is not None:
            cache = self.embedded(self.spec.network(cell.teacher, seed))[0][1]
            whose = cache.record.teacher_fingerprint
        before = None if first is None else self.training_set(first)
        return run_key(recipe, self.training_set(cell.set), whose, before)

    def trainings(self) -> list[Training]:
        """The students, each cell with each training seed."""
        return self._once("trainings", self._all_trainings)

    def _all_trainings(self) -> list[Training]:
        found: list[Training] = []
        known: dict[str, str] = {}
        for cell in cells(self.spec):
            for seed in self.spec.training_seeds:
                recipe = self._recipe(cell, seed)
                key = partial(self._run_key, cell, seed, recipe)
                needs = self._needs(cell, seed)
                other = known.setdefault(self._identity(cell, seed, recipe), recipe.name)
                same_as = None if other == recipe.name else other
                found.append(Training(cell, seed, recipe, key, needs, same_as))
        return found

    def _needs(self, cell: Cell, seed: int) -> tuple[str, ...]:
        sets = [cell.set, *([first] if (first := self.first(cell.set)) else [])]
        if cell.teacher is None:
            return tuple(map(self._set_stage, sets))
        network = self.spec.network(cell.teacher, seed)
        return tuple(stage.name for stage in self._gathered([(network, name) for name in sets]))

    def _identity(self, cell: Cell, seed: int, recipe: TrainRecipe) -> str:
        """Equal for runs that are the same training, as far as is known."""
        try:
            return self._run_key(cell, seed, recipe)
        except (NotBuilt, EvenfaceError):
            pass
        try:
            data = self.training_set(cell.set).fingerprint
        except (NotBuilt, EvenfaceError):
            data = self.spec.training_sets[cell.set].model_dump_json()
        network = None if cell.teacher is None else self.spec.network(cell.teacher, seed)
        return recipe.fingerprint(data, network, self.first(cell.set))

    def _trainings(self) -> Iterator[Group]:
        stages = tuple(of.stage for of in self.trainings() if of.same_as is None)
        yield Group(f"train {len(stages)} students", "train", stages)

    def _untrained(self) -> Iterator[Stage]:
        needs = tuple(stage.name for stage in self._embeddings(next(iter(self.networks)), SOURCES))
        for stages in untrained_stages(self.spec, self.embedding_size()).values():
            yield from (replace(stage, needs=needs) for stage in stages.values())

    def _evaluations(self) -> Iterator[Stage | Group]:
        on_all = EvaluationStages(self.spec, self.log.folder, self.benchmarks)
        pairs = tuple(stage.name for stage in self._pairs())
        stages: list[Stage] = []
        for given in self.spec.teachers:
            if isinstance(given, ShuffledTeacher):
                continue
            trained = list(self._teacher(given))
            if len(trained) > 1:
                stages += [self._evaluation(on_all, of, pairs) for of in trained]
                continue
            name, needs = teacher_id(given), (*(of.name for of in trained), *pairs)
            loaded = partial(self._model, name)
            stage = on_all.of_model(f"teacher-{name}", f"teacher {name}", loaded)
            yield replace(stage, needs=needs)
        if self.spec.training_sets:
            stages += [self._evaluation(on_all, of, pairs) for of in self._untrained()]
            for group in self._trainings():
                stages += [self._evaluation(on_all, of, pairs) for of in group.stages]
        for model in self.spec.models:
            stage = on_all.of_given(model, partial(self._given, model.name))
            stages.append(replace(stage, needs=pairs))
        yield Group(f"evaluate {len(stages)} networks", "evaluate", tuple(stages))

    def _evaluation(self, on_all: EvaluationStages, of: Stage, pairs: tuple[str, ...]) -> Stage:
        stage = on_all.of_run(self.log.folder / of.folder, partial(self.log.made, of))
        return replace(stage, needs=(of.name, *pairs), cost=lambda: Cost(1))

    def _model(self, teacher: str) -> LoadedTeacher:
        return self.teacher(teacher).model

    def _given(self, name: str) -> str:
        opened = self._once("given", lambda: open_given(self.spec))
        return next(of.fingerprint for arm in opened.values() for of in arm if of.spec.name == name)


def counted(manifest: Manifest) -> Size:
    """Of faces that are there."""
    return Size(len(manifest.identities()), len(manifest), exact=True)


def _times(count: int | None, factor: int) -> int | None:
    return None if count is None else count * factor
