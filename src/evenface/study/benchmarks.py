"""The study's verification sets, and every model's results on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.console import progress
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate import Evaluation, Protocol, evaluate_embeddings, protocol_from_manifest
from evenface.evaluate.model import FLIP_SUM, embed_views
from evenface.evaluate.protocol_specs import spec_path
from evenface.evaluate.protocols import LEAST_CAP, PAIRS_PER_PERSON, PROTOCOL_NAME
from evenface.files import fingerprint
from evenface.seeds import generator
from evenface.study import layout, record
from evenface.study.faces import StudyFaces, TestSets
from evenface.study.given import evaluate_given
from evenface.study.spec import (
    MAIN_BENCHMARK,
    RANDOM_GROUPS,
    STUDY_TEACHER,
    GivenModel,
    PublishedFaces,
    RenderedFaces,
    StudySpec,
)
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog
from evenface.study.students import StudyArm, processes, without_failed
from evenface.teachers import load_teacher, teacher_names
from evenface.teachers.base import LoadedTeacher


@dataclass(frozen=True)
class Benchmark:
    """A verification set with what a reader must know about it."""

    id: str
    title: str
    statement: str
    real_people: bool
    manifest: Manifest
    protocol: Protocol

    def describe(self) -> record.Benchmark:
        """What results say of it."""
        return record.Benchmark(
            id=self.id,
            title=self.title,
            statement=self.statement,
            simulated=self.protocol.simulated,
            real_people=self.real_people,
            pairs=self.protocol.pairs,
            pairs_per_group=self.protocol.pairs_per_group,
            group_by=" × ".join(self.protocol.group_by) or None,
            groups=tuple(self.protocol.groups),
            images=len(self.manifest),
            identities=len(self.manifest.identities()),
            notes=tuple(self.protocol.notes),
        )


_PEOPLE = {
    "orl": (
        "ORL, 40 real people",
        "400 grey photographs of 40 real people, frontal and evenly lit, without group labels: a "
        "check on real faces, not a fairness benchmark. Photographs are never shown.",
        True,
    ),
    "openpeople": (
        "openpeople, 10 generated people",
        "Photo-like images of ten people made by another generator: out of domain for all "
        "students. Ten people decide little; see the intervals.",
        False,
    ),
}


def draw_benchmarks(
    spec: StudySpec, faces: StudyFaces | TestSets, log: StageLog
) -> list[Benchmark]:
    """The held-out faces per group ("groups"), further ones, then sets of other people as a whole.

    Each is written to the study's folder (manifest and pairs), for whoever wants to evaluate
    another model on it.
    """
    benchmarks = [
        _with_groups(spec, name, faces, log) for name in (MAIN_BENCHMARK, *spec.faces.more_tests)
    ]
    if spec.evaluation.random_groups:
        main = benchmarks[0]
        title = f"{main.title}, dealt to groups at random"
        nothing = "Groups mean nothing here: nothing may be found."
        benchmarks.append(_draw(spec, RANDOM_GROUPS, title, nothing, main.real_people, faces, log))
    for name in faces.real_people:
        benchmarks.append(_draw(spec, name, *_PEOPLE[name], faces, log))
    return benchmarks


def _dealt_at_random(manifest: Manifest, group_by: str | None, seed: int) -> Manifest:
    """The same people and images; groups keep their sizes and their names, and mean nothing.

    Raises:
        UsageError: there are no groups.
    """
    if group_by is None:
        raise UsageError("evaluation.random_groups: the test faces declare no groups")
    first = np.unique(manifest.labels(), return_index=True)[1]
    of_people = manifest.column(group_by)[first]
    dealt = generator(seed, RANDOM_GROUPS).permutation(of_people)
    return manifest.with_attribute(group_by, dealt[manifest.labels()])


def evaluate_arms(
    spec: StudySpec,
    arms: list[StudyArm],
    benchmarks: list[Benchmark],
    stages: Sequence[Stage],
    log: StageLog,
) -> tuple[list[StudyArm], dict[str, dict[str, list[Evaluation]]], list[record.Failure]]:
    """Every model on every benchmark.

    Resamples are shared by all models, so differences are paired.

    Args:
        spec: the study.
        arms: those with a model in place of runs are evaluated already.
        benchmarks: the tests.
        stages: evaluate the models of the other arms; those of failed runs are left out.
        log: where evaluations are recorded.

    Returns:
        The arms with the runs that could be evaluated; arm id → benchmark id → evaluations, one a
        training seed; the runs that could not.
    """
    folder_of = {run: layout.evaluation(run.name) for arm in arms for run in arm.models.values()}
    wanted = set(folder_of.values())
    stages = [stage for stage in stages if stage.folder in wanted]
    with _counted(stages, log) as watch:
        together = log.run_together(
            f"evaluate {len(stages)} networks", stages, workers=processes(spec), watch=watch
        )
    of_stage = {failure.stage.folder: failure for failure in together.failures}
    failed = {run: of_stage[at] for run, at in folder_of.items() if at in of_stage}
    left, failures = without_failed(arms, failed)
    places = {
        arm.id: [log.folder / folder_of[run] for run in arm.models.values()]
        if arm.model is None
        else [log.folder / layout.evaluation(arm.id)]
        for arm in left
    }
    evaluations = {
        arm: {
            b.id: [Evaluation.read(place / b.id) for place in at]
            for b in benchmarks
            if all((place / b.id).exists() for place in at)  # embeddings of some tests only
        }
        for arm, at in places.items()
        if at
    }
    return left, evaluations, failures


@dataclass(frozen=True)
class EvaluationStages:
    """Makes the stages that evaluate a model on all tests.

    Attributes:
        spec: the study.
        folder: the study's.
        benchmarks: the tests.
    """

    spec: StudySpec
    folder: Path
    benchmarks: Callable[[], Sequence[Benchmark]]

    def of_model(self, arm: str, title: str, model: Callable[[], LoadedTeacher]) -> Stage:
        """Of a model that this process has loaded, or loads."""

        def build(folder: Path) -> None:
            _evaluate(folder, model(), *self._arguments)

        return self._stage(title, arm, lambda: model().fingerprint, build)

    def of_run(self, run: Path, trained: Callable[[], Path]) -> Stage:
        """Of a run; ``trained`` gives its folder once it is finished."""
        call = (run, *self._arguments)
        return self._stage(run.name, run.name, lambda: _fingerprint(trained()), _evaluate_run, call)

    def of_given(self, given: GivenModel, model: Callable[[], str]) -> Stage:
        """Of a model that the user brought; ``model`` gives its fingerprint."""
        call = (given, self.spec, *self._arguments)
        return self._stage(given.name, given.name, model, evaluate_given, call)

    def _stage(
        self,
        title: str,
        name: str,
        model: Callable[[], str],
        build: Callable[..., Any],
        arguments: tuple[Any, ...] = (),
    ) -> Stage:
        return Stage(
            f"evaluate: {title}",
            lambda: self._inputs() | {"model": model()},
            layout.evaluation(name),
            build,
            arguments,
            kind="evaluate",
            portable=True,
        )

    @property
    def _arguments(self) -> tuple[list[Path], dict[str, Any]]:
        folders = [self.folder / layout.benchmark(name) for name in benchmark_names(self.spec)]
        return folders, self._settings() | self.spec.evaluation.options

    def _settings(self) -> dict[str, Any]:
        return {
            "replicates": self.spec.evaluation.replicates,
            "level": self.spec.claim_settings.level,
            "seed": self.spec.seed,
        }

    def _inputs(self) -> dict[str, Any]:
        options = self.spec.evaluation.options
        return {
            "version": Evaluation.model_fields["version"].default,
            "protocols": fingerprint([of.protocol.fingerprint for of in self.benchmarks()]),
            **self._settings(),
            **({"options": options} if options else {}),
        }


def benchmark_names(spec: StudySpec) -> list[str]:
    """The study's tests: its own, then sets of other people."""
    own = [MAIN_BENCHMARK, *spec.faces.more_tests]
    drawn = [RANDOM_GROUPS] if spec.evaluation.random_groups else []
    return [*own, *drawn, *spec.evaluation.real_people]


