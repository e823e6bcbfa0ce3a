"""Claims on a whole grid: distillation against none in every cell, and on average over cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.study.arm import Arm
from evenface.study.grid import Grid
from evenface.study.inference import MEAN, WORST, Contrast, compare
from evenface.study.record import Claim, Evidence, Verdict
from evenface.study.selection_claims import STD, over_cells
from evenface.study.verdict import decide, evidence
from evenface.study.wording import change, p


def kd_everywhere(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """Whether distillation raises the accuracy of every group in every cell: one test of all."""
    if teacher is None or not _asked(grid):
        return
    pairs = {grid.title(name, levels): pair for levels, name, pair in grid.kd_pairs(teacher)}
    if len(pairs) < 2:
        return
    found = {
        (title, group): compare(*pair, "accuracy", group)
        for title, pair in pairs.items()
        for group in grid.groups
    }
    alpha = 1 - grid.settings.level

    def rule(all_of_them: Sequence[Contrast]) -> Verdict:
        if intersection_union([d.sure_greater for d in all_of_them]) < alpha:
            return "supported"
        fell = min(holm([d.sure_less for d in all_of_them])) < alpha / 2
        return "not supported" if fell else "undecided"

    verdict, held_back = decide(rule, list(found.values()))
    together = intersection_union([d.sure_greater for d in found.values()])
    falls = holm([d.sure_less for d in found.values()])
    fallen = [key for key, q in zip(found, falls, strict=True) if q < alpha / 2]
    rises = sum(d.value is not None and d.value > 0 for d in found.values())
    (title, group), least = min(found.items(), key=lambda item: item[1].value or 0.0)
    groups = f"{len(grid.groups)} groups in {len(pairs)} cells"
    claim = Claim(
        id="kd-raises-accuracy-everywhere",
        question="Does distillation raise the accuracy of every group in every cell?",
        benchmark=grid.benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"With KD from {teacher}, accuracy is higher in {rises} of {len(found)} cases "
            f"({groups}), least in {group}, {title}: {change(least, 'points')}. For all together "
            f"{p(together)}; {len(fallen) or 'none'} of the falls "
            f"{'are' if len(fallen) > 1 else 'is'} beyond chance after Holm's correction."
            f"{grid.without_holes()}{held_back}"
        ),
        rule=(
            f"Supported if the one-sided p of every group in every cell is below {alpha:.3g} "
            "(intersection–union test, no correction needed); not supported if a group falls in "
            f"some cell (one-sided p below {alpha / 2:.3g} after Holm's correction over all); else "
            "undecided. p are those of the replicates and of the t interval over seeds, whichever "
            "is larger."
        ),
        tests=(
            Evidence(
                label="all groups in all cells",
                value=least.value,
                p_value=together,
                note="smallest rise; p is the largest of all one-sided p",
            ),
        ),
    )
    yield grid.answer(claim, [of for pair in pairs.values() for of in pair], {})


def kd_on_average(grid: Grid, teacher: str | None) -> Iterator[Claim]:
    """The mean effect of distillation over all cells, and in how many cells it helps."""
    if teacher is None or not _asked(grid):
        return
    cells, note = grid.aligned(_cells(grid, teacher))
    if len(cells) < 2:
        return
    alpha = 1 - grid.settings.level
    by_cell = {title: compare(*pair, MEAN) for title, pair in cells.items()}
    adjusted = dict(zip(by_cell, holm([d.sure for d in by_cell.values()]), strict=True))
    sure = [by_cell[title].value or 0.0 for title, q in adjusted.items() if q < alpha]
    rises = sum((d.value or 0.0) > 0 for d in by_cell.values())
    mean, worst = over_cells(cells, MEAN), over_cells(cells, WORST)
    several = len(grid.groups) > 1
    std = over_cells(cells, STD) if several else None

    def rule(found: Sequence[Contrast]) -> Verdict:
        if found[0].above(0):
            return "supported"
        return "not supported" if found[0].below(0) else "undecided"

    verdict, held_back = decide(rule, [mean])
    more = ""
    if std is not None:
        more = (
            f", that of the worst group by {change(worst, 'points')} and STD by "
            f"{change(std, 'points')}"
        )
    claim = Claim(
        id="kd-helps-on-average",
        question="Does distillation raise mean accuracy, on average over all cells?",
        benchmark=grid.benchmark,
        teacher=teacher,
        verdict=verdict,
        statement=(
            f"On average over {len(cells)} cells, KD from {teacher} changes mean accuracy by "
            f"{change(mean, 'points')}{more}. Mean accuracy rises in {rises} of {len(cells)} "
            f"cells, beyond chance in {sum(v > 0 for v in sure)}, and falls beyond chance in "
            f"{sum(v < 0 for v in sure)} (after Holm's correction over cells)."
            f"{note}{grid.without_holes()}{held_back}"
        ),
        rule=(
            "Supported if the interval of the mean over cells of mean accuracy, with KD minus "
            "without, lies above 0, not supported if below 0, else undecided. Cells weigh alike; "
            "their replicates share identities and seeds, so the interval is that of the mean."
        ),
        tests=(
            evidence("mean accuracy, mean over cells", mean, p_value=mean.sure),
            evidence(
                "worst group, mean over cells",
                replace(worst, p_value=None),
                note="of each cell the lowest accuracy, which chance lowers: no test",
            ),
            *([evidence("STD of accuracy, mean over cells", std, p_value=std.sure)] if std else []),
            *(
                evidence(f"{g}, mean over cells", d, p_value=d.sure)
                for g, d in ((g, over_cells(cells, "accuracy", g)) for g in grid.groups)
                if several
            ),
            *(
                evidence(title, d, p_value=d.sure, p_holm=adjusted[title])
                for title, d in by_cell.items()
            ),
        ),
    )
    yield grid.answer(claim, [of for pair in cells.values() for of in pair], {})


def _asked(grid: Grid) -> bool:
    """Whether a headline is needed: not with one set of each kind under one condition."""
    return grid.factorial and not grid.of_others


def _cells(grid: Grid, teacher: str) -> dict[str, tuple[Arm, Arm]]:
    """Title → students without and with the teacher."""
    found = {}
    for levels in grid.slices(teacher):
        for name in grid.sets:
            plain = grid.student((name, None), levels)
            distilled = grid.student((name, teacher), levels)
            if plain and distilled:
                found[grid.title(name, levels)] = (plain, distilled)
    return found
