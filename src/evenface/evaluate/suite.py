"""Several models on several protocols: each image embedded once, what is done not done again.

Under a folder: ``<model>/<protocol>/`` with the result and ``made_from.json``,
``<model>/model.json``, ``summary.csv`` and ``summary.md`` over all, and ``embeddings/``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.console import note
from evenface.errors import DataError, UsageError
from evenface.evaluate.identification import IdentificationResult
from evenface.evaluate.measures import MEASURES
from evenface.evaluate.results import Evaluation
from evenface.evaluate.seen import seen_in_training, training_set, with_note
from evenface.evaluate.subjects import ModelSubject, Subject
from evenface.evaluate.tasks import Result, Settings, Task
from evenface.evaluate.text import format_estimate
from evenface.evaluate.times import Times, time_embedding, write_times
from evenface.files import read_json, write_json, write_text
from evenface.record import Estimate

RUN_FILE = "made_from.json"
MODEL_FILE = "model.json"
CACHE = "embeddings"
_VERSION = 2
_COLUMNS = ("model", "protocol", "group", "measure", "value", "low", "high", "note", "pairs")


@dataclass(frozen=True)
class Entry:
    """One model on one protocol."""

    model: str
    protocol: str
    folder: Path
    result: Result
    reused: bool
    """Whether it was found done."""


def run_suite(
    subjects: Sequence[Subject],
    tasks: Sequence[Task],
    out: Path,
    *,
    settings: Settings | None = None,
    cache: Path | None = None,
    timed: bool = False,
) -> list[Entry]:
    """Evaluate every subject on every task and write the results below ``out``.

    A result that lies there already, made from the same model, protocol and settings, is taken as
    it is. Embeddings are kept below ``cache`` (None: ``out/embeddings``), so that an interrupted
    call goes on where it was.

    Args:
        subjects, tasks, out, settings, cache: see above.
        timed: whether to time some images of each group (:mod:`evenface.evaluate.times`), which
            embeds them once more.

    Raises:
        UsageError: no subjects or no tasks, or two tasks of one name.
        DataError: as the subjects and tasks raise it.
    """
    if not subjects or not tasks:
        raise UsageError("there is nothing to evaluate: give a model and a protocol")
    settings = settings or Settings()
    for what, names in (
        ("models", [s.name for s in subjects]),
        ("protocols", [t.name for t in tasks]),
    ):
        folders = [folder_name(name) for name in names]
        if twice := next((name for name in folders if folders.count(name) > 1), None):
            raise UsageError(f"two {what} are called {twice!r}; rename one of them")
    entries = []
    for subject in subjects:
        folder = out / folder_name(subject.name)
        write_json(
            folder / MODEL_FILE,
            {"name": subject.name, "fingerprint": subject.fingerprint, **subject.details},
        )
        entries += _evaluate(subject, tasks, folder, settings, cache or out / CACHE, timed)
    write_text(out / "summary.csv", summary_csv(entries))
    write_text(out / "summary.md", summary_markdown(entries))
    return entries


def folder_name(name: str) -> str:
    """A name as one harmless part of a path."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "unnamed"


def _evaluate(
    subject: Subject,
    tasks: Sequence[Task],
    folder: Path,
    settings: Settings,
    cache: Path,
    timed: bool,
) -> list[Entry]:
    done: dict[str, Entry] = {}
    for task in tasks:
        place = folder / folder_name(task.name)
        if (result := _found(subject, task, place, settings)) is not None:
            note(f"{subject.name} on {task.name}: done already ({place})")
            done[task.name] = Entry(subject.name, task.name, place, result, reused=True)
    for together in _of_same_images([task for task in tasks if task.name not in done]):
        rows = np.unique(np.concatenate([task.rows for task in together]))
        embeddings: NDArray[Any] = subject.embeddings(together[0], rows, settings, cache)
        for task in together:
            place = folder / folder_name(task.name)
            result = measure(subject, task, embeddings, settings)
            write_result(place, result, subject, task, settings, timed=timed)
            done[task.name] = Entry(subject.name, task.name, place, result, reused=False)
    return [done[task.name] for task in tasks]


def measure(subject: Subject, task: Task, embeddings: NDArray[Any], settings: Settings) -> Result:
    """The task's result, with a note where the model was trained on these people."""
    result = task.measure(embeddings, settings, subject.name)
    return with_note(result, _seen(subject, task))


def _seen(subject: Subject, task: Task) -> str:
    return seen_in_training(training_set(getattr(subject, "model", None)), task.faces)


def write_result(
    folder: Path,
    result: Result,
    subject: Subject,
    task: Task,
    settings: Settings,
    *,
    timed: bool = False,
) -> None:
    """Write a result and what it was made from (:data:`RUN_FILE`) into ``folder``.

    With ``timed``, the time per image of a model on images is written beside them.
    """
    # Taken away first and written last: an interruption leaves nothing that looks done.
    (folder / RUN_FILE).unlink(missing_ok=True)
    task.write(folder)
    result.write(folder)
    write_times(folder, _times(subject, task, settings) if timed else [])
    write_json(folder / RUN_FILE, _made_from(subject, task, settings))


