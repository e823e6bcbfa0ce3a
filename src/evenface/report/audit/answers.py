"""The questions of an audit and their answers, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evenface.evaluate.comparison import ComparedMeasure, ComparedOverall
from evenface.evaluate.measures import in_percent, measure, rate_digits
from evenface.evaluate.results import Evaluation, OperatingPoint
from evenface.record import Estimate
from evenface.report.audit.chapter import Chapter, SearchChapter
from evenface.report.audit.comparisons import worded
from evenface.report.audit.results import Compared
from evenface.report.numbers import (
    coverage,
    format_estimate,
    interval,
    p_value,
    percent,
    says_nothing,
)
from evenface.study.wording import listed


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a sentence, and what else there is to say."""

    question: str
    answer: str
    more: tuple[str, ...] = ()


def answers(chapter: Chapter) -> list[Answer]:
    """How the models compare, then how well and how evenly each does."""
    compared = [_comparison(chapter, compared) for compared in chapter.comparisons]
    return compared + [a for m, e in chapter.models.items() for a in _of_model(chapter, m, e)]


def search_answers(chapter: SearchChapter) -> list[Answer]:
    """How often each model finds the person searched for."""
    return [
        Answer(
            f"How often does {model} find the person searched for, on {chapter.title}?",
            f"Of the probes whose person is among the {result.gallery_people:,} in the gallery, "
            f"{_rate(rate.overall)} have that person first.",
            tuple(_groups_of_search(rate.groups)),
        )
        for model, result in chapter.models.items()
        if (rate := next(iter(result.rank_rate.values()), None))
    ]


def _of_model(chapter: Chapter, model: str, evaluation: Evaluation) -> Iterator[Answer]:
    several = len(evaluation.groups) > 1
    on_average = f" on average over {len(evaluation.groups)} groups" if several else ""
    yield Answer(
        f"How well does {model} tell people apart on {chapter.title}?",
        f"It judges {_rate(evaluation.overall.accuracy)} of the pairs correctly{on_average}.",
        tuple(_range_of_groups(evaluation)) if several else tuple(_one_group(evaluation)),
    )
    if evaluation.failed_pairs:
        yield _failures(model, evaluation)
    if not several:
        return
    yield _evenness(model, evaluation)
    if point := evaluation.point(chapter.key):
        yield _one_threshold(model, evaluation, point)


def _range_of_groups(evaluation: Evaluation) -> Iterator[str]:
    known, small = _known({g: result.accuracy for g, result in evaluation.groups.items()})
    if known:
        low, high = _ends(known)
        yield f"By group: from {_rate(known[low])} ({low}) to {_rate(known[high])} ({high}){small}."


def _one_group(evaluation: Evaluation) -> Iterator[str]:
    result = next(iter(evaluation.groups.values()))
    yield (
        f"The equal error rate is {_rate(result.eer)}. There is only one group, so fairness cannot "
        "be measured."
    )


def _failures(model: str, evaluation: Evaluation) -> Answer:
    failed = evaluation.failed_pairs or {}
    rates, small = _known({group: of.genuine_failure for group, of in failed.items()})
    question = f"Does {model} give every pair a score?"
    rest = "The rates above and below are of the other pairs; GFMR and GFNMR count failures."
    if not rates:
        return Answer(question, f"No{small}.", (rest,))
    low, high = _ends(rates)
    said = f"No: {_rate(rates[high])} of the genuine pairs of {high} have none"
    if low != high:
        said += f", and {_rate(rates[low])} of {low}"
    return Answer(question, f"{said}{small}.", (rest,))


def _evenness(model: str, evaluation: Evaluation) -> Answer:
    overall = evaluation.overall
    question = f"Is {model} equally accurate for all groups?"
    p = overall.std_excess_p
    spread, expected = overall.std_sample, overall.std_expected
    if p is None or spread.value is None or expected.value is None:
        reason = overall.std_expected.note or spread.note or "no intervals were asked for"
        spread_said = f"STD {percent(spread.value)} points. " if spread.value is not None else ""
        return Answer(question, f"Not answered: {reason}.", (spread_said,) if spread_said else ())
    said = (
        f"the groups’ accuracies have an STD of {format_estimate(spread, unit=' points')}, where "
        f"sampling noise alone would give {percent(expected.value)} "
        f"(p {p_value(p)})."
    )
    worst = overall.worst_group
    more = []
    if worst.value is not None and worst.share:
        share = worst.share.get(worst.value, 0.0)
        more.append(
            f"The lowest accuracy is that of {worst.value}, which has it in "
            f"{percent(share, digits=0)} % of the resamples."
        )
    if p < 1 - evaluation.bootstrap.level:
        return Answer(question, f"No: {said}", tuple(more))
    return Answer(
        question,
        f"No difference is shown: {said}",
        ("This does not show that the groups are alike: the data may be too few.", *more),
    )


def _one_threshold(model: str, evaluation: Evaluation, point: OperatingPoint) -> Answer:
    digits = rate_digits(point.target_fmr)
    question = f"With one threshold for everyone, which group bears the errors of {model}?"
    false_matches = _extremes(point.fmr, digits)
    rejections = _extremes(point.fnmr, 2)
    where = "folds" if point.chosen_on == "other folds" else "people"
    return Answer(
        question,
        f"At a threshold set on other {where} for a false match rate of "
        f"{in_percent(point.target_fmr)}, genuine pairs are rejected {rejections}.",
        (f"Impostor pairs are accepted {false_matches}.", *_ratios(point)),
    )


