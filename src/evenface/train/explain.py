"""A recipe with where its values come from and what its numbers come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import yaml

from evenface.console import duration
from evenface.distill import mse_lambda
from evenface.distill.template import PAPER_WEIGHT
from evenface.train.augment import create_augmenter
from evenface.train.batches import BatchSource
from evenface.train.device import choose_device, slow_precision
from evenface.train.job import Job
from evenface.train.learner import build_backbone
from evenface.train.memory import estimate_memory
from evenface.train.objective import Objective
from evenface.train.probe import probe
from evenface.train.recipe import DistillationLossRecipe, TrainRecipe
from evenface.train.schedule import Schedule, peak_rate

_COLUMN = 44
"""Where the origins stand, at least."""


def explain(
    recipe: TrainRecipe, origins: Mapping[str, str] | None = None, *, probing: bool = False
) -> str:
    """The recipe as YAML, followed by comments on rate, size, length, memory and distillation.

    Where the recipe names its training set, that is opened, so that everything which a training
    would refuse is refused here.

    Args:
        recipe: as it was asked for.
        origins: dotted key → where its value comes from, of
            :func:`evenface.train.recipe.value_origins`; other values are told to be defaults.
        probing: take and time a few steps.

    Raises:
        UsageError, DataError: as :func:`evenface.train.loop.train`.
    """
    origins = dict(origins or {})
    create_augmenter(recipe.augment, recipe.seed)
    device = choose_device(recipe.device)
    job, facts = None, []
    if recipe.data is not None:
        job = Job.open(recipe)
        if recipe.backbone.embedding_size is None and job.teacher:
            origins["backbone.embedding_size"] = "teacher"
        if job.cut:
            origins["batch_size"] = f"cut to the training set, from {job.cut_from:,}"
        recipe = job.recipe
        facts += [*([f"batch: {job.cut}"] if job.cut else []), *_length(job)]
    elif recipe.distill is None:
        recipe = recipe.with_embedding_size()
    rate = peak_rate(recipe.optimizer, recipe.batch_size)
    facts.insert(0, f"learning rate: {rate:g} at its highest")
    size = recipe.backbone.embedding_size
    if size is not None:
        with torch.device("meta"):  # sizes without memory
            backbone = build_backbone(recipe)
            Objective.from_recipe(recipe, num_identities=2)
        parameters = sum(p.numel() for p in backbone.parameters())
        facts.append(f"backbone: {parameters / 1e6:.2f} M parameters, {size} dimensions")
    if remark := slow_precision(recipe.precision, device):
        facts.append(remark)
    if job:
        facts += _memory(job)
        facts += _time(job) if probing else ["time: not measured; --probe takes a few steps"]
    if recipe.distill is not None:
        facts += [_distillation(term, size) for term in recipe.distill.terms]
        if recipe.augment and recipe.distill.cache is not None:
            facts.append("distillation: the cached target is of the image before `augment`")
    lines = _lines(recipe.model_dump(mode="json"), origins, "")
    return "\n".join([*lines, *(f"# {fact}" for fact in facts)])


def _distillation(term: DistillationLossRecipe, size: int | None) -> str:
    weight = term.weight
    if term.name != "template":
        given = "its own weight" if weight is None else f"weight {weight:g}"
        return f"distillation: {term.name}, {given}"
    if weight is None:
        weight = PAPER_WEIGHT
    factor = f"{mse_lambda(weight, size):,.10g}" if size else f"{weight / 2:g} · dimensions"
    return f"distillation: {weight:g} · (1 − cos), that is λ = {factor} on the MSE"


def _lines(content: Mapping[str, Any], origins: Mapping[str, str], path: str) -> Iterator[str]:
    """YAML, a line a value, each with its origin as a comment."""
    indent = "  " * path.count(".")
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, origins, f"{path}{key}.")
        else:
            flow = yaml.safe_dump({key: value}, default_flow_style=True, width=10**6)
            text = indent + flow.strip()[1:-1]
            yield f"{text:<{_COLUMN}} # {_origin(origins, f'{path}{key}')}"


def _origin(origins: Mapping[str, str], key: str) -> str:
    """That of the key itself, or of the nearest one above it."""
    while key:
        if key in origins:
            return origins[key]
        key = key.rpartition(".")[0]
    return "default"


def _schedule(job: Job) -> tuple[Schedule, BatchSource]:
    recipe = job.recipe
    source = BatchSource(
        job.manifest,
        job.cache,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        flip=recipe.flip,
        target_view=recipe.target_view,
        order=job.order(),
    )
    schedule = Schedule(
        recipe.schedule,
        recipe.optimizer,
        batch_size=source.batch_size,
        batches_per_epoch=source.batches_per_epoch,
    )
    return schedule, source


def _length(job: Job) -> list[str]:
    schedule, source = _schedule(job)
    seen = schedule.steps * source.batch_size
    parts = job.recipe.micro_batches
    cut = f" (in {parts} parts of {source.batch_size // parts})" if parts > 1 else ""
    facts = []
    if (first := job.pretraining) is not None:
        facts.append(
            f"pretraining: {first.recipe.schedule.steps:,} of the steps, on "
            f"{len(first.manifest):,} images of {first.num_identities:,} identities"
        )
    return [
        f"training set: {len(job.manifest):,} images of {job.num_identities:,} identities",
        *facts,
        f"length: {schedule.steps:,} steps of {source.batch_size} images{cut} = {seen:,} images, "
        f"{schedule.steps / source.batches_per_epoch:.1f} epochs",
    ]


def _memory(job: Job) -> list[str]:
    _, source = _schedule(job)
    memory = estimate_memory(job.recipe, job.num_identities, source.batch_size)
    saved = memory.weights // 2 + memory.optimizer + memory.average
    return [
        f"memory, estimated: {_bytes(memory.total)} = weights and gradients "
        f"{_bytes(memory.weights)}, optimiser {_bytes(memory.optimizer)}, average "
        f"{_bytes(memory.average)}, activations {_bytes(memory.activations)}, logits "
        f"{_bytes(memory.logits)}; work space comes on top",
        f"checkpoints: {_bytes(saved)} each, {job.recipe.keep_checkpoints} kept",
    ]


def _time(job: Job) -> list[str]:
    schedule, source = _schedule(job)
    found = probe(job)
    seconds = schedule.steps * source.batch_size / found.rate
    return [
        f"time, measured over a few steps on {found.device}: {found.rate:,.0f} images/s, so "
        f"{duration(seconds)} in all; peak memory {_bytes(found.memory)}"
    ]


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
