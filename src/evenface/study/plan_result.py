"""What a plan says: runs, stages, and what they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenface.study.face_counts import RealShare, Size
from evenface.study.stage import Kind

State = Literal["finished", "started", "to do", "unknown"]
"""Of a run or stage. "unknown": there, but whether from these inputs shows only when they are."""


@dataclass(frozen=True)
class PlannedRun:
    """One training.

    Attributes:
        arm: id of its cell.
        changes: dotted key → value, where its recipe differs from that of the first arm.
        needs: names of the stages that come first.
        step, steps: done, and in all (None: not known).
        spent: seconds, of what is done.
        left: seconds that it will take; None: not known.
        same_as: the run that is trained in its place, since their recipes and inputs are the same.
        memory, disk: bytes, estimated; None: not known.
        note: what the study file says of its arm.
    """

    name: str
    arm: str
    seed: int
    set: str
    teacher: str | None
    levels: Mapping[str, str]
    changes: Mapping[str, Any]
    state: State
    needs: tuple[str, ...] = ()
    step: int = 0
    steps: int | None = None
    spent: float = 0.0
    left: float | None = None
    same_as: str | None = None
    memory: int | None = None
    disk: int | None = None
    note: str = ""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of the pipeline, or the entry of several that are built together.

    Attributes:
        name: as in ``stages.json``.
        needs: names of the stages that come first.
        note: what else is known of it.
        work: what its time is proportional to among stages of its kind; None: not known.
        spent: seconds, of what is done.
        left: seconds that it will take; None: not known.
        disk: bytes; None: not known. Those of runs are with the runs.
        together: names of the stages that this entry is of.
    """

    name: str
    kind: Kind
    state: State
    needs: tuple[str, ...] = ()
    note: str = ""
    work: float | None = None
    spent: float = 0.0
    left: float | None = None
    disk: int | None = 0
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a study would do.

    Attributes:
        teachers: trainings of teachers, which come before those of students, one after the other.
        runs: of students.
        missing: inputs that are not where the study says, with what to do.
        warnings: what makes its results worth less.
        seconds: on the clock, for the trainings that are left; None: not known.
        pace: where times come from.
        workers: trainings at once.
        disk: bytes of everything, and those yet to be written; None: not known.
        free: bytes free where the study will lie.
        memory: bytes that the largest training takes on its device; None: not known.
        report: whether the results are there, and every stage is finished.
        variant: which of the study's.
        epochs_of: whose epochs the students' schedules count: those of the real faces, so that all
            take the same steps, or of each set.
        real_shares: training set → how much of it is of the real faces, by identities and images.
    """

    study: str
    folder: Path
    stages: tuple[PlannedStage, ...]
    teachers: tuple[PlannedRun, ...]
    runs: tuple[PlannedRun, ...]
    missing: tuple[str, ...]
    sizes: Mapping[str, Size]
    seconds: float | None
    pace: str
    workers: int
    disk: int | None
    disk_left: int | None
    free: int
    memory: int | None
    report: State = "to do"
    warnings: tuple[str, ...] = ()
    variant: str | None = None
    epochs_of: str = "real"
    real_shares: Mapping[str, RealShare] = field(default_factory=dict)

    @property
    def trainings(self) -> tuple[PlannedRun, ...]:
        """The students that are trained: without those that others stand for."""
        return tuple(run for run in self.runs if run.same_as is None)

    @property
    def taught(self) -> dict[str, tuple[str, ...]]:
        """Teacher → the training sets of its students."""
        found: dict[str, dict[str, None]] = {}
        for run in self.runs:
            if run.teacher is not None:
                found.setdefault(run.teacher, {})[run.set] = None
        return {teacher: tuple(sets) for teacher, sets in found.items()}

    @property
    def notes(self) -> dict[str, int]:
        """What the study file says of arms → of how many."""
        return dict(Counter({run.arm: run.note for run in self.runs if run.note}.values()))

    def count(self, state: State) -> int:
        """How many trainings are in a state."""
        return sum(run.state == state for run in self.trainings)
