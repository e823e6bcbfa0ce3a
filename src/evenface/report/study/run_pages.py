"""A page for each run of a study: its curves, recipe, fingerprints and environment.

Beside the report, which is whole without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evenface.errors import DataError
from evenface.files import atomic_folder, read_json
from evenface.report.drawings import curves
from evenface.report.drawings.curves import Line
from evenface.report.drawings.marks import Style, finite
from evenface.report.drawings.svg import INK, series_colour
from evenface.report.figure import Figure
from evenface.report.numbers import count, duration, number, percent
from evenface.report.page import refuse_other_content, render_template
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.run_folder import RECIPE_NAME, RUN_NAME
from evenface.study.record import Model, Results, Run
from evenface.train.run import LOG_NAME

PAGES = "pages"
_FOLDER = re.compile(r"runs/([A-Za-z0-9][A-Za-z0-9._+-]*)")
_CURVES = {
    "loss": ("whole loss", Style(INK)),
    "classification": ("classification", Style(series_colour(0))),
    "distillation": ("distillation", Style(series_colour(4))),
}
_LEFT_OUT = frozenset({"data", "cache", "teacher", "validation", "weights", "out", "protocol"})
"""Keys of a recipe that hold paths: where files lay is no part of what was done."""


@dataclass(frozen=True)
class RunFiles:
    """What a run's folder holds, as far as it can be read; ``holes`` says what cannot."""

    record: Mapping[str, Any]
    recipe: Mapping[str, Any]
    log: list[Mapping[str, Any]]
    holes: list[str]


def find_pages(results: Results, base: Path) -> dict[str, str]:
    """Folder of a run → its page, relative to the report, for runs that lie in ``base``.

    Raises:
        DataError: a run's folder is not one of the study's.
    """
    pages = {}
    for _, run in _runs(results):
        match = _FOLDER.fullmatch(run.run)
        if match is None:
            raise DataError(
                f"models: {run.run!r} is no run of the study's folder; runs lie in runs/<name>"
            )
        if (base / run.run / RUN_NAME).is_file():
            pages[run.run] = f"{PAGES}/{match[1]}.html"
    return pages


def write_run_pages(results: Results, base: Path, out: Path, pages: Mapping[str, str]) -> None:
    """Write the pages of :func:`find_pages` beside the report ``out``, all or none.

    A folder ``pages`` of an earlier report is replaced.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed; nothing is written.
        DataError: ``pages`` holds something else.
    """
    if not pages:
        return
    target = out.parent / PAGES
    refuse_other_content(target, ("html",), of="a study")
    with atomic_folder(target) as folder:
        for model, run in _runs(results):
            if page := pages.get(run.run):
                text = render_run(results, model, run, read_run(base / run.run), back=out.name)
                (folder / Path(page).name).write_text(text, encoding="utf-8")


def _runs(results: Results) -> Iterator[tuple[Model, Run]]:
    """All runs of students."""
    for model in results.students:
        for run in model.runs:
            yield model, run


