"""Tables of how well models do on one protocol, group by group."""

from __future__ import annotations

from dataclasses import replace

from evenface.evaluate.identification import RateByGroup
from evenface.evaluate.measures import in_percent, of_kind, rate_digits
from evenface.evaluate.results import CrossingScan, Evaluation
from evenface.report.audit.chapter import Chapter, SearchChapter, operating_point
from evenface.report.measured import (
    STD_REMARK,
    measure_cell,
    measure_column,
    over_groups_cell,
    std_cells,
    worst_cell,
)
from evenface.report.numbers import MISSING, cosine, count
from evenface.report.table import Cell, Column, Table, TableRow

UNSUPPORTED = "the impostor pairs do not support this target"
NO_PAIRS = "no impostor pair is of these two groups"
_AT_ONCE = ("fdr", "garbe", "inequity_rate", "werm", "fmr_ratio", "fnmr_ratio")
_MORE = tuple(name for name in of_kind("threshold") if name not in _AT_ONCE)
_SPREADS = tuple(name for name in of_kind("overall") if not name.startswith("std_"))


def accuracy_table(chapter: Chapter) -> Table:
    """Models × groups: 10-fold accuracy, mean, STD, worst group."""
    several = len(chapter.groups) > 1
    table = Table(
        f"{chapter.id}-accuracy",
        f"Verification accuracy in %, {chapter.first.protocol.folds} folds: {chapter.title}.",
        [
            Column("model", numeric=False),
            *(Column(group) for group in chapter.groups),
            *(
                [
                    Column("mean", "accuracy"),
                    Column("STD", "std"),
                    Column("worst group", "worst-group", numeric=False),
                ]
                if several
                else []
            ),
        ],
        remarks=["Each group has a threshold of its own here, as is usual in the field."]
        if several
        else [],
        simulated=chapter.simulated,
    )
    rows = []
    for model, evaluation in chapter.models.items():
        overall = evaluation.overall
        cells = [table.estimate(result.accuracy) for result in evaluation.groups.values()]
        if several:
            cells += [
                table.estimate(overall.accuracy),
                table.estimate(overall.std_sample),
                worst_cell(table, overall.worst_group),
            ]
        rows.append(TableRow(model, cells))
    table.sections.append(rows)
    return table


def group_table(chapter: Chapter) -> Table:
    """Models × groups as rows: EER, AUC, d′, TAR@FAR, exact accuracy."""
    levels = list(
        dict.fromkeys(
            level
            for evaluation in chapter.models.values()
            for result in evaluation.groups.values()
            for level, found in result.tar_at_far.items()
            if found.value is not None
        )
    )
    names = ["eer", "auc", "dprime", *(f"tar@far={level}" for level in levels), "accuracy_exact"]
    names += [name for name in of_kind("scores") if len(chapter.groups) > 1]
    table = Table(
        f"{chapter.id}-groups",
        "How well genuine and impostor pairs are told apart in each group, at thresholds of its "
        f"own; EER, TAR and accuracy in %: {chapter.title}.",
        [
            Column("model", numeric=False),
            Column("group", numeric=False),
            *map(measure_column, names),
        ],
        simulated=chapter.simulated,
    )
    for model, evaluation in chapter.models.items():
        rows = []
        for i, (group, result) in enumerate(evaluation.groups.items()):
            cells = [Cell(group)]
            cells += [measure_cell(table, name, result.estimate(name)) for name in names]
            rows.append(TableRow(model, cells, span=0 if i else len(evaluation.groups)))
        table.sections.append(rows)
    return table


def unevenness_table(chapter: Chapter) -> Table | None:
    """How far the groups are apart, beside what noise alone would give; None for one group."""
    if len(chapter.groups) < 2:
        return None
    table = Table(
        f"{chapter.id}-unevenness",
        f"Unevenness of accuracy and scores over groups: {chapter.title}. STD and gap are in "
        "percentage points, AVG − STD in %; 0 is even, for SER 1. AVG − STD is the mean accuracy "
        "less its STD.",
        [
            Column("model", numeric=False),
            *map(measure_column, ("std_sample", "std_expected", "std_corrected", *_SPREADS)),
        ],
        remarks=[STD_REMARK],
        simulated=chapter.simulated,
    )
    rows = []
    for model, evaluation in chapter.models.items():
        overall = evaluation.overall
        names = ("std_corrected", *_SPREADS)
        cells = std_cells(table, overall)
        cells += [over_groups_cell(table, overall, name) for name in names]
        rows.append(TableRow(model, cells))
    table.sections.append(rows)
    return table