def _extremes(rates: dict[str, Estimate], digits: int) -> str:
    known, small = _known(rates)
    if not known:
        return f"at a rate that is not known{small}"
    low, high = _ends(known)
    if known[low].value == known[high].value:
        # What is said of every group is as sure as the least sure of them.
        widest = max(known.values(), key=_width)
        every = "every other group" if small else "every group"
        return f"in {_rate(widest, digits)} of cases in {every}{small}"
    return (
        f"most often for {high}, in {_rate(known[high], digits)} of cases, and least often for "
        f"{low}, in {_rate(known[low], digits)}{small}"
    )


def _known(rates: Mapping[str, Estimate]) -> tuple[dict[str, Estimate], str]:
    """The rates that are known, and in words which groups are too small for one."""
    small = [group for group, rate in rates.items() if says_nothing(rate)]
    known = {g: e for g, e in rates.items() if e.value is not None and g not in small}
    return known, f"; too few people or pairs for a rate in {listed(small)}" if small else ""


def _width(rate: Estimate) -> float:
    return 0.0 if rate.low is None or rate.high is None else rate.high - rate.low


def _ratios(point: OperatingPoint) -> Iterator[str]:
    for name, words in (("fnmr_ratio", "rejections"), ("fmr_ratio", "false matches")):
        ratio = point.measures.get(name)
        if ratio is not None and ratio.value is not None:
            yield (
                f"The highest rate of {words} is "
                f"{format_estimate(ratio, scale=1, unit=' times the lowest')}."
            )


def _comparison(chapter: Chapter, compared: Compared) -> Answer:
    first, second = compared.first, compared.second
    found = compared.comparison
    by_name = {o.measure: o for o in found.overall}
    mean = by_name.get("overall.accuracy")
    question = f"Is {second} better than {first} on {chapter.title}?"
    if mean is None or mean.answer == "undefined":
        return Answer(question, "Undefined: the mean accuracy of a model is unknown.")
    answer = {
        "better": f"Yes: {second} judges more pairs correctly, by",
        "worse": f"No: {second} judges fewer pairs correctly, by",
    }.get(
        worded(mean.measure, mean.answer),
        f"Not distinguishable: these data fit either being better. The accuracy of {second} minus "
        f"that of {first} is",
    )
    more = []
    accuracy = next((m for m in found.by_group if m.measure == "accuracy"), None)
    if accuracy is not None and len(accuracy.groups) > 1:
        more.append(_by_group(second, accuracy))
    if spread := by_name.get("overall.std_sample"):
        more.append(_evener(second, spread))
    return Answer(question, f"{answer} {_difference(mean)}.", tuple(more))


def _by_group(second: str, accuracy: ComparedMeasure) -> str:
    if accuracy.better_everywhere:
        return (
            f"{second} is more accurate in every group "
            f"(p {p_value(accuracy.p_better_everywhere)}, intersection–union)."
        )
    better = [g.group for g in accuracy.groups if g.answer == "higher"]
    worse = [g.group for g in accuracy.groups if g.answer == "lower"]
    said = [
        f"{words} in {listed(groups)}"
        for words, groups in (("more accurate", better), ("less accurate", worse))
        if groups
    ]
    rest = len(accuracy.groups) - len(better) - len(worse)
    if not said:
        return "In no single group do the two differ beyond chance (Holm’s correction)."
    others = f"; not distinguishable in the other {rest}" if rest else ""
    return f"{second} is {listed(said)}{others} (Holm’s correction)."


def _evener(second: str, spread: ComparedOverall) -> str:
    words = {"better": "smaller", "worse": "larger"}.get(worded(spread.measure, spread.answer))
    if words is None:
        return f"These data do not show whether the STD over groups differs: {_difference(spread)}."
    return f"{second} has a {words} STD over groups: {_difference(spread)}."


def _difference(found: ComparedOverall) -> str:
    difference, shown = found.difference, measure(found.measure)
    unit = " points" if shown.scale != 1 else ""
    said = format_estimate(difference, scale=shown.scale, sign=True, unit=unit)
    return f"{said} (p {p_value(difference.p_value)})"


def _groups_of_search(rates: dict[str, Estimate]) -> Iterator[str]:
    if len(rates) > 1:
        known, small = _known(rates)
        yield f"By group: {'; '.join(f'{g} {_rate(rate)}' for g, rate in known.items())}{small}."


def _ends(known: Mapping[str, Estimate]) -> tuple[str, str]:
    """The groups of the lowest and of the highest value."""
    ordered = sorted(known, key=lambda group: known[group].value or 0.0)
    return ordered[0], ordered[-1]


def _rate(estimate: Estimate, digits: int = 2) -> str:
    if estimate.value is None:
        return "an undefined share"
    if says_nothing(estimate):
        return f"a share that so little data does not show ({interval(estimate, digits=0)} %)"
    return format_estimate(estimate, digits=digits, unit=" %")


def intervals_said(chapter: Chapter) -> str:
    """What brackets are, in a sentence."""
    bootstrap = chapter.first.bootstrap
    if not bootstrap.replicates:
        return "No intervals were asked for."
    unit = "people" if bootstrap.unit == "identity" else "pairs"
    return (
        f"Brackets are {coverage(bootstrap.level)} intervals from {bootstrap.replicates:,} "
        f"resamples of the {unit}: what other {unit} of the same kind might have given."
    )