def _fingerprint(run: Path) -> str:
    """Of a trained model; DataError says what to do about a damaged one."""
    try:
        return load_teacher(run).fingerprint
    except DataError as error:
        raise DataError(f"{error}. Delete {run}: rerunning the command trains it again") from None


@contextmanager
def _counted(stages: Sequence[Stage], log: StageLog) -> Iterator[Callable[[], None]]:
    """A progress bar over the networks that other processes evaluate; yields its update."""
    seen = log.finished(stages)
    with progress("evaluate networks", len(stages), unit="networks", done=seen) as bar:

        def update() -> None:
            nonlocal seen
            now = log.finished(stages)
            bar.advance(now - seen)
            seen = now

        yield update


def _evaluate_run(
    folder: Path, run: Path, benchmarks: Sequence[Path], settings: dict[str, Any]
) -> None:
    _evaluate(folder, load_teacher(run), benchmarks, settings)


def _evaluate(
    folder: Path, model: LoadedTeacher, benchmarks: Sequence[Path], settings: dict[str, Any]
) -> None:
    sets = {
        benchmark.name: (Manifest.read(benchmark), Protocol.read(benchmark / PROTOCOL_NAME))
        for benchmark in benchmarks
    }
    views, options = settings.get("views", FLIP_SUM), dict(settings)
    options.pop("views", None)
    embedded: dict[str, NDArray[np.float32]] = {}
    for name, (manifest, protocol) in sets.items():
        images = manifest.image_fingerprint
        if images not in embedded:
            used = [p.rows for m, p in sets.values() if m.image_fingerprint == images]
            rows = np.unique(np.concatenate(used))
            embedded[images] = embed_views(model, manifest, rows, views=views)
        evaluation = evaluate_embeddings(
            embedded[images], protocol, model=model.name, detail=False, **options
        )
        evaluation.write(folder / name)


