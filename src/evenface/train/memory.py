"""Memory that a training takes on its device, estimated before it begins."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evenface.models.inputs import to_input
from evenface.train.learner import HALF, build_backbone
from evenface.train.optimizers import state_tensors
from evenface.train.recipe import TrainRecipe
from evenface.train.recompute import blocks_of

_IMAGES = 2
"""Of the forward pass that is measured; batch norm needs two."""
_LOGITS_KEPT = 3
"""Tensors (B, C) that a margin head and the cross-entropy keep: cosines, logits, softmax."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes.

    Attributes:
        weights: of backbone and class centres, with their gradients.
        optimizer: momenta and the like.
        average: of the weights.
        activations: kept for the backward pass, of a whole batch or a micro-batch.
        logits: (B, C) of the head.
    """

    weights: int
    optimizer: int
    average: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.optimizer + self.average + self.activations + self.logits


def estimate_memory(recipe: TrainRecipe, num_identities: int, batch_size: int) -> MemoryEstimate:
    """What the parts of a training take. Work space of the convolutions comes on top.

    Activations are counted in a forward pass of two images on the CPU.

    Args:
        recipe: its embedding size must be settled.
        num_identities: number of classes C.
        batch_size: B.
    """
    with torch.random.fork_rng(devices=[]):
        backbone = build_backbone(recipe)
        by_block, inputs = _saved(backbone, HALF.get(recipe.precision))
    width = 8 if recipe.precision == "fp64" else 4
    size = recipe.backbone.embedding_size or 0
    parameters = sum(p.numel() for p in backbone.parameters())
    learned = (parameters + num_identities * size) * width
    kept = sum(by_block.values())
    if recipe.recompute:
        blocks = {block: count for block, count in by_block.items() if block is not None}
        kept = by_block[None] + inputs + max(blocks.values(), default=0)
    images = batch_size // recipe.micro_batches
    return MemoryEstimate(
        weights=2 * learned,
        optimizer=learned * state_tensors(recipe.optimizer),
        average=parameters * width if recipe.ema else 0,
        activations=kept * (2 if recipe.precision == "fp64" else 1) * images // _IMAGES,
        logits=_LOGITS_KEPT * batch_size * num_identities * width,
    )


def _saved(backbone: nn.Module, half: torch.dtype | None) -> tuple[dict[int | None, int], int]:
    """Bytes kept by a forward pass of two images, by block (None: outside); those of the blocks'
    inputs."""
    seen = {p.untyped_storage().data_ptr() for p in (*backbone.parameters(), *backbone.buffers())}
    counts: dict[int | None, int] = defaultdict(int)
    alive: list[Tensor] = []  # so that no address is given twice
    current: list[int | None] = [None]
    inputs = 0

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            alive.append(tensor)
            counts[current[0]] += storage.nbytes()
        return tensor

    def enter(number: int, arguments: tuple[Any, ...]) -> None:
        nonlocal inputs
        current[0] = number
        inputs += arguments[0].numel() * arguments[0].element_size()

    with ExitStack() as hooks:
        for number, block in enumerate(blocks_of(backbone)):
            before = block.register_forward_pre_hook(lambda _, x, n=number: enter(n, x))
            after = block.register_forward_hook(lambda *_: current.__setitem__(0, None))
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        hooks.enter_context(torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor))
        hooks.enter_context(
            torch.autocast("cpu", dtype=half or torch.bfloat16, enabled=half is not None)
        )
        backbone(to_input(torch.zeros((_IMAGES, 112, 112, 3), dtype=torch.uint8)))
    return counts, inputs
