"""The first screen of a study: question, answer, key numbers, caveat; and a sentence a section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from evenface.record import Estimate
from evenface.report.drawings.marks import finite
from evenface.report.numbers import count, duration, format_estimate, interval, number
from evenface.report.study.claims import Claims, lowest, rule_of, tally, weakest
from evenface.report.study.declared import answer, headline
from evenface.report.study.detects import chance_of, mean_detects
from evenface.report.study.grid import (
    Pairing,
    difference,
    friendly_teachers,
    levels_title,
    main_sweep,
    mean_difference,
    slices,
)
from evenface.report.study.names import with_article
from evenface.report.study.strategies import strategy_headline
from evenface.report.study.sweeps import sweep_headline
from evenface.report.study.teacher_bias import inheritance_headlines
from evenface.study.detectable import RUNS, size
from evenface.study.record import Benchmark, Claim, Difference, Evidence, Results
from evenface.study.wording import FEW_SEEDS, OVER_GROUPS, listed

_AVERAGE, _GAP = "kd-helps-on-average", "gap-closed-synthetic"
_QUESTION = "Does distillation make students more accurate, and in which groups?"
LEAST_SEEDS = 3
"""Training seeds below which nothing is called decided; as in the rules of the claims."""


@dataclass(frozen=True)
class KeyNumber:
    """A big figure: "+5.5 points", its interval, what it is, and the same with other teachers."""

    value: str
    bounds: str
    label: str
    others: list[str]


@dataclass(frozen=True)
class First:
    """What a reader sees in the first ten seconds."""

    question: str
    answer: str
    caveat: str
    numbers: list[KeyNumber]


@dataclass(frozen=True)
class _Compared:
    """A pairing whose difference of mean accuracy is known."""

    title: str
    mean: Difference
    value: float


def first_screen(results: Results) -> First:
    """Question, answer, caveat and key numbers of a study, under the names of its pages."""
    main = results.main
    return First(
        question_of(results),
        _answer(results, main) if main else "This study has no test, and so no answer.",
        _caveat(results),
        _numbers(results, main) if main else [],
    )


def question_of(results: Results) -> str:
    """What the study's description asks; else what every study asks."""
    description = results.study.description
    end = description.find("?")
    return description[: end + 1].rpartition(". ")[2].strip() if end > 0 else _QUESTION


def _answer(results: Results, benchmark: Benchmark) -> str:
    if not results.distillers:
        return "This study has no students with distillation: it only compares training sets."
    teacher = results.distillers[0]
    if declared := headline(results, benchmark):
        return " ".join(map(answer, declared))
    if said := strategy_headline(results, benchmark.id):
        return said
    if sweep := main_sweep(results, benchmark):
        return sweep_headline(results, sweep)
    said = _effect(results, benchmark, teacher)
    others = [
        f"from {_the(results, other)} it {_change(results, found)}"
        for other in results.distillers[1:]
        if (found := _compared(results, benchmark, other))
    ]
    return f"{'; '.join([said, *others])}."


def _effect(results: Results, benchmark: Benchmark, teacher: str) -> str:
    found = _compared(results, benchmark, teacher)
    name = _the(results, teacher)
    if not found:
        return f"No pair of students shows what distillation from {name} does"
    average = _average(results, benchmark, teacher)
    if average is not None and average.tests:
        claim, test = average, average.tests[0]
        if claim.verdict == "supported":
            rises, beyond = sum(c.value > 0 for c in found), _rising(results, found)
            every = f"all {len(found)}" if rises == len(found) else f"{rises} of {len(found)}"
            chance = "each time" if beyond == len(found) else f"in {beyond}"
            return (
                f"Distillation from {name} raises mean accuracy by {_points(test, sign=False)} on "
                f"average; it rises in {every} pairs, {chance} by more than chance"
            )
        lowers = claim.verdict == "not supported"
        said = (
            f"Distillation from {name} {'lowers' if lowers else 'is not shown to change'} mean "
            f"accuracy: {_points(test)} on average over {len(found)} pairs"
        )
        return said + ("" if lowers else _would_detect(results, [test]))
    return f"Distillation from {name} {_change(results, found)}"


