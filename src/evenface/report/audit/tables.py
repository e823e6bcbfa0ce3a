"""Tables of how well models do on one protocol, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from evenface.evaluate.identification import RateByGroup
from evenface.evaluate.measures import in_percent, of_kind, rate_digits
from evenface.evaluate.results import CrossingScan, Evaluation
from evenface.report.audit.chapter import Chapter, SearchChapter
from evenface.report.measured import (
    STD_REMARK,
    add_groups,
    add_models,
    measure_cell,
    measure_column,
    over_groups_cell,
    std_cells,
    worst_cell,
)
from evenface.report.numbers import MISSING, cosine, count
from evenface.report.table import Cell, Column, Table, TableRow, words

UNSUPPORTED = "the impostor pairs do not support this target"
NO_PAIRS = "no impostor pair is of these two groups"
MOST = 10
"""Differences and small cells that are shown; ``evaluation.json`` has all."""
_AT_ONCE = ("fdr", "garbe", "inequity_rate", "werm", "fmr_ratio", "fnmr_ratio")
_MORE = tuple(name for name in of_kind("threshold") if name not in _AT_ONCE)
_SPREADS = ("std_corrected", *(n for n in of_kind("overall") if not n.startswith("std_")))


def evaluation_tables(chapter: Chapter) -> Iterator[Table]:
    """The main tables, as a terminal shows them; what else there is, the page has."""
    yield accuracy_table(chapter)
    yield group_table(chapter)
    for optional in (
        unevenness_table(chapter),
        operating_table(chapter, chapter.key) if chapter.key else None,
        fairness_table(chapter),
    ):
        if optional:
            yield optional
    yield people_table(chapter)
    if enrolment := enrolment_table(chapter):
        yield enrolment
    if failures := failures_table(chapter):
        yield failures
    if times := times_table(chapter):
        yield times
    yield from crossings_tables(chapter)


def accuracy_table(chapter: Chapter) -> Table:
    """Models × groups: 10-fold accuracy, mean, STD, worst group."""
    several = len(chapter.groups) > 1
    table = chapter.table(
        "accuracy",
        f"Verification accuracy in %, {chapter.first.protocol.folds} folds",
        [*words("model"), *map(Column, chapter.groups)],
    )
    if several:
        table.columns += [Column("mean", "accuracy"), Column("STD", "std")]
        table.columns.append(Column("worst group", "worst-group", numeric=False))
        table.remarks.append(
            "Each group has a threshold of its own here, as is usual in the field."
        )

    def cells(evaluation: Evaluation) -> list[Cell]:
        of_groups = [table.estimate(result.accuracy) for result in evaluation.groups.values()]
        overall = evaluation.overall
        spread = map(table.estimate, (overall.accuracy, overall.std_sample))
        more = [*spread, worst_cell(table, overall.worst_group)] if several else []
        return of_groups + more

    add_models(table, [chapter.entries], cells)
    return table


def group_table(chapter: Chapter) -> Table:
    """Models × groups as rows: EER, AUC, d′, TAR@FAR, exact accuracy."""
    levels = dict.fromkeys(
        level
        for evaluation in chapter.models.values()
        for result in evaluation.groups.values()
        for level, found in result.tar_at_far.items()
        if found.value is not None
    )
    names = ["eer", "auc", "dprime", *(f"tar@far={level}" for level in levels), "accuracy_exact"]
    names += [name for name in of_kind("scores") if len(chapter.groups) > 1]
    table = chapter.table(
        "groups",
        "How well genuine and impostor pairs are told apart in each group, at thresholds of its "
        "own; EER, TAR and accuracy in %",
        [*words("model", "group"), *map(measure_column, names)],
    )

    def cells(evaluation: Evaluation, group: str) -> list[Cell]:
        result = evaluation.groups[group]
        return [measure_cell(table, name, result.estimate(name)) for name in names]

    add_groups(table, [chapter.entries], chapter.groups, cells)
    return table


def unevenness_table(chapter: Chapter) -> Table | None:
    """How far the groups are apart, beside what noise alone would give; None for one group."""
    if len(chapter.groups) < 2:
        return None
    table = chapter.table(
        "unevenness",
        "Unevenness of accuracy and scores over groups",
        [*words("model"), *map(measure_column, ("std_sample", "std_expected", *_SPREADS))],
        then=" STD and gap are in percentage points, AVG − STD in %; 0 is even, for SER 1. AVG − "
        "STD is the mean accuracy less its STD.",
    )
    table.remarks.append(STD_REMARK)
    add_models(
        table,
        [chapter.entries],
        lambda of: [
            *std_cells(table, of.overall),
            *(over_groups_cell(table, of.overall, name) for name in _SPREADS),
        ],
    )
    return table


def operating_table(chapter: Chapter, key: str) -> Table:
    """Models × groups as rows: FMR and FNMR at one threshold, and at one of the group's own."""
    several = len(chapter.groups) > 1
    beside = "; beside them, with a threshold for each group" if several else ""
    own = ("FMR, own threshold", "FNMR, own threshold", "own threshold") if several else ()
    table = chapter.table(
        f"operating-{key}",
        f"Error rates in % at one threshold{' for all groups' if several else ''}, set on other "
        f"people for a false match rate of {in_percent(float(key))}{beside}",
        [
            *words("model", "group"),
            *(Column(text, term=text.lower()) for text in ("FMR", "FNMR", "threshold")),
            *(Column(text, "own-threshold") for text in own),
        ],
    )
    digits = rate_digits(float(key))

    def at(threshold: float | None) -> Cell:
        return Cell(cosine(threshold), number=threshold)

    for model, evaluation in chapter.models.items():
        point = evaluation.point(key)
        if point is None:
            holes = table.missing(UNSUPPORTED, len(table.columns) - 2)
            table.block(model, [[Cell("all"), *holes]])
            continue
        note = table.note(point.note)
        rows = []
        for group in evaluation.groups:
            rates = [(point.fmr[group], point.fnmr[group], point.threshold)]
            if several:
                alone = point.own[group]
                rates.append((alone.fmr, alone.fnmr, alone.threshold))
            cells = [Cell(group, note=note)]
            for fmr, fnmr, threshold in rates:
                cells += [table.estimate(fmr, digits=digits), table.estimate(fnmr), at(threshold)]
            rows.append(cells)
        table.block(model, rows)
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
    table = chapter.table(
        f"fairness{'-more' if more else ''}",
        "Fairness at one threshold for all groups, over the false match rate that it is set for",
        [*words("model"), Column("target FMR", "threshold"), *map(measure_column, names)],
        then=" Even is 1 for FDR, IR, WERM, ratios and worst to mean, 0 for the others; gaps are "
        "in percentage points.",
    )
    if not more:
        table.columns += [
            Column(text, "worst-group", numeric=False)
            for text in ("most false matches", "most false non-matches")
        ]
    for model, evaluation in chapter.models.items():
        rows = []
        for key in chapter.keys:
            point = evaluation.point(key)
            cells = [Cell(in_percent(float(key)), number=float(key))]
            if point is None:
                cells += table.missing(UNSUPPORTED, len(table.columns) - 2)
            else:
                cells += [measure_cell(table, name, point.measures.get(name)) for name in names]
                worst = () if more else (point.worst_fmr, point.worst_fnmr)
                cells += [worst_cell(table, group) for group in worst]
            rows.append(cells)
        table.block(model, rows)
    return table


