"""Tables of models over groups: accuracy, unevenness, differences with KD, one threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.measures import MEASURES, measure, of_kind
from evenface.evaluate.results import Overall
from evenface.record import Estimate
from evenface.report.measured import (
    NO_GROUP,
    STD_REMARK,
    add_groups,
    add_models,
    measure_cell,
    measure_column,
    over_groups_cell,
    std_cells,
    worst_cell,
)
from evenface.report.numbers import MISSING, count, p_value, percent
from evenface.report.study.grid import level_rank, slice_title
from evenface.report.study.models import entries, model_row, model_sections, no_evaluation
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.study.record import UNKNOWN, Benchmark, Difference, Results
from evenface.study.wording import OVER_GROUPS

_OF_GROUPS = ("accuracy", "eer")
"""Measures of a group whose differences have a table."""


def _over_groups() -> list[str]:
    """Measures of several groups together: of accuracies and scores, then at one threshold."""
    return [name for name, of in of_kind("overall").items() if of.compared] + ["fnmr_ratio"]


def group_table(results: Results, benchmark: Benchmark, *, compact: bool = False) -> Table:
    """Models × groups: accuracy with intervals, mean, STD, SER.

    Args:
        results: the study.
        benchmark: one by group.
        compact: without the means of single seeds and the worst group.
    """
    table = Table(
        f"accuracy-{benchmark.id}",
        f"Verification accuracy in % by group: {benchmark.title}.",
        [
            *words("model"),
            *(Column(group) for group in benchmark.groups),
            Column("mean", "accuracy"),
            Column("STD", "std"),
            Column("SER", "ser"),
            *([] if compact else [Column("worst group", "worst-group", numeric=False)]),
        ],
        remarks=[f"Trained on: {'; '.join(s.title for s in results.sets)}."]
        if results.sets and not compact
        else [],
        simulated=benchmark.simulated,
        interactive=not compact,
    )
    add_models(
        table,
        entries(results, benchmark),
        lambda evaluation: _group_cells(table, evaluation, benchmark.groups, compact=compact),
    )
    return table


def _group_cells(
    table: Table, evaluation: ArmEvaluation, groups: Sequence[str], *, compact: bool
) -> list[Cell]:
    overall = evaluation.overall
    cells = []
    for group in groups:
        if group in evaluation.groups:
            cells.append(table.estimate(evaluation.groups[group].accuracy))
        else:
            cells += table.missing(NO_GROUP, 1)
    mean = table.estimate(overall.accuracy)
    if len(evaluation.seeds) > 1 and not compact:
        means = " · ".join(percent(seed.mean) for seed in evaluation.seeds)
        mean = replace(mean, details=(*mean.details, f"seeds {means}"))
    return [
        *cells,
        mean,
        table.estimate(overall.std_sample),
        table.estimate(overall.ser, scale=1),
        *([] if compact else [worst_cell(table, overall.worst_group)]),
    ]


def unevenness_table(results: Results, benchmark: Benchmark) -> Table:
    """How far the groups are apart by several measures, with what noise alone would give."""
    overall = [e.overall for of in results.evaluations.values() if (e := of.get(benchmark.id))]
    shown = [
        name
        for name in _over_groups()[:-1]
        if name != "std_sample"
        and (name in Overall.model_fields or any(name in of.measures for of in overall))
    ]
    table = Table(
        f"unevenness-{benchmark.id}",
        f"Unevenness over groups: {benchmark.title}. STD and gap are in percentage points; "
        "0 is even for all but the ratios, where 1 is."
        + (
            " AVG − STD is the mean accuracy in % less its STD." if "avg_minus_std" in shown else ""
        ),
        [
            *words("model"),
            *map(measure_column, ("std_sample", "std_expected")),
            *map(measure_column, shown),
            measure_column("fnmr_ratio"),
        ],
        remarks=[STD_REMARK],
        simulated=benchmark.simulated,
        interactive=True,
    )

    def cells(evaluation: ArmEvaluation) -> list[Cell]:
        return [
            *std_cells(table, evaluation.overall, digits=0),
            *(over_groups_cell(table, evaluation.overall, name) for name in shown),
            measure_cell(table, "fnmr_ratio", evaluation.global_threshold.fnmr_ratio),
        ]

    add_models(table, entries(results, benchmark), cells)
    return table


def difference_table(results: Results, benchmark: Benchmark, metric: str) -> Table | None:
    """One metric with KD minus without, arms × groups; None without any."""
    by_group = [
        {d.group: d for d in arm if d.metric == metric} for arm in _by_arm(results, benchmark)
    ]
    groups = [g for g in (*benchmark.groups, OVER_GROUPS) if any(g in arm for arm in by_group)]
    shown = measure(metric)
    return _difference_table(
        results,
        Table(
            f"differences-{benchmark.id}-{metric}",
            f"{shown.title[:1].upper()}{shown.title[1:]} with KD minus without KD, in percentage "
            f"points: {benchmark.title}.",
            [Column(group, shown.term if group == OVER_GROUPS else "") for group in groups],
            simulated=benchmark.simulated,
        ),
        by_group,
        groups,
    )


def overall_difference_table(results: Results, benchmark: Benchmark) -> Table | None:
    """With KD minus without, arms × measures that are not of single groups; None without any.

    With one group those are accuracy and EER, else the measures of unevenness.
    """
    several = len(benchmark.groups) != 1
    whole = OVER_GROUPS if several else benchmark.groups[0]
    measures = _over_groups() if several else list(_OF_GROUPS)
    by_metric = [
        {d.metric: d for d in arm if d.group == whole and d.metric in measures}
        for arm in _by_arm(results, benchmark)
    ]
    metrics = [m for m in measures if any(m in arm for arm in by_metric)]
    return _difference_table(
        results,
        Table(
            f"differences-{benchmark.id}-overall",
            f"With KD minus without KD: {benchmark.title}. "
            f"{'STD is' if several else 'Accuracy and EER are'} in percentage points.",
            [measure_column(metric) for metric in metrics],
            simulated=benchmark.simulated,
        ),
        by_metric,
        metrics,
    )


def _by_arm(results: Results, benchmark: Benchmark) -> list[list[Difference]]:
    """Differences by training set, then by levels, then by teacher."""
    arms: dict[str, dict[tuple[tuple[int, ...], str | None], list[Difference]]] = {}
    for difference in results.differences:
        if difference.benchmark == benchmark.id:
            of_set = arms.setdefault(difference.set, {})
            key = (level_rank(results, difference.levels), difference.teacher)
            of_set.setdefault(key, []).append(difference)
    return [
        found
        for of_set in arms.values()
        for _, found in sorted(of_set.items(), key=lambda item: item[0][0])
    ]


def _difference_table(
    results: Results,
    table: Table,
    arms: Sequence[dict[str, Difference]],
    columns: Sequence[str],
) -> Table | None:
    """``table`` with a row for each arm that has a difference for one of ``columns``."""
    arms = [arm for arm in arms if arm]
    if not arms:
        return None
    table.columns.insert(0, Column("training set", numeric=False))
    if any(d.p_holm is not None for arm in arms for d in arm.values()):
        table.remarks.append(
            "Below an interval: p, corrected by Holm over the groups of one set and teacher."
        )
    sections: dict[str, list[TableRow]] = {}
    for arm in arms:
        first = next(iter(arm.values()))
        detail = slice_title(results, first.levels, first.teacher)
        cells = [_difference_cell(table, arm.get(column)) for column in columns]
        sections.setdefault(first.set, []).append(TableRow(first.set, cells, detail=detail))
    table.sections = list(sections.values())
    return table


def _difference_cell(table: Table, difference: Difference | None) -> Cell:
    if difference is None:
        return Cell(MISSING)
    p = "" if difference.p_holm is None else f"p {p_value(difference.p_holm)}"
    scale = MEASURES[difference.metric].scale
    return table.change(difference, p, scale=scale, note=difference.note)


def threshold_table(results: Results, benchmark: Benchmark) -> Table | None:
    """FMR and FNMR of all groups at one threshold; None where no evaluation has them."""
    found = [
        evaluation.global_threshold
        for model in results.models
        if (evaluation := results.evaluation(model.id, benchmark.id))
    ]
    if not found:
        return None
    between = [
        "Impostors are people of one group each, so FMR leaves out confusions between groups, and "
        "a threshold that was not chosen on these very pairs would give other rates."
    ]
    table = Table(
        f"threshold-{benchmark.id}",
        "Error rates in % at one threshold for all groups, the loosest whose mean FMR over groups "
        f"is at most {percent(found[0].target_fmr, digits=1)} %: {benchmark.title}.",
        [
            *words("model"),
            *(Column(f"FMR {group}", "fmr") for group in benchmark.groups),
            *(Column(f"FNMR {group}", "fnmr") for group in benchmark.groups),
            Column("FDR", "fdr"),
            Column("GARBE", "garbe"),
        ],
        remarks=[
            *(between if len(benchmark.groups) > 1 else []),
            *dict.fromkeys(t.note for t in found if t.note),
        ],
        simulated=benchmark.simulated,
    )
    add_models(
        table,
        entries(results, benchmark),
        lambda evaluation: _threshold_cells(table, evaluation, benchmark),
    )
    return table


def _threshold_cells(table: Table, evaluation: ArmEvaluation, benchmark: Benchmark) -> list[Cell]:
    threshold = evaluation.global_threshold
    nothing = Estimate(note=NO_GROUP)
    return [
        *(table.estimate(threshold.fmr.get(group, nothing)) for group in benchmark.groups),
        *(table.estimate(threshold.fnmr.get(group, nothing)) for group in benchmark.groups),
        table.estimate(threshold.fdr, scale=1, digits=3),
        measure_cell(table, "garbe", threshold.garbe),
    ]


def operating_table(results: Results, benchmark: Benchmark) -> Table:
    """Model (× group): EER, AUC, TAR at the FAR levels, and accuracy ± deviation over folds."""
    several = len(benchmark.groups) > 1
    sections = entries(results, benchmark)
    evaluations = [e.evaluation for section in sections for e in section if e.evaluation]
    groups = [group for evaluation in evaluations for group in evaluation.groups.values()]
    levels = list(dict.fromkeys(level for group in groups for level in group.tar_at_far))
    table = Table(
        f"operating-{benchmark.id}",
        f"Operating points; EER, TAR and accuracy in %: {benchmark.title}.",
        [
            *words("model", *(["group"] if several else [])),
            *map(measure_column, ("eer", "auc", *(f"tar@far={level}" for level in levels))),
            Column("accuracy ± folds", "accuracy"),
        ],
        remarks=_pair_counts(benchmark, next(iter(evaluations), None)),
        simulated=benchmark.simulated,
    )

    def cells(evaluation: ArmEvaluation, group: str) -> list[Cell]:
        result = evaluation.groups[group]
        accuracy = table.estimate(result.accuracy)
        text = f"{accuracy.text} ± {percent(result.accuracy.fold_std)}"
        return [
            table.estimate(result.eer),
            table.estimate(result.auc, scale=1, digits=4),
            *(table.estimate(result.tar_at_far.get(level, UNKNOWN)) for level in levels),
            replace(accuracy, text=text),
        ]

    add_groups(table, sections, benchmark.groups, cells, named=several)
    return table


def _pair_counts(benchmark: Benchmark, evaluation: ArmEvaluation | None) -> list[str]:
    if evaluation is None:
        return []
    counts = [
        f"{group + ' ' if len(benchmark.groups) > 1 else ''}{count(result.genuine_pairs)} and "
        f"{count(result.impostor_pairs)}"
        for group in benchmark.groups
        if (result := evaluation.groups.get(group))
    ]
    return [f"Genuine and impostor pairs: {'; '.join(counts)}."] if counts else []


def people_table(results: Results, benchmarks: Sequence[Benchmark]) -> Table:
    """Models × benchmarks without groups: EER with intervals."""
    table = Table(
        "people",
        "Equal error rate in %; lower is better.",
        [
            *words("model"),
            *(Column(benchmark.title, "eer") for benchmark in benchmarks),
        ],
    )
    for models in model_sections(results):
        rows = []
        for model in models:
            cells: list[Cell] = []
            for benchmark in benchmarks:
                eer = results.eer(model.id, benchmark)
                if eer is None:
                    cells += table.missing(no_evaluation(results, model), 1)
                else:
                    cells.append(table.estimate(eer))
            rows.append(model_row(results, model, cells))
        table.sections.append(rows)
    return table
