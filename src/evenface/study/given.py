"""Models that the user has already: arms of the grid that are not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenface.data.manifest import Manifest
from evenface.errors import EvenfaceError, UsageError
from evenface.evaluate import Evaluation, Protocol, evaluate_embeddings, evaluate_model
from evenface.evaluate.embedding_files import read_embeddings
from evenface.evaluate.evaluation import evaluate_pair_scores
from evenface.evaluate.pair_score_files import read_pair_scores
from evenface.evaluate.protocol_specs import DRAW, ProtocolOptions, tasks_of
from evenface.evaluate.protocols import PROTOCOL_NAME
from evenface.files import fingerprint
from evenface.study import record
from evenface.study.arm import Kind
from evenface.study.cells import cells
from evenface.study.grid import kind_by_name
from evenface.study.spec import MAIN_BENCHMARK, RANDOM_GROUPS, GivenModel, PublishedFaces, StudySpec
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher


@dataclass(frozen=True)
class Given:
    """A given model, opened.

    Attributes:
        spec: what the study file says.
        fingerprint: of its weights and preprocessing, or of its embeddings or scores.
        details: for the reader.
        model: None where there are embeddings or scores in its place.
    """

    spec: GivenModel
    fingerprint: str
    details: Mapping[str, str]
    model: LoadedTeacher | None = None

    @property
    def at(self) -> Path:
        """Stands for it where trained models have their run folders."""
        return Path("models") / self.spec.name

    def describe(self) -> record.Given:
        """What results say of it."""
        return record.Given(
            seed=self.spec.seed,
            name=self.spec.name,
            fingerprint=self.fingerprint,
            details=dict(self.details),
        )


def open_given(spec: StudySpec) -> dict[tuple[str, str], list[Given]]:
    """The given models by their arm's id and title, in the order of the study file.

    Raises:
        UsageError: one stands where the study trains an arm, or names a test that there is not.
        EvenfaceError: one that cannot be opened.
    """
    tests = {MAIN_BENCHMARK, *spec.faces.more_tests, *spec.evaluation.real_people}
    trained = {cell.id for cell in cells(spec)} if spec.training_sets else set()
    arms: dict[tuple[str, str], list[Given]] = {}
    for given in spec.models:
        identifier, title = arm_of(given)
        if identifier in trained:
            raise UsageError(
                f"models: {given.name} stands where the study trains {identifier}. Give it another "
                "set or level, or leave that arm out by a constraint"
            )
        if unknown := sorted(set(given.files) - tests):
            raise UsageError(
                f"models: {given.name}: there is no test '{unknown[0]}'; there are "
                f"{', '.join(sorted(tests))}"
            )
        try:
            opened = _open(given)
        except EvenfaceError as error:
            raise type(error)(f"models: {given.name}: {error}") from None
        arms.setdefault((identifier, title), []).append(opened)
    return arms


def kinds_of_given(spec: StudySpec) -> dict[str, Kind]:
    """What the sets of given models are made of, where the study does not define them."""
    return {
        model.set: model.kind or kind_by_name(model.set)
        for model in spec.models
        if model.set not in spec.training_sets
    }


def levels_of_given(spec: StudySpec) -> dict[str, list[str]]:
    """Factor → levels, those of the study's factors first, then those that models add."""
    found = {factor: list(levels) for factor, levels in spec.factors.items()}
    for model in spec.models:
        for factor, level in model.levels.items():
            of_factor = found.setdefault(factor, [])
            of_factor += [level] if level not in of_factor else []
    return found


def evaluate_given(
    folder: Path,
    given: GivenModel,
    spec: StudySpec,
    benchmarks: Sequence[Path],
    settings: Mapping[str, Any],
) -> None:
    """Evaluate a given model on all tests, or on those that it has embeddings or scores of.

    Args:
        folder: where evaluations are written, one folder a test.
        given: the model.
        spec: of the study.
        benchmarks: folders of the tests' manifests and pairs, called as the tests.
        settings: of the evaluation.
    """
    model = None if given.path is None else load_teacher(given.path, **given.options)
    for at in benchmarks:
        name = MAIN_BENCHMARK if at.name == RANDOM_GROUPS else at.name  # the same images
        manifest, protocol = Manifest.read(at), Protocol.read(at / PROTOCOL_NAME)
        if model is not None:
            evaluation = evaluate_model(model, manifest, protocol, detail=False, **settings)
        elif name in given.files:
            evaluation = _of_file(given, name, spec, manifest, protocol, settings)
        else:
            continue
        evaluation.write(folder / at.name)


def arm_of(given: GivenModel) -> tuple[str, str]:
    """Id and title of its arm, as :func:`evenface.study.cells.cells` calls such."""
    end, words = "plain", "without KD"
    if given.teacher is not None:
        end, words = f"kd-{given.teacher}", f"KD from {given.teacher}"
    shown = list(given.levels.values())
    return "-".join((given.set, *shown, end)), ", ".join((given.set, *shown, words))


def _open(given: GivenModel) -> Given:
    if given.path is not None:
        model = load_teacher(given.path, **given.options)
        return Given(given, model.fingerprint, model.details, model)
    kind, read = ("scores", read_pair_scores) if given.scores else ("embeddings", read_embeddings)
    prints = {name: read(path).fingerprint for name, path in given.files.items()}
    files = ", ".join(f"{name}: {path}" for name, path in given.files.items())
    return Given(given, fingerprint(prints | given.options), {kind: files})


def _of_file(
    given: GivenModel,
    name: str,
    spec: StudySpec,
    manifest: Manifest,
    protocol: Protocol,
    settings: Mapping[str, Any],
) -> Evaluation:
    """The evaluation of embeddings or scores, by image name or in the test's own order."""
    part = spec.faces.by_role().get("test" if name == MAIN_BENCHMARK else name)
    count = len(manifest)
    order, names = np.arange(count), None
    if isinstance(part, PublishedFaces) and not part.spec.startswith(DRAW):
        options = ProtocolOptions(folds=spec.evaluation.folds, seed=spec.seed)
        (task,) = tasks_of(part.spec, options)  # rows are those of the kept set
        order, names = task.order, task.names
    path = given.files[name]
    usual = {key: value for key, value in settings.items() if key != "views"}
    usual |= {"model": path.stem, "detail": False}
    if given.scores:
        scores = read_pair_scores(path).of_protocol(protocol, order, names, **given.options)
        return evaluate_pair_scores(scores, protocol, **usual)
    values = read_embeddings(path).of_rows(count, protocol.rows, order, names, name)
    return evaluate_embeddings(values, protocol, **usual)