def _with_groups(
    spec: StudySpec, name: str, faces: StudyFaces | TestSets, log: StageLog
) -> Benchmark:
    role = "test" if name == MAIN_BENCHMARK else name
    part = spec.faces.by_role()[role]
    if isinstance(part, PublishedFaces):
        return _published(spec, part, name, faces, log)
    title = f"people of {part.path.name}" if part.kind == "folder" else "held-out identities"
    groups = "Groups are the labels the data declare."
    if isinstance(part, RenderedFaces):
        title = f"held-out rendered identities, {part.look} look"
        groups = "Groups are the generator's phenotype axes, not people's ethnicities."
        if part.look not in _trained_looks(spec):
            groups += " No student was trained on this look"
            groups += ", nor the study teacher." if STUDY_TEACHER in spec.teachers else "."
    elif name != MAIN_BENCHMARK:
        title = f"{name}: {title}"
    statement = "Pairs drawn by this study, of identities that no student was trained on"
    if part.kind == "render" and all(t in teacher_names() for t in spec.teachers):
        statement += ", nor a teacher. "
    else:
        statement += "; the people that the teachers were trained on are unknown. "
    manifest, _ = _tested(spec, name, faces)
    real_people = set(manifest.column("origin")) == {"real"}
    return _draw(spec, name, title, statement + groups, real_people, faces, log)


def _published(
    spec: StudySpec, part: PublishedFaces, name: str, faces: StudyFaces | TestSets, log: StageLog
) -> Benchmark:
    folder = log.run(pairs_stage(spec, name, lambda: faces, log.folder))
    protocol = Protocol.read(folder / PROTOCOL_NAME)
    manifest, _ = _tested(spec, name, faces)
    drawn = protocol.pairs == "drawn"
    title = f"{'pairs drawn from' if drawn else 'verification set'} {spec_path(part.spec).name}"
    pairs = "Pairs drawn by evenface, not published ones" if drawn else "Published pairs"
    statement = (
        f"{pairs}. Whether someone in it is in the training faces too is not known to this "
        "program; see “evenface data overlap”. Groups are the labels the data declare."
    )
    return Benchmark(name, title, statement, part.origin == "real", manifest, protocol)


