"""The list of a study's trainings, and one of them done by itself, as by a job of a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evenface.console import warn
from evenface.errors import DataError, EvenfaceError, UsageError
from evenface.files import read_json, write_json
from evenface.parallel import one_line
from evenface.study import layout
from evenface.study.stage import Mark, Stage, carry_out
from evenface.train.recipe import TrainRecipe
from evenface.train.run import CHECKPOINTS_NAME

RUNS_NAME = "runs.json"
BEGUN_NAME = "begun.json"
"""In a run's folder, written when a process begins or goes on: ``{"step": steps done by then}``."""

_STUDY = "{study}"
"""Stands for the study's folder at the beginning of a path."""


@dataclass(frozen=True)
class StudyRun:
    """One training of a study.

    Attributes:
        recipe: what is trained on what; its name is the run's.
        key: fingerprint of recipe, training set and teacher.
        steps: of the whole training.
    """

    recipe: TrainRecipe
    key: str
    steps: int

    @property
    def name(self) -> str:
        """Unique in the study."""
        return self.recipe.name

    @property
    def at(self) -> str:
        """The run's folder, relative to the study's."""
        return layout.run(self.name)

    def stage(self) -> Stage:
        """What a :class:`~evenface.study.stage_log.StageLog` builds.

        The same training under another name of the arm is not repeated; the files of its folder
        then bear the name that it had.
        """
        return training_stage(self.recipe, {"run": self.key})


def training_stage(
    recipe: TrainRecipe, inputs: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
) -> Stage:
    """Trains a student."""
    return Stage(
        f"train: {recipe.name}",
        inputs,
        layout.run(recipe.name),
        train_run,
        (recipe,),
        kind="train",
        portable=True,
        nameless=True,
    )


def train_run(folder: Path, recipe: TrainRecipe, *, quiet: bool = True) -> None:
    """Train, or go on from the last checkpoint in ``folder``."""
    from evenface.train.loop import train

    write_json(folder / BEGUN_NAME, {"step": checkpointed_step(folder)})
    train(recipe, folder, quiet=quiet)


def work(folder: Path, run: StudyRun, *, attempts: int = 2) -> Path:
    """Do one run of a prepared study in this process; return its folder.

    The end is recorded in the run's folder alone, so that any number of jobs may do this at once.
    A finished run is not repeated; one that another process is at is waited for.

    Args:
        folder: the study's.
        run: one of :func:`read_runs`.
        attempts: how often to try.

    Raises:
        UsageError: the run's folder was prepared for other inputs.
        EvenfaceError: the run failed, so often.
    """
    stage, target = run.stage(), folder / run.at
    before = Mark.read(target)
    if before is not None and before.key != stage.key:
        raise UsageError(
            f"{target}: holds a run of other inputs than {folder / RUNS_NAME} lists. Prepare the "
            "study again: evenface study run STUDY --only prepare"
        )
    for attempt in range(1, attempts + 1):
        try:
            carry_out(target, stage.key, train_run, (run.recipe,), {"quiet": False})
            return target
        except Exception as error:
            line = one_line(error)
            if attempt < attempts:
                warn(f"{run.name}: {line}; it is tried again")
                continue
            mark = Mark.read(target) or Mark(stage.key)
            replace(mark, error=line, attempts=attempts).write(target)
            raise EvenfaceError(f"{run.name}: failed {attempts} times: {line}") from error
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def write_runs(folder: Path, runs: Sequence[StudyRun]) -> None:
    """Write ``runs.json``: a list of name, place, key, steps and recipe, in the study's order.

    Paths inside the study are written relative to it, so that the folder may be moved.
    """
    root = str(folder.resolve())
    listed = [
        {
            "name": run.name,
            "at": run.at,
            "key": run.key,
            "steps": run.steps,
            "recipe": _portable(run.recipe.model_dump(), root),
        }
        for run in runs
    ]
    write_json(folder / RUNS_NAME, {"version": 1, "runs": listed})


def read_runs(folder: Path) -> list[StudyRun]:
    """The runs of a prepared study, in the order of their indices.

    Raises:
        UsageError: the study is not prepared.
        DataError: ``runs.json`` is damaged.
    """
    path = folder / RUNS_NAME
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file. The study must be prepared first: evenface study run STUDY "
            "--only prepare"
        )
    content = read_json(path)
    try:
        return [_read_run(entry, folder.resolve()) for entry in content["runs"]]
    except (KeyError, TypeError, ValueError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        raise DataError(f"{path}: damaged ({what}). Prepare the study again") from None


def _read_run(entry: dict[str, Any], folder: Path) -> StudyRun:
    recipe = TrainRecipe.model_validate(_placed(entry["recipe"], str(folder)))
    run = StudyRun(recipe, str(entry["key"]), int(entry["steps"]))
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", run.name):
        raise ValueError(f"{run.name!r} is no name of a run")
    return run


def choose_run(
    runs: Sequence[StudyRun], *, index: int | None = None, name: str | None = None
) -> StudyRun | None:
    """One of the runs, by its place in the list or its name; None for an index beyond the list.

    Raises:
        UsageError: no such run, or not exactly one of the two is given.
    """
    if (index is None) == (name is None):
        raise UsageError("give either --index or --run")
    if name is not None:
        for run in runs:
            if run.name == name:
                return run
        raise UsageError(f"no run is called '{name}'; the study has: {_listed(runs)}")
    if index is not None and index < 0:
        raise UsageError(f"--index must not be negative, got {index}")
    return runs[index] if index is not None and index < len(runs) else None


def _listed(runs: Sequence[StudyRun], most: int = 20) -> str:
    names = [run.name for run in runs]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")


def _portable(value: Any, root: str) -> Any:
    """JSON of a dumped recipe, the study's folder left out of its paths."""
    if isinstance(value, Path):
        text = str(value.resolve())
        return _STUDY + text[len(root) :] if text.startswith(root + "/") else text
    if isinstance(value, dict):
        return {key: _portable(of, root) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(of, root) for of in value]
    return value


def _placed(value: Any, root: str) -> Any:
    """The reverse of :func:`_portable`."""
    if isinstance(value, str) and value.startswith(_STUDY + "/"):
        return root + value[len(_STUDY) :]
    if isinstance(value, dict):
        return {key: _placed(of, root) for key, of in value.items()}
    if isinstance(value, list):
        return [_placed(of, root) for of in value]
    return value


def checkpointed_step(folder: Path) -> int:
    """The step of the newest checkpoint, by its name; 0 without one."""
    names = [path.name for path in (folder / CHECKPOINTS_NAME).glob("step-*")]
    return max((int(re.sub(r"\D", "", name.split(".")[0])) for name in names), default=0)
