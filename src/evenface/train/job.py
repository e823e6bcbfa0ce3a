"""A recipe together with what it names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.run_folder import run_backbone
from evenface.train.recipe import TrainRecipe
from evenface.train.samplers import Order, create_sampler
from evenface.train.schedule import peak_rate
from evenface.train.supply import Supply, open_supply
from evenface.train.targets import Targets


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        recipe: its embedding size settled, its batch cut to the training set.
        manifest: the training set.
        supply: what its losses draw on besides.
        num_identities: number of classes C.
        fingerprint: of the recipe as asked for, training set and teacher.
        pretraining: the training's first part, where it has two.
        cut_from: batch size that was asked for, where the training set has fewer images.
    """

    recipe: TrainRecipe
    manifest: Manifest
    supply: Supply
    num_identities: int
    fingerprint: str
    pretraining: Job | None = None
    cut_from: int | None = None

    def fine_tuning(self, start: Path) -> Job:
        """The training's second part, which keeps the fingerprint of the whole.

        Args:
            start: run folder of the first.
        """
        return replace(self, recipe=self.recipe.fine_tuning(start), pretraining=None)

    @property
    def cut(self) -> str:
        """What a person should know of a batch that was cut; "" where none was."""
        if self.cut_from is None:
            return ""
        size, optimizer = self.recipe.batch_size, self.recipe.optimizer
        text = (
            f"the training set has {size:,} images, fewer than a batch of {self.cut_from:,}: it is "
            f"trained with batches of {size:,}"
        )
        if optimizer.lr_batch is None:
            return text
        before, now = (peak_rate(optimizer, count) for count in (self.cut_from, size))
        return f"{text}, so the learning rate is {now:g} instead of {before:g}"

    @property
    def cache(self) -> Targets | None:
        """Teacher embeddings of the manifest's rows, None where there are none beforehand."""
        return self.supply.targets

    @property
    def teacher(self) -> str | None:
        """Fingerprint of the teacher, None without distillation."""
        return self.supply.fingerprint

    def order(self) -> Order:
        """The rows of every epoch.

        Raises:
            UsageError: the recipe names a sampler or an attribute that does not exist.
        """
        sampler = self.recipe.sampler
        needs_groups = sampler.name.startswith("groups")
        groups = self.manifest.groups(sampler.by if needs_groups else ()).astype(str)
        try:
            return create_sampler(
                sampler.name,
                labels=self.manifest.labels(),
                groups=np.unique(groups, return_inverse=True)[1],
                seed=self.recipe.seed,
            )
        except ValueError as error:
            raise UsageError(f"recipe '{self.recipe.name}': {error}") from None

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
        _refuse_nobody(recipe, manifest)
        num_identities = len(manifest.identities())
        if num_identities < 2:
            raise DataError(
                f"recipe '{recipe.name}': a classifier needs at least two identities, the "
                f"training set has {num_identities} in {len(manifest):,} images"
            )
        _check_size(recipe, len(manifest), num_identities)
        supply = open_supply(recipe, manifest)
        _check_head(recipe, supply)
        start = recipe.backbone.start
        size = supply.embedding_size if start is None else _size_of_start(recipe, start)
        recipe = recipe.with_embedding_size(size)
        if recipe.distill is not None:
            from evenface.train.needs import check_needs

            check_needs(recipe, supply)
        if recipe.log_to:
            from evenface.train.sinks import check_sinks

            check_sinks(recipe)
        if recipe.augment:
            from evenface.train.needs import check_pairs

            check_pairs(recipe)
        first = recipe.pretraining()
        pretraining = None if first is None else cls.open(first)
        fingerprint = recipe.fingerprint(
            manifest.fingerprint,
            supply.fingerprint,
            None if pretraining is None else pretraining.fingerprint,
        )
        cut_from = None
        if len(manifest) < recipe.batch_size:
            cut_from = recipe.batch_size
            recipe = recipe.model_copy(update={"batch_size": len(manifest)})
        return cls(recipe, manifest, supply, num_identities, fingerprint, pretraining, cut_from)


def _refuse_nobody(recipe: TrainRecipe, manifest: Manifest) -> None:
    """UsageError where the recipe learns from identities that images do not have."""
    bare = int((~manifest.named()).sum())
    if not bare:
        return
    needs = {
        "its head": recipe.head is not None and bool(recipe.head.weight),
        "distill.centres": recipe.distill is not None and recipe.distill.centres is not None,
        f"sampler '{recipe.sampler.name}'": "identit" in recipe.sampler.name,
    }
    if needed := [name for name, true in needs.items() if true]:
        raise UsageError(
            f"recipe '{recipe.name}': {bare:,} of {len(manifest):,} images have no identity, which "
            f"{needed[0]} needs. Distil without labels: --set head=null, a teacher, and the "
            "sampler 'uniform'"
        )


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


def _check_head(recipe: TrainRecipe, supply: Supply) -> None:
    """Whether class centres can be the teacher's."""
    if recipe.head is None or recipe.head.start != "teacher":
        return
    where = f"recipe '{recipe.name}': head.start 'teacher'"
    if supply.targets is None:
        raise UsageError(
            f"{where} is the mean of cached embeddings: name distill.cache, or take head.start=own"
        )
    size = recipe.backbone.embedding_size
    if size not in (None, supply.embedding_size):
        raise UsageError(
            f"{where} needs class centres of {size} dimensions, the teacher '{supply.teacher}' has "
            f"{supply.embedding_size}. Take head.start=own, or backbone.embedding_size=null"
        )


def _size_of_start(recipe: TrainRecipe, start: Path) -> int | None:
    if start.is_file():
        return recipe.backbone.embedding_size
    begun = run_backbone(start)
    asked = (recipe.backbone.name, recipe.backbone.embedding_size or begun.embedding_size)
    if asked != begun[:2]:
        raise UsageError(
            f"recipe '{recipe.name}': backbone.start {start} is a {begun.name} of "
            f"{begun.embedding_size} dimensions, the recipe asks for a {asked[0]} of {asked[1]}"
        )
    return begun.embedding_size
