"""How far a study is, read from its folder alone: another process, or many, may be at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from evenface.errors import UsageError
from evenface.files import read_json
from evenface.lock import lock_holder
from evenface.run_folder import RUN_NAME
from evenface.study.left_out import LEFT_OUT, LeftOut
from evenface.study.run import RESULTS_NAME
from evenface.study.run_list import BEGUN_NAME, RUNS_NAME, StudyRun, read_runs
from evenface.study.stage import LOCK_NAME, Mark
from evenface.study.stage_log import STAGES_NAME
from evenface.train.log import last_record
from evenface.train.run import LOG_NAME

State = Literal["running", "failed", "interrupted", "waiting", "done"]


@dataclass(frozen=True)
class RunStatus:
    """How far one training is.

    Attributes:
        state: "interrupted": it began, and no process is at it now.
        step, steps: done and in all.
        pace: steps a second, None where it is not known.
        images: a second, likewise.
        loss: the last one logged.
        message: why it failed, or "".
    """

    name: str
    state: State
    step: int
    steps: int
    pace: float | None = None
    images: float | None = None
    loss: float | None = None
    message: str = ""

    @property
    def left(self) -> int:
        """Steps that are still to be done; none are expected of a failed run."""
        return 0 if self.state in ("done", "failed") else self.steps - self.step

    @property
    def eta(self) -> float | None:
        """Seconds until a running one is done."""
        return self.left / self.pace if self.state == "running" and self.pace else None


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        runs: in the order of ``runs.json``; none while the study is prepared.
        holder: the process that runs the study, None where none does (jobs may be at its runs).
        stage: what that process is at.
        finished: its results are written and nobody is at it.
        left_out: people left out of training because a test has them, as a sentence; None where it
            has not looked for them.
    """

    folder: Path
    runs: list[RunStatus] = field(default_factory=list)
    holder: str | None = None
    stage: str | None = None
    finished: bool = False
    left_out: str | None = None

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def eta(self) -> float | None:
        """About how many seconds the runs will take, at their pace and so many at once."""
        running = [run for run in self.runs if run.state == "running"]
        paces = _known(running) or _known(self.runs)
        if not running or not paces:
            return None
        shared = sum(run.left for run in self.runs) * fmean(1 / p for p in paces) / len(running)
        return max([shared, *(run.eta for run in running if run.eta is not None)])


def _known(runs: Sequence[RunStatus]) -> list[float]:
    return [run.pace for run in runs if run.pace]


def read_status(folder: Path) -> StudyStatus:
    """How far the study in ``folder`` is.

    Raises:
        UsageError: no study is there.
        DataError: one of its files is damaged.
    """
    if not (folder / STAGES_NAME).exists() and not (folder / RUNS_NAME).exists():
        raise UsageError(f"{folder}: no study has begun there")
    stages = read_json(folder / STAGES_NAME) if (folder / STAGES_NAME).exists() else {}
    listed = read_runs(folder) if (folder / RUNS_NAME).exists() else []
    runs = [_read_run(folder / run.at, run, stages) for run in listed]
    holder = lock_holder(folder)
    stage = None
    if holder is not None:
        begun = [name for name, record in stages.items() if not record["finished"]]
        stage = begun[-1] if begun else None
    over = holder is None and all(run.state in ("done", "failed") for run in runs)
    finished = over and (folder / RESULTS_NAME).exists()
    found = folder / LEFT_OUT
    left_out = LeftOut.model_validate(read_json(found)).sentence if found.exists() else None
    return StudyStatus(folder, runs, holder, stage, finished, left_out)


def _read_run(folder: Path, run: StudyRun, stages: dict[str, dict[str, Any]]) -> RunStatus:
    stage = run.stage()
    mark = Mark.read(folder)
    if mark is None or mark.key != stage.key:
        mark = Mark(stage.key)
    batch = run.recipe.batch_size
    if mark.finished:
        record = read_json(folder / RUN_NAME)
        pace = record["steps"] / record["seconds"] if record.get("seconds") else None
        images = pace and record["batch_size"] * pace
        loss = record["final"].get("loss")
        return RunStatus(run.name, "done", run.steps, run.steps, pace, images, loss)
    logged = last_record(folder / LOG_NAME)
    step, loss = int(logged.get("step", 0)), logged.get("loss")
    if lock_holder(folder, name=LOCK_NAME) or lock_holder(folder):
        pace = _pace(folder, step)
        return RunStatus(run.name, "running", step, run.steps, pace, pace and batch * pace, loss)
    recorded = stages.get(stage.name, {})
    failed = recorded.get("failed") if recorded.get("key") == stage.key else None
    if error := mark.error or (failed and failed["error"]):
        return RunStatus(run.name, "failed", step, run.steps, loss=loss, message=error)
    state: State = "interrupted" if logged or (folder / BEGUN_NAME).exists() else "waiting"
    return RunStatus(run.name, state, step, run.steps, loss=loss)


def _pace(folder: Path, step: int) -> float | None:
    """Steps a second since the process at work began, from the times of its files."""
    begun, log = folder / BEGUN_NAME, folder / LOG_NAME
    if not begun.exists() or not log.exists():  # it holds the lock and has not trained yet
        return None
    steps = step - int(read_json(begun)["step"])
    seconds = log.stat().st_mtime - begun.stat().st_mtime
    return steps / seconds if steps > 0 and seconds > 0 else None
