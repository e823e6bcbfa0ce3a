"""Scores of classes, image by image, and the vote of an identity's images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

ABSTAIN = 0.6
"""An identity whose best score is lower gets no label."""
MAX_IMAGES = 10
"""Images of an identity to learn from at most."""
OTHER = "other"
"""Class of a classifier that means none of those it names: never a label."""


@dataclass(frozen=True)
class IdentityScores:
    """Mean scores of identities.

    ``scores`` (I, C) in [0, 1], each row sums to 1; ``images`` (I,) how many were scored.
    """

    classes: tuple[str, ...]
    identities: tuple[str, ...]
    scores: np.ndarray
    images: np.ndarray

    def select(self, some: np.ndarray) -> Self:
        """The identities of a mask (I,)."""
        chosen = np.flatnonzero(some)
        names = tuple(self.identities[i] for i in chosen)
        return replace(
            self, identities=names, scores=self.scores[chosen], images=self.images[chosen]
        )


@dataclass(frozen=True)
class Decisions:
    """What the vote says of each identity; ``labels`` holds None where it abstains."""

    best: np.ndarray
    """(I,) objects: the class with the best mean score; of equals the first."""
    confidence: np.ndarray
    """(I,) its score."""
    labels: np.ndarray
    """(I,) objects: ``best``, or None where it is too uncertain or "other"."""


def vote(
    scores: np.ndarray, labels: np.ndarray, names: tuple[str, ...], classes: tuple[str, ...]
) -> IdentityScores:
    """Mean of the scores (N, C) of each identity's images; ``labels`` (N,) index ``names``.

    Identities without an image are left out.
    """
    images = np.bincount(labels, minlength=len(names))
    sums = np.stack([np.bincount(labels, column, len(names)) for column in scores.T], axis=1)
    present = np.flatnonzero(images)
    return IdentityScores(
        classes=classes,
        identities=tuple(names[i] for i in present),
        scores=sums[present] / images[present, None],
        images=images[present],
    )


def decide(scores: IdentityScores, abstain: float) -> Decisions:
    """The best class of each identity, or none where its score is below ``abstain``."""
    best = scores.scores.argmax(axis=1)
    confidence = scores.scores[np.arange(len(best)), best]
    named = np.array(scores.classes, dtype=object)[best]
    other = np.array([name.lower() == OTHER for name in named], dtype=bool)
    labels = named.copy()
    labels[(confidence < abstain) | other] = None
    return Decisions(named, confidence, labels)
