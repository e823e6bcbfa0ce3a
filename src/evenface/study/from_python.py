"""Studies from Python: planned, run and read in one call each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from evenface.display import display
from evenface.errors import DataError
from evenface.study import STUDIES
from evenface.study.plan_result import Plan
from evenface.study.record import Results, read_results
from evenface.study.run import REPORT_NAME, RESULTS_NAME
from evenface.study.spec import (
    PublishedFaces,
    StudySpec,
    load_study,
    own_faces,
)
from evenface.teachers import teacher_names

if TYPE_CHECKING:
    from evenface.study.executors import Executor

Source = str | Path | Mapping[str, Any] | StudySpec
"""Name of a study, a YAML file, its content, or a study."""

Folders = str | Path | Mapping[str, str | Path]
"""One folder, or several by name."""

_TABLES = Path("tables", "tidy")


@dataclass(frozen=True)
class StudyResults:
    """A finished study.

    Attributes:
        folder: where its results lie.
    """

    folder: Path

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / REPORT_NAME

    @property
    def results(self) -> Results:
        """All that the study found: models, differences, claims, …"""
        return read_results(self.folder / RESULTS_NAME)

    @property
    def answer(self) -> str:
        """The answer of the report's first screen, its numbers and its caveat."""
        return display().study_answer(self.results)

    def tables(self) -> list[str]:
        """Names for :meth:`table`."""
        return sorted(path.stem for path in (self.folder / _TABLES).glob("*.csv"))

    def table(self, name: str) -> pa.Table:
        """A long table of unrounded figures: ``.to_pandas()`` or ``polars.from_arrow`` read it.

        Args:
            name: "measures" (of each model and group), "differences" (with and without
                distillation), "claims", "tests", "models" or "runs".

        Raises:
            DataError: the study has no such table.
        """
        path = self.folder / _TABLES / f"{name}.csv"
        if not path.is_file():
            raise DataError(f"{self.folder}: no table {name!r}; there are {self.tables()}")
        return pa_csv.read_csv(path)


def run_study(
    study: Source,
    out: str | Path | None = None,
    *,
    real: str | Path | None = None,
    synthetic: Folders | None = None,
    test: str | Path | None = None,
    teachers: Sequence[str | Path] | None = None,
    settings: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    reuse: Sequence[Path] = (),
) -> StudyResults:
    """Run a study and write its report; call again after an interruption to continue.

    Needs the extras ``train`` and ``report``, and ``render`` for studies of rendered faces. See
    :func:`plan_study` for what it would do.

    >>> import evenface
    >>> evenface.run_study("smoke", "studies/smoke").answer  # doctest: +SKIP

    Args:
        study: name of a study, a YAML file, its content as a dictionary, or a study.
        out: its folder; None for ``studies/<name>``.
        real, synthetic, test: folders of faces in place of the study's own; several synthetic
            sets by name.
        teachers: names, ONNX files or run folders in place of the study's own.
        settings: dotted key → value, what ``--set`` changes.
        executor: where students are trained and evaluated; None: processes of this machine.
        reuse: folders of other studies, whose finished, identical parts are copied.

    Raises:
        MissingDependencyError: an extra is not installed.
        UsageError: the study makes no sense, or ``out`` holds another.
        EvenfaceError: a stage failed; what is finished is kept.
    """
    from evenface.study import run

    spec = choose_study(
        study, real=real, synthetic=synthetic, test=test, teachers=teachers, settings=settings
    )
    folder = _folder(spec, out)
    given = {"real": real, "synthetic": synthetic, "test": test, "teachers": teachers}
    said = [repr(study if isinstance(study, str) else spec.name), repr(str(folder))]
    said += [f"{key}={value!r}" for key, value in given.items() if value is not None]
    said += [f"settings={dict(settings)!r}"] if settings else []
    run.run_study(
        spec,
        folder,
        command=f"evenface.run_study({', '.join(said)})",
        executor=executor,
        reuse=reuse,
    )
    return StudyResults(folder)


def plan_study(
    study: Source,
    out: str | Path | None = None,
    *,
    real: str | Path | None = None,
    synthetic: Folders | None = None,
    test: str | Path | None = None,
    teachers: Sequence[str | Path] | None = None,
    settings: Mapping[str, Any] | None = None,
    measure: bool = False,
    reuse: Sequence[Path] = (),
) -> Plan:
    """What a study would do: its trainings, what is missing, time, disk and memory.

    Writes nothing, and works without the data and without torch (times are then unknown).

    >>> import evenface
    >>> plan = evenface.plan_study("smoke")
    >>> plan.study, len(plan.trainings) > 1
    ('smoke', True)

    Args:
        study, out, real, synthetic, test, teachers, settings: as in :func:`run_study`.
        measure: time a few training steps where no finished run gives the time.
        reuse: folders of other studies, whose finished, identical parts are not built again.

    Raises:
        UsageError: the study makes no sense, or ``out`` holds another.
    """
    from evenface.study import plan

    spec = choose_study(
        study, real=real, synthetic=synthetic, test=test, teachers=teachers, settings=settings
    )
    return plan.plan_study(spec, _folder(spec, out), measuring=measure, reuse=reuse)


def read_study(folder: str | Path) -> StudyResults:
    """The results of a finished study.

    >>> import evenface
    >>> evenface.read_study("studies/quick").table("measures")  # doctest: +SKIP

    Raises:
        DataError: there are none.
    """
    folder = Path(folder)
    if not (folder / RESULTS_NAME).is_file():
        raise DataError(f"{folder}: no results of a study ({RESULTS_NAME}). Is it finished?")
    return StudyResults(folder)


def _folder(spec: StudySpec, out: str | Path | None) -> Path:
    return STUDIES / spec.name if out is None else Path(out)


def choose_study(
    study: Source,
    *,
    real: str | Path | None = None,
    synthetic: Folders | None = None,
    test: str | Path | None = None,
    teachers: Sequence[str | Path] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> StudySpec:
    """A study with what the arguments of :func:`run_study` change."""
    own = any(faces is not None for faces in (real, synthetic, test))
    overrides = own_faces(
        None if real is None else Path(real),
        {name: Path(path) for name, path in synthetic.items()}
        if isinstance(synthetic, Mapping)
        else (None if synthetic is None else Path(synthetic)),
        None if test is None else Path(test),
        published=own and isinstance(load_study(study).faces.test, PublishedFaces),
    )
    if teachers:
        overrides["teachers"] = [
            str(Path(teacher).resolve())
            if Path(teacher).exists() and str(teacher) not in teacher_names()
            else str(teacher)
            for teacher in teachers
        ]
    return load_study(study, overrides | dict(settings or {}))