def _change(results: Results, found: Sequence[_Compared]) -> str:
    """What distillation does to the mean accuracy of some pairs, with the widest-reaching ends."""
    rising = _rising(results, found)
    least, most = _least(found), max(found, key=lambda c: c.value)
    if rising == len(found) == 1:
        return f"raises mean accuracy by {_points(least.mean, sign=False)}"
    if rising == len(found):
        on = f"on all {len(found)} training sets, by at least {_points(least.mean, sign=False)}"
        return f"raises mean accuracy {on} ({least.title})"
    falling = sum(c.value < 0 and _decided(results, c.mean) for c in found)
    if rising or falling:
        low = min(found, key=lambda c: c.value)
        ways = [
            f"{way} mean accuracy on {part} of {len(found)} training sets"
            for way, part in (("raises", rising), ("lowers", falling))
            if part
        ]
        span = f"from {_points(low.mean)} ({low.title}) to {_points(most.mean)} ({most.title})"
        return f"{listed(ways)}: {_points(low.mean) if len(found) == 1 else span}"
    if len(found) == 1:
        return (
            f"is not shown to change mean accuracy: {_points(least.mean)}"
            f"{_would_detect(results, [least.mean])}"
        )
    average = number(100 * fmean(c.value for c in found), digits=1, sign=True)
    return (
        f"is not shown to change mean accuracy ({average} points on average, undecided on all "
        f"{len(found)} training sets{_would_detect(results, [of.mean for of in found])})"
    )


def _would_detect(results: Results, undecided: Sequence[Estimate]) -> str:
    """What this study would have detected of changes of mean accuracy; "" if it cannot be told.

    Of several the largest, which holds for all.
    """
    chance = chance_of(results)
    found = [of for change in undecided if (of := mean_detects(chance, change)) is not None]
    effects = [of.effect for of in found if of.effect is not None]
    if not effects:
        return ""
    return f"; a change of {size(max(effects), 'points')} or more would be detected {RUNS}"


def _rising(results: Results, found: Iterable[_Compared]) -> int:
    return sum(c.value > 0 and _decided(results, c.mean) for c in found)


def _least(found: Iterable[_Compared]) -> _Compared:
    """The one whose interval reaches lowest."""
    return min(found, key=lambda c: lowest(c.mean))


def _decided(results: Results, found: Difference) -> bool:
    """Whether a difference is more than chance; never from fewer seeds than verdicts need."""
    return len(results.study.seeds) >= LEAST_SEEDS and found.decided(results.level)


def _caveat(results: Results) -> str:
    study = results.study
    parts = []
    if study.simulated:
        parts.append("Simulated: faces are computer renders, and nothing follows for real people.")
        friendly = [t for t in results.distillers if t in friendly_teachers(results)]
        if friendly:
            names = listed([_the(results, t) for t in friendly])
            parts.append(
                f"{names[:1].upper()}{names[1:]} learned from the same renderer as the test faces."
            )
    else:
        parts.append("Groups are the labels that the data declare, no one's judgement.")
    if len(study.seeds) < LEAST_SEEDS:
        seeds = "one training seed" if len(study.seeds) == 1 else f"{len(study.seeds)} seeds"
        parts.append(f"With {seeds}, nothing is decided.")
    if results.failures:
        runs = len(results.failures)
        parts.append(f"{runs} run{'' if runs == 1 else 's'} failed.")
    return " ".join(parts)


def few_seeds(results: Results) -> str:
    """What several seeds, but few, leave open; "" for one and for enough."""
    seeds = len(results.study.seeds)
    if not 1 < seeds < FEW_SEEDS:
        return ""
    return (
        f"Every student was trained {seeds} times, which shows little of the chance in training. "
        "Intervals and verdicts allow for that (Student's t); more seeds would make them narrower."
    )


