"""Rows of tables by the models of a study."""

from __future__ import annotations

from evenface.report.measured import Entry
from evenface.report.study.grid import level_rank
from evenface.report.table import Cell, TableRow
from evenface.study.record import Benchmark, Model, Results

NO_EVALUATION = "this model was not evaluated on this benchmark"


def model_sections(results: Results) -> list[list[Model]]:
    """Arms by training set and levels (without KD, then with it), then teachers and untrained
    network.
    """
    order = ("", *results.distillers)
    by_set: dict[str | None, list[Model]] = {}
    for model in results.students:
        by_set.setdefault(model.set, []).append(model)

    apart = results.distillation_factors

    def rank(model: Model) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        shared = {factor: level for factor, level in model.levels.items() if factor not in apart}
        teacher = model.teacher or ""
        known = order.index(teacher) if model.kd and teacher in order else int(bool(model.kd))
        return level_rank(results, shared), known, level_rank(results, model.levels)

    sections = [sorted(models, key=rank) for models in by_set.values()]
    return [*sections, list(results.references)] if results.references else sections


def entries(results: Results, benchmark: Benchmark) -> list[list[Entry]]:
    """The models as rows of tables of a benchmark, by sections."""
    return [
        [
            Entry(
                model.title,
                results.evaluation(model.id, benchmark.id),
                no_evaluation(results, model),
                lost_runs(results, model),
                facets(results, model),
            )
            for model in models
        ]
        for models in model_sections(results)
    ]


def model_row(results: Results, model: Model, cells: list[Cell]) -> TableRow:
    """A model's row: its title, the runs that it lacks, and what it can be filtered by."""
    return TableRow(
        model.title,
        cells,
        detail=lost_runs(results, model),
        facets=facets(results, model),
    )


def no_evaluation(results: Results, model: Model) -> str:
    """Why a model has no evaluation: the failure of its runs where one is known."""
    failures = results.failed(model.id)
    if not failures:
        return NO_EVALUATION
    seeds = ", ".join(str(f.seed) for f in failures if f.seed is not None)
    which = f"seed{'' if len(failures) == 1 else 's'} {seeds}: " if seeds else ""
    return f"not measured, for its runs failed; {which}{failures[0].error}"


def lost_runs(results: Results, model: Model) -> str:
    """ "2 of 3 runs: seed 1 failed", where some of a model's runs failed; else ""."""
    failures = results.failed(model.id)
    if not failures:
        return ""
    asked = len(results.study.seeds)
    lost = [str(f.seed) for f in failures if f.seed is not None]
    of_which = f": seed{'' if len(lost) == 1 else 's'} {', '.join(lost)} failed" if lost else ""
    return f"{max(0, asked - len(failures))} of {asked} runs{of_which}"


def facets(results: Results, model: Model) -> dict[str, str]:
    """What tells models apart, by name: kind, training set, levels of factors, teacher."""
    kinds = {"student": "students", "teacher": "teachers", "untrained": "untrained"}
    kd = ""
    if model.kind == "student":
        kd = f"KD from {results.teacher_name(model.teacher)}" if model.kd else "without KD"
    found = {"models": kinds[model.kind], "training set": model.set or "", "KD": kd}
    for factor, levels in results.factors.items():
        if len(levels) > 1:
            found[factor.replace("_", " ")] = model.levels.get(factor, "")
    return found
