"""The short answer in words, computed from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenface.report.figures import finite
from evenface.report.schema import Benchmark, Difference, Estimate, Results
from evenface.report.tables import RATIOS, interval, number, percent

OVER_GROUPS = "mean"
"""The entry of differences over all groups."""
REAL, SYNTHETIC = "real", "synthetic"
"""Names of the training sets that the synthetic gap is between."""


@dataclass(frozen=True)
class Point:
    """One statement under a heading of a word or two."""

    heading: str
    text: str


@dataclass(frozen=True)
class Answer:
    """One sentence, and the statements behind it."""

    lead: str
    points: list[Point]


def short_answer(results: Results) -> Answer:
    """What the numbers say about distillation, with what they leave undecided."""
    benchmark = results.main
    if benchmark is None:
        return Answer("This study has no benchmark: there is nothing to answer.", [])
    by_group = [d for d in results.paired(benchmark.id, "accuracy") if d.group != OVER_GROUPS]
    return Answer(
        _lead(by_group, results.level),
        [
            *_by_set(results, by_group),
            *_fairness(results, benchmark),
            *_synthetic_gap(results, benchmark),
            *_real_people(results),
            _one_seed(results),
        ],
    )


def _lead(differences: Sequence[Difference], level: float) -> str:
    if not differences:
        return (
            "No pair of students with and without KD was compared: this study does not say "
            "whether distillation helps."
        )
    up, down, decided_up, decided_down = _tally(differences)
    undecided = len(differences) - decided_up - decided_down
    cells = f"{_count(differences, 'comparison')} (training set × group)"
    text = (
        f"KD raised accuracy in {up} of {cells}; the paired {_level(level)} interval excludes "
        f"zero in {decided_up} of these."
    )
    if down:
        text += f" Accuracy fell in {down}, in {decided_down} of them beyond the interval."
    if undecided:
        text += f" {undecided} of {len(differences)} {_are(undecided)} undecided."
    return text


def _by_set(results: Results, differences: Sequence[Difference]) -> list[Point]:
    points = []
    for name in dict.fromkeys(d.set for d in differences):
        cells = [d for d in differences if d.set == name]
        statements = [
            _listed("Accuracy rose", [d for d in cells if d.decided and (d.value or 0) > 0]),
            _listed("accuracy fell", [d for d in cells if d.decided and (d.value or 0) < 0]),
            _listed("undecided", [d for d in cells if not d.decided], intervals=True),
        ]
        text = "; ".join(statement for statement in statements if statement)
        mean = _over_groups(results, name, "accuracy")
        if mean and finite(mean.value):
            text += f". Mean over groups: {_change(mean, 'accuracy')}"
        points.append(Point(results.set_title(name), f"{_capital(text)}."))
    return points


def _fairness(results: Results, benchmark: Benchmark) -> list[Point]:
    points = []
    for metric, term in (("std_sample", "STD over groups"), ("ser", "SER")):
        found = [d for d in results.paired(benchmark.id, metric) if d.group == OVER_GROUPS]
        known = [d for d in found if finite(d.value)]
        if not found:
            continue
        if not known:
            points.append(Point(term, "No value to compare: see the notes below the table."))
            continue
        up, down, decided_up, decided_down = _tally(known)
        listed = "; ".join(f"{d.set} {_change(d, metric)}" for d in known)
        verdict = (
            f"The interval excludes zero in {_count_of(decided_down, 'fall')} and "
            f"{_count_of(decided_up, 'rise')}."
            if decided_up + decided_down
            else "No interval excludes zero: undecided."
        )
        sets = _count(known, "training set")
        text = f"With KD it fell in {down} and rose in {up} of {sets} ({listed}). {verdict}"
        points.append(Point(term, text))
    return points


def _synthetic_gap(results: Results, benchmark: Benchmark) -> list[Point]:
    gaps = {}
    for kd in (False, True):
        means = [_mean(results, name, benchmark, kd=kd) for name in (REAL, SYNTHETIC)]
        if not all(finite(mean) for mean in means):
            return []
        real, synthetic = (mean for mean in means if mean is not None)
        gaps[kd] = real - synthetic
    return [
        Point(
            "The synthetic gap",
            f"Mean accuracy of “real” minus that of “synthetic”: {percent(gaps[False], sign=True)} "
            f"points without KD, {percent(gaps[True], sign=True)} points with KD. No interval was "
            "computed for this comparison between training sets.",
        )
    ]


def _real_people(results: Results) -> list[Point]:
    points = []
    for benchmark in (b for b in results.others if b.real_people):
        known = [
            d for d in results.paired(benchmark.id, "eer") if d.set == SYNTHETIC and finite(d.value)
        ]
        for difference in known[:1]:
            direction = "lower" if (difference.value or 0) < 0 else "higher"
            verdict = "" if difference.decided else ", undecided"
            references = [
                f"{model.title} {_estimate(eer)}"
                for model in results.references
                if (eer := _eer(results, model.id, benchmark)) and finite(eer.value)
            ]
            compared = f" For comparison: {'; '.join(references)}." if references else ""
            points.append(
                Point(
                    benchmark.title,
                    f"Trained on “{SYNTHETIC}” only, the EER is {direction} with KD than without "
                    f"({_change(difference, 'eer')}{verdict}): "
                    f"{_pair(results, SYNTHETIC, benchmark)}.{compared}",
                )
            )
    return points


def _pair(results: Results, name: str, benchmark: Benchmark) -> str:
    parts = []
    for kd, words in ((False, "without KD"), (True, "with KD")):
        model = results.student(name, kd=kd)
        eer = _eer(results, model.id, benchmark) if model else None
        parts.append(f"{_estimate(eer or Estimate())} {words}")
    return ", ".join(parts)


def _one_seed(results: Results) -> Point:
    return Point(
        "One seed",
        f"Every student was trained once, with seed {results.study.seed}. The intervals cover the "
        "choice of test identities, not the chance in training: another seed can move every "
        "figure, and an interval that excludes zero here is no replication.",
    )


def _tally(differences: Sequence[Difference]) -> tuple[int, int, int, int]:
    """Rises, falls, rises and falls beyond the interval."""
    values = [(d.value or 0.0, d.decided) for d in differences]
    return (
        sum(value > 0 for value, _ in values),
        sum(value < 0 for value, _ in values),
        sum(value > 0 and decided for value, decided in values),
        sum(value < 0 and decided for value, decided in values),
    )


def _listed(words: str, cells: Sequence[Difference], *, intervals: bool = False) -> str:
    if not cells:
        return ""
    items = [
        f"{d.group} ({_change(d, d.metric) if intervals else percent(d.value, sign=True)})"
        for d in cells
    ]
    return f"{words} in {', '.join(items)}"


def _change(difference: Difference, metric: str) -> str:
    """ "+1.20 points [+0.40, +2.10]"; ratios without the unit."""
    ratio = metric in RATIOS
    scale = 1 if ratio else 100
    value = None if difference.value is None else scale * difference.value
    unit = "" if ratio else " points"
    bounds = interval(difference, scale=scale, sign=True)
    return f"{number(value, sign=True)}{unit} {bounds}".strip()


def _over_groups(results: Results, name: str, metric: str) -> Difference | None:
    benchmark = results.main
    if benchmark is None:
        return None
    found = results.paired(benchmark.id, metric)
    return next((d for d in found if d.set == name and d.group == OVER_GROUPS), None)


def _mean(results: Results, name: str, benchmark: Benchmark, *, kd: bool) -> float | None:
    model = results.student(name, kd=kd)
    evaluation = results.evaluation(model.id, benchmark.id) if model else None
    return evaluation.overall.accuracy.value if evaluation else None


def _eer(results: Results, model: str, benchmark: Benchmark) -> Estimate | None:
    evaluation = results.evaluation(model, benchmark.id)
    if evaluation is None or len(evaluation.groups) != 1:
        return None
    return next(iter(evaluation.groups.values())).eer


def _estimate(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} % {interval(estimate)}".strip()


def _level(level: float) -> str:
    return f"{100 * level:g} %"


def _count(items: Sequence[object], noun: str) -> str:
    return _count_of(len(items), noun)


def _count_of(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def _are(number_of: int) -> str:
    return "is" if number_of == 1 else "are"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
