"""A classifier of an attribute on teacher embeddings, judged on identities it has not seen.

Multinomial logistic regression on unit-length embeddings; its scores are calibrated by Platt's
sigmoid, fitted to out-of-fold scores in a cross-validation whose folds share no identity
(scikit-learn's ``CalibratedClassifierCV``). Images of an identity share one vote's weight, and
every class weighs the same: the scores are calibrated for equally frequent classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from evenface.data.cells import TOO_SMALL, TooSmall, rate
from evenface.data.embedded import BLOCK_ROWS, EmbeddedRows
from evenface.data.labels.scores import decide, vote
from evenface.data.manifest import Manifest
from evenface.data.quotas import apportion, exact
from evenface.errors import MissingDependencyError, UsageError
from evenface.seeds import derive_seed, generator

HELD_OUT = 0.2
MIN_IDENTITIES = 5
ABSTAINED = "abstained"
_FOLDS = 5
_BINS = 10


class HeldOut(BaseModel):
    """How the classifier does on held-out identities of its labelled set."""

    identities: int
    columns: list[str]
    """Classes, and "abstained"."""
    confusion: dict[str, list[int]]
    """True class → identities by what they were taken for, in the order of ``columns``."""
    recall: dict[str, float | TooSmall]
    """True class → share of its identities that got it; those that got none count as missed."""
    accuracy_decided: float | TooSmall
    """Share of right labels among the identities that got one."""
    calibration_error: float | TooSmall
    """Expected calibration error of the vote: mean |confidence − accuracy| over 10 bins of
    confidence, every class weighing the same (Naeini et al., AAAI 2015)."""


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier; made by :func:`train_classifier`."""

    classes: tuple[str, ...]
    teacher: str
    model: Any

    def scores(self, embeddings: EmbeddedRows, rows: np.ndarray) -> np.ndarray:
        """(n, C) calibrated scores of the rows; UsageError for another teacher's embeddings."""
        if embeddings.teacher != self.teacher:
            raise UsageError(
                "the two sets were embedded by different teachers (fingerprints "
                f"{self.teacher[:12]}… and {embeddings.teacher[:12]}…). Embed both with one"
            )
        blocks = [
            self.model.predict_proba(_features(embeddings, rows[start : start + BLOCK_ROWS]))
            for start in range(0, len(rows), BLOCK_ROWS)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.classes)))


def train_classifier(
    manifest: Manifest,
    embeddings: EmbeddedRows,
    attribute: str,
    *,
    abstain: float,
    max_images: int,
    min_cell: int,
    seed: int,
) -> tuple[Classifier, HeldOut]:
    """Train on four fifths of the identities, judge on the rest.

    Args:
        manifest: its declared values of ``attribute`` are the truth; predicted ones are not used.
        embeddings: of its rows.
        attribute: what is learnt.
        abstain: an identity whose best score is lower gets no label.
        max_images: images of an identity to train on at most.
        min_cell: no rate is stated over fewer held-out identities.
        seed: decides who is held out, and which images are used.

    Raises:
        UsageError: no such attribute, fewer than two classes, a class of fewer than five
            identities, or an identity of two classes.
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold
    except ModuleNotFoundError as error:
        raise MissingDependencyError("scikit-learn", "label", "training a classifier") from error

    classes, class_of = _truth(manifest, attribute)
    labels, names = manifest.labels(), manifest.identities()
    held_out = _held_out(names, class_of, len(classes), seed)
    fitted = (class_of >= 0) & ~held_out
    rows = _some_images(labels, fitted, names, max_images, seed)
    of_class, of_identity = class_of[labels[rows]], labels[rows]
    per_identity = np.bincount(of_identity)[of_identity]
    per_class = np.bincount(class_of[fitted])[of_class]
    weight = 1 / (per_identity * per_class)
    folds = StratifiedGroupKFold(
        min(_FOLDS, int(np.bincount(class_of[fitted]).min())),
        shuffle=True,
        random_state=derive_seed(seed, "label-folds") % 2**32,
    )
    features = _features(embeddings, rows)
    model = CalibratedClassifierCV(
        LogisticRegression(max_iter=2000),
        method="sigmoid",
        cv=list(folds.split(features, of_class, groups=of_identity)),
        ensemble=False,
    )
    model.fit(features, of_class, sample_weight=weight * len(rows) / weight.sum())
    classifier = Classifier(classes, embeddings.teacher, model)
    return classifier, _judge(
        classifier, embeddings, labels, class_of, held_out, abstain=abstain, min_cell=min_cell
    )


def _features(embeddings: EmbeddedRows, rows: np.ndarray) -> np.ndarray:
    """Unit-length embeddings times √D: each dimension has a variance of about 1."""
    return embeddings.unit(rows).astype(np.float64) * np.sqrt(embeddings.size)


def _truth(manifest: Manifest, attribute: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes, sorted, and the class of each identity, −1 where none is declared."""
    groups, codes = manifest.group_codes(attribute)
    sources, marks = manifest.codes(f"{attribute}_source")
    declared = marks == sources.index("declared") if "declared" in sources else marks < 0
    used = np.unique(codes[declared])
    classes = tuple(groups[code] for code in used)
    if len(classes) < 2:
        raise UsageError(
            f"'{attribute}' has {len(classes)} declared values in the labelled set; a classifier "
            "needs two at least"
        )
    place = np.full(len(groups), -1)
    place[used] = np.arange(len(used))
    labels = manifest.labels()
    class_of = np.full(len(manifest.identities()), -1)
    class_of[labels[declared]] = place[codes[declared]]
    crossing = declared & (class_of[labels] != place[codes])
    if crossing.any():
        name = manifest.identities()[labels[np.argmax(crossing)]]
        raise UsageError(f"identity {name!r} has two values of '{attribute}' in the labelled set")
    sizes = np.bincount(class_of[class_of >= 0], minlength=len(classes))
    if sizes.min() < MIN_IDENTITIES:
        raise UsageError(
            f"'{classes[int(sizes.argmin())]}' has {sizes.min()} identities in the labelled set; "
            f"a class needs {MIN_IDENTITIES} at least"
        )
    return classes, class_of


