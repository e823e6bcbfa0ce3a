"""An attribute predicted for a data set: the manifest, the scores and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from evenface.data.cells import MIN_CELL
from evenface.data.embedded import EmbeddedRows, match_caches
from evenface.data.inspect import Count
from evenface.data.labels.classifier import HeldOut, train_classifier
from evenface.data.labels.predictions import read_predictions
from evenface.data.labels.scores import (
    ABSTAIN,
    MAX_IMAGES,
    Decisions,
    IdentityScores,
    decide,
    vote,
)
from evenface.data.manifest import ATTRIBUTE_NAME, MANIFEST_NAME, Manifest
from evenface.errors import UsageError
from evenface.files import atomic_path, sha256_file, write_json
from evenface.lock import written_together

REPORT_NAME = "labels-report.json"
SCORES_NAME = "labels.parquet"


class Uncertain(BaseModel):
    """An identity that got no label."""

    identity: str
    best: str
    """Class with the best mean score."""
    score: float


class LabelReport(BaseModel):
    """How an attribute was predicted."""

    attribute: str
    method: str
    """"predictions" or "classifier"."""
    inputs: dict[str, str]
    """Fingerprints of the data set, the labelled set, the teacher, or the file of predictions."""
    classes: list[str]
    abstain: float
    seed: int
    predicted: dict[str, Count]
    """Class → what got it."""
    declared_identities: int
    """Identities with a declared value, which were left as they are."""
    uncertain: list[Uncertain]
    without_scores: list[str]
    """Identities of the data set that the predictions do not name."""
    unmatched: list[str]
    """Identities of the predictions that the data set lacks."""
    held_out: HeldOut | None
    """How good the classifier is; None for predictions of an outside one, which is not known."""


def label_dataset(
    dataset: str | Path,
    out: str | Path,
    *,
    attribute: str,
    predictions: str | Path | None = None,
    train: str | Path | None = None,
    embeddings: Sequence[str | Path] = (),
    abstain: float = ABSTAIN,
    max_images: int = MAX_IMAGES,
    min_cell: int = MIN_CELL,
    seed: int = 0,
) -> LabelReport:
    """Predict an attribute of the identities of a data set that declare none.

    Writes into ``out``: ``manifest.parquet``, ``labels-report.json``, and ``labels.parquet`` with
    every identity's scores. Values that were predicted before are replaced.

    Args:
        dataset: folder or manifest to label.
        out: folder to write; images are not copied.
        attribute: what is predicted.
        predictions: CSV of an outside classifier (see :func:`read_predictions`); or
        train: a labelled data set, with ``embeddings`` of both sets in any order.
        embeddings: embedding caches.
        abstain, max_images, min_cell, seed: see :func:`train_classifier`.

    Raises:
        UsageError: neither or both of ``predictions`` and ``train``, embeddings missing, an
            attribute that cannot be named so, or nobody to label.
        DataError: something that cannot be read, or ``out`` holds something else.
    """
    if (predictions is None) == (train is None):
        raise UsageError(
            "give either the predictions of an outside classifier or a labelled data set to train "
            "on (--predictions or --train)"
        )
    manifest = Manifest.read(dataset)
    labelled = None
    embedded: list[EmbeddedRows | None] = [None]
    if train is not None:
        examples = Manifest.read(train)
        embedded = match_caches([manifest, examples], embeddings)
        for place, rows in zip((dataset, train), embedded, strict=True):
            if rows is None:
                raise UsageError(
                    f"{place}: no embedding cache of it is given. Make one with 'evenface teacher "
                    "embed' and name it with --embeddings"
                )
        assert embedded[1] is not None
        labelled = examples, embedded[1]
    found = label_manifest(
        manifest,
        attribute=attribute,
        predictions=None if predictions is None else Path(predictions),
        labelled=labelled,
        embeddings=embedded[0],
        abstain=abstain,
        max_images=max_images,
        min_cell=min_cell,
        seed=seed,
    )
    with written_together(Path(out), found.report.model_dump(mode="json"), REPORT_NAME) as folder:
        found.write(folder)
    return found.report


@dataclass(frozen=True)
class Labelled:
    """A manifest with predicted values, what they were chosen from, and the report."""

    manifest: Manifest
    scores: IdentityScores
    decisions: Decisions
    report: LabelReport

    def write(self, folder: Path) -> None:
        """Write ``manifest.parquet``, ``labels.parquet`` and ``labels-report.json``."""
        table = pa.table(
            {
                "identity": pa.array(self.scores.identities, type=pa.string()),
                "images": pa.array(self.scores.images, type=pa.int64()),
                **{
                    f"score_{name}": pa.array(column)
                    for name, column in zip(self.scores.classes, self.scores.scores.T, strict=True)
                },
                "label": pa.array(self.decisions.labels, type=pa.string()),
                "confidence": pa.array(self.decisions.confidence),
            }
        )
        self.manifest.write(folder / MANIFEST_NAME)
        with atomic_path(folder / SCORES_NAME) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        write_json(folder / REPORT_NAME, self.report.model_dump(mode="json"))


def label_manifest(
    manifest: Manifest,
    *,
    attribute: str,
    predictions: Path | None = None,
    labelled: tuple[Manifest, EmbeddedRows] | None = None,
    embeddings: EmbeddedRows | None = None,
    abstain: float = ABSTAIN,
    max_images: int = MAX_IMAGES,
    min_cell: int = MIN_CELL,
    seed: int = 0,
) -> Labelled:
    """As :func:`label_dataset`, of what is at hand already.

    Args:
        manifest: the data set.
        attribute: what is predicted.
        predictions: CSV of an outside classifier; or
        labelled: a labelled data set with the embeddings of its rows, and
        embeddings: of the rows of ``manifest``.
        abstain, max_images, min_cell, seed: see :func:`train_classifier`.

    Raises:
        UsageError, DataError: as :func:`label_dataset` does.
    """
    if not ATTRIBUTE_NAME.fullmatch(attribute):
        raise UsageError(f"{attribute!r} cannot name an attribute (lower-case letters, digits, _)")
    unlabelled = _without_declared(manifest, attribute)
    names = manifest.identities()
    if not unlabelled.any():
        named = ", ".join(sorted(set(manifest.column("dataset"))))
        raise UsageError(f"{named}: every identity declares '{attribute}'; nothing to predict")
    inputs = {"dataset": manifest.fingerprint}
    unmatched: list[str] = []
    held_out = None
    if predictions is not None:
        scores, unmatched = read_predictions(predictions, names)
        inputs["predictions"] = sha256_file(predictions)
    else:
        assert labelled is not None
        assert embeddings is not None
        classifier, held_out = train_classifier(
            *labelled,
            attribute,
            abstain=abstain,
            max_images=max_images,
            min_cell=min_cell,
            seed=seed,
        )
        labels = manifest.labels()
        rows = np.flatnonzero(unlabelled[labels])
        found = classifier.scores(embeddings, rows)
        scores = vote(found, labels[rows], tuple(names), classifier.classes)
        inputs |= {"train": labelled[0].fingerprint, "teacher": classifier.teacher}
    some = np.isin(np.array(scores.identities, object), np.array(names, object)[unlabelled])
    scores = scores.select(some)
    decisions = decide(scores, abstain)
    report = LabelReport(
        attribute=attribute,
        method="classifier" if predictions is None else "predictions",
        inputs=inputs,
        classes=list(scores.classes),
        abstain=abstain,
        seed=seed,
        predicted=_counts(scores, decisions),
        declared_identities=int((~unlabelled).sum()),
        uncertain=[
            Uncertain(identity=name, best=best, score=round(float(score), 6))
            for name, best, score, label in zip(
                scores.identities,
                decisions.best,
                decisions.confidence,
                decisions.labels,
                strict=True,
            )
            if label is None
        ],
        without_scores=sorted(
            {names[i] for i in np.flatnonzero(unlabelled)} - set(scores.identities)
        ),
        unmatched=unmatched,
        held_out=held_out,
    )
    return Labelled(_labelled(manifest, attribute, scores, decisions), scores, decisions, report)


def _without_declared(manifest: Manifest, attribute: str) -> np.ndarray:
    """(I,) bool: identities of which no row declares a value."""
    unlabelled = np.ones(len(manifest.identities()), dtype=bool)
    if attribute in manifest.attributes:
        sources, codes = manifest.codes(f"{attribute}_source")
        if "declared" in sources:
            unlabelled[manifest.labels()[codes == sources.index("declared")]] = False
    return unlabelled


def _counts(scores: IdentityScores, decisions: Decisions) -> dict[str, Count]:
    return {
        name: Count(images=int(scores.images[got].sum()), identities=int(got.sum()))
        for name in scores.classes
        if (got := decisions.labels == name).any()
    }


def _labelled(
    manifest: Manifest, attribute: str, scores: IdentityScores, decisions: Decisions
) -> Manifest:
    """The manifest with the predictions; what was predicted before is gone."""
    names, labels = manifest.identities(), manifest.labels()
    place = {name: i for i, name in enumerate(names)}
    value = np.full(len(names), None, dtype=object)
    sure = np.full(len(names), np.nan, dtype=np.float32)
    for name, label, confidence in zip(
        scores.identities, decisions.labels, decisions.confidence, strict=True
    ):
        if label is not None:
            value[place[name]], sure[place[name]] = label, confidence
    values, sources = value[labels], np.full(len(manifest), "predicted", dtype=object)
    if attribute in manifest.attributes:
        declared = manifest.column(f"{attribute}_source") == "declared"
        values = np.where(declared, manifest.column(attribute), values)
        sources[declared] = "declared"
    return manifest.with_attribute(attribute, values, source=sources, confidence=sure[labels])