def operating_table(chapter: Chapter, key: str) -> Table:
    """Models × groups as rows: FMR and FNMR at one threshold, and at one of the group's own."""
    several = len(chapter.groups) > 1
    beside = "; beside them, with a threshold for each group" if several else ""
    own_columns = [
        Column("FMR, own threshold", "own-threshold"),
        Column("FNMR, own threshold", "own-threshold"),
        Column("own threshold", "own-threshold"),
    ]
    table = Table(
        f"{chapter.id}-operating-{key}",
        f"Error rates in % at one threshold{' for all groups' if several else ''}, set on other "
        f"people for a false match rate of {in_percent(float(key))}{beside}: {chapter.title}.",
        [
            Column("model", numeric=False),
            Column("group", numeric=False),
            Column("FMR", "fmr"),
            Column("FNMR", "fnmr"),
            Column("threshold", "threshold"),
            *(own_columns if several else []),
        ],
        simulated=chapter.simulated,
    )
    digits = rate_digits(float(key))
    for model, evaluation in chapter.models.items():
        point = operating_point(evaluation, key)
        if point is None:
            holes = [Cell("all"), *table.missing(UNSUPPORTED, len(table.columns) - 2)]
            table.sections.append([TableRow(model, holes)])
            continue
        note = table.note(point.note)
        rows = []
        for i, group in enumerate(evaluation.groups):
            own = point.own[group]
            cells = [
                Cell(group, note=note),
                table.estimate(point.fmr[group], digits=digits),
                table.estimate(point.fnmr[group]),
                Cell(cosine(point.threshold), number=point.threshold),
            ]
            if several:
                cells += [
                    table.estimate(own.fmr, digits=digits),
                    table.estimate(own.fnmr),
                    Cell(cosine(own.threshold), number=own.threshold),
                ]
            rows.append(TableRow(model, cells, span=0 if i else len(evaluation.groups)))
        table.sections.append(rows)
    return table


def fairness_table(chapter: Chapter, *, more: bool = False) -> Table | None:
    """Models × targets as rows: measures over groups at one threshold; None for one group.

    Args:
        chapter: the protocol.
        more: those that look at one error in further ways, instead of the usual ones.
    """
    if len(chapter.groups) < 2 or not chapter.keys:
        return None
    names = _MORE if more else _AT_ONCE
    table = Table(
        f"{chapter.id}-fairness{'-more' if more else ''}",
        "Fairness at one threshold for all groups, over the false match rate that it is set for: "
        f"{chapter.title}. Even is 1 for FDR, IR, WERM, ratios and worst to mean, 0 for the "
        "others; gaps are in percentage points.",
        [
            Column("model", numeric=False),
            Column("target FMR", "threshold"),
            *map(measure_column, names),
            *(
                []
                if more
                else [
                    Column("most false matches", "worst-group", numeric=False),
                    Column("most false non-matches", "worst-group", numeric=False),
                ]
            ),
        ],
        simulated=chapter.simulated,
    )
    for model, evaluation in chapter.models.items():
        rows: list[TableRow] = []
        for key in chapter.keys:
            point = operating_point(evaluation, key)
            first = Cell(in_percent(float(key)), number=float(key))
            span = 0 if rows else len(chapter.keys)
            if point is None:
                holes = table.missing(UNSUPPORTED, len(table.columns) - 2)
                rows.append(TableRow(model, [first, *holes], span=span))
                continue
            cells = [first]
            cells += [measure_cell(table, name, point.measures.get(name)) for name in names]
            if not more:
                cells += [worst_cell(table, w) for w in (point.worst_fmr, point.worst_fnmr)]
            rows.append(TableRow(model, cells, span=span))
        table.sections.append(rows)
    return table


