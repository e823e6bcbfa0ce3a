"""Studies whose truth is known: accuracies with chance in people, in training and in both.

An arm's accuracy on identity i of group g with training seed t is

    truth_g + people_i + own_i + training_t + training_tg + rest_ti,

with ``people`` the same for all arms, everything else an arm's own. Replicates resample identities
alike for all arms, as :mod:`evenface.evaluate.bootstrap` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arm_models import model
from evenface.evaluate import Evaluation
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.bootstrap import identity_counts
from evenface.study.arm import Arm


@dataclass(frozen=True)
class Chance:
    """Standard deviations of the parts that chance has in an accuracy."""

    people: float = 0.10
    own: float = 0.04
    training: float = 0.01
    training_of_group: float = 0.005
    rest: float = 0.04
    identities: int = 60
    replicates: int = 200


class Simulation:
    """Arms of one simulated study.

    Args:
        chance: its parts.
        rng: decides everything.
        groups: how many.
    """

    def __init__(self, chance: Chance, rng: int, groups: int = 3) -> None:
        self.chance, self.rng = chance, rng
        self.groups = groups
        self._rng = np.random.default_rng(rng)
        shape = (groups, chance.identities)
        self._people = self._rng.normal(0, chance.people, shape)
        counts = [
            identity_counts(chance.identities, chance.replicates, rng, str(g))
            for g in range(groups)
        ]
        self._counts = np.stack(counts, axis=1) / chance.identities

    def evaluations(self, truth: Sequence[float], seeds: int = 3) -> list[Evaluation]:
        """One for each seed, of an arm whose groups have these accuracies in truth."""
        chance, rng = self.chance, self._rng
        shape = (self.groups, chance.identities)
        of_people = np.asarray(truth)[:, None] + self._people + rng.normal(0, chance.own, shape)
        found = []
        for _ in range(max(1, seeds)):
            training = rng.normal(0, chance.training) + rng.normal(
                0, chance.training_of_group, (self.groups, 1)
            )
            accuracies = of_people + training + rng.normal(0, chance.rest, shape)
            found.append(self._model(accuracies))
        return found

    def arm(self, truth: Sequence[float], seeds: int = 3) -> ArmEvaluation:
        """The same as one evaluation."""
        return evaluate_arm(self.evaluations(truth, seeds), range(seeds))

    def _model(self, accuracies: NDArray[np.float64]) -> Evaluation:
        samples = np.einsum("rgi,gi->rg", self._counts, accuracies)
        return model(
            np.clip(accuracies.mean(axis=1), 0, 1).tolist(),
            np.clip(samples, 0, 1),
            identities=self.chance.identities,
            dyads=2,
        )


def student(
    training_set: str,
    teacher: str | None = None,
    levels: Mapping[str, str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> Arm:
    """A student of a study with these levels."""
    levels = levels or {}
    parts = [training_set, *levels.values(), f"kd-{teacher}" if teacher else "plain"]
    name = "-".join(parts)
    return Arm(
        id=name,
        title=name,
        kind="student",
        set=training_set,
        kd=teacher is not None,
        teacher=teacher,
        seeds=tuple(seeds),
        levels=levels,
    )
