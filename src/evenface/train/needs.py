"""Whether a recipe's losses get what they need; told before anything starts."""

from __future__ import annotations

from evenface.distill.base import NEEDS, Need, SampleDistillation
from evenface.distill.registry import DISTILLATIONS
from evenface.errors import UsageError
from evenface.train.augment import create_augmenter
from evenface.train.recipe import TrainRecipe
from evenface.train.supply import Supply


def check_needs(recipe: TrainRecipe, supply: Supply) -> None:
    """Compare what the losses need with what head, teacher and recipe offer.

    Args:
        recipe: its embedding size settled.
        supply: of its teacher.

    Raises:
        UsageError: a loss needs more, or is unknown; says what would give it.
    """
    distill = recipe.distill
    if distill is None:
        return
    where = f"recipe '{recipe.name}'"
    missing = _missing(recipe, supply)
    size = recipe.backbone.embedding_size
    comparing = []
    for term in distill.terms:
        try:
            loss = DISTILLATIONS[term.name]
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
        for need in sorted(loss.needs & missing.keys()):
            raise UsageError(
                f"{where}: the distillation loss '{term.name}' needs {NEEDS[need]}. {missing[need]}"
            )
        if distill.groups and not issubclass(loss, SampleDistillation):
            raise UsageError(
                f"{where}: distill.groups weighs distances of single images, which "
                f"'{term.name}' does not have: it compares images with each other"
            )
        if loss.same_size:
            comparing.append(term.name)
    if distill.projection and not comparing:
        raise UsageError(
            f"{where}: distill.projection is declared, but none of its losses compares embeddings "
            "directly"
        )
    if comparing and size != supply.embedding_size and not distill.projection:
        raise UsageError(
            f"{where}: backbone.embedding_size is {size}, but the teacher '{supply.teacher}' has "
            f"{supply.embedding_size} dimensions, and '{comparing[0]}' distillation needs them "
            "equal. Take the teacher's with --set backbone.embedding_size=null, or learn a linear "
            "map between the two with --set distill.projection=true"
        )


def check_pairs(recipe: TrainRecipe) -> None:
    """Refuse augmentations that mix two people where something takes a mixed image for one of them.

    Raises:
        UsageError: there is such an augmentation, and classification, a cached teacher, or a loss
            or weights that look at the image's identity or group.
    """
    mixing = create_augmenter(recipe.augment, recipe.seed).pairs
    if not mixing:
        return
    where = f"recipe '{recipe.name}': augment.{mixing[0]} mixes two people"
    if recipe.distill is None or recipe.distill.teacher is None:
        raise UsageError(
            f"{where}, whom only a teacher that sees the same pixels can embed: name it in "
            "distill.teacher (not distill.cache)"
        )
    if recipe.head is not None and recipe.head.weight:
        raise UsageError(
            f"{where}, and such an image has no label: --set head=null, or head.weight=0"
        )
    labelled = [t.name for t in recipe.distill.terms if "labels" in DISTILLATIONS[t.name].needs]
    if labelled:
        raise UsageError(f"{where}, but the distillation loss '{labelled[0]}' needs one identity")
    if recipe.distill.groups:
        raise UsageError(f"{where}, but distill.groups needs the group of one person")


def _missing(recipe: TrainRecipe, supply: Supply) -> dict[Need, str]:
    """What losses of this recipe cannot have, with what to do about it."""
    missing: dict[Need, str] = {}
    if supply.centres is None:
        missing["centres"] = (
            f"The teacher '{supply.teacher}' offers embeddings only: name a file in "
            "distill.centres, or declare the substitute with distill.centres: mean (the mean "
            "embedding of each identity)"
        )
    if recipe.head is None:
        missing["classifier"] = "Name a head; with head.weight 0 it is not trained by labels"
    if supply.online is None or supply.online.network is None:
        missing["maps"] = (
            f"The teacher '{supply.teacher}' offers embeddings only: name a PyTorch network in "
            "distill.teacher"
        )
    elif recipe.micro_batches > 1 or recipe.compile or recipe.recompute:
        missing["maps"] = "They cannot be had with micro_batches, compile or recompute"
    return missing