def cross_tables(chapter: Chapter) -> list[Table]:
    """For each model and target, FMR of every pair of groups."""
    tables = []
    for i, (model, evaluation) in enumerate(chapter.models.items()):
        for cross in evaluation.cross_tables:
            groups = list(cross.cells)
            digits = rate_digits(cross.target_fmr)
            of = f"{model}, " if len(chapter.models) > 1 else ""
            table = Table(
                f"{chapter.id}-cross-{i}-{_key(cross.target_fmr)}",
                f"{of}FMR in % of impostor pairs with one person of either group, at the threshold "
                f"for {in_percent(cross.target_fmr)}: {chapter.title}.",
                [Column("group", numeric=False), *(Column(group) for group in groups)],
                remarks=[cross.note] if cross.note else [],
                simulated=chapter.simulated,
            )
            rows = []
            for one in groups:
                cells = []
                for other in groups:
                    found = cross.cells[one].get(other)
                    if found is None:
                        cells += table.missing(NO_PAIRS, 1)
                        continue
                    cell = table.estimate(found, digits=digits)
                    of_pairs = f"{count(found.matches)} of {count(found.pairs)}"
                    cells.append(replace(cell, details=(*cell.details, of_pairs)))
                rows.append(TableRow(one, cells))
            table.sections.append(rows)
            tables.append(table)
    return tables


def calibration_table(chapter: Chapter) -> Table | None:
    """Models × groups as rows: how far probabilities are from what is seen; None without any."""
    found = {m: e.calibration for m, e in chapter.models.items() if e.calibration}
    if not found:
        return None
    table = Table(
        f"{chapter.id}-calibration",
        "Calibration: how far the probability of being genuine that one map for all groups gives "
        f"is from what is seen: {chapter.title}. 0 is perfect.",
        [
            Column("model", numeric=False),
            Column("group", numeric=False),
            Column("Brier score", "brier"),
            Column("calibration error", "ece"),
        ],
        remarks=list(dict.fromkeys(c.note for c in found.values() if c.note)),
        simulated=chapter.simulated,
    )
    for model, calibration in found.items():
        rows: list[TableRow] = []
        for group, result in calibration.groups.items():
            cells = [
                Cell(group),
                measure_cell(table, "brier", result.brier),
                table.estimate(result.error, scale=1, digits=4),
            ]
            rows.append(TableRow(model, cells, span=0 if rows else len(calibration.groups)))
        table.sections.append(rows)
    return table


def worst_case_table(chapter: Chapter) -> Table | None:
    """Errors at the threshold that serves the worst group best; None where it was not sought."""
    found = {m: w for m, e in chapter.models.items() if (w := e.worst_case_threshold)}
    if not found or len(chapter.groups) < 2:
        return None
    table = Table(
        f"{chapter.id}-worst-case",
        "Error, the mean of FMR and FNMR, in % at the one threshold that makes the worst group’s "
        f"error smallest, chosen on other people: {chapter.title}.",
        [
            Column("model", numeric=False),
            Column("threshold", "worst-threshold"),
            *(Column(group) for group in chapter.groups),
            Column("worst", "worst-threshold"),
            Column("worst group", "worst-group", numeric=False),
        ],
        simulated=chapter.simulated,
    )
    rows = []
    for model, record in found.items():
        cells = [
            Cell(cosine(record.threshold), note=table.note(record.note), number=record.threshold),
            *(measure_cell(table, "error", record.error.get(group)) for group in chapter.groups),
            table.estimate(record.worst_error),
            worst_cell(table, record.worst_group),
        ]
        rows.append(TableRow(model, cells))
    table.sections.append(rows)
    return table


def people_table(chapter: Chapter) -> Table:
    """What each group's figures rest on."""
    evaluation: Evaluation = chapter.first
    table = Table(
        f"{chapter.id}-pairs",
        f"What the figures rest on: {chapter.title}.",
        [
            Column("group", numeric=False),
            Column("people"),
            Column("with one image only"),
            Column("images"),
            Column("genuine pairs", "pairs"),
            Column("impostor pairs", "pairs"),
            Column("pairs of the folds", "accuracy"),
        ],
        simulated=chapter.simulated,
    )
    unnamed = "the protocol does not say"
    rows = []
    for group, result in evaluation.groups.items():
        counts = (
            result.identities,
            result.single_image_identities,
            result.images,
            result.genuine_pairs,
            result.impostor_pairs,
            result.fold_pairs,
        )
        cells = [
            Cell(MISSING, note=table.note(unnamed)) if n is None else Cell(count(n), number=n)
            for n in counts
        ]
        rows.append(TableRow(group, cells))
    table.sections.append(rows)
    return table


def _key(target: float) -> str:
    return f"{target:.0e}".replace("e-0", "e-")


