"""A recipe together with what it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.teachers.cache import EmbeddingCache
from evenface.train.recipe import TrainRecipe

_DEFAULT_EMBEDDING_SIZE = 512


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        recipe: its embedding size settled.
        manifest: the training set.
        cache: teacher embeddings of its rows, None without distillation.
        num_identities: number of classes C.
        teacher: fingerprint of the teacher, None without distillation.
        fingerprint: of recipe, training set and teacher.
    """

    recipe: TrainRecipe
    manifest: Manifest
    cache: EmbeddingCache | None
    num_identities: int
    teacher: str | None
    fingerprint: str

    @classmethod
    def open(cls, recipe: TrainRecipe, manifest: Manifest | None = None) -> Self:
        """Open everything and check that it fits.

        Args:
            recipe: what to train.
            manifest: the training set, instead of ``recipe.data``.

        Raises:
            UsageError: no training set is named, or recipe and teacher do not fit.
            DataError: training set or cache cannot be used.
        """
        if manifest is None:
            if recipe.data is None:
                raise UsageError(
                    f"recipe '{recipe.name}' names no training set: add --set data=FOLDER"
                )
            manifest = Manifest.read(recipe.data)
        num_identities = len(manifest.identities())
        if num_identities < 2:
            raise DataError(
                f"recipe '{recipe.name}': a classifier needs at least two identities, the "
                f"training set has {num_identities} in {len(manifest):,} images"
            )
        _check_size(recipe, len(manifest), num_identities)
        cache = None
        if recipe.distill is not None:
            cache = EmbeddingCache.open(
                recipe.distill.cache, image_fingerprint=manifest.image_fingerprint
            )
        recipe = _with_embedding_size(recipe, cache)
        teacher = cache.record.teacher_fingerprint if cache else None
        fingerprint = recipe.fingerprint(manifest.fingerprint, teacher)
        return cls(recipe, manifest, cache, num_identities, teacher, fingerprint)


def _check_size(recipe: TrainRecipe, images: int, num_identities: int) -> None:
    if recipe.num_identities not in (None, num_identities):
        raise UsageError(
            f"recipe '{recipe.name}': num_identities is {recipe.num_identities:,}, the training "
            f"set has {num_identities:,}"
        )
    if images < recipe.batch_size and images % recipe.micro_batches:
        raise UsageError(
            f"recipe '{recipe.name}': the training set's {images} images are less than a batch "
            f"and cannot be cut into {recipe.micro_batches} micro-batches of one size"
        )


def _with_embedding_size(recipe: TrainRecipe, cache: EmbeddingCache | None) -> TrainRecipe:
    asked = recipe.backbone.embedding_size
    if cache and asked not in (None, cache.embedding_size):
        raise UsageError(
            f"recipe '{recipe.name}': backbone.embedding_size is {asked}, but the teacher "
            f"'{cache.record.teacher}' has {cache.embedding_size} dimensions. Template "
            "distillation needs them equal: leave embedding_size out to take the teacher's"
        )
    size = asked or (cache.embedding_size if cache else _DEFAULT_EMBEDDING_SIZE)
    backbone = recipe.backbone.model_copy(update={"embedding_size": size})
    return recipe.model_copy(update={"backbone": backbone})