def _numbers(results: Results, benchmark: Benchmark) -> list[KeyNumber]:
    """Gain of the mean, gain of the weakest group, share of the gap closed."""
    if declared := headline(results, benchmark):
        return [_shown(test) for test in declared[0].tests[:3] if finite(test.value)]
    kinds = (_mean_gain, _group_gain, _gap_closed)
    found = []
    for kind in kinds:
        by_teacher = {t: kind(results, benchmark, t) for t in results.distillers}
        if not by_teacher or (first := next(iter(by_teacher.values()))) is None:
            continue
        estimate, label, unit = first
        others = [
            f"with {results.teacher_name(t)}: {_valued(other[0], unit)}"
            for t, other in list(by_teacher.items())[1:]
            if other
        ]
        value, _, bounds = _valued(estimate, unit).partition(" [")
        found.append(KeyNumber(value, f"[{bounds}" if bounds else "", label, others))
    return found


def _shown(test: Evidence) -> KeyNumber:
    points = test.unit == "points"
    unit, scale = (" points", 100) if points else ("", 1)
    digits = 1 if points else 2
    value = number(None if test.value is None else scale * test.value, digits=digits, sign=True)
    bounds = interval(test, scale=scale, digits=digits, sign=True)
    return KeyNumber(f"{value}{unit}", bounds, test.label, [])


_DIGITS = {" points": 1, " %": 0}
_Number = tuple[Estimate, str, str]
"""Estimate, label, unit."""


def _valued(estimate: Estimate, unit: str) -> str:
    assert estimate.value is not None
    return format_estimate(estimate, digits=_DIGITS[unit], sign=unit != " %", unit=unit)


def _mean_gain(results: Results, benchmark: Benchmark, teacher: str) -> _Number | None:
    average = _average(results, benchmark, teacher)
    found = _compared(results, benchmark, teacher)
    if average is not None and average.tests and finite(average.tests[0].value):
        label = f"mean accuracy, average of {len(found)} pairs"
        return average.tests[0], f"{_gain(average.tests[0])} {label}", " points"
    if not found:
        return None
    least = _least(found)
    least_of = f", least of {len(found)} training sets" if len(found) > 1 else ""
    label = f"{_gain(least.mean)} mean accuracy{least_of} ({least.title})"
    return least.mean, label, " points"


def _gain(found: Estimate) -> str:
    return "gain in" if lowest(found) > 0 else "change in"


def _group_gain(results: Results, benchmark: Benchmark, teacher: str) -> _Number | None:
    found = weakest(results, benchmark.id, teacher) if len(benchmark.groups) > 1 else None
    if found is None:
        return None
    where = ", ".join(filter(None, (found.group, found.set, levels_title(results, found.levels))))
    word = "gain" if lowest(found) > 0 else "change"
    return found, f"{word} of the weakest group ({where})", " points"


def _gap_closed(results: Results, benchmark: Benchmark, teacher: str) -> _Number | None:
    tests = [
        test
        for claim in _claims(results, benchmark, teacher, _GAP)
        for test in claim.tests
        if test.unit == "share" and finite(test.value)
    ]
    if not tests:
        return None
    least = min(tests, key=lowest)
    several = f" (least of {len(tests)})" if len(tests) > 1 else ""
    return least, f"of the gap between synthetic and real faces closed{several}", " %"


def _average(results: Results, benchmark: Benchmark, teacher: str) -> Claim | None:
    return next(iter(_claims(results, benchmark, teacher, _AVERAGE)), None)


def _claims(results: Results, benchmark: Benchmark, teacher: str | None, rule: str) -> list[Claim]:
    of = (benchmark.id, teacher, rule)
    return [c for c in results.claims if (c.benchmark, c.teacher, rule_of(c)) == of]


def _compared(results: Results, benchmark: Benchmark, teacher: str | None) -> list[_Compared]:
    found = []
    for of in slices(results):
        for pairing in of.pairings if of.teacher == teacher else ():
            mean = mean_difference(results, pairing, benchmark)
            if mean is not None and finite(mean.value):
                title = ", ".join(filter(None, (pairing.set, levels_title(results, of.levels))))
                found.append(_Compared(title, mean, mean.value))
    return found


def _points(test: Evidence | Difference, *, sign: bool = True) -> str:
    return format_estimate(test, digits=1, sign=sign, unit=" points")


def _the(results: Results, teacher: str | None) -> str:
    return with_article(results.teacher_name(teacher))


