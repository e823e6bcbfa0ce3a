"""Evaluate a model on images: embed each image once per view, then measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from evenface.console import progress
from evenface.errors import DataError
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.faces import Faces
from evenface.evaluate.image_cache import ImageCache
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.results import Evaluation
from evenface.evaluate.seen import TrainingSet, seen_in_training, training_set, with_note
from evenface.teachers.base import ALIKE
from evenface.teachers.loading import load_teacher

if TYPE_CHECKING:
    from evenface.data.manifest import Manifest
    from evenface.teachers.base import Teacher

FLIP_SUM = ("original", "flip")
"""The views whose embeddings are summed, as is usual in the field."""


def embed_views(
    model: Teacher,
    manifest: Faces,
    rows: NDArray[np.int64],
    *,
    views: Sequence[str] = FLIP_SUM,
    batch: int = 128,
    cache: Path | None = None,
) -> NDArray[np.float32]:
    """Embed rows of a manifest, each image once per view, with progress on standard error.

    Args:
        model: anything that embeds aligned faces, teacher or student.
        manifest: the images: a manifest, or other faces.
        rows: (n,) manifest rows to embed.
        views: ("original",), or ("original", "flip") for the field's flip-sum.
        batch: images read and embedded at a time.
        cache: folder where embeddings are kept, by the model's fingerprint and each image's
            pixels, and looked for first: images that several sets share are embedded once, and
            an interrupted call is continued. None for no such folder. A model whose attribute
            ``cacheable`` is False embeds anew.

    Returns:
        (len(manifest), D) float32, the embeddings or the sum of both views', not normalised;
        rows not asked for are zero.

    Raises:
        ValueError: other views, or no rows.
        DataError: the model returns another number of embeddings than images, or one embedding
            for all images.
    """
    if tuple(views) not in (FLIP_SUM, FLIP_SUM[:1]):
        raise ValueError(f"views must be {FLIP_SUM[:1]} or {FLIP_SUM}, got {tuple(views)}")
    if not len(rows):
        raise ValueError("no rows to embed")
    if cache is not None and getattr(model, "cacheable", True):
        embed = ImageCache(model, cache).embed
    else:
        embed = partial(_embed, model)
    result = np.empty((0, 0), dtype=np.float32)
    differ = len(rows) == 1
    with progress(f"Embedding with {model.name}", len(rows), unit="images") as bar:
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            images = manifest.images(chosen)
            embedded = embed(images)
            if len(views) > 1:
                embedded = embedded + embed(np.ascontiguousarray(images[:, :, ::-1]))
            if not len(result):
                result = np.zeros((len(manifest), embedded.shape[1]), dtype=np.float32)
            result[chosen] = embedded
            if not differ:
                first = result[rows[0]]
                differ = bool(np.any(np.abs(embedded - first) > ALIKE * np.abs(first).max()))
            bar.advance(len(chosen))
    if not differ:
        raise DataError(
            f"{model.name}: gives one embedding for all {len(rows):,} images, so it recognises "
            "nobody. Check its weights and its preprocessing"
        )
    return result


def evaluate_model(
    model: Teacher | Callable[[NDArray[np.uint8]], Any],
    manifest: Manifest,
    protocol: Protocol,
    *,
    views: Sequence[str] = FLIP_SUM,
    batch: int = 128,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    detail: bool = True,
    targets: Sequence[str] | None = None,
    training: TrainingSet | None = None,
) -> Evaluation:
    """Embed a protocol's images with ``model`` and evaluate; see :func:`evaluate_embeddings`.

    ``model`` may be a plain function from uint8 RGB images (N, 112, 112, 3) to (N, D). A note says
    where it was trained on these people; ``training`` is its training set, None for what its file
    or run records.

    Raises:
        DataError: the protocol was drawn from another manifest, or an embedding is not usable.
    """
    if manifest.fingerprint != protocol.manifest_fingerprint:
        raise DataError(
            f"protocol {protocol.name!r} was drawn from another manifest (its images, identities "
            "or attributes differ); draw it again from this one"
        )
    if not hasattr(model, "embed"):
        model = load_teacher(model)
    model = cast("Teacher", model)
    embeddings = embed_views(model, manifest, protocol.rows, views=views, batch=batch)
    evaluation = evaluate_embeddings(
        embeddings,
        protocol,
        replicates=replicates,
        seed=seed,
        level=level,
        model=model.name,
        detail=detail,
        targets=targets,
    )
    trained_on = training_set(model) if training is None else training
    return with_note(evaluation, seen_in_training(trained_on, manifest))


def _embed(model: Teacher, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    embedded = np.asarray(model.embed(images))
    if embedded.ndim != 2 or len(embedded) != len(images):
        raise DataError(
            f"model {model.name!r} returned embeddings of shape {embedded.shape} for "
            f"{len(images)} images; expected ({len(images)}, D)"
        )
    return embedded