def _trained_looks(spec: StudySpec) -> set[str]:
    """Looks that a student, or the teacher that comes with the package, has seen."""
    parts = (spec.faces.by_role().get("real"), *spec.faces.synthetic_parts().values())
    looks = {part.look for part in parts if isinstance(part, RenderedFaces)}
    return looks | ({"camera"} if STUDY_TEACHER in spec.teachers else set())


def _draw(
    spec: StudySpec,
    name: str,
    title: str,
    statement: str,
    real_people: bool,
    faces: StudyFaces | TestSets,
    log: StageLog,
) -> Benchmark:
    folder = log.run(pairs_stage(spec, name, lambda: faces, log.folder))
    manifest, _ = _tested(spec, name, faces)
    protocol = Protocol.read(folder / PROTOCOL_NAME)
    return Benchmark(name, title, statement, real_people, manifest, protocol)


def _tested(
    spec: StudySpec, name: str, faces: StudyFaces | TestSets
) -> tuple[Manifest, str | None]:
    """The faces of a test, and the attribute of its groups."""
    if name in faces.real_people:
        return faces.real_people[name], None
    if name == RANDOM_GROUPS:
        return _dealt_at_random(faces.test, faces.group_by, spec.seed), faces.group_by
    return {MAIN_BENCHMARK: faces.test, **faces.more_tests}[name], faces.group_by


def pairs_stage(
    spec: StudySpec, name: str, faces: Callable[[], StudyFaces | TestSets], study: Path
) -> Stage:
    """Draws the pairs of a test, or keeps the published ones.

    Args:
        spec: the study.
        name: one of :func:`benchmark_names`.
        faces: those of the study.
        study: its folder.
    """
    role = "test" if name == MAIN_BENCHMARK else name
    if isinstance(spec.faces.by_role().get(role), PublishedFaces):
        return _kept_pairs_stage(spec, name, faces, study / layout.faces(role))
    return _drawn_pairs_stage(spec, name, faces)


def _kept_pairs_stage(
    spec: StudySpec, name: str, faces: Callable[[], StudyFaces | TestSets], kept: Path
) -> Stage:
    def inputs() -> dict[str, Any]:
        _tested(spec, name, faces())  # they are there
        return {"pairs": Protocol.read(kept / PROTOCOL_NAME).fingerprint}

    def build(folder: Path) -> None:
        Protocol.read(kept / PROTOCOL_NAME).write(folder / PROTOCOL_NAME)
        _tested(spec, name, faces())[0].write(folder / MANIFEST_NAME)

    return Stage(f"pairs: {name}", inputs, layout.benchmark(name), build, kind="pairs")


def _drawn_pairs_stage(
    spec: StudySpec, name: str, faces: Callable[[], StudyFaces | TestSets]
) -> Stage:
    settings: dict[str, Any] = {
        "folds": spec.evaluation.folds,
        "pairs_per_group": spec.evaluation.pairs_per_group,
        "seed": spec.seed,
    }
    if spec.evaluation.score_pairs is not None:
        settings["max_pairs"] = spec.evaluation.score_pairs

    def inputs() -> dict[str, Any]:
        manifest, group_by = _tested(spec, name, faces())
        common = {"manifest": manifest.fingerprint, "group_by": group_by, **settings}
        if len(manifest.identities()) * PAIRS_PER_PERSON > LEAST_CAP:
            return {**common, "pairs_per_person": PAIRS_PER_PERSON}  # what None stands for
        return common

    def build(folder: Path) -> None:
        manifest, group_by = _tested(spec, name, faces())
        groups = (group_by,) if group_by else ()
        protocol = protocol_from_manifest(manifest, group_by=groups, name=name, **settings)
        protocol.write(folder / PROTOCOL_NAME)
        manifest.write(folder / MANIFEST_NAME)

    return Stage(f"draw pairs: {name}", inputs, layout.benchmark(name), build, kind="pairs")