def cross_tables(chapter: Chapter) -> list[Table]:
    """For each model and target, FMR of every pair of groups."""
    tables = []
    for place, (model, evaluation) in enumerate(chapter.models.items()):
        for cross in evaluation.cross_tables:
            digits = rate_digits(cross.target_fmr)
            of = f"{model}, " if len(chapter.models) > 1 else ""
            table = chapter.table(
                f"cross-{place}-{f'{cross.target_fmr:.0e}'.replace('e-0', 'e-')}",
                f"{of}FMR in % of impostor pairs with one person of either group, at the threshold "
                f"for {in_percent(cross.target_fmr)}",
                [*words("group"), *map(Column, cross.cells)],
            )
            table.remarks += [cross.note] if cross.note else []
            rows = []
            for one, row in cross.cells.items():
                cells = []
                for other in cross.cells:
                    if (found := row.get(other)) is None:
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
    table = chapter.table(
        "calibration",
        "Calibration: how far the probability of being genuine that one map for all groups gives "
        "is from what is seen",
        [
            *words("model", "group"),
            Column("Brier score", "brier"),
            Column("calibration error", "ece"),
        ],
        then=" 0 is perfect.",
    )
    table.remarks += dict.fromkeys(c.note for c in found.values() if c.note)
    for model, calibration in found.items():
        table.block(
            model,
            [
                [
                    Cell(group),
                    measure_cell(table, "brier", result.brier),
                    table.estimate(result.error, scale=1, digits=4),
                ]
                for group, result in calibration.groups.items()
            ],
        )
    return table


