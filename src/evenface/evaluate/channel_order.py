"""Is a model given its colours in the right order, and its pixels on the right scale? Measured.

A recogniser trained on RGB still works on BGR, a little worse: a mistake that no error message
reveals. On labelled pairs the wrong order separates people less well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.bootstrap import percentile_interval
from evenface.evaluate.embeddings import cosines, unit_length
from evenface.evaluate.pairs import Rows
from evenface.evaluate.tasks import Task
from evenface.evaluate.verification import auc, dprime
from evenface.seeds import generator
from evenface.teachers.base import Teacher
from evenface.teachers.loading import load_teacher

PAIRS = 200
"""Most genuine, and most impostor, pairs that are looked at."""

_RESAMPLES = 500

SCALES: Mapping[str, tuple[Any, Any]] = {
    "(x − 127.5) / 127.5": (127.5, 127.5),
    "(x − 127.5) / 128": (127.5, 128.0),
    "x / 255": (0.0, 255.0),
    "x": (0.0, 1.0),
    "ImageNet's": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Normalisations that are met in the field, as mean and standard deviation of values 0–255."""

Verdict = Literal["as declared", "the other order scores higher", "cannot tell"]


@dataclass(frozen=True)
class Separation:
    """How far genuine and impostor cosines lie apart."""

    dprime: float
    auc: float


@dataclass(frozen=True)
class OrderCheck:
    """Both orders of the channels, on the same pairs."""

    declared: Separation
    swapped: Separation
    difference: tuple[float, float]
    """95 % interval of the d′ as declared minus the other, by a bootstrap over pairs."""
    genuine: int
    impostor: int
    verdict: Verdict

    def __str__(self) -> str:
        return (
            f"d′ {self.declared.dprime:.3f} (AUC {self.declared.auc:.4f}) as declared, "
            f"{self.swapped.dprime:.3f} ({self.swapped.auc:.4f}) with red and blue swapped; "
            f"difference of d′ {self.difference[0]:+.3f} to {self.difference[1]:+.3f} on "
            f"{self.genuine:,} genuine and {self.impostor:,} impostor pairs: {self.verdict}"
        )


@dataclass(frozen=True, eq=False)
class LabelledPairs:
    """A few pairs with their images."""

    images: NDArray[np.uint8]
    """(n, 112, 112, 3) RGB."""
    a: Rows
    b: Rows
    genuine: NDArray[np.bool_]


def some_pairs(task: Task, *, limit: int = PAIRS, seed: int = 0) -> LabelledPairs:
    """At most ``limit`` genuine and as many impostor pairs of a verification task, at random.

    Raises:
        DataError: the task has no pairs of images.
    """
    protocol = task.protocol
    if protocol is None or len(protocol.identity) != len(task.faces):
        raise DataError(f"{task.name}: channel orders are compared on pairs of images; it has none")
    pairs = protocol.score_pairs
    rng = generator(seed, "channel-order")
    chosen = []
    for kind in (True, False):
        of_kind = np.flatnonzero(pairs.genuine == kind)
        chosen.append(rng.choice(of_kind, min(limit, len(of_kind)), replace=False))
    taken = pairs.select(np.concatenate(chosen))
    rows, ends = np.unique(np.concatenate([taken.a, taken.b]), return_inverse=True)
    a, b = np.split(ends.astype(np.int64), 2)
    return LabelledPairs(task.faces.images(rows), a, b, taken.genuine)


def separation(model: Teacher, pairs: LabelledPairs) -> Separation:
    """Of the pairs' cosines."""
    return _separation(_scores(model, pairs), pairs)


def check_order(model: Teacher, pairs: LabelledPairs, *, seed: int = 0) -> OrderCheck:
    """Measure a model with its declared channel order and with the other one, on the same pairs."""
    other = LabelledPairs(
        np.ascontiguousarray(pairs.images[..., ::-1]), pairs.a, pairs.b, pairs.genuine
    )
    scores = np.stack([_scores(model, pairs), _scores(model, other)])
    genuine, impostor = scores[:, pairs.genuine], scores[:, ~pairs.genuine]
    rng = generator(seed, "channel-order-bootstrap")
    samples = np.stack(
        [
            _dprimes(
                genuine[:, rng.integers(0, genuine.shape[1], genuine.shape[1])],
                impostor[:, rng.integers(0, impostor.shape[1], impostor.shape[1])],
            )
            for _ in range(_RESAMPLES)
        ]
    )
    low, high = percentile_interval(samples[:, 0] - samples[:, 1])
    verdict: Verdict = "cannot tell"
    if low > 0:
        verdict = "as declared"
    elif high < 0:
        verdict = "the other order scores higher"
    return OrderCheck(
        declared=_separation(scores[0], pairs),
        swapped=_separation(scores[1], pairs),
        difference=(low, high),
        genuine=genuine.shape[1],
        impostor=impostor.shape[1],
        verdict=verdict,
    )


def _scores(model: Teacher, pairs: LabelledPairs) -> NDArray[np.float64]:
    return cosines(unit_length(model.embed(pairs.images)), pairs.a, pairs.b).astype(np.float64)


def _separation(scores: NDArray[np.float64], pairs: LabelledPairs) -> Separation:
    return Separation(
        dprime=float(dprime(scores, pairs.genuine)), auc=float(auc(scores, pairs.genuine))
    )


def _dprimes(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) d′ of scores (K, n) and (K, m); 0 where neither varies."""
    spread = np.sqrt((genuine.var(axis=1) + impostor.var(axis=1)) / 2)
    distance = genuine.mean(axis=1) - impostor.mean(axis=1)
    return np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)


def probe_preprocessing(
    spec: str, pairs: LabelledPairs, **options: Any
) -> list[tuple[str, str, Separation]]:
    """Measure a model file with every scale of :data:`SCALES` and both orders, best first.

    Args:
        spec: an ONNX or TorchScript file.
        pairs: what to measure on.
        options: further ones of :func:`load_teacher`, such as ``layout``.

    Returns:
        (scale, order, separation), of which those whose embeddings are not finite are left out.

    Raises:
        UsageError: the model takes no such options.
        DataError: it works with none of them.
    """
    found = []
    problem = ""
    for scale, (mean, std) in SCALES.items():
        for order in ("RGB", "BGR"):
            try:
                model = load_teacher(spec, mean=mean, std=std, order=order, **options)
                found.append((scale, order, separation(model, pairs)))
            except DataError as error:
                problem = str(error)
    if not found:
        raise DataError(problem)
    return sorted(found, key=lambda entry: -entry[2].dprime)
