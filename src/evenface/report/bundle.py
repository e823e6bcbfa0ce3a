"""A study's results as files for other programs and for papers: CSV, Markdown, LaTeX, BibTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.results import Estimate
from evenface.files import write_text
from evenface.report import by_group, tables
from evenface.report.claims import collect_claims, verdict_table
from evenface.report.formats import FORMATS
from evenface.report.formats.csv import plain_text
from evenface.report.grid import Pairing, difference, slices
from evenface.report.methods import write_methods
from evenface.report.models import NO_GROUP, no_evaluation
from evenface.report.names import readable
from evenface.report.numbers import MISSING
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.record import Benchmark, Model, Results, read_results
from evenface.study.wording import OVER_GROUPS

Field = str | float | int | None
Record = Mapping[str, Field]

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
"""What is not to be in a file's name."""
_BOUNDS = ("value", "low", "high")
_OVERALL = {"mean": ("accuracy", 100.0), "STD": ("std_sample", 100.0), "SER": ("ser", 1.0)}
"""Columns over groups of the paper's table: measure, and factor on what is shown."""
_LOWER_IS_BETTER = frozenset({"std_sample", "ser"})


def write_bundle(results: Path, out: Path) -> list[Path]:
    """Write everything that ``results.json`` says as tables and text, atomically.

    ``tables/``: each table of the report and the paper's table of each benchmark by group, as .csv,
    .md and .tex (booktabs); ``tables/tidy/``: models, runs, measures, differences, claims and their
    tests, one record a line under the names of ``results.json``, values unrounded and rates as
    fractions; ``methods.md``, ``references.bib``.

    Args:
        results: path of a ``results.json``.
        out: folder, made where there is none.

    Returns:
        The files.

    Raises:
        DataError: the file is missing, or not the results of a study.
    """
    recorded = read_results(results)
    study = readable(recorded)
    texts: dict[str, str] = {}
    for table in _tables(study):
        for suffix, form in FORMATS.items():
            texts[f"tables/{_NO_NAME.sub('-', table.id)}.{suffix}"] = form(table)
    for name, records in _records(recorded).items():
        if records:
            texts[f"tables/tidy/{name}.csv"] = _csv(records)
    methods = write_methods(study)
    texts["methods.md"] = methods.markdown(f"Methods of the study {study.study.name}")
    texts["references.bib"] = methods.bibtex()
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def _tables(results: Results) -> Iterator[Table]:
    by_groups = [benchmark for benchmark in results.benchmarks if benchmark.by_group]
    for benchmark in by_groups:
        yield paper_table(results, benchmark)
        yield by_group.group_table(results, benchmark)
        yield by_group.unevenness_table(results, benchmark)
        found = [
            by_group.difference_table(results, benchmark, "accuracy"),
            by_group.difference_table(results, benchmark, "eer"),
            by_group.overall_difference_table(results, benchmark),
            by_group.threshold_table(results, benchmark),
        ]
        yield from (table for table in found if table)
    for benchmark in results.benchmarks:
        yield tables.operating_table(results, benchmark)
    if results.others:
        yield tables.people_table(results, results.others)
    if results.sets:
        yield tables.sets_table(results)
    yield tables.models_table(results)
    if results.claims:
        yield verdict_table(collect_claims(results))


def paper_table(results: Results, benchmark: Benchmark) -> Table:
    """The table of arXiv 2408.17399: training set × network × loss, without and with KD; groups.

    Bold is a figure with KD that is better than its partner without, decided by their paired
    difference: the interval excludes zero, and for a single group p after Holm's correction agrees.
    """
    varying = [factor for factor, levels in results.factors.items() if len(levels) > 1]
    table = Table(
        f"paper-{benchmark.id}",
        f"Verification accuracy in % by group, without and with KD: {benchmark.title}.",
        [
            Column("training set", numeric=False),
            *(Column(factor.replace("_", " "), numeric=False) for factor in varying),
            Column("KD", numeric=False),
            *(Column(group) for group in benchmark.groups),
            *(Column(name) for name in _OVERALL),
        ],
        simulated=benchmark.simulated,
    )
    for name in results.training_sets:
        rows: list[TableRow] = []
        shown: set[str] = set()
        for of in slices(results):
            for pairing in (p for p in of.pairings if p.set == name):
                for model in (pairing.plain, pairing.distilled):
                    if model is not None and model.id not in shown:
                        shown.add(model.id)
                        rows.append(_paper_row(results, table, benchmark, pairing, model, varying))
        spans = [len(rows), *([0] * (len(rows) - 1))]
        table.sections.append(
            [replace(row, span=span) for row, span in zip(rows, spans, strict=False)]
        )
    if any(cell.strong for row in table.rows for cell in row.cells):
        table.remarks.append(
            "Bold: better with KD than without, decided by the paired difference (its interval "
            "excludes zero; for a single group, p after Holm's correction agrees)."
        )
    return table


def _paper_row(
    results: Results,
    table: Table,
    benchmark: Benchmark,
    pairing: Pairing,
    model: Model,
    varying: Sequence[str],
) -> TableRow:
    kd = results.teacher_name(model.teacher) if model.kd else "none"
    labels = [Cell(model.levels.get(factor, MISSING)) for factor in varying]
    evaluation = results.evaluation(model.id, benchmark.id)
    if evaluation is None:
        holes = table.missing(no_evaluation(results, model), len(benchmark.groups) + len(_OVERALL))
        return TableRow(pairing.set, [*labels, Cell(kd), *holes])
    cells = _paper_cells(table, benchmark, evaluation)
    if model.kd:
        cells = [
            replace(cell, strong=_better(results, pairing, benchmark, group, metric))
            for cell, (group, metric) in zip(cells, _places(benchmark), strict=True)
        ]
    return TableRow(pairing.set, [*labels, Cell(kd), *cells])


