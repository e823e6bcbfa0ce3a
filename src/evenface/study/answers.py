"""What a study's evaluations say: arms with joint intervals, differences, and claims."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evenface.evaluate import Evaluation
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.study.claims import (
    Claim,
    gap_closed,
    gap_closed_synthetic,
    kd_helps_on_others,
    kd_lowers_unevenness,
    kd_raises_accuracy,
    mix_matches_real,
)
from evenface.study.differences import Difference, kd_differences
from evenface.study.wording import FEW_SEEDS


@dataclass(frozen=True)
class Arm:
    """A training set with a teacher or none, trained once for each seed; or a reference model."""

    id: str
    title: str
    kind: Literal["student", "teacher", "untrained"]
    set: str | None
    kd: bool | None
    teacher: str | None
    """Id of the teacher that a student distils from, or that this arm is."""
    seeds: tuple[int, ...]
    """Empty for a teacher."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """Factor → level."""


def summarise(
    arms: Sequence[Arm],
    evaluations: Mapping[str, Mapping[str, Sequence[Evaluation]]],
    *,
    others: Collection[str] = (),
    level: float = 0.95,
) -> dict[str, Any]:
    """The entries "evaluations", "differences" and "claims" of ``results.json``.

    Args:
        arms: in the order of the tables.
        evaluations: arm id → benchmark id → one evaluation for each of the arm's seeds, in the
            order of ``Arm.seeds``. On one benchmark all arms have one protocol, bootstrap seed and
            number of replicates (at least one).
        others: ids of benchmarks of other people as a whole, asked about EER only.
        level: the evaluations' level.

    Raises:
        ValueError: evaluations of another level, or that cannot be paired.
    """
    benchmarks = list(dict.fromkeys(b for of_arm in evaluations.values() for b in of_arm))
    found = [_Benchmark(b, arms, evaluations, b in others, level) for b in benchmarks]
    # Claims on groups come before those on other people.
    found_claims = [claim for b in found for claim in b.claims()]
    found_claims.sort(key=lambda claim: claim.id.startswith("real-people:"))
    return {
        "evaluations": {
            arm.id: {
                b.id: b.evaluations[arm.id].to_dict() for b in found if arm.id in b.evaluations
            }
            for arm in arms
        },
        "differences": [row.describe() for b in found for row in b.differences()],
        "claims": [claim.describe() for claim in found_claims],
    }


class _Benchmark:
    """All arms on one benchmark."""

    def __init__(
        self,
        identifier: str,
        arms: Sequence[Arm],
        evaluations: Mapping[str, Mapping[str, Sequence[Evaluation]]],
        of_others: bool,
        level: float,
    ) -> None:
        self.id = identifier
        self.of_others = of_others
        self.arms = [arm for arm in arms if identifier in evaluations.get(arm.id, {})]
        self.evaluations: dict[str, ArmEvaluation] = {}
        for arm in self.arms:
            of_seeds = evaluations[arm.id][identifier]
            for evaluation in of_seeds:
                if evaluation.bootstrap.level != level:
                    raise ValueError(
                        f"{arm.id} on {identifier}: evaluated at level "
                        f"{evaluation.bootstrap.level}, not {level}"
                    )
            self.evaluations[arm.id] = evaluate_arm(of_seeds, arm.seeds, model=arm.id)
        students = [arm for arm in self.arms if arm.kind == "student"]
        self.sets = list(dict.fromkeys(arm.set for arm in students if arm.set is not None))
        self.teachers = list(dict.fromkeys(arm.teacher for arm in students if arm.teacher))
        self.several_groups = any(len(of.groups) > 1 for of in self.evaluations.values())

    def differences(self) -> list[Difference]:
        return [
            row
            for teacher in self.teachers
            for name, plain, distilled in self._pairs(teacher)
            for row in kd_differences(
                plain, distilled, training_set=name, benchmark=self.id, teacher=teacher
            )
        ]

    def claims(self) -> list[Claim]:
        seeds = min((len(arm.seeds) for arm in self.arms if arm.kind == "student"), default=0)
        caution = _caution(seeds)
        return [replace(claim, statement=claim.statement + caution) for claim in self._claims()]

    def _claims(self) -> list[Claim]:
        if self.of_others:
            return [claim for teacher in self.teachers for claim in self._on_others(teacher)]
        claims = [claim for teacher in self.teachers for claim in self._on_groups(teacher)]
        real, mix = self._student("real"), self._student("mix")
        if real and mix:
            claims.append(mix_matches_real(real, mix, benchmark=self.id, teacher=None))
        return claims

    def _on_groups(self, teacher: str) -> Iterator[Claim]:
        # One group cannot be uneven.
        unevenness = (kd_lowers_unevenness,) if self.several_groups else ()
        for rule in (kd_raises_accuracy, *unevenness):
            for name, plain, distilled in self._pairs(teacher):
                yield rule(plain, distilled, training_set=name, benchmark=self.id, teacher=teacher)
        real, synthetic = self._student("real"), self._student("synthetic")
        real_kd, synthetic_kd, mix_kd = (
            self._student(name, teacher) for name in ("real", "synthetic", "mix")
        )
        if real and synthetic and synthetic_kd:
            if real_kd:
                yield gap_closed(
                    real, real_kd, synthetic, synthetic_kd, benchmark=self.id, teacher=teacher
                )
            yield gap_closed_synthetic(
                real, synthetic, synthetic_kd, benchmark=self.id, teacher=teacher
            )
        if real_kd and mix_kd:
            yield mix_matches_real(real_kd, mix_kd, benchmark=self.id, teacher=teacher)

    def _on_others(self, teacher: str) -> Iterator[Claim]:
        plain, distilled = self._student("synthetic"), self._student("synthetic", teacher)
        references = {
            arm.title: self.evaluations[arm.id]
            for arm in self.arms
            if arm.kind == "untrained" or (arm.kind == "teacher" and arm.teacher == teacher)
        }
        if plain and distilled:
            yield kd_helps_on_others(
                plain, distilled, references, benchmark=self.id, teacher=teacher
            )

    def _pairs(self, teacher: str) -> Iterator[tuple[str, ArmEvaluation, ArmEvaluation]]:
        """Training sets that have students without a teacher and with this one."""
        for name in self.sets:
            plain, distilled = self._student(name), self._student(name, teacher)
            if plain and distilled:
                yield name, plain, distilled

    def _student(self, training_set: str, teacher: str | None = None) -> ArmEvaluation | None:
        for arm in self.arms:
            if (arm.kind, arm.set, arm.teacher) == ("student", training_set, teacher):
                return self.evaluations[arm.id]
        return None


def _caution(seeds: int) -> str:
    """What a claim decided from few training seeds must say; "" with enough."""
    if seeds >= FEW_SEEDS:
        return ""
    if seeds == 1:
        return " One training seed: chance in training is not covered."
    return f" {seeds} training seeds show little of the chance in training."
