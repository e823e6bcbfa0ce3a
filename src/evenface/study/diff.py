"""How two studies differ: their settings, their runs, and the results that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenface.errors import UsageError
from evenface.evaluate.results import Evaluation
from evenface.files import read_json
from evenface.recipes import validate
from evenface.run_folder import RUN_NAME
from evenface.study import layout
from evenface.study.cells import Cell, cells
from evenface.study.record import Results, read_results
from evenface.study.run import RESULTS_NAME, SPEC_NAME
from evenface.study.settings import Change, changes, flat, recipe_settings
from evenface.study.spec import (
    AnyFaces,
    HeldOutFaces,
    RenderedFaces,
    SeveralFaces,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    WholeSet,
    load_study,
    teacher_id,
)
from evenface.study.students import student_recipe, teacher_recipe

RunState = Literal["same", "changed", "first", "second"]
"""Of a run of two studies; "first" and "second": only there."""
_WORDS = {"name", "description", "stand_ins", "workers"}
"""Settings that no result depends on."""


@dataclass(frozen=True)
class RunDiff:
    """A run that at least one of the studies has.

    Attributes:
        changes: setting → values, where they differ; keys of its recipe, and those that begin with
            "data." and "teacher.", of what it learns from.
        exact: whether recorded fingerprints of recipe, data and teacher were compared, and not
            settings alone.
        note: what else is known.
    """

    state: RunState
    changes: Mapping[str, Change] = field(default_factory=dict)
    exact: bool = False
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A measure of a model that both studies have, and that differs."""

    model: str
    benchmark: str
    measure: str
    first: float | None
    second: float | None


