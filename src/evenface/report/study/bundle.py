"""A study's results as files for other programs and for papers: CSV, Markdown, LaTeX, BibTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evenface.files import write_text
from evenface.record import Estimate
from evenface.report.formats import FORMATS, file_stem
from evenface.report.formats.csv import plain_text
from evenface.report.study import by_group, inventory
from evenface.report.study.claims import collect_claims, verdict_table
from evenface.report.study.detects import chance_of, claim_detects
from evenface.report.study.methods import write_methods
from evenface.report.study.names import readable
from evenface.report.study.paper import paper_tables
from evenface.report.table import Table
from evenface.study.detectable import Detectable
from evenface.study.record import Model, Results, read_results

Field = str | float | int | None
Record = Mapping[str, Field]

_BOUNDS = ("value", "low", "high")


def write_bundle(results: Path, out: Path) -> list[Path]:
    """Write everything that ``results.json`` says as tables and text, atomically.

    ``tables/``: each table of the report and those in a paper's layout, as .csv, .md and .tex
    (booktabs); ``tables/tidy/``: models, runs, measures, differences, claims and their
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
            texts[f"tables/{file_stem(table.id)}.{suffix}"] = form(table)
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
    yield from paper_tables(results)
    for benchmark in (b for b in results.benchmarks if b.by_group):
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
        yield by_group.operating_table(results, benchmark)
    if results.others:
        yield by_group.people_table(results, results.others)
    if results.sets:
        yield inventory.sets_table(results)
    yield inventory.models_table(results)
    if results.claims:
        yield verdict_table(collect_claims(results))


def _records(results: Results) -> dict[str, list[Record]]:
    chance = chance_of(results)
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
                **_detected(claim_detects(results, chance, claim)),
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


def _detected(found: Detectable | None) -> Record:
    """The smallest effect that would have been decided, in the unit of the claim's first test."""
    return {
        "detects": found.effect if found else None,
        "detects in words": found.sentence if found else "",
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