def search_table(chapter: SearchChapter) -> Table:
    """Models × measures as rows, groups of probes as columns."""
    first = next(iter(chapter.models.values()))
    probes = "; ".join(
        f"{group}: {count(c.mated)} and {count(c.unmated)}" for group, c in first.probes.items()
    )
    table = Table(
        f"{chapter.id}-search",
        f"Search among {count(first.gallery_people)} people, in %: {chapter.title}.",
        [
            Column("model", numeric=False),
            Column("measure", numeric=False),
            Column("all probes"),
            *(Column(group) for group in first.probes),
        ],
        remarks=[f"Probes whose person is in the gallery, and others: {probes}", *first.notes],
        simulated=first.simulated,
    )
    for model, result in chapter.models.items():
        figures: list[tuple[str, RateByGroup, int, str | None]] = [
            (f"rank-{rank} rate", rates, 2, None) for rank, rates in result.rank_rate.items()
        ]
        for point in result.open_set:
            at = in_percent(point.target_fpir)
            figures += [
                (f"FNIR at FPIR {at}", point.fnir, 2, point.note),
                (f"FPIR at {at}", point.fpir, rate_digits(point.target_fpir), point.note),
            ]
        rows: list[TableRow] = []
        for label, rates, digits, note in figures:
            cells = [Cell(label, note=table.note(note))]
            for found in (rates.overall, *(rates.groups[group] for group in first.probes)):
                cells.append(table.estimate(found, digits=digits))
            rows.append(TableRow(model, cells, span=0 if rows else len(figures)))
        table.sections.append(rows)
    return table


MOST = 10
"""Differences and small cells that are shown; ``evaluation.json`` has all."""


def enrolment_table(chapter: Chapter) -> Table | None:
    """Failures to enrol by group; None where the data set does not record them."""
    enrolment = chapter.first.enrolment
    if enrolment is None:
        return None
    table = Table(
        f"{chapter.id}-enrolment",
        f"Enrolment, in %: images of which no face could be taken: {chapter.title}.",
        [
            Column("group", numeric=False),
            Column("images"),
            Column("failure to enrol"),
            Column("face found"),
        ],
        simulated=chapter.simulated,
    )
    table.sections.append(
        [
            TableRow(
                group,
                [
                    Cell(count(of.images), number=of.images),
                    table.estimate(of.failure_to_enrol),
                    table.estimate(of.face_found),
                ],
            )
            for group, of in enrolment.items()
        ]
    )
    return table


def crossings_tables(chapter: Chapter) -> list[Table]:
    """For each model that was scanned, its largest differences that are more than chance."""
    tables = []
    for place, (model, evaluation) in enumerate(chapter.models.items()):
        if (scan := evaluation.crossings) is None:
            continue
        at = f" for {in_percent(scan.target_fmr)}" if scan.target_fmr is not None else ""
        what = f"{model}, crossings" if len(chapter.models) > 1 else "Crossings"
        table = Table(
            f"{chapter.id}-crossings-{place}",
            f"{what} of {', '.join(scan.attributes)}: the largest differences at the "
            f"threshold{at}: {chapter.title}.",
            [
                Column("higher", numeric=False),
                Column("lower", numeric=False),
                Column("rate", numeric=False),
                Column("difference, points"),
                Column("ratio"),
                Column("p (Holm)"),
            ],
            remarks=_remarks(scan),
            simulated=chapter.simulated,
        )
        table.sections.append(
            [
                TableRow(
                    " × ".join(found.higher),
                    [
                        Cell(" × ".join(found.lower)),
                        Cell(found.error.upper()),
                        table.estimate(found.difference),
                        Cell("–" if found.ratio is None else f"{found.ratio:.1f}"),
                        Cell(f"{found.p_holm:.2g}", number=found.p_holm),
                    ],
                )
                for found in scan.decided()[:MOST]
            ]
        )
        tables.append(table)
    return tables


def _remarks(scan: CrossingScan) -> list[str]:
    said = [
        f"{count(len(scan.differences))} comparisons of {count(len(scan.cells))} cells; "
        f"{count(len(scan.decided()))} differences are more than chance, with p adjusted for all "
        "comparisons"
    ]
    if small := [cell.name for cell in scan.too_small]:
        more = f" and {count(len(small) - MOST)} more" if len(small) > MOST else ""
        said.append(
            f"too small to compare (fewer than {scan.few_people} people): "
            f"{', '.join(small[:MOST])}{more}"
        )
    return said
