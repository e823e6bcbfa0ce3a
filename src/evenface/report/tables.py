"""Numbers as text, and the page's tables as rows of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evenface.report.schema import (
    UNKNOWN,
    Benchmark,
    Difference,
    Estimate,
    Evaluation,
    Model,
    Results,
    WorstGroup,
)

MISSING = "–"
NO_EVALUATION = "this model was not evaluated on this benchmark"
NO_GROUP = "this group is not in the model's evaluation"
MEASURES = {
    "accuracy": ("accuracy", "accuracy"),
    "eer": ("EER", "eer"),
    "auc": ("AUC", "auc"),
    "std_sample": ("STD", "std"),
    "std_population": ("STD (population)", "std"),
    "ser": ("SER", "ser"),
    "gap": ("gap", "gap"),
}
"""Heading and term in the glossary, by the name in the results."""
RATIOS = frozenset({"ser"})
"""Measures that are no fractions: not shown in percent."""


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with a fixed number of digits; what is not finite, in words."""
    if value is None:
        return MISSING
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "−")


def percent(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A fraction in percent, without the sign "%"."""
    return number(None if value is None else 100 * value, digits=digits, sign=sign)


def interval(estimate: Estimate, *, scale: float = 100, digits: int = 2, sign: bool = False) -> str:
    """``[low, high]``, with words for a bound that is missing; "" without an interval."""
    low, high = estimate.low, estimate.high
    if low is None and high is None:
        return ""

    def bound(value: float | None, missing: str) -> str:
        return missing if value is None else number(scale * value, digits=digits, sign=sign)

    return f"[{bound(low, 'no lower bound')}, {bound(high, 'no upper bound')}]"


def count(value: int | None) -> str:
    """A count with thousands separated."""
    return MISSING if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    """Seconds as "8.4 s", "3 min 05 s" or "2 h 07 min"."""
    if not math.isfinite(seconds):
        return number(seconds)
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


@dataclass(frozen=True)
class Column:
    """Heading of a column; ``term`` is its entry in the glossary."""

    text: str
    term: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """One entry of a table."""

    text: str
    details: tuple[str, ...] = ()
    """Further lines, smaller; the first is the interval."""
    note: int | None = None
    """Number of the note below the table."""
    bar: float | None = None
    """Length of a bar, in [0, 1]."""


@dataclass(frozen=True)
class TableRow:
    """One row. The header stays in sight when the table is scrolled sideways."""

    header: str
    cells: list[Cell]
    detail: str = ""
    span: int = 1
    """Rows that the header stands for; 0 where a header above stands for this row."""


@dataclass
class Table:
    """A table of text: ``sections`` are set apart from each other."""

    id: str
    caption: str
    columns: list[Column]
    sections: list[list[TableRow]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Numbered, each belonging to some cells."""
    remarks: list[str] = field(default_factory=list)
    """Belonging to the whole table."""
    simulated: bool = False

    def note(self, text: str | None) -> int | None:
        """Number of a note below the table; the same text has the same number."""
        if not text:
            return None
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1

    def estimate(self, estimate: Estimate, *, scale: float = 100, digits: int = 2) -> Cell:
        """A cell with value, interval and note."""
        value = None if estimate.value is None else scale * estimate.value
        return Cell(
            number(value, digits=digits),
            _lines(interval(estimate, scale=scale, digits=digits)),
            self.note(estimate.note),
        )

    def missing(self, reason: str, cells: int) -> list[Cell]:
        """Cells of a hole, with the reason below the table."""
        return [Cell(MISSING, note=self.note(reason)) for _ in range(cells)]


def model_sections(results: Results) -> list[list[Model]]:
    """Students by training set (without KD before with KD), then teacher and untrained network."""
    by_set: dict[str | None, list[Model]] = {}
    for model in results.students:
        by_set.setdefault(model.set, []).append(model)
    sections = [sorted(models, key=lambda m: bool(m.kd)) for models in by_set.values()]
    return [*sections, list(results.references)] if results.references else sections


def group_table(results: Results, benchmark: Benchmark) -> Table:
    """Models × groups: accuracy with intervals, and the measures over groups."""
    table = Table(
        "accuracy",
        f"Verification accuracy in % by group: {benchmark.title}.",
        [
            Column("model", numeric=False),
            *(Column(group) for group in benchmark.groups),
            Column("mean", "accuracy"),
            Column("STD", "std"),
            Column("SER", "ser"),
            Column("gap", "gap"),
            Column("worst group", "worst-group", numeric=False),
        ],
        remarks=[
            "STD is that of the sample, with that of the population (pop.) below it; gap and STD "
            "are in percentage points.",
            *([f"Trained on: {'; '.join(s.title for s in results.sets)}."] if results.sets else []),
        ],
        simulated=benchmark.simulated,
    )
    for models in model_sections(results):
        rows = []
        for model in models:
            evaluation = results.evaluation(model.id, benchmark.id)
            cells = (
                table.missing(NO_EVALUATION, len(table.columns) - 1)
                if evaluation is None
                else _group_cells(table, evaluation, benchmark.groups)
            )
            rows.append(TableRow(model.title, cells))
        table.sections.append(rows)
    return table


def _group_cells(table: Table, evaluation: Evaluation, groups: Sequence[str]) -> list[Cell]:
    overall = evaluation.overall
    cells = []
    for group in groups:
        if group in evaluation.groups:
            cells.append(table.estimate(evaluation.groups[group].accuracy))
        else:
            cells += table.missing(NO_GROUP, 1)
    spread = table.estimate(overall.std_sample)
    if overall.std_population.value is not None:
        population = f"pop. {percent(overall.std_population.value)}"
        spread = replace(spread, details=(*spread.details, population))
    return [
        *cells,
        table.estimate(overall.accuracy),
        spread,
        table.estimate(overall.ser, scale=1),
        table.estimate(overall.gap),
        _worst(table, overall.worst_group),
    ]


def _worst(table: Table, worst: WorstGroup) -> Cell:
    if worst.value is None:
        return Cell(MISSING, note=table.note(worst.note))
    share = (worst.share or {}).get(worst.value)
    often = "" if share is None else f"in {number(100 * share, digits=0)} %"
    return Cell(worst.value, _lines(often), table.note(worst.note))


def difference_table(results: Results, benchmark: Benchmark) -> Table:
    """With KD minus without, for each training set, group and metric."""
    found = [d for d in results.differences if d.benchmark == benchmark.id]
    metrics = list(dict.fromkeys(d.metric for d in found))
    several = len({d.group for d in found}) > 1
    table = Table(
        f"differences-{benchmark.id}",
        f"With KD minus without KD, in percentage points"
        f"{' (SER: as a ratio)' if 'ser' in metrics else ''}: {benchmark.title}.",
        [
            Column("training set", numeric=False),
            *([Column("group", numeric=False)] if several else []),
            *(Column(*MEASURES.get(metric, (metric,))) for metric in metrics),
        ],
        simulated=benchmark.simulated,
    )
    by_cell = {(d.set, d.group, d.metric): d for d in found}
    for name in dict.fromkeys(d.set for d in found):
        groups = list(dict.fromkeys(d.group for d in found if d.set == name))
        rows = []
        for i, group in enumerate(groups):
            label = [Cell("over groups" if group == "mean" else group)] if several else []
            cells = [
                _difference_cell(by_cell.get((name, group, metric)), metric) for metric in metrics
            ]
            rows.append(TableRow(name, [*label, *cells], span=0 if i else len(groups)))
        table.sections.append(rows)
    return table


def _difference_cell(difference: Difference | None, metric: str) -> Cell:
    if difference is None:
        return Cell("")
    scale = 1 if metric in RATIOS else 100
    value = None if difference.value is None else scale * difference.value
    return Cell(number(value, sign=True), _lines(interval(difference, scale=scale, sign=True)))


def operating_table(results: Results, benchmark: Benchmark) -> Table:
    """Model (× group): EER, AUC, TAR at the FAR levels, and accuracy ± deviation over folds."""
    several = len(benchmark.groups) > 1
    evaluations = [results.evaluation(model.id, benchmark.id) for model in results.models]
    measured = [
        group for evaluation in evaluations if evaluation for group in evaluation.groups.values()
    ]
    levels = list(dict.fromkeys(level for group in measured for level in group.tar_at_far))
    measures = [
        Column("EER", "eer"),
        Column("AUC", "auc"),
        *(Column(f"TAR@FAR {far_level(level)}", "tar-far") for level in levels),
        Column("accuracy ± folds", "accuracy"),
    ]
    table = Table(
        f"operating-{benchmark.id}",
        f"Operating points; EER, TAR and accuracy in %: {benchmark.title}.",
        [
            Column("model", numeric=False),
            *([Column("group", numeric=False)] if several else []),
            *measures,
        ],
        remarks=_pair_counts(benchmark, next((e for e in evaluations if e), None)),
        simulated=benchmark.simulated,
    )
    for models in model_sections(results):
        sections = [_operating_rows(table, results, benchmark, model, levels) for model in models]
        table.sections += sections if several else [[row for rows in sections for row in rows]]
    return table


def _operating_rows(
    table: Table, results: Results, benchmark: Benchmark, model: Model, levels: Sequence[str]
) -> list[TableRow]:
    evaluation = results.evaluation(model.id, benchmark.id)
    several = len(benchmark.groups) > 1
    rows = []
    for i, group in enumerate(benchmark.groups):
        label = [Cell(group)] if several else []
        result = evaluation.groups.get(group) if evaluation else None
        if result is None:
            cells = table.missing(NO_GROUP if evaluation else NO_EVALUATION, 3 + len(levels))
        else:
            accuracy = table.estimate(result.accuracy)
            if result.accuracy.fold_std is not None:
                text = f"{accuracy.text} ± {percent(result.accuracy.fold_std)}"
                accuracy = replace(accuracy, text=text)
            cells = [
                table.estimate(result.eer),
                table.estimate(result.auc, scale=1, digits=4),
                *(table.estimate(result.tar_at_far.get(level, UNKNOWN)) for level in levels),
                accuracy,
            ]
        span = 0 if i else len(benchmark.groups)
        rows.append(TableRow(model.title, [*label, *cells], span=span))
    return rows


def _pair_counts(benchmark: Benchmark, evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return []
    counts = [
        f"{group + ' ' if len(benchmark.groups) > 1 else ''}{count(result.genuine_pairs)} and "
        f"{count(result.impostor_pairs)}"
        for group in benchmark.groups
        if (result := evaluation.groups.get(group))
    ]
    return [f"Genuine and impostor pairs: {'; '.join(counts)}."] if counts else []


def threshold_table(results: Results, benchmark: Benchmark) -> Table | None:
    """FMR and FNMR of all groups at one threshold; None where no evaluation has them."""
    found = {
        model.id: evaluation.global_threshold
        for model in results.models
        if (evaluation := results.evaluation(model.id, benchmark.id))
        and evaluation.global_threshold
    }
    if not found:
        return None
    target = next(iter(found.values())).target_fmr
    table = Table(
        f"threshold-{benchmark.id}",
        f"Error rates in % at one threshold for all groups, the loosest whose mean FMR over groups "
        f"is at most {percent(target, digits=1)} %: {benchmark.title}.",
        [
            Column("model", numeric=False),
            *(Column(f"FMR {group}", "fmr") for group in benchmark.groups),
            *(Column(f"FNMR {group}", "fnmr") for group in benchmark.groups),
            Column("FDR", "fdr"),
            Column("GARBE", "garbe"),
        ],
        remarks=list(dict.fromkeys(t.note for t in found.values() if t.note)),
        simulated=benchmark.simulated,
    )
    nothing = Estimate(note=NO_GROUP)
    for models in model_sections(results):
        rows = []
        for model in models:
            threshold = found.get(model.id)
            if threshold is None:
                cells = table.missing(NO_EVALUATION, len(table.columns) - 1)
            else:
                cells = [
                    *(table.estimate(threshold.fmr.get(g, nothing)) for g in benchmark.groups),
                    *(table.estimate(threshold.fnmr.get(g, nothing)) for g in benchmark.groups),
                    table.estimate(threshold.fdr, scale=1, digits=3),
                    table.estimate(threshold.garbe, scale=1, digits=3),
                ]
            rows.append(TableRow(model.title, cells))
        table.sections.append(rows)
    return table


def far_level(level: str) -> str:
    """A level such as "1e-3" in percent: "0.1 %"."""
    try:
        return f"{100 * float(level):g} %"
    except ValueError:
        return level


def sets_table(results: Results) -> Table:
    """What the students learned from."""
    groups = list(dict.fromkeys(group for s in results.sets for group in s.groups))
    table = Table(
        "training-sets",
        "Training sets: identities and images, in all and by group.",
        [
            Column("training set", numeric=False),
            Column("identities"),
            Column("images"),
            *(Column(group) for group in groups),
            Column("origin of images", numeric=False),
            Column("real fraction, %"),
        ],
    )
    rows = []
    for item in results.sets:
        cells = [Cell(count(item.identities)), Cell(count(item.images))]
        for group in groups:
            size = item.groups.get(group)
            cells.append(
                Cell(count(size.identities), (f"{count(size.images)} images",))
                if size
                else Cell(MISSING)
            )
        origins = ", ".join(f"{count(n)} {origin}" for origin, n in item.origins.items())
        cells += [Cell(origins or MISSING), Cell(percent(item.real_fraction, digits=1))]
        rows.append(TableRow(item.name, cells, detail=item.title))
    table.sections.append(rows)
    return table


def models_table(results: Results) -> Table:
    """Size and cost of the models."""
    table = Table(
        "models",
        "Models: what was trained, for how long.",
        [
            Column("model", numeric=False),
            Column("backbone", numeric=False),
            Column("parameters"),
            Column("embedding size"),
            Column("optimiser steps"),
            Column("training time"),
            Column("final loss"),
        ],
    )
    for models in model_sections(results):
        table.sections.append(
            [
                TableRow(
                    model.title,
                    [
                        Cell(model.backbone or MISSING),
                        Cell(count(model.parameters)),
                        Cell(count(model.embedding_size)),
                        Cell(count(model.steps)),
                        Cell(MISSING if model.seconds is None else duration(model.seconds)),
                        Cell(number(model.final_loss, digits=3)),
                    ],
                )
                for model in models
            ]
        )
    return table


def stages_table(results: Results) -> Table:
    """Time of each stage, with the total below."""
    total = sum(stage.seconds for stage in results.stages)
    table = Table(
        "stages",
        "Time of each stage. A reused stage was finished by an earlier call; its time is that of "
        "the call that finished it.",
        [
            Column("stage", numeric=False),
            Column("time"),
            Column("share", numeric=False),
            Column("reused", numeric=False),
        ],
    )
    table.sections = [
        [
            TableRow(
                stage.name,
                [
                    Cell(duration(stage.seconds)),
                    Cell("", bar=stage.seconds / total if total else 0.0),
                    Cell("yes" if stage.reused else ""),
                ],
            )
            for stage in results.stages
        ],
        [TableRow("total", [Cell(duration(total)), Cell(""), Cell("")])],
    ]
    return table


def _lines(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)