@dataclass(frozen=True)
class ResultsDiff:
    """Results of the models that both studies have.

    Attributes:
        equal: models whose evaluations on all common benchmarks are equal to the last bit.
        different: those whose are not.
        figures: measures of these that differ.
    """

    equal: tuple[str, ...]
    different: tuple[str, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class StudyDiff:
    """How two studies differ.

    Attributes:
        first, second: what they are called.
        settings: dotted key of the study file → values.
        runs: name → how they compare, in the order of the second study, then of the first.
        results: None where one of them has none.
    """

    first: str
    second: str
    settings: Mapping[str, Change]
    runs: Mapping[str, RunDiff]
    results: ResultsDiff | None

    def named(self, state: RunState) -> list[str]:
        """The runs in a state."""
        return [name for name, run in self.runs.items() if run.state == state]


@dataclass(frozen=True)
class _Side:
    """One of the studies, with what was recorded of it."""

    spec: StudySpec
    results: Results | None
    fingerprints: Mapping[str, str]


def diff_studies(first: str, second: str) -> StudyDiff:
    """Compare two studies, each a name, a study file, a study's folder or a ``results.json``.

    Two runs are the same if their fingerprints (of recipe, training set and teacher) are recorded
    and equal; where they are not recorded, if recipe and definitions of training set, faces and
    teacher are.

    Raises:
        UsageError: nothing of the kind is there, or it does not fit.
        DataError: a file is damaged.
    """
    one, other = _open(first), _open(second)
    return StudyDiff(
        first=first,
        second=second,
        settings=changes(
            flat(one.spec.model_dump(mode="json", exclude=_WORDS)),
            flat(other.spec.model_dump(mode="json", exclude=_WORDS)),
        ),
        runs=_runs(one, other),
        results=_results(one.results, other.results),
    )


def _open(source: str) -> _Side:
    path = Path(source)
    if path.is_dir():
        found = path / RESULTS_NAME
        results = read_results(found) if found.is_file() else None
        if (path / SPEC_NAME).is_file():
            spec = load_study(str(path / SPEC_NAME))
        elif results is not None:
            spec = _spec_of(results, found)
        else:
            raise UsageError(f"{path}: holds no study (neither {SPEC_NAME} nor {RESULTS_NAME})")
        return _Side(spec, results, _recorded(results) | _of_folder(path))
    if path.suffix == ".json" and path.is_file():
        results = read_results(path)
        return _Side(_spec_of(results, path), results, _recorded(results))
    return _Side(load_study(source), None, {})


def _spec_of(results: Results, path: Path) -> StudySpec:
    return validate(f"{path}: study.spec", results.study.spec, StudySpec)


def _recorded(results: Results | None) -> dict[str, str]:
    """Run → fingerprint, as results have it."""
    return {
        f"{model.id}-s{run.seed}": run.fingerprint
        for model in (results.students if results else ())
        for run in model.runs
        if run.fingerprint
    }


def _of_folder(folder: Path) -> dict[str, str]:
    """Run → fingerprint, of the runs that are finished in a study's folder."""
    found = {}
    for record in sorted(folder.glob(f"{layout.run('*')}/{RUN_NAME}")):
        content = read_json(record)
        if isinstance(content, dict) and isinstance(content.get("fingerprint"), str):
            found[record.parent.name] = content["fingerprint"]
    return found


def _runs(one: _Side, other: _Side) -> dict[str, RunDiff]:
    before, after = dict(_settings(one.spec)), dict(_settings(other.spec))
    found: dict[str, RunDiff] = {}
    for name in dict.fromkeys([*after, *before]):
        if name not in before or name not in after:
            found[name] = RunDiff("second" if name in after else "first")
            continue
        differing = changes(before[name], after[name])
        prints = one.fingerprints.get(name), other.fingerprints.get(name)
        if None in prints:
            found[name] = RunDiff("changed" if differing else "same", differing)
        elif prints[0] == prints[1]:
            # Settings may be written differently and mean the same.
            found[name] = RunDiff("same", exact=True)
        else:
            note = "" if differing else "same settings, but other data, teacher or recipe file"
            found[name] = RunDiff("changed", differing, exact=True, note=note)
    return found


def _settings(spec: StudySpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run → everything that the study file says of it, flat."""
    for cell in cells(spec):
        cache = None if cell.teacher is None else Path("of the teacher")
        recipe = student_recipe(spec, cell.id, overrides=cell.overrides, seed=0, cache=cache)
        content = recipe_settings(recipe) | _data(spec, cell.set, "data")
        content |= _teacher(spec, cell)
        for seed in spec.training_seeds:
            yield f"{cell.id}-s{seed}", content


def _data(spec: StudySpec, name: str, prefix: str) -> dict[str, Any]:
    """What a training set is made of, without the settings that do not reach it."""
    wanted, faces = spec.training_sets[name], spec.faces
    whole = isinstance(wanted, WholeSet) and wanted.identities is None
    # A set that is drawn may take from both.
    roles = [wanted.kind] if isinstance(wanted, WholeSet) else ["real", "synthetic"]
    parts: dict[str, AnyFaces] = {}
    if "real" in roles and faces.real is not None:
        parts["real"] = faces.real
    if "synthetic" in roles:
        parts |= faces.synthetic_parts()
    content: dict[str, Any] = {"set": wanted.model_dump(mode="json")}
    content |= {role: part.model_dump(mode="json") for role, part in parts.items()}
    if "synthetic" in roles and faces.synthetic_labels is not None:
        content["synthetic_labels"] = faces.synthetic_labels.model_dump(mode="json")
    if "synthetic" in roles and isinstance(faces.synthetic, SeveralFaces):
        content["weights"] = {source.name: source.weight for source in faces.synthetic.sources}
    held_out = isinstance(faces.test, HeldOutFaces) and "real" in parts
    if held_out:
        content["held_out"] = faces.test.model_dump(mode="json")
    if held_out or not whole:
        content["group_by"] = faces.group_by
    if held_out or not whole or any(isinstance(p, RenderedFaces) for p in parts.values()):
        content["seed"] = spec.seed
    return flat({prefix: content})


def _teacher(spec: StudySpec, cell: Cell) -> dict[str, Any]:
    for given in spec.teachers:
        if cell.teacher is None or teacher_id(given) != cell.teacher:
            continue
        if isinstance(given, ShuffledTeacher):
            return {"teacher.given": f"{given.shuffle}, shuffled"}
        if not isinstance(given, TrainedTeacher):
            return {"teacher.given": given}
        recipe = recipe_settings(teacher_recipe(spec, given))
        own = {f"teacher.{key}": value for key, value in recipe.items()}
        return (
            own
            | {"teacher.seed": given.seed, "teacher.each_seed": given.each_seed}
            | _data(spec, given.set, "teacher.data")
        )
    return {}


def _results(one: Results | None, other: Results | None) -> ResultsDiff | None:
    if one is None or other is None:
        return None
    equal, different, figures = [], [], []
    before, after = one.evaluations, other.evaluations
    for model in (name for name in before if name in after):
        common = [name for name in before[model] if name in after[model]]
        if all(before[model][name] == after[model][name] for name in common):
            equal.append(model)
            continue
        different.append(model)
        for benchmark in common:
            pair = (_figures(of[model][benchmark]) for of in (before, after))
            figures += [
                Figure(model, benchmark, measure, change.first, change.second)
                for measure, change in changes(*pair).items()
            ]
    return ResultsDiff(tuple(equal), tuple(different), tuple(figures))


def _figures(evaluation: Evaluation) -> dict[str, float | None]:
    """Accuracy and EER of each group, and the measures over groups, by name."""
    found = {
        f"{measure} of {group}": getattr(of, measure).value
        for group, of in evaluation.groups.items()
        for measure in ("accuracy", "eer")
    }
    return found | {
        f"{measure} over groups": getattr(evaluation.overall, measure).value
        for measure in ("accuracy", "std_sample", "ser")
    }
