"""Verification while training: accuracy and EER of each group, on the same pairs every time.

It reads and changes nothing: embedding draws no random numbers, leaves every module in its own mode
and the running statistics as they are. Nothing in training depends on what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from evenface.console import warn
from evenface.errors import DataError, UsageError
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.faces import Faces
from evenface.evaluate.protocol_specs import ProtocolOptions, spec_path, tasks_of
from evenface.evaluate.protocols import Pairs, Protocol
from evenface.evaluate.seen import TrainingSet, seen_in_training
from evenface.evaluate.tasks import Task
from evenface.evaluate.templates import is_template_set
from evenface.models import embed
from evenface.seeds import generator
from evenface.train.job import Job
from evenface.train.recipe import WatchRecipe


@dataclass(frozen=True)
class Verified:
    """One verification.

    Attributes:
        protocol: its name.
        accuracy: group → 10-fold accuracy in [0, 1].
        eer: group → equal error rate of the same pairs in [0, 1].
    """

    protocol: str
    accuracy: dict[str, float]
    eer: dict[str, float]

    def record(self) -> dict[str, Any]:
        """A line of the log."""
        return {"protocol": self.protocol, "accuracy": self.accuracy, "eer": self.eer}

    def text(self) -> str:
        """For the progress line."""
        groups = ", ".join(
            f"{group} {100 * value:.1f} % (EER {100 * self.eer[group]:.1f} %)"
            for group, value in self.accuracy.items()
        )
        return f"{self.protocol}: {groups}"

    def values(self) -> dict[str, float]:
        """For sinks: ``verification/<protocol>/<group>/accuracy`` and ``…/eer``."""
        return {
            f"verification/{self.protocol}/{group}/{measure}": value
            for measure, of in (("accuracy", self.accuracy), ("eer", self.eer))
            for group, value in of.items()
        }


class Watch:
    """Verifies backbones on pairs that stay the same.

    Args:
        sets: protocols over (n,) images each.
        every: steps between two verifications.
        batch_size: images a forward pass.
    """

    def __init__(self, sets: Sequence[_Images], every: int, batch_size: int) -> None:
        self._sets = sets
        self.every = every
        self._batch_size = batch_size

    @classmethod
    def open(cls, job: Job) -> Self:
        """What a job's recipe watches; it warns of people that are in the training set.

        Raises:
            UsageError: the protocol compares something else than two images, has no group's worth
                of pairs, or an option that cannot be.
            DataError: it cannot be read.
        """
        recipe = job.recipe
        watch = recipe.watch
        assert watch is not None
        options = ProtocolOptions(group_by=watch.group_by, split=watch.split)
        trained_on = TrainingSet(job.manifest.fingerprint, recipe.data)
        sets = []
        for task in tasks_of(watch.protocol, options):
            sets.append(_images(task, watch))
            if note := seen_in_training(trained_on, task.faces):
                warn(f"watch: {task.name}: {note}")
        return cls(sets, watch.every, recipe.batch_size // recipe.micro_batches)

    def verify(self, backbone: nn.Module) -> list[Verified]:
        """Accuracy and EER of every protocol, as ``evenface evaluate`` has them of these pairs.

        A protocol on which the backbone gives no usable embeddings (not finite, or of length 0) is
        left out with a warning.

        Args:
            backbone: embeds images and their mirror images; stays as it is.
        """
        found = []
        for images in self._sets:
            try:
                found.append(images.verify(backbone, self._batch_size))
            except DataError as error:
                warn(f"watch: {images.protocol.name}: not verified: {error}")
        return found


@dataclass(frozen=True, eq=False)
class _Images:
    """A protocol over some rows of faces.

    Attributes:
        faces: the images.
        rows: (n,) those that are compared.
        protocol: its pairs count in ``rows``.
    """

    faces: Faces
    rows: NDArray[np.int64]
    protocol: Protocol

    def verify(self, backbone: nn.Module, batch_size: int) -> Verified:
        parts = []
        for start in range(0, len(self.rows), batch_size):
            images = self.faces.images(self.rows[start : start + batch_size])
            mirrored = np.ascontiguousarray(images[:, :, ::-1])
            parts.append(
                embed(backbone, images, batch_size=batch_size)
                + embed(backbone, mirrored, batch_size=batch_size)
            )
        result = evaluate_embeddings(
            np.concatenate(parts), self.protocol, replicates=0, detail=False
        )
        return Verified(
            self.protocol.name,
            {group: _rounded(of.accuracy.value) for group, of in result.groups.items()},
            {group: _rounded(of.eer.value) for group, of in result.groups.items()},
        )


def _rounded(value: float | None) -> float:
    assert value is not None  # every group has pairs of both kinds
    return round(value, 6)


def _images(task: Task, watch: WatchRecipe) -> _Images:
    """The fold pairs of a task, at most as many of a group as are asked for."""
    protocol = task.protocol
    if protocol is None or is_template_set(spec_path(watch.protocol)):
        raise UsageError(
            f"watch.protocol {watch.protocol}: watching compares pairs of images. Give a set of "
            "pairs or a data set; evaluate templates and identification after training"
        )
    pairs = protocol.fold_pairs
    if watch.pairs_per_group is not None:
        pairs = _at_most(pairs, watch.pairs_per_group, protocol)
    rows, place = np.unique(np.concatenate([pairs.a, pairs.b]), return_inverse=True)
    numbered = replace(pairs, a=place[: len(pairs)], b=place[len(pairs) :])
    return _Images(
        task.faces,
        rows,
        replace(
            protocol,
            fold_pairs=numbered,
            score_pairs=numbered,
            identity=protocol.identity[rows],
        ),
    )


def _at_most(pairs: Pairs, limit: int, protocol: Protocol) -> Pairs:
    """So many pairs of each group, half of them genuine, as many in every fold."""
    kept = []
    for group in np.unique(pairs.group):
        rng = generator(protocol.seed, "watch", protocol.groups[group])
        of_group = pairs.group == group
        folds = np.unique(pairs.fold[of_group])
        share = limit // (2 * len(folds))
        if not share:
            raise UsageError(
                f"watch.pairs_per_group {limit}: '{protocol.name}' has {len(folds)} folds, which "
                f"need at least {2 * len(folds)} pairs"
            )
        for fold in folds:
            for genuine in (True, False):
                rows = np.flatnonzero(of_group & (pairs.fold == fold) & (pairs.genuine == genuine))
                if len(rows) > share:
                    rows = np.sort(rng.choice(rows, share, replace=False))
                kept.append(rows)
    return pairs.select(np.concatenate(kept))