def _held_out(names: list[str], class_of: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """(I,) bool: a fifth of each class's identities, one at least."""
    held = np.zeros(len(names), dtype=bool)
    share = exact(HELD_OUT)
    for number in range(classes):
        members = np.flatnonzero(class_of == number)
        order = sorted(members, key=lambda i: derive_seed(seed, "label-held-out", names[i]))
        held[order[: max(1, apportion(len(members), [share, 1 - share])[0])]] = True
    return held


def _some_images(
    labels: np.ndarray, fitted: np.ndarray, names: list[str], most: int, seed: int
) -> np.ndarray:
    rows = []
    order = np.argsort(labels, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=len(names)))])
    for identity in np.flatnonzero(fitted):
        own = order[first[identity] : first[identity + 1]]
        if len(own) > most:
            chosen = generator(seed, "label-images", names[identity]).permutation(len(own))[:most]
            own = own[np.sort(chosen)]
        rows.append(own)
    return np.concatenate(rows)


def _judge(
    classifier: Classifier,
    embeddings: EmbeddedRows,
    labels: np.ndarray,
    class_of: np.ndarray,
    held_out: np.ndarray,
    *,
    abstain: float,
    min_cell: int,
) -> HeldOut:
    rows = np.flatnonzero(held_out[labels])
    people = np.flatnonzero(held_out)
    place = np.cumsum(held_out) - 1
    voted = vote(
        classifier.scores(embeddings, rows),
        place[labels[rows]],
        tuple(map(str, people)),
        classifier.classes,
    )
    decisions = decide(voted, abstain)
    truth = class_of[people]
    columns = [*classifier.classes, ABSTAINED]
    taken = np.array(
        [columns.index(ABSTAINED if label is None else label) for label in decisions.labels]
    )
    confusion = np.zeros((len(classifier.classes), len(columns)), dtype=np.int64)
    np.add.at(confusion, (truth, taken), 1)
    right = int(np.trace(confusion))
    decided = int(confusion[:, :-1].sum())
    correct = decisions.best == np.array(classifier.classes, dtype=object)[truth]
    weights = 1 / np.bincount(truth)[truth]
    error = calibration_error(decisions.confidence, correct, weights)
    return HeldOut(
        identities=len(people),
        columns=columns,
        confusion={
            name: counts.tolist()
            for name, counts in zip(classifier.classes, confusion, strict=True)
        },
        recall={
            name: rate(int(counts[i]), int(counts.sum()), size=int(counts.sum()), at_least=min_cell)
            for i, (name, counts) in enumerate(zip(classifier.classes, confusion, strict=True))
        },
        accuracy_decided=rate(right, decided, size=decided, at_least=min_cell),
        calibration_error=error if len(people) >= min_cell else TOO_SMALL,
    )


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Expected calibration error over 10 equal bins of confidence; (n,) each."""
    weights = np.ones(len(confidence)) if weights is None else weights
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights * (correct - confidence), minlength=_BINS)
    return float(np.abs(gaps).sum() / weights.sum())
