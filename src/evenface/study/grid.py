"""The arms of a study on one benchmark, found by training set, teacher and levels of factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evenface.evaluate import Evaluation
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.study.arm import Arm, Kind
from evenface.study.claim_settings import ClaimSettings
from evenface.study.record import Claim
from evenface.study.wording import FEW_SEEDS, listed

Key = tuple[str, str | None]
"""A training set and a teacher, None for none."""
Levels = Mapping[str, str]
Pair = tuple[ArmEvaluation, ArmEvaluation]
_PURE: Mapping[float | None, Kind] = {1.0: "real", 0.0: "synthetic"}


class Grid:
    """All arms that were evaluated on one benchmark.

    Args:
        benchmark: its id.
        arms: of the study.
        evaluations: as for :func:`evenface.study.answers.summarise`.
        of_others: whether it is of other people as a whole.
        kinds: training set → what it is made of; None for :func:`kind_by_name`.
        real_fractions: training set → share of real faces; sets of 1 and 0 are real and synthetic
            whatever ``kinds`` calls them.
        right_labels: of training sets that differ in nothing else, set → share of right labels.
        factors: factor → its levels, the first being what others are compared with; None for their
            order among the arms.
        settings: of the rules.

    Raises:
        ValueError: evaluations of another level than that of ``settings``, or an arm's evaluations
            do not belong together.
    """

    def __init__(
        self,
        benchmark: str,
        arms: Sequence[Arm],
        evaluations: Mapping[str, Mapping[str, Sequence[Evaluation]]],
        *,
        of_others: bool,
        kinds: Mapping[str, Kind] | None = None,
        real_fractions: Mapping[str, float] | None = None,
        right_labels: Sequence[Mapping[str, float]] = (),
        factors: Mapping[str, Sequence[str]] | None = None,
        settings: ClaimSettings,
    ) -> None:
        self.benchmark = benchmark
        self.of_others = of_others
        self.settings = settings
        self.arms = [arm for arm in arms if evaluations.get(arm.id, {}).get(benchmark)]
        self._models = {arm.id: evaluations[arm.id][benchmark] for arm in self.arms}
        self.holes = [a.title for a in arms if a.kind == "student" and a.id not in self._models]
        """Titles of students without an evaluation."""
        for identifier, of_seeds in self._models.items():
            for evaluation in of_seeds:
                if evaluation.bootstrap.level != settings.level:
                    raise ValueError(
                        f"{identifier} on {benchmark}: evaluated at level "
                        f"{evaluation.bootstrap.level}, not {settings.level}"
                    )
        self._evaluated: dict[tuple[str, tuple[int, ...]], ArmEvaluation] = {}
        students = [arm for arm in self.arms if arm.kind == "student"]
        self._students = {
            (arm.set, arm.teacher, frozenset(arm.levels.items())): arm for arm in students
        }
        self.sets = list(dict.fromkeys(arm.set for arm in students if arm.set is not None))
        self.teachers = list(dict.fromkeys(arm.teacher for arm in students if arm.teacher))
        given = real_fractions or {}
        self.real_fractions = {name: given[name] for name in self.sets if name in given}
        self.right_labels = [
            {name: family[name] for name in self.sets if name in family} for family in right_labels
        ]
        self.kinds: dict[str, Kind] = {
            name: _PURE.get(given.get(name)) or (kinds or {}).get(name) or kind_by_name(name)
            for name in self.sets
        }
        self.factors = _levels(students, factors or {})
        self.of_distillation = {
            factor
            for factor in self.factors
            if not any(factor in arm.levels for arm in students if arm.teacher is None)
        }
        """Factors that students without a teacher have no level of."""
        self.groups = list(next(iter(self._models.values()))[0].groups)

    def has(self, arm: Arm) -> bool:
        """Whether the arm was evaluated here."""
        return arm.id in self._models

    def whole(self, arm: Arm) -> ArmEvaluation:
        """The arm with all its seeds."""
        return self._evaluate(arm, arm.seeds)

    def of_kind(self, kind: Kind) -> list[str]:
        """Training sets made of this, in the order of the study."""
        return [name for name in self.sets if self.kinds[name] == kind]

    @property
    def factorial(self) -> bool:
        """Whether the study asks for more than one set of each kind under one condition."""
        several_levels = any(len(levels) > 1 for levels in self.factors.values())
        return several_levels or any(
            len(self.of_kind(kind)) > 1 for kind in ("real", "synthetic", "mix")
        )

    def slices(self, teacher: str | None) -> list[Levels]:
        """Combinations of levels that students with this teacher, or without one, have."""
        found = [
            arm.levels for arm in self.arms if arm.kind == "student" and arm.teacher == teacher
        ]
        return [dict(items) for items in dict.fromkeys(tuple(levels.items()) for levels in found)]

    def student(self, key: Key, levels: Levels) -> Arm | None:
        """The student of a training set and a teacher in a slice; None where there is none.

        Without a teacher the levels of factors of distillation do not matter.
        """
        name, teacher = key
        if teacher is None:
            levels = {f: level for f, level in levels.items() if f not in self.of_distillation}
        return self._students.get((name, teacher, frozenset(levels.items())))

    def matched(self, *keys: Key, levels: Levels) -> tuple[ArmEvaluation, ...] | None:
        """The students of these keys in a slice, all with the seeds that all of them have.

        None where one of them, or a common seed, is missing.
        """
        return self.matched_arms([self.student(key, levels) for key in keys])

    def matched_arms(self, arms: Sequence[Arm | None]) -> tuple[ArmEvaluation, ...] | None:
        """These arms as :meth:`matched` has them."""
        there = [arm for arm in arms if arm is not None]
        common = _common_seeds(there)
        if len(there) < len(arms) or not common:
            return None
        return tuple(self._evaluate(arm, common) for arm in there)

    def pair(self, first: Key, second: Key, levels: Levels) -> Pair | None:
        """Two students as :meth:`matched` has them."""
        found = self.matched(first, second, levels=levels)
        return (found[0], found[1]) if found else None

    def kd_pairs(self, teacher: str) -> Iterator[tuple[Levels, str, Pair]]:
        """Slice, training set, and its students without a teacher and with this one."""
        for levels in self.slices(teacher):
            for name in self.sets:
                if found := self.pair((name, None), (name, teacher), levels):
                    yield levels, name, found

    def title(self, name: str, levels: Levels) -> str:
        """A cell in words: "mix, backbone mini_l"."""
        return ", ".join(part for part in (name, self.words(levels)) if part)

    def aligned(self, cells: Mapping[str, tuple[Arm, Arm]]) -> tuple[dict[str, Pair], str]:
        """Pairs with the same seeds in all cells, to be averaged, and a sentence on other cells.

        Cells that lack a seed are left out; where all do, the seeds that all have are used.

        Args:
            cells: title → the arms that are compared.
        """
        every = list(dict.fromkeys(s for arms in cells.values() for arm in arms for s in arm.seeds))
        complete = {
            title: arms
            for title, arms in cells.items()
            if all(set(arm.seeds) == set(every) for arm in arms)
        }
        kept = complete or cells
        common = _common_seeds([arm for arms in kept.values() for arm in arms])
        if not common:
            return {}, ""
        out = [title for title in cells if title not in kept]
        note = f" Left out, as training seeds are missing: {listed(out)}." if out else ""
        return {
            title: (self._evaluate(first, common), self._evaluate(second, common))
            for title, (first, second) in kept.items()
        }, note

    def suffix(self, levels: Levels) -> str:
        """What an id has of a slice: ":<level>-<level>", without factors of one level."""
        named = [level for factor, level in levels.items() if len(self.factors[factor]) > 1]
        return f":{'-'.join(named)}" if named else ""

    def words(self, levels: Levels) -> str:
        """A slice in words, "backbone mini_l and head adaface"; "" where there is but one."""
        return listed([f"{f} {level}" for f, level in levels.items() if len(self.factors[f]) > 1])

    def answer(self, claim: Claim, compared: Sequence[ArmEvaluation], levels: Levels) -> Claim:
        """A claim with its slice in id and words, and what few or missing seeds mean for it.

        Args:
            claim: as its rule gave it.
            compared: the students behind it.
            levels: the slice; empty where it is of all of them.
        """
        words, statement, question = self.words(levels), claim.statement, claim.question
        if words:
            question = f"{question.removesuffix('?')}, for {words}?"
            statement = f"For {words}: {statement}"
        seeds = min(len(evaluation.seeds) for evaluation in compared)
        verdict = claim.verdict
        if seeds < self.settings.seeds and verdict in ("supported", "not supported"):
            verdict = "undecided"
        statement += self._missing(compared) + _caution(seeds, self.settings.seeds)
        return claim.model_copy(
            update={
                "id": claim.id + self.suffix(levels),
                "question": question,
                "statement": statement,
                "verdict": verdict,
                "levels": dict(levels),
            }
        )

    def without_holes(self) -> str:
        """A sentence on students that an answer about the whole grid has to do without; or ""."""
        if not self.holes:
            return ""
        return f" Without an evaluation, and so left out: {'; '.join(self.holes)}."

    def _evaluate(self, arm: Arm, seeds: tuple[int, ...]) -> ArmEvaluation:
        key = (arm.id, seeds)
        if key not in self._evaluated:
            models = self._models[arm.id]
            kept = models if seeds == arm.seeds else [models[arm.seeds.index(s)] for s in seeds]
            self._evaluated[key] = evaluate_arm(kept, seeds, model=arm.id)
        return self._evaluated[key]

    def _missing(self, compared: Sequence[ArmEvaluation]) -> str:
        """A sentence where an arm has a seed that it was not compared on, or lacks one; else ""."""
        used = {tuple(model.seed for model in of.seeds) for of in compared}
        if len(used) > 1:
            return " Training seeds are missing in some cells."
        (seeds,) = used
        ids = {of.model for of in compared}
        if all(set(arm.seeds) == set(seeds) for arm in self.arms if arm.id in ids):
            return ""
        kept = listed([str(seed) for seed in seeds])
        return f" Compared on training seed{'s' if len(seeds) > 1 else ''} {kept}, which all have."


def kind_by_name(name: str) -> Kind:
    """What a training set called real or synthetic is made of; any other is a mix."""
    if name == "real":
        return "real"
    return "synthetic" if name == "synthetic" else "mix"


def _levels(students: Sequence[Arm], known: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Factor → the levels that students have, in the known order or else in that of the arms."""
    found: dict[str, list[str]] = {}
    for arm in students:
        for factor, level in arm.levels.items():
            of_factor = found.setdefault(factor, [])
            if level not in of_factor:
                of_factor.append(level)
    for factor, of_factor in found.items():
        place = {level: i for i, level in enumerate(known.get(factor, ()))}
        of_factor.sort(key=lambda level: place.get(level, len(place)))
    return found


def _common_seeds(arms: Sequence[Arm]) -> tuple[int, ...]:
    first = arms[0].seeds if arms else ()
    return tuple(seed for seed in first if all(seed in arm.seeds for arm in arms))


def _caution(seeds: int, least: int) -> str:
    """What a claim decided from few training seeds must say; "" with enough."""
    if seeds >= FEW_SEEDS:
        return ""
    if seeds == 1:
        said = " One training seed: chance in training is not covered"
    else:
        said = f" {seeds} training seeds show little of the chance in training"
    if seeds >= least:
        return f"{said}."
    return f"{said}, so nothing is decided whatever the intervals say (that takes {least})."