def _paper_cells(table: Table, benchmark: Benchmark, evaluation: ArmEvaluation) -> list[Cell]:
    """Values without their intervals, as papers have them; the CSV has those."""
    cells = []
    for group in benchmark.groups:
        result = evaluation.groups.get(group)
        cells += [table.estimate(result.accuracy)] if result else table.missing(NO_GROUP, 1)
    for measure, scale in _OVERALL.values():
        cells.append(table.estimate(getattr(evaluation.overall, measure), scale=scale))
    return [replace(cell, details=()) for cell in cells]


def _places(benchmark: Benchmark) -> list[tuple[str, str]]:
    """Group and metric of a difference, for each figure of a row."""
    groups = [(group, "accuracy") for group in benchmark.groups]
    return [*groups, *((OVER_GROUPS, measure) for measure, _ in _OVERALL.values())]


def _better(
    results: Results, pairing: Pairing, benchmark: Benchmark, group: str, metric: str
) -> bool:
    found = difference(results, pairing, benchmark, group, metric)
    if found is None or found.value is None or not found.decided(results.level):
        return False
    return (found.value < 0) is (metric in _LOWER_IS_BETTER)


def _records(results: Results) -> dict[str, list[Record]]:
    return {
        "models": list(map(_model_record, results.models)),
        "runs": [
            {"model": model.id, **run.model_dump(exclude={"final", "environment"})}
            for model in results.models
            for run in model.runs
        ],
        "measures": list(_measures(results)),
        "differences": [
            {
                "set": d.set,
                "teacher": d.teacher,
                **{f"level {factor}": level for factor, level in d.levels.items()},
                "benchmark": d.benchmark,
                "group": d.group,
                "metric": d.metric,
                **_bounds(d),
                "p": d.p_value,
                "p Holm": d.p_holm,
            }
            for d in results.differences
        ],
        "claims": [
            {
                "claim": claim.id,
                "benchmark": claim.benchmark,
                "teacher": claim.teacher,
                **{f"level {factor}": level for factor, level in claim.levels.items()},
                "verdict": claim.verdict,
                "question": claim.question,
                "statement": claim.statement,
                "rule": claim.rule,
            }
            for claim in results.claims
        ],
        "tests": [
            {
                "claim": claim.id,
                "benchmark": claim.benchmark,
                "teacher": claim.teacher,
                "test": test.label,
                "unit": test.unit,
                **_bounds(test),
                "p": test.p_value,
                "p Holm": test.p_holm,
                "note": test.note,
            }
            for claim in results.claims
            for test in claim.tests
        ],
    }


def _model_record(model: Model) -> Record:
    kept = model.model_dump(exclude={"seeds", "levels", "runs", "recipe", "id"})
    levels = {f"level {factor}": level for factor, level in model.levels.items()}
    return {"model": model.id, **kept, **levels, "seeds": " ".join(map(str, model.seeds))}


def _bounds(estimate: Estimate) -> dict[str, Field]:
    return {name: getattr(estimate, name) for name in _BOUNDS}


def _measures(results: Results) -> Iterator[Record]:
    """Every number of every evaluation; no seed: the mean over all; no group: over groups."""
    for model, by_benchmark in results.evaluations.items():
        for benchmark, evaluation in by_benchmark.items():
            of: dict[str, Field] = {"model": model, "seed": "", "benchmark": benchmark}
            for group, result in evaluation.groups.items():
                for name, bounds in _numbers(result.model_dump()):
                    yield {**of, "group": group, "measure": name, **bounds}
            groups = sorted(evaluation.groups, key=len, reverse=True)
            for part in ("overall", "global_threshold"):
                for name, bounds in _numbers(getattr(evaluation, part).model_dump()):
                    # What is of one group there has its name last.
                    group = next((g for g in groups if name.endswith(f".{g}")), "")
                    measure = name.removesuffix(f".{group}") if group else name
                    measure = measure if part == "overall" else f"global.{measure}"
                    yield {**of, "group": group, "measure": measure, **bounds}
            for seed in evaluation.seeds:
                for group, value in {**seed.accuracy, "": seed.mean}.items():
                    found = {"group": group, "measure": "accuracy", "value": value}
                    yield {**of, "seed": seed.seed, **found, "low": None, "high": None}


def _numbers(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Field]]]:
    """Name and bounds of each estimate and number; lists (curves, folds) are left out."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            if "value" in value and "low" in value:
                if not isinstance(value["value"], str):  # the worst group's name
                    yield path + key, {name: value.get(name) for name in _BOUNDS}
                inner = {k: v for k, v in value.items() if k not in _BOUNDS}
                yield from _numbers(inner, f"{path}{key}.")
            else:
                yield from _numbers(value, f"{path}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path + key, {"value": value, "low": None, "high": None}


def _csv(records: Sequence[Record]) -> str:
    """Records as CSV, a column for each key that any of them has."""
    names = list(dict.fromkeys(key for record in records for key in record))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(plain_text, names))
    for record in records:
        writer.writerow(_field(record.get(name)) for name in names)
    return buffer.getvalue()


def _field(value: Field) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return plain_text(value) if isinstance(value, str) else repr(value)
