"""What pages call training sets and teachers: one name each, in charts, tables and sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from evenface.study.record import (
    Claim,
    Difference,
    Inheritance,
    Model,
    Results,
    SweepPoint,
    Teacher,
    TrainingSet,
)

_SHARE = re.compile(r"[A-Za-z]+[-_]?(\d{1,3})")
_TEACHERS = {"study": "study teacher", "sface": "SFace"}
"""Names of the teachers that come with the package, where a study calls them by their ids."""
_Text = TypeVar("_Text", str, "str | None")
_Entry = TypeVar("_Entry", Difference, Inheritance, SweepPoint)


def set_label(name: str, real_fraction: float | None) -> str:
    """A training set's name; "20 % real" for one that is named by its share: "real-020"."""
    match = _SHARE.fullmatch(name)
    if match and real_fraction is not None and int(match[1]) == round(100 * real_fraction):
        return f"{round(100 * real_fraction)} % real"
    return name


def teacher_label(teacher: Teacher) -> str:
    """A teacher's name: "study teacher", "SFace", or what the user calls it."""
    return _TEACHERS.get(teacher.id, teacher.name) if teacher.name == teacher.id else teacher.name


def with_article(teacher: str) -> str:
    """A teacher's name within a sentence: "the study teacher", "SFace"."""
    return f"the {teacher}" if teacher.endswith("teacher") else teacher


def readable(results: Results) -> Results:
    """The results with each set and teacher under its one name, in fields and in sentences.

    Everything that a page shows comes from what this returns, so names cannot differ.
    """
    sets = {s.name: set_label(s.name, s.real_fraction) for s in results.sets}
    teachers = {t.id: teacher_label(t) for t in results.teachers}
    label, said = _replacer(sets, teachers, "{}"), _replacer(sets, teachers, "the {}")

    def model(of: Model) -> Model:
        title = teachers.get(of.teacher or "", "") if of.kind == "teacher" else label(of.title)
        if of.kind == "teacher" and not title.endswith("teacher"):
            title = f"{title} (teacher)" if title else of.title
        return of.model_copy(update={"title": title, "set": sets.get(of.set or "", of.set)})

    def claim(of: Claim) -> Claim:
        tests = tuple(t.model_copy(update={"label": label(t.label)}) for t in of.tests)
        update = {name: said(getattr(of, name)) for name in ("question", "statement", "rule")}
        return of.model_copy(update={**update, "id": label(of.id), "tests": tests})

    def training_set(of: TrainingSet) -> TrainingSet:
        return of.model_copy(update={"name": sets[of.name], "key": of.key or of.name})

    def renamed(entries: Iterable[_Entry], fraction: str = "") -> tuple[_Entry, ...]:
        """Entries of a training set, named in the field "set"."""
        return tuple(
            of.model_copy(
                update={
                    "set": sets.get(of.set) or set_label(of.set, getattr(of, fraction, None)),
                    **({"statement": said(of.statement)} if hasattr(of, "statement") else {}),
                }
            )
            for of in entries
        )

    study = results.study
    texts = {"statement": said(study.statement), "stand_ins": said(study.stand_ins)}
    names = [t.model_copy(update={"name": teachers[t.id]}) for t in results.teachers]
    sweeps = [s.model_copy(update={"points": renamed(s.points, "fraction")}) for s in results.sweep]
    return results.model_copy(
        update={
            "study": study.model_copy(update=texts),
            "teachers": tuple(names),
            "sets": tuple(map(training_set, results.sets)),
            "models": tuple(map(model, results.models)),
            "claims": tuple(map(claim, results.claims)),
            "differences": renamed(results.differences),
            "inheritance": renamed(results.inheritance),
            "sweep": tuple(sweeps),
            "strategies": tuple(
                of.model_copy(update={"points": renamed(of.points)}) for of in results.strategies
            ),
            "samples": {sets.get(name, name): path for name, path in results.samples.items()},
        }
    )


def _replacer(
    sets: Mapping[str, str], teachers: Mapping[str, str], article: str
) -> Callable[[_Text], _Text]:
    """Puts the names of pages in the place of those of the results.

    A teacher's id may be an everyday word ("study"): it is a name only after "from" or "of".
    """
    words = {name: label for name, label in sets.items() if name != label}
    words |= {"sface": "SFace"} if "SFace" in teachers.values() else {}
    of = {
        identifier: article.format(name) if name.endswith("teacher") else name
        for identifier, name in teachers.items()
        if identifier != name and identifier not in words
    }
    patterns = []
    if words:
        patterns.append((rf"(?<![\w-])({_any(words)})(?![\w-])", words))
    if of:
        patterns.append((rf"(?<=KD from )({_any(of)})(?![\w-]| teacher)", of))

    def replace(text: _Text) -> _Text:
        if text is None:
            return text
        for pattern, names in patterns:
            text = re.sub(pattern, partial(_name, names), text)
        return text

    return replace


def _name(names: Mapping[str, str], match: re.Match[str]) -> str:
    return names[match[1]]


def _any(words: Mapping[str, str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
