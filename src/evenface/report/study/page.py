"""The page of a study: the answer on the first screen, everything else folded below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evenface.files import write_text
from evenface.report.figure import Figure
from evenface.report.formats import FORMATS, file_stem
from evenface.report.glossary import STUDY_TERMS
from evenface.report.numbers import coverage
from evenface.report.page import render_template, sentence, template_text
from evenface.report.samples import face_strips, sample_sheets
from evenface.report.study import by_group, costs, inventory, pictures, summary
from evenface.report.study.claims import collect_claims, mark
from evenface.report.study.levels import comparisons
from evenface.report.study.methods import write_methods
from evenface.report.study.names import readable
from evenface.report.study.run_pages import find_pages, write_run_pages
from evenface.report.study.strategies import strategy_answers, strategy_table
from evenface.report.study.sweeps import shown_sweeps, sweep_question
from evenface.report.study.teacher_bias import inheritance_chart, inheritance_table
from evenface.study.record import Results, read_results
from evenface.study.spec import STUDY_TEACHER

_MACHINE = {"memory_gib": "memory, GiB"}


def write_report(results: Results | Path, out: Path, *, base: Path | None = None) -> Path:
    """Write the study's results as one self-contained HTML file, atomically.

    The same results give the same bytes. The page makes no request, and is whole without scripts.
    Where the runs of the study are in ``base``, a page for each is written into the folder
    ``pages`` beside ``out``, and linked. So are tables in a paper's layout that
    :func:`evenface.report.study.bundle.write_bundle` wrote beside ``out``.

    Args:
        results: the study, or the path of its ``results.json``.
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
    study = readable(read_results(results) if isinstance(results, Path) else results)
    if base is None:
        base = results.parent if isinstance(results, Path) else out.parent
    pages = find_pages(study, base)
    page = render(study, base, pages, _downloads(study, out.parent))
    write_run_pages(study, base, out, pages)
    write_text(out, page)
    return out


def render(
    results: Results,
    base: Path,
    pages: Mapping[str, str] | None = None,
    downloads: Mapping[str, list[str]] | None = None,
) -> str:
    """The page as text. See :func:`write_report`.

    Args:
        results: the study, under the names of its pages.
        base: folder that paths in the results are relative to.
        pages: folder of a run → its page, relative to this one.
        downloads: what a table is → its files, relative to this page.
    """
    context = _context(results, base, pages or {}) | {"downloads": downloads or {}}
    return render_template("study.html.j2", context, mark=mark)


def _context(results: Results, base: Path, pages: Mapping[str, str]) -> dict[str, Any]:
    main = results.main
    claims = collect_claims(results)
    return {
        "version": results.study.evenface,
        "results": results,
        "study": results.study,
        "main": main,
        "first": summary.first_screen(results),
        "said": summary.section_answers(results, claims),
        "picture": main and pictures.picture(results, main),
        "faces": face_strips(results, base),
        "claims": claims,
        "friendly": STUDY_TEACHER in results.distillers and results.study.simulated,
        "few_seeds": summary.few_seeds(results),
        "level": coverage(results.level),
        "sweeps": shown_sweeps(results),
        "strategy_answers": strategy_answers(results),
        "strategies": strategy_table(results),
        "sweep_question": sweep_question(results),
        "comparisons": comparisons(results, main, claims.levels) if main else [],
        "accuracy": main and by_group.group_table(results, main),
        "slope": main and pictures.slope(results, main),
        "differences": main and by_group.difference_table(results, main, "accuracy"),
        "unevenness": main and by_group.unevenness_table(results, main),
        "unevenness_differences": main and by_group.overall_difference_table(results, main),
        "threshold": main and by_group.threshold_table(results, main),
        "inherited": main and inheritance_chart(results, main),
        "inheritance": main and inheritance_table(results, main),
        "repeats": [(b, by_group.group_table(results, b, compact=True)) for b in results.repeats],
        "people": by_group.people_table(results, results.others),
        "people_chart": pictures.people(results, results.others),
        "roc": main and pictures.roc(results, main),
        "pareto": costs.pareto(results, main) if main else Figure("pareto", "", ""),
        "models": inventory.models_table(results, pages),
        "failures": inventory.failures_table(results) if results.failures else None,
        "sets": inventory.sets_table(results) if results.sets else None,
        "labels": inventory.labels_table(results),
        "left_out": inventory.left_out_table(results),
        "samples": sample_sheets(results, base),
        "methods": write_methods(results, rules=False).html(),
        "stages": inventory.stages_table(results) if results.stages else None,
        "spec": yaml.safe_dump(results.study.spec, sort_keys=False, allow_unicode=True),
        "machine": {
            _MACHINE.get(name, name): value
            for name, value in results.machine.items()
            if value is not None
        },
        "notes": _notes(results),
        "replicates": _replicates(results),
        "glossary": STUDY_TERMS,
        "tables_script": template_text("tables.js"),
    }


def _downloads(results: Results, folder: Path) -> dict[str, list[str]]:
    """The tables of the main test in a paper's layout that are in ``tables/``."""
    if results.main is None:
        return {}
    names = {"paper": "In a paper's layout", "intervals": "The same with intervals"}
    found = {}
    for kind, what in names.items():
        stem = file_stem(f"{kind}-{results.main.id}")
        paths = (f"tables/{stem}.{suffix}" for suffix in FORMATS)
        if files := [path for path in paths if (folder / path).is_file()]:
            found[what] = files
    return found


def _notes(results: Results) -> list[str]:
    """What the evaluations say about their limits, once each; of which tests, unless of all."""
    notes: dict[str, dict[str, None]] = {}
    for benchmark in results.benchmarks:
        for model in results.models:
            evaluation = results.evaluation(model.id, benchmark.id)
            for note in evaluation.notes if evaluation else ():
                notes.setdefault(note, {})[benchmark.title] = None
    return [
        sentence(note if len(of) == len(results.benchmarks) else f"{'; '.join(of)}: {note}")
        for note, of in notes.items()
    ]


def _replicates(results: Results) -> int:
    return max((e.bootstrap.replicates for e in results.every_evaluation), default=0)