def section_answers(results: Results, claims: Claims) -> dict[str, str]:
    """The one-sentence answer of each section, by the section's id; "" where it has none."""
    main = results.main
    found = {
        "answers": _verdicts(results, claims),
        "strategies": strategy_headline(results, main.id) if main else "",
        "sweep": next((sweep_headline(results, s) for s in results.sweep if s.teacher), ""),
        "levels": _levels(claims),
        "inheritance": next(iter(inheritance_headlines(results, main) if main else ()), ""),
        "groups": _every_group(results, main) if main else "",
        "unevenness": _unevenness(results, main) if main else "",
        "others": _elsewhere(results),
        "training": _costs(results),
        "sets": _sizes(results),
        "repeat": _time(results),
    }
    first = {name: said.partition(". ")[0].rstrip(".") for name, said in found.items()}
    return {name: f"{said}." if said else "" for name, said in first.items()}


def _verdicts(results: Results, claims: Claims) -> str:
    parts = []
    for circle in claims.circles:
        if circle.benchmark is claims.circles[0].benchmark and circle.claims:
            name = results.teacher_name(circle.teacher)
            about = f"with {with_article(name)}, " if name else ""
            parts.append(f"{about}{tally(circle.claims)}")
    said = "; ".join(parts)
    return f"{said[:1].upper()}{said[1:]}"


def _levels(claims: Claims) -> str:
    said = [f"{' '.join(c.levels.values())} {c.verdict}" for c in claims.levels if c.teacher]
    return f"Better than the first network or loss: {', '.join(said)}" if said else ""


def _every_group(results: Results, benchmark: Benchmark) -> str:
    found = [weakest(results, benchmark.id, teacher) for teacher in results.distillers]
    parts = [
        f"{_points(d)} with {_the(results, d.teacher)} ({d.group}, {d.set})" for d in found if d
    ]
    return f"The weakest gain of any group: {'; '.join(parts)}" if parts else ""


def _unevenness(results: Results, benchmark: Benchmark) -> str:
    teacher = next(iter(results.distillers), None)
    pairs: list[Pairing] = [
        p for of in slices(results) if of.teacher == teacher for p in of.pairings
    ]
    parts = []
    for metric, name in (
        ("std_sample", "the standard deviation over groups (STD)"),
        ("ser", "the ratio of the highest to the lowest group error (SER)"),
    ):
        found = [
            d
            for p in pairs
            if (d := difference(results, p, benchmark, OVER_GROUPS, metric)) and finite(d.value)
        ]
        falls = [d for d in found if d.value is not None and d.value < 0]
        beyond = sum(_decided(results, d) for d in falls)
        if found:
            chance = f"{beyond} beyond chance" if beyond else "never beyond chance"
            parts.append(f"{name} falls in {len(falls)} of {len(found)} pairs, {chance}")
    said = "; ".join(parts)
    return f"{said[:1].upper()}{said[1:]}"


def _elsewhere(results: Results) -> str:
    titles = [b.short for b in results.repeats]
    titles += [b.title.partition(",")[0] for b in results.others]
    if not titles:
        return "No other test faces: whether the findings hold elsewhere is unknown"
    return f"The same students on other faces: {listed(titles)}"


def _costs(results: Results) -> str:
    sizes = sorted({m.parameters for m in results.students if m.parameters})
    seconds = [m.seconds for m in results.students if finite(m.seconds)]
    if not sizes:
        return ""
    span = " to ".join(count(n) for n in dict.fromkeys((sizes[0], sizes[-1])))
    took = f", trained in {duration(fmean(seconds))} on average" if seconds else ""
    return f"{len(results.students)} kinds of student of {span} parameters{took}"


def _sizes(results: Results) -> str:
    images = sorted({s.images for s in results.sets})
    if not images:
        return ""
    span = " to ".join(count(n) for n in dict.fromkeys((images[0], images[-1])))
    sets = len(results.sets)
    return f"{sets} training set{'' if sets == 1 else 's'} of {span} images"


def _time(results: Results) -> str:
    total = sum(stage.seconds for stage in results.stages)
    return f"One command, {duration(total)}" if results.stages else "One command"