def read_run(folder: Path) -> RunFiles:
    """Record, recipe and log of a run."""
    holes: list[str] = []

    def mapping(name: str, content: Any) -> Mapping[str, Any]:
        if isinstance(content, dict):
            return content
        holes.append(f"{name} is damaged")
        return {}

    try:
        record = mapping(RUN_NAME, read_json(folder / RUN_NAME))
    except DataError:
        record = mapping(RUN_NAME, None)
    try:
        recipe = mapping(
            RECIPE_NAME, yaml.safe_load((folder / RECIPE_NAME).read_text(encoding="utf-8"))
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        recipe = mapping(RECIPE_NAME, None)
    return RunFiles(record, without_paths(recipe), _read_log(folder / LOG_NAME, holes), holes)


def _read_log(path: Path, holes: list[str]) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    try:
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(text)
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                holes.append(f"{path.name} is damaged in line {line}")
                break
            rows.append(row)
    except OSError:
        holes.append(f"{path.name} is missing")
    except (UnicodeDecodeError, json.JSONDecodeError):
        holes.append(f"{path.name} is damaged in line {len(rows) + 1}")
    return rows


def without_paths(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without the keys that say where files lay."""
    return {
        key: without_paths(value) if isinstance(value, dict) else value
        for key, value in recipe.items()
        if key not in _LEFT_OUT
    }


def render_run(results: Results, model: Model, run: Run, files: RunFiles, *, back: str) -> str:
    """The page of one run as text; ``back`` is the report's file name."""
    recipe = files.recipe or model.recipe or {}
    return render_template(
        "run.html.j2",
        {
            "version": results.study.evenface,
            "study": results.study,
            "model": model,
            "run": run,
            "back": back,
            "facts": _facts(results, model, run, files.record),
            "fingerprints": _fingerprints(run, files.record),
            "environment": _environment(files.record),
            "curves": _curves(files),
            "verification": _verification(files),
            "table": _results_table(results, model, run),
            "recipe": yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)
            if recipe
            else "",
            "holes": files.holes,
        },
    )


def _facts(results: Results, model: Model, run: Run, record: Mapping[str, Any]) -> dict[str, str]:
    seconds = run.seconds if run.seconds is not None else record.get("seconds")
    seen = run.images_seen if run.images_seen is not None else record.get("images_seen")
    found = {
        "training set": model.set or "",
        **{factor.replace("_", " "): level for factor, level in model.levels.items()},
        "distillation": results.teacher_name(model.teacher) if model.kd else "none",
        "seed": str(run.seed),
        "backbone": model.backbone or "",
        "head": model.head or str(record.get("head") or ""),
        "parameters": count(model.parameters),
        "optimiser steps": _integer(record.get("steps") or model.steps),
        "batch size": _integer(record.get("batch_size")),
        "images seen": _integer(seen),
        "training time": duration(seconds) if finite(seconds) else "",
        "images a second": number(seen / seconds, digits=0)
        if finite(seconds) and seconds > 0 and isinstance(seen, int)
        else "",
        "setbacks": _integer(record.get("setbacks")),
    }
    return {name: value for name, value in found.items() if value}


def _integer(value: Any) -> str:
    return count(value) if isinstance(value, int) else ""


def _fingerprints(run: Run, record: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "run": run.fingerprint or record.get("fingerprint"),
        "training set": record.get("data_fingerprint"),
        "teacher": record.get("teacher_fingerprint"),
    }
    return {name: str(value) for name, value in found.items() if value}


def _environment(record: Mapping[str, Any]) -> dict[str, str]:
    found = record.get("environment")
    environment = found if isinstance(found, dict) else {}
    every = {
        **{name: record.get(name) for name in ("device", "threads", "torch")},
        **environment,
    }
    return {
        name.replace("_", " "): str(value)
        for name, value in every.items()
        if isinstance(value, str | int | float)
    }


def _curves(files: RunFiles) -> Figure:
    chart = Figure(
        "curves",
        "Losses and learning rate over optimiser steps. The classification loss has the margin in "
        "it, the distillation loss its weight.",
        "The run has no log.",
        wide=True,
    )
    lines = []
    for part, (label, style) in _CURVES.items():
        points = [(r["step"], r[part]) for r in files.log if _is_number(r.get(part))]
        # Without distillation the whole loss is that of classification.
        if points and not (part == "loss" and not any(r.get("distillation") for r in files.log)):
            steps, values = zip(*points, strict=True)
            lines.append((label, Line(style, steps, values)))
    if lines:
        highest = 1.05 * max(max(line.values) for _, line in lines) or 1.0
        chart.add(
            "Loss",
            curves.training_chart,
            f"Losses over {count(lines[0][1].steps[-1])} optimiser steps: "
            + ", ".join(f"{label} ends at {line.values[-1]:.4g}" for label, line in lines)
            + ".",
            [line for _, line in lines],
            highest,
        )
    rates = [(r["step"], r["lr"]) for r in files.log if _is_number(r.get("lr"))]
    if rates:
        steps, values = zip(*rates, strict=True)
        style = Style(series_colour(2))
        chart.add(
            "Learning rate",
            curves.training_chart,
            f"Learning rate: at most {max(values):.4g}, {values[-1]:.4g} at the end.",
            [Line(style, steps, values)],
            1.05 * max(values) or 1.0,
            unit="learning rate",
        )
    for label, line in lines:
        chart.explain(label, line.style)
    return chart


def _verification(files: RunFiles) -> Figure | None:
    """Accuracy and EER by group over steps; None where the training was not watched."""
    lines = [row for row in files.log if isinstance(row.get("protocol"), str)]
    if not lines:
        return None
    chart = Figure(
        "verification",
        "Verification while training: 10-fold accuracy and equal error rate of each group, on the "
        "same pairs every time. It chose nothing: the result is that of the last step.",
        "The run has no verification.",
        wide=True,
    )
    known: dict[str, Style] = {}
    for protocol in dict.fromkeys(row["protocol"] for row in lines):
        for measure, title in (("accuracy", "Accuracy"), ("eer", "EER")):
            found = _by_group(lines, protocol, measure)
            if not found:
                continue
            for group in found:
                known.setdefault(group, Style.of_series(len(known)))
            every = [value for _, values in found.values() for value in values]
            room = 0.05 * (max(every) - min(every)) or 1.0
            chart.add(
                f"{title}, {protocol}",
                curves.training_chart,
                f"{title} in % over optimiser steps on {protocol}: "
                + ", ".join(f"{group} ends at {of[1][-1]:.1f}" for group, of in found.items())
                + ".",
                [Line(known[group], *of) for group, of in found.items()],
                min(100.0, max(every) + room),
                lowest=max(0.0, min(every) - room),
                unit=f"{title} in %",
            )
    for group, style in known.items():
        chart.explain(group, style)
    return chart


def _by_group(
    lines: list[Mapping[str, Any]], protocol: str, measure: str
) -> dict[str, tuple[list[int], list[float]]]:
    """Group → steps and values in %."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in lines:
        of = row.get(measure)
        if row["protocol"] != protocol or not isinstance(of, dict):
            continue
        for group, value in of.items():
            if _is_number(value):
                steps, values = found.setdefault(str(group), ([], []))
                steps.append(row["step"])
                values.append(100 * value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and finite(value)


def _results_table(results: Results, model: Model, run: Run) -> Table | None:
    """Accuracy by group of this seed alone; None where it is not in the results."""
    benchmarks = [b for b in results.benchmarks if b.by_group]
    groups = list(dict.fromkeys(group for b in benchmarks for group in b.groups))
    table = Table(
        "accuracy",
        "Accuracy in % of this run alone, by group. One seed shows nothing of the chance in "
        "training: intervals and verdicts are in the report.",
        [
            *words("benchmark"),
            *(Column(group) for group in groups),
            Column("mean"),
        ],
        simulated=any(b.simulated for b in benchmarks),
    )
    rows = []
    for benchmark in results.benchmarks:
        evaluation = results.evaluation(model.id, benchmark.id)
        seed = (
            next((s for s in evaluation.seeds if s.seed == run.seed), None) if evaluation else None
        )
        if seed is not None:
            cells = [Cell(percent(seed.accuracy.get(group))) for group in groups]
            rows.append(TableRow(benchmark.title, [*cells, Cell(percent(seed.mean))]))
    table.sections.append(rows)
    return table if rows else None
