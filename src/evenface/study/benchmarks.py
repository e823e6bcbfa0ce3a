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
    PublishedFaces,
    RenderedFaces,
    StudySpec,
)
from evenface.study.stages import Stage, StageLog
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
        _with_groups(spec, name, manifest, faces.group_by, log)
        for name, manifest in {MAIN_BENCHMARK: faces.test, **faces.more_tests}.items()
    ]
    if spec.evaluation.random_groups:
        main, group_by = benchmarks[0], faces.group_by
        benchmarks.append(
            _draw(
                spec,
                RANDOM_GROUPS,
                f"{main.title}, dealt to groups at random",
                "Groups mean nothing here: nothing may be found.",
                main.real_people,
                _dealt_at_random(faces.test, group_by, spec.seed),
                group_by,
                log,
            )
        )
    for name, manifest in faces.real_people.items():
        title, statement, real = _PEOPLE[name]
        benchmarks.append(_draw(spec, name, title, statement, real, manifest, None, log))
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
    spec: StudySpec, arms: list[StudyArm], benchmarks: list[Benchmark], log: StageLog
) -> tuple[list[StudyArm], dict[str, dict[str, list[Evaluation]]], list[record.Failure]]:
    """Every model on every benchmark.

    Resamples are shared by all models, so differences are paired.

    Returns:
        The arms with the runs that could be evaluated; arm id → benchmark id → evaluations, one a
        training seed; the runs that could not.
    """
    folders = [log.folder / layout.benchmark(benchmark.id) for benchmark in benchmarks]
    common: dict[str, Any] = {
        "version": Evaluation.model_fields["version"].default,
        "protocols": fingerprint([benchmark.protocol.fingerprint for benchmark in benchmarks]),
        "replicates": spec.evaluation.replicates,
        "level": spec.claim_settings.level,
        "seed": spec.seed,
    }
    settings = {key: common[key] for key in ("replicates", "level", "seed")}
    if options := spec.evaluation.options:
        common["options"], settings = options, settings | options
    teachers: dict[str, Path] = {}
    of_run: dict[Path, Stage] = {}
    for arm in arms:
        if arm.model is not None:
            inputs = common | {"model": arm.model.fingerprint}

            def build(folder: Path, model: LoadedTeacher = arm.model) -> None:
                _evaluate(folder, model, folders, settings)

            at = layout.evaluation(arm.id)
            teachers[arm.id] = log.run(f"evaluate: {arm.title}", inputs, build, at=at)
        for given in arm.given:
            inputs = common | {"model": given.fingerprint}
            at, name = layout.evaluation(given.spec.name), f"evaluate: {given.spec.name}"
            call = (given.spec, spec, folders, settings)
            of_run[given.at] = Stage(name, inputs, at, evaluate_given, call)
        for run in arm.runs.values():
            if run not in of_run:
                inputs = common | {"model": _fingerprint(run)}
                at = layout.evaluation(run.name)
                name = f"evaluate: {run.name}"
                of_run[run] = Stage(name, inputs, at, _evaluate_run, (run, folders, settings))
    stages = list(of_run.values())
    with _counted(stages, log) as watch:
        together = log.run_together(
            f"evaluate {len(stages)} networks", stages, workers=processes(spec), watch=watch
        )
    of_stage = {failure.stage.at: failure for failure in together.failures}
    failed = {run: of_stage[stage.at] for run, stage in of_run.items() if stage.at in of_stage}
    left, failures = without_failed(arms, failed)
    places = {
        arm.id: [log.folder / of_run[run].at for run in arm.models.values()] for arm in left
    } | {arm: [at] for arm, at in teachers.items()}
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


def _fingerprint(run: Path) -> str:
    """Of a trained model; DataError says what to do about a damaged one."""
    try:
        return load_teacher(run).fingerprint
    except DataError as error:
        raise DataError(f"{error}. Delete {run}: the same command trains it again") from None


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
    spec: StudySpec, name: str, manifest: Manifest, group_by: str | None, log: StageLog
) -> Benchmark:
    role = "test" if name == MAIN_BENCHMARK else name
    part = spec.faces.by_role()[role]
    if isinstance(part, PublishedFaces):
        return _published(part, name, manifest, log.folder / layout.faces(role), log)
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
        statement += "; whom the teachers were trained on is not known to this program. "
    real_people = set(manifest.column("origin")) == {"real"}
    return _draw(spec, name, title, statement + groups, real_people, manifest, group_by, log)


def _published(
    part: PublishedFaces, name: str, manifest: Manifest, kept: Path, log: StageLog
) -> Benchmark:
    protocol = Protocol.read(kept / PROTOCOL_NAME)

    def build(folder: Path) -> None:
        protocol.write(folder / PROTOCOL_NAME)
        manifest.write(folder / MANIFEST_NAME)

    log.run(f"pairs: {name}", {"pairs": protocol.fingerprint}, build, at=layout.benchmark(name))
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
    identifier: str,
    title: str,
    statement: str,
    real_people: bool,
    manifest: Manifest,
    group_by: str | None,
    log: StageLog,
) -> Benchmark:
    settings: dict[str, Any] = {
        "folds": spec.evaluation.folds,
        "pairs_per_group": spec.evaluation.pairs_per_group,
        "seed": spec.seed,
    }
    if spec.evaluation.score_pairs is not None:
        settings["max_pairs"] = spec.evaluation.score_pairs

    def build(folder: Path) -> None:
        protocol = protocol_from_manifest(
            manifest, group_by=(group_by,) if group_by else (), name=identifier, **settings
        )
        protocol.write(folder / PROTOCOL_NAME)
        manifest.write(folder / MANIFEST_NAME)

    inputs = {"manifest": manifest.fingerprint, "group_by": group_by, **settings}
    if len(manifest.identities()) * PAIRS_PER_PERSON > LEAST_CAP:
        inputs["pairs_per_person"] = PAIRS_PER_PERSON  # what None stands for
    folder = log.run(f"draw pairs: {identifier}", inputs, build, at=layout.benchmark(identifier))
    protocol = Protocol.read(folder / PROTOCOL_NAME)
    return Benchmark(identifier, title, statement, real_people, manifest, protocol)
