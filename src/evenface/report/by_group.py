"""Tables of models over groups: accuracy, unevenness, differences with KD, one threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evenface.evaluate.arms import ArmEvaluation
from evenface.evaluate.results import Estimate, WorstGroup
from evenface.report.grid import level_rank, slice_title
from evenface.report.models import NO_GROUP, add_models
from evenface.report.numbers import MISSING, interval, number, p_value, percent
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.record import Benchmark, Difference, Results
from evenface.study.wording import OVER_GROUPS

_MEASURES = {"accuracy": ("accuracy", "accuracy"), "eer": ("EER", "eer")}
"""Measures of a group: heading and term in the glossary, by the name in the results."""
_UNEVENNESS = {
    "std_sample": ("STD", "std"),
    "ser": ("SER", "ser"),
    "dprime_gap": ("d′ gap", "dprime"),
    "probit_gap": ("probit gap", "probit"),
    "fnmr_ratio": ("FNMR ratio", "fnmr-ratio"),
}
"""The same for measures of several groups together."""
_NO_FRACTIONS = frozenset({"ser", "dprime_gap", "probit_gap", "fnmr_ratio"})
"""Measures that are not shown in percent."""


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
            Column("model", numeric=False),
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
        results,
        benchmark,
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
        *([] if compact else [_worst(table, overall.worst_group)]),
    ]


def _worst(table: Table, worst: WorstGroup) -> Cell:
    if worst.value is None:
        return Cell(MISSING, note=table.note(worst.note))
    share = (worst.share or {}).get(worst.value)
    often = () if share is None else (f"in {number(100 * share, digits=0)} %",)
    return Cell(worst.value, often, table.note(worst.note))


def unevenness_table(results: Results, benchmark: Benchmark) -> Table:
    """How far the groups are apart by several measures, with what noise alone would give."""
    table = Table(
        f"unevenness-{benchmark.id}",
        f"Unevenness over groups: {benchmark.title}. STD and gap are in percentage points; "
        "0 is even for all but the ratios, where 1 is.",
        [
            Column("model", numeric=False),
            Column("STD", "std"),
            Column("STD if groups were equal", "std-expected"),
            Column("SER", "ser"),
            Column("gap", "gap"),
            Column("d′ gap", "dprime"),
            Column("probit gap", "probit"),
            Column("FNMR ratio", "fnmr-ratio"),
        ],
        remarks=[
            "STD is that of the sample, with that of the population (pop.) below it. “If groups "
            "were equal” is what sampling noise alone would give, with how often it would reach "
            "the STD observed: an STD within that range shows no difference between groups.",
        ],
        simulated=benchmark.simulated,
        interactive=True,
    )
    add_models(table, results, benchmark, lambda evaluation: _unevenness_cells(table, evaluation))
    return table


def _unevenness_cells(table: Table, evaluation: ArmEvaluation) -> list[Cell]:
    overall = evaluation.overall
    spread = table.estimate(overall.std_sample)
    if overall.std_population.value is not None:
        population = f"pop. {percent(overall.std_population.value)}"
        spread = replace(spread, details=(*spread.details, population))
    expected = table.estimate(overall.std_expected)
    if overall.std_excess_p is not None:
        often = f"reached in {percent(overall.std_excess_p, digits=0)} %"
        expected = replace(expected, details=(*expected.details, often))
    return [
        spread,
        expected,
        table.estimate(overall.ser, scale=1),
        table.estimate(overall.gap),
        table.estimate(overall.dprime_gap, scale=1),
        table.estimate(overall.probit_gap, scale=1),
        table.estimate(evaluation.global_threshold.fnmr_ratio, scale=1),
    ]


def difference_table(results: Results, benchmark: Benchmark, metric: str) -> Table | None:
    """One metric with KD minus without, arms × groups; None without any."""
    by_group = [
        {d.group: d for d in arm if d.metric == metric} for arm in _by_arm(results, benchmark)
    ]
    groups = [g for g in (*benchmark.groups, OVER_GROUPS) if any(g in arm for arm in by_group)]
    name, term = _MEASURES[metric]
    return _difference_table(
        results,
        Table(
            f"differences-{benchmark.id}-{metric}",
            f"{name[:1].upper()}{name[1:]} with KD minus without KD, in percentage points: "
            f"{benchmark.title}.",
            [Column(group, term if group == OVER_GROUPS else "") for group in groups],
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
    by_metric = [
        {d.metric: d for d in arm if d.group == whole and (d.metric in _UNEVENNESS) is several}
        for arm in _by_arm(results, benchmark)
    ]
    measures = _UNEVENNESS if several else _MEASURES
    metrics = [m for m in measures if any(m in arm for arm in by_metric)]
    return _difference_table(
        results,
        Table(
            f"differences-{benchmark.id}-overall",
            f"With KD minus without KD: {benchmark.title}. "
            f"{'STD is' if several else 'Accuracy and EER are'} in percentage points.",
            [Column(*measures[metric]) for metric in metrics],
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
    scale = 1 if difference.metric in _NO_FRACTIONS else 100
    value = None if difference.value is None else scale * difference.value
    details = [interval(difference, scale=scale, sign=True)]
    if difference.p_holm is not None:
        details.append(f"p {p_value(difference.p_holm)}")
    return Cell(
        number(value, sign=True),
        tuple(detail for detail in details if detail),
        table.note(difference.note),
    )


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
            Column("model", numeric=False),
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
        table, results, benchmark, lambda evaluation: _threshold_cells(table, evaluation, benchmark)
    )
    return table


def _threshold_cells(table: Table, evaluation: ArmEvaluation, benchmark: Benchmark) -> list[Cell]:
    threshold = evaluation.global_threshold
    nothing = Estimate(note=NO_GROUP)
    return [
        *(table.estimate(threshold.fmr.get(group, nothing)) for group in benchmark.groups),
        *(table.estimate(threshold.fnmr.get(group, nothing)) for group in benchmark.groups),
        table.estimate(threshold.fdr, scale=1, digits=3),
        table.estimate(threshold.garbe, scale=1, digits=3),
    ]
