"""The grid: which arms a study has. Importing this needs neither torch nor faces."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evenface.errors import UsageError
from evenface.study.spec import NO_TEACHER, StudySpec, teacher_id


@dataclass(frozen=True)
class Cell:
    """One arm of the grid: what is trained once with each training seed.

    Attributes:
        id: unique in the study, good for a folder's name.
        title: for people.
        set: name of the training set.
        teacher: id of the teacher, None without distillation.
        levels: factor → level; without distillation none of the factors that concern it.
        overrides: what set and levels change in the student's recipe (dotted keys).
        note: what the study file says of it (``arm_notes``); "" for nothing.
    """

    id: str
    title: str
    set: str
    teacher: str | None
    levels: Mapping[str, str]
    overrides: Mapping[str, Any]
    note: str = ""


def cells(spec: StudySpec) -> list[Cell]:
    """All arms: training set by training set, in each level by level, first without a teacher.

    Raises:
        UsageError: no arm is left by the constraints, two would have one name, or two levels of an
            arm change one key.
    """
    found: dict[str, Cell] = {}
    teachers = [teacher_id(teacher) for teacher in spec.teachers]
    distilled_only = {f for f, levels in spec.factors.items() if _of_distillation(levels)}
    for name in spec.training_sets:
        for chosen in itertools.product(*spec.factors.values()):
            levels = dict(zip(spec.factors, chosen, strict=True))
            for teacher in (None, *teachers):
                of = {f: v for f, v in levels.items() if teacher or f not in distilled_only}
                place = {**of, "set": name, "teacher": teacher or NO_TEACHER}
                if not _allowed(spec, place):
                    continue
                note = next((n.note for n in spec.arm_notes if n.applies(place)), "")
                cell = replace(_cell(spec, name, teacher, of), note=note)
                if found.setdefault(cell.id, cell) != cell:
                    raise UsageError(
                        f"{spec.name}: two arms would be called {cell.id}; rename a level or a "
                        "training set"
                    )
    if not found:
        raise UsageError(f"{spec.name}: the constraints leave no arm")
    return list(found.values())


def _allowed(spec: StudySpec, levels: Mapping[str, str]) -> bool:
    return all(constraint.allows(levels) for constraint in spec.constraints)


def _of_distillation(levels: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a factor says how to distil and nothing else."""
    keys = [key for changes in levels.values() for key in changes]
    return bool(keys) and all(key.split(".")[0] == "distill" for key in keys)


def _cell(spec: StudySpec, name: str, teacher: str | None, levels: Mapping[str, str]) -> Cell:
    first = spec.training_sets[name].pretrained
    # Where the set is, whoever makes the recipe says.
    overrides = {} if first is None else {**first.overrides, "pretrain.data": first.set}
    for factor, level in levels.items():
        changes = spec.factors[factor][level]
        if both := set(overrides) & set(changes):
            raise UsageError(
                f"{spec.name}: two factors, or a factor and the pretraining of the set {name}, "
                f"change {', '.join(sorted(both))}; one of them is {factor}"
            )
        overrides |= changes
    shown = [level for factor, level in levels.items() if len(spec.factors[factor]) > 1]
    end, words = "plain", "without KD"
    if teacher is not None:
        end, words = f"kd-{teacher}", f"KD from {teacher}"
    return Cell(
        id="-".join((name, *shown, end)),
        title=", ".join((name, *shown, words)),
        set=name,
        teacher=teacher,
        levels=dict(levels),
        overrides=overrides,
    )
