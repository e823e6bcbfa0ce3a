"""Trainings from Python: one call, one model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from evenface.data.manifest import Manifest
from evenface.errors import asking_for
from evenface.recogniser import Recogniser, load_model
from evenface.teachers import load_teacher
from evenface.teachers.cache import cached_embeddings
from evenface.train.recipe import TrainRecipe, load_recipe
from evenface.train.run import LOG_NAME, RunResult

if TYPE_CHECKING:
    from evenface.teachers.base import Teacher

Source = str | Path | Mapping[str, Any] | TrainRecipe
"""Name of a recipe, a YAML file, its content, or a recipe."""
OnLog = Callable[[dict[str, Any]], object]
"""Called with each line of the log; True ends the training."""

_EMBEDDINGS = "teacher"


@dataclass(frozen=True)
class TrainedModel:
    """A finished training.

    Attributes:
        folder: the run folder; ``evenface evaluate`` and ``evenface export`` take it.
        record: content of its ``run.json``.
    """

    folder: Path
    record: RunResult

    def load(self, **options: Any) -> Recogniser:
        """The model in use; options as of :func:`evenface.load_model`."""
        return load_model(self.folder, **options)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log: step, learning rate and losses."""
        lines = (self.folder / LOG_NAME).read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


def train_model(
    recipe: Source,
    data: Manifest | str | Path | None = None,
    *,
    out: str | Path,
    settings: Mapping[str, Any] | None = None,
    on_log: OnLog | None = None,
    quiet: bool = False,
) -> TrainedModel:
    """Train one model. Needs the extra ``train``.

    A finished training is not repeated; an interrupted one goes on from its last checkpoint.

    >>> import evenface
    >>> trained = evenface.train_model(  # doctest: +SKIP
    ...     "student-mini", "data/mix", out="runs/student", settings={"schedule.steps": 2000}
    ... )

    Args:
        recipe: name of a recipe (``evenface train --list``), a YAML file, its content as a
            dictionary, or a recipe.
        data: the training set, or its folder; None for what the recipe names.
        out: the run folder.
        settings: dotted key → value, what ``--set`` changes.
        on_log: called with each line of the log, a dictionary of ``step``, ``lr``, losses and
            ``steps`` (of the whole training). Where it returns True the training ends there; its
            weights are written, and its record says ``"stopped": true``.
        quiet: no progress on standard error.

    Raises:
        MissingDependencyError: the extra ``train`` is not installed.
        UsageError, DataError, TrainingDivergedError: see :func:`evenface.train.loop.train`.
    """
    changes = dict(settings or {})
    manifest = data if isinstance(data, Manifest) else None
    if data is not None and manifest is None:
        changes["data"] = str(data)
    resolved = load_recipe(recipe, changes)
    with asking_for("train", "training"):
        from evenface.train.loop import train
    record = train(resolved, Path(out), manifest=manifest, quiet=quiet, on_log=on_log)
    return TrainedModel(Path(out), record)


def distill_student(
    teacher: Recogniser | Teacher | Callable[..., Any] | str | Path,
    data: Manifest | str | Path,
    *,
    out: str | Path,
    student: Source = "student-mini",
    loss: str | None = None,
    cache: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    on_log: OnLog | None = None,
    quiet: bool = False,
) -> TrainedModel:
    """Embed a data set with a teacher, and train a student to embed it alike. Needs ``train``.

    The same call without a teacher is :func:`train_model`: to see what distillation gains, train
    both and compare them with :func:`evenface.audit`.

    >>> import evenface
    >>> trained = evenface.distill_student(  # doctest: +SKIP
    ...     "sface", "data/mix", student="student-mini", out="runs/student"
    ... )

    Args:
        teacher: what :func:`evenface.load_model` takes, or what it returns. A function should have
            an attribute ``fingerprint`` that changes with its weights; without one, no call
            continues another.
        data: the training set, or its folder.
        out: the run folder.
        student: the student's recipe, as in :func:`train_model`.
        loss: name of the distillation loss (``evenface train --list-losses``); None for the
            recipe's, else the template loss of the paper.
        cache: folder of the teacher's embeddings, which students of one data set may share; None
            for a folder in ``out``.
        settings, on_log, quiet: as in :func:`train_model`.

    Raises:
        MissingDependencyError, UsageError, TrainingDivergedError: see :func:`train_model`.
        DataError: also where ``cache`` is of another teacher or other images.
    """
    with asking_for("train", "distillation"):
        import evenface.train.loop  # noqa: F401 (refuses before anything is embedded)
    manifest = data if isinstance(data, Manifest) else Manifest.read(data)
    model = teacher.model if isinstance(teacher, Recogniser) else teacher
    if isinstance(model, str | Path) or not hasattr(model, "embed"):
        model = load_teacher(cast(Any, model))
    folder = Path(out, _EMBEDDINGS) if cache is None else Path(cache)
    cached_embeddings(cast("Teacher", model), manifest, folder)
    changes: dict[str, Any] = {"distill.teacher": None, "distill.cache": str(folder)}
    if loss is not None:
        changes |= {"distill.name": loss, "distill.losses": []}
    return train_model(
        student,
        manifest,
        out=out,
        settings={**changes, **(settings or {})},
        on_log=on_log,
        quiet=quiet,
    )