def _times(subject: Subject, task: Task, settings: Settings) -> list[Times]:
    images = task.protocol is not None and len(task.protocol.identity) == len(task.faces)
    if not isinstance(subject, ModelSubject) or task.protocol is None or not images:
        return []  # templates and searches have no images in groups
    return [
        time_embedding(
            subject.model, task.faces, task.protocol, name=task.name, views=settings.views
        )
    ]


def _of_same_images(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    together: dict[str, list[Task]] = {}
    for task in tasks:
        together.setdefault(task.faces.image_fingerprint, []).append(task)
    yield from together.values()


def _made_from(subject: Subject, task: Task, settings: Settings) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "model": subject.fingerprint,
        "protocol": task.fingerprint,
        "settings": settings.as_dict(),
    }


def _found(subject: Subject, task: Task, folder: Path, settings: Settings) -> Result | None:
    try:
        if read_json(folder / RUN_FILE) == _made_from(subject, task, settings):
            return with_note(task.read(folder), _seen(subject, task))
    except DataError:
        # Absent, damaged or of another version: all of it means "evaluate".
        pass
    return None


# --- summaries -----------------------------------------------------------------------------------


def summary_csv(entries: Sequence[Entry]) -> str:
    """A line for each model, protocol, group and measure; rates are fractions."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        for group, measure, estimate in figures(entry.result):
            values = (estimate.value, estimate.low, estimate.high)
            numbers = ["" if value is None else repr(value) for value in values]
            writer.writerow(
                [
                    *(entry.model, entry.protocol, group, measure),
                    *numbers,
                    estimate.note or "",
                    _pairs(entry.result) or "",
                ]
            )
    return buffer.getvalue()


def summary_markdown(entries: Sequence[Entry]) -> str:
    """A table for each protocol, models as rows; rates in per cent."""
    parts = ["# Summary"]
    for protocol in dict.fromkeys(entry.protocol for entry in entries):
        of_protocol = [entry for entry in entries if entry.protocol == protocol]
        parts.append(f"## {protocol}")
        if isinstance(first := of_protocol[0].result, Evaluation):
            parts += [said for said in [first.protocol.pairs_statement] if said]
        if any(_simulated(entry.result) for entry in of_protocol):
            parts.append("SIMULATED: images are synthetic; nothing follows for real people.")
        cells = {
            entry.model: {
                f"{group} {measure}": format_estimate(estimate, scale=_scale(measure))
                for group, measure, estimate in figures(entry.result)
                if measure in _SHOWN
            }
            for entry in of_protocol
        }
        headings = list(dict.fromkeys(name for row in cells.values() for name in row))
        lines = [["model", *headings], ["---", *(["---:"] * len(headings))]]
        lines += [[model, *(row.get(h, "–") for h in headings)] for model, row in cells.items()]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


_SHOWN = (
    *("accuracy", "EER", "std_sample", "ser", "avg_minus_std"),
    *("rank-1 rate", "FNIR@FPIR=1e-2"),
)


def _scale(measure: str) -> float:
    """Factor on what is shown; what the catalogue does not name is a rate."""
    return MEASURES[measure].scale if measure in MEASURES else 100


def figures(result: Result) -> Iterator[tuple[str, str, Estimate]]:
    """(group, measure, estimate) of a result; what is of no group is of "overall"."""
    if isinstance(result, IdentificationResult):
        for rank, rates in result.rank_rate.items():
            yield "overall", f"rank-{rank} rate", rates.overall
            yield from ((g, f"rank-{rank} rate", rate) for g, rate in rates.groups.items())
        for point in result.open_set:
            at = f"FPIR={point.target_fpir:.0e}".replace("e-0", "e-")
            for measure, rates in (("FNIR", point.fnir), ("FPIR", point.fpir)):
                yield "overall", f"{measure}@{at}", rates.overall
                yield from ((g, f"{measure}@{at}", rate) for g, rate in rates.groups.items())
        return
    for group, of_group in result.groups.items():
        yield group, "accuracy", of_group.accuracy
        yield group, "EER", of_group.eer
        yield group, "AUC", of_group.auc
        for level, estimate in of_group.tar_at_far.items():
            yield group, f"TAR@FAR={level}", estimate
        yield from ((group, measure, found) for measure, found in of_group.measures.items())
    overall = result.overall
    yield "overall", "accuracy", overall.accuracy
    for measure in ("std_sample", "std_population", "ser", "gap", *overall.measures):
        yield "overall", measure, overall.estimate(measure)


def _pairs(result: Result) -> str | None:
    return result.protocol.pairs if isinstance(result, Evaluation) else None


def _simulated(result: Result) -> bool:
    if isinstance(result, IdentificationResult):
        return result.simulated
    return result.protocol.simulated