def worst_case_table(chapter: Chapter) -> Table | None:
    """Errors at the threshold that serves the worst group best; None where it was not sought."""
    found = {m: w for m, e in chapter.models.items() if (w := e.worst_case_threshold)}
    if not found or len(chapter.groups) < 2:
        return None
    table = chapter.table(
        "worst-case",
        "Error, the mean of FMR and FNMR, in % at the one threshold that makes the worst group’s "
        "error smallest, chosen on other people",
        [
            *words("model"),
            Column("threshold", "worst-threshold"),
            *map(Column, chapter.groups),
            Column("worst", "worst-threshold"),
            Column("worst group", "worst-group", numeric=False),
        ],
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
    table = chapter.table(
        "pairs",
        "What the figures rest on",
        [
            *words("group"),
            *map(Column, ("people", "with one image only", "images")),
            Column("genuine pairs", "pairs"),
            Column("impostor pairs", "pairs"),
            Column("pairs of the folds", "accuracy"),
        ],
    )
    rows = []
    for group, result in chapter.first.groups.items():
        counts = (
            result.identities,
            result.single_image_identities,
            result.images,
            result.genuine_pairs,
            result.impostor_pairs,
            result.fold_pairs,
        )
        unnamed = "not given by the protocol"
        cells = [
            Cell(MISSING, note=table.note(unnamed)) if n is None else Cell.count(n) for n in counts
        ]
        rows.append(TableRow(group, cells))
    table.sections.append(rows)
    return table


def enrolment_table(chapter: Chapter) -> Table | None:
    """Failures to enrol by group; None where the data set does not record them."""
    enrolment = chapter.first.enrolment
    if enrolment is None:
        return None
    table = chapter.table(
        "enrolment",
        "Enrolment, in %: images of which no face could be taken",
        [*words("group"), *map(Column, ("images", "failure to enrol", "face found"))],
    )
    table.sections.append(
        [
            TableRow(
                group,
                [
                    Cell.count(of.images),
                    table.estimate(of.failure_to_enrol),
                    table.estimate(of.face_found),
                ],
            )
            for group, of in enrolment.items()
        ]
    )
    return table


def failures_table(chapter: Chapter) -> Table | None:
    """Models × groups as rows: failed pairs and generalised rates; None where no pair failed."""
    models = {m: e for m, e in chapter.models.items() if e.failed_pairs}
    if not models:
        return None
    at = f", at the threshold for {in_percent(float(chapter.key))}" if chapter.key else ""
    table = chapter.table(
        "failures",
        "Pairs without a score, in % of the pairs to be compared, and error rates that count them"
        + at,
        [
            *words("model", "group"),
            Column("genuine pairs", "pairs"),
            Column("without a score", "failure"),
            Column("impostor pairs", "pairs"),
            Column("without a score", "failure"),
            *map(measure_column, ("fnmr", "gfnmr", "fmr", "gfmr")),
        ],
    )
    table.remarks.append("The intervals of GFMR and GFNMR hold the threshold fixed.")
    digits = rate_digits(float(chapter.key)) if chapter.key else 2
    for model, evaluation in models.items():
        point = evaluation.point(chapter.key)
        rows = []
        for group, of in (evaluation.failed_pairs or {}).items():
            cells = [Cell(group)]
            for pairs, failure in (
                (of.genuine_pairs, of.genuine_failure),
                (of.impostor_pairs, of.impostor_failure),
            ):
                cells += [Cell.count(pairs), table.estimate(failure)]
            if point is None:
                cells += table.missing(UNSUPPORTED, 4)
            else:
                cells += [table.estimate(rate[group]) for rate in (point.fnmr, point.gfnmr)]
                cells += [
                    table.estimate(rate[group], digits=digits) for rate in (point.fmr, point.gfmr)
                ]
            rows.append(cells)
        table.block(model, rows)
    return table


def times_table(chapter: Chapter) -> Table | None:
    """Models × groups as rows: time per image on one machine; None where it was not measured."""
    if not chapter.times:
        return None
    table = chapter.table(
        "times",
        "Time per image on this machine, in ms: embedding, one image at a time",
        [*words("model", "group"), *map(Column, ("images timed", "median", "95th percentile"))],
    )
    finding = any(times.finding for times in chapter.times.values())
    if finding:
        table.caption += " Beside it finding the face, when the data set was imported."
        table.columns += map(Column, ("images searched", "median, finding", "95th, finding"))
    for model, times in chapter.times.items():
        for what, on in ((model, times.machine), ("faces found on", times.found_on)):
            if on:
                table.remarks.append(f"{what}: {on['processor']}, {on['cores']} cores")
        rows = []
        for group, embedding in times.groups.items():
            cells = [Cell(group)]
            for of in (embedding, times.finding.get(group))[: 1 + finding]:
                if of is None:
                    cells += table.missing("no detector ran, or it was not timed", 3)
                    continue
                cells.append(Cell.count(of.images))
                cells += [Cell(f"{ms:.1f}", number=ms) for ms in (of.median, of.p95)]
            rows.append(cells)
        table.block(model, rows)
    table.remarks = list(dict.fromkeys(table.remarks))
    table.remarks.append("Times differ from run to run and are no part of the results.")
    return table


def crossings_tables(chapter: Chapter) -> list[Table]:
    """For each model that was scanned, its largest differences that are more than chance."""
    tables = []
    for place, (model, evaluation) in enumerate(chapter.models.items()):
        if (scan := evaluation.crossings) is None:
            continue
        at = f" for {in_percent(scan.target_fmr)}" if scan.target_fmr is not None else ""
        what = f"{model}, crossings" if len(chapter.models) > 1 else "Crossings"
        table = chapter.table(
            f"crossings-{place}",
            f"{what} of {', '.join(scan.attributes)}: the largest differences at the threshold{at}",
            [
                *words("higher", "lower", "rate"),
                *map(Column, ("difference, points", "ratio", "p (Holm)")),
            ],
        )
        table.remarks += _scan_remarks(scan)
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


def _scan_remarks(scan: CrossingScan) -> list[str]:
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


def search_table(chapter: SearchChapter) -> Table:
    """Models × measures as rows, groups of probes as columns."""
    first = next(iter(chapter.models.values()))
    probes = "; ".join(
        f"{group}: {count(c.mated)} and {count(c.unmated)}" for group, c in first.probes.items()
    )
    table = Table(
        f"{chapter.id}-search",
        f"Search among {count(first.gallery_people)} people, in %: {chapter.title}.",
        [*words("model", "measure"), Column("all probes"), *map(Column, first.probes)],
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
        table.block(model, [_search_row(table, first.probes, *of) for of in figures])
    return table


def _search_row(
    table: Table,
    groups: Iterable[str],
    label: str,
    rates: RateByGroup,
    digits: int,
    note: str | None,
) -> list[Cell]:
    of_groups = (rates.groups[group] for group in groups)
    figures = [table.estimate(found, digits=digits) for found in (rates.overall, *of_groups)]
    return [Cell(label, note=table.note(note)), *figures]
