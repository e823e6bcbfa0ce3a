"""Assembles the page from results, tables, charts and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from evenface.files import write_text
from evenface.report import by_group, charts, costs, summary, tables
from evenface.report.chart import Chart
from evenface.report.claims import collect_claims, mark
from evenface.report.glossary import GLOSSARY
from evenface.report.inherited import (
    inheritance_charts,
    inheritance_headlines,
    inheritance_said,
    inheritance_table,
)
from evenface.report.levels import comparisons
from evenface.report.methods import write_methods
from evenface.report.numbers import coverage
from evenface.report.predicted import labels_table
from evenface.report.run_pages import find_pages, write_run_pages
from evenface.report.samples import sample_sheets
from evenface.report.schema import Benchmark, Results, read_results
from evenface.report.sweeps import shown_sweeps
from evenface.report.table import Table
from evenface.report.templates import render_template, sentence
from evenface.study.wording import FEW_SEEDS

_MACHINE = {"memory_gib": "memory, GiB"}


@dataclass(frozen=True)
class Repeat:
    """A further benchmark by group, with its tables."""

    benchmark: Benchmark
    accuracy: Table
    differences: list[Table]


@dataclass(frozen=True)
class People:
    """A further benchmark without groups, with its tables."""

    benchmark: Benchmark
    operating: Table
    differences: Table | None


def write_report(results: dict[str, Any] | Path, out: Path, *, base: Path | None = None) -> Path:
    """Write the study's results as one self-contained HTML file, atomically.

    The same results give the same bytes. The page makes no request, and is whole without scripts.
    Where the runs of the study lie in ``base``, a page for each is written into the folder
    ``pages`` beside ``out``, and linked.

    Args:
        results: the content of ``results.json``, or its path.
        out: the HTML file.
        base: folder that paths in the results are relative to. Default: the folder of
            ``results.json`` if its path is given, else that of ``out``.

    Returns:
        ``out``.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed.
        DataError: these are not the results of a study, a sample sheet is unusable, or ``pages``
            holds something else.
    """
    study = read_results(results)
    if base is None:
        base = results.parent if isinstance(results, Path) else out.parent
    pages = find_pages(study, base)
    page = render(study, base, pages)
    write_run_pages(study, base, out, pages)
    write_text(out, page)
    return out


def render(results: Results, base: Path, pages: Mapping[str, str] | None = None) -> str:
    """The page as text. See :func:`write_report`.

    Args:
        results: the study.
        base: folder that paths in the results are relative to.
        pages: folder of a run → its page, relative to this one.
    """
    return render_template("template.html.j2", _context(results, base, pages or {}), mark=mark)


def _context(results: Results, base: Path, pages: Mapping[str, str]) -> dict[str, Any]:
    main = results.main
    claims = collect_claims(results)
    return {
        "version": results.study.evenface,
        "results": results,
        "study": results.study,
        "main": main,
        "claims": claims,
        "headline": main and summary.paragraph(results, main),
        "cells": main and summary.summary_table(results, main),
        "overview": main and charts.overview(results, main),
        "sweeps": shown_sweeps(results),
        "comparisons": comparisons(results, main, claims.levels) if main else [],
        "inherited": main and inheritance_charts(results, main),
        "inheritance": main and inheritance_table(results, main),
        "inherited_first": inheritance_headlines(results, main) if main else [],
        "inherited_said": inheritance_said(results, main) if main else [],
        "pareto": costs.pareto(results, main) if main else Chart("pareto", "", ""),
        "fronts": costs.fronts_table(results),
        "failures": tables.failures_table(results) if results.failures else None,
        "methods": write_methods(results).html(),
        "few_seeds": _few_seeds(results),
        "level": coverage(results.level),
        "accuracy": main and by_group.group_table(results, main),
        "slope": main and charts.slope(results, main),
        "forest": main and charts.differences(results, main),
        "differences": main and by_group.difference_table(results, main, "accuracy"),
        "eer_differences": main and by_group.difference_table(results, main, "eer"),
        "unevenness": main and by_group.unevenness_table(results, main),
        "unevenness_differences": main and by_group.overall_difference_table(results, main),
        "threshold": main and by_group.threshold_table(results, main),
        "repeats": [
            Repeat(
                benchmark,
                by_group.group_table(results, benchmark, compact=True),
                [
                    table
                    for table in (
                        by_group.difference_table(results, benchmark, "accuracy"),
                        by_group.overall_difference_table(results, benchmark),
                    )
                    if table
                ],
            )
            for benchmark in results.repeats
        ],
        "people": tables.people_table(results, results.others),
        "people_chart": charts.people(results, results.others),
        "others": [
            People(
                benchmark,
                tables.operating_table(results, benchmark),
                by_group.overall_difference_table(results, benchmark),
            )
            for benchmark in results.others
        ],
        "roc": main and charts.roc(results, main),
        "operating": main and tables.operating_table(results, main),
        "distillation": _distillation(results),
        "training": charts.training(results),
        "models": tables.models_table(results, pages),
        "sets": tables.sets_table(results) if results.sets else None,
        "labels": labels_table(results),
        "samples": sample_sheets(results, base),
        "stages": tables.stages_table(results) if results.stages else None,
        "spec": yaml.safe_dump(results.study.spec, sort_keys=False, allow_unicode=True),
        "machine": {
            _MACHINE.get(name, name): value
            for name, value in results.machine.items()
            if value is not None
        },
        "notes": _notes(results),
        "replicates": _replicates(results),
        "glossary": GLOSSARY,
        "tables_script": (resources.files("evenface.report") / "tables.js").read_text("utf-8"),
    }


def _few_seeds(results: Results) -> str:
    """What several seeds, but few, leave open; "" for one and for enough."""
    seeds = len(results.study.seeds)
    if not 1 < seeds < FEW_SEEDS:
        return ""
    most = 1 - 2 ** (1 - seeds)
    held = f"at most {100 * most:.3g} %" if most < results.level else "too few"
    return (
        f"Every student was trained {seeds} times, which shows little of the chance in training. "
        f"Where that chance dominates, {held} of the intervals hold the truth, where "
        f"{coverage(results.level)} are asked for: verdicts are then wrong more often than their "
        "rules say."
    )


def _notes(results: Results) -> list[str]:
    """What the evaluations say about their limits, once each, with the benchmark's title."""
    notes: dict[str, list[str]] = {}
    for benchmark in results.benchmarks:
        for model in results.models:
            evaluation = results.evaluation(model.id, benchmark.id)
            for note in evaluation.notes if evaluation else ():
                notes[note] = [*notes.get(note, []), benchmark.title]
    return [
        sentence(f"{', '.join(dict.fromkeys(titles))}: {note}") for note, titles in notes.items()
    ]


def _replicates(results: Results) -> int:
    every = (e for by_benchmark in results.evaluations.values() for e in by_benchmark.values())
    return max((e.bootstrap.replicates for e in every if e.bootstrap), default=0)


def _distillation(results: Results) -> str:
    """The weight of distillation, in cosine terms and as the paper's λ; "" where not known."""
    weight = results.study.spec.get("distillation_weight")
    sizes = sorted({t.embedding_size for t in results.teachers if t.embedding_size})
    if not isinstance(weight, int | float) or not sizes:
        return ""
    equal = " and ".join(f"λ = {weight * size / 2:,.0f} for {size}-d embeddings" for size in sizes)
    return (
        f"Students with KD add {weight:g} · (1 − cos) between their embedding and the teacher's "
        f"to the loss. On their mean squared error this equals {equal}."
    )
