"""A recipe with what its numbers come to."""

from __future__ import annotations

import torch
import yaml

from evenface.distill import mse_lambda
from evenface.distill.template import PAPER_WEIGHT
from evenface.train.batches import BatchSource
from evenface.train.job import Job
from evenface.train.learner import build_backbone
from evenface.train.objective import Objective
from evenface.train.recipe import DistillationLossRecipe, TrainRecipe
from evenface.train.schedule import Schedule, peak_rate


def explain(recipe: TrainRecipe) -> str:
    """The recipe as YAML, followed by comments on rate, size, length and distillation.

    Where the recipe names its training set, that is opened, so that everything which a training
    would refuse is refused here.

    Raises:
        UsageError, DataError: as :func:`evenface.train.loop.train`.
    """
    facts = [f"learning rate: {peak_rate(recipe.optimizer, recipe.batch_size):g} at its highest"]
    if recipe.data is not None:
        job = Job.open(recipe)
        recipe = job.recipe
        facts += _length(job)
    size = recipe.backbone.embedding_size
    if size is not None:
        with torch.device("meta"):  # sizes without memory
            backbone = build_backbone(recipe)
            Objective.from_recipe(recipe, num_identities=2)
        parameters = sum(p.numel() for p in backbone.parameters())
        facts.append(f"backbone: {parameters / 1e6:.2f} M parameters, {size} dimensions")
    if recipe.distill is not None:
        facts += [_distillation(term, size) for term in recipe.distill.terms]
    resolved = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    return resolved + "\n".join(f"# {fact}" for fact in facts)


def _distillation(term: DistillationLossRecipe, size: int | None) -> str:
    weight = term.weight
    if term.name != "template":
        given = "its own weight" if weight is None else f"weight {weight:g}"
        return f"distillation: {term.name}, {given}"
    if weight is None:
        weight = PAPER_WEIGHT
    factor = f"{mse_lambda(weight, size):,.10g}" if size else f"{weight / 2:g} · dimensions"
    return f"distillation: {weight:g} · (1 − cos), that is λ = {factor} on the MSE"


def _length(job: Job) -> list[str]:
    source = BatchSource(
        job.manifest,
        job.cache,
        batch_size=job.recipe.batch_size,
        seed=job.recipe.seed,
        flip=job.recipe.flip,
        order=job.order(),
    )
    schedule = Schedule(
        job.recipe.schedule,
        job.recipe.optimizer,
        batch_size=source.batch_size,
        batches_per_epoch=source.batches_per_epoch,
    )
    seen = schedule.steps * source.batch_size
    return [
        f"training set: {len(job.manifest):,} images of {job.num_identities:,} identities",
        f"length: {schedule.steps:,} steps of {source.batch_size} images = {seen:,} images, "
        f"{schedule.steps / source.batches_per_epoch:.1f} epochs",
    ]
