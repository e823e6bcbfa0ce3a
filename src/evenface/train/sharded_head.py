"""A head whose class centres are spread over the processes, and a softmax over all of them.

Model parallelism as in arcface_torch's PartialFC (An et al., "Partial FC", ICCVW 2021; "Killing
Two Birds with One Stone", CVPR 2022): every process has the whole batch's embeddings and some of
the classes; the softmax needs the largest logit and the sum of exponentials over all processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.models import MarginHead
from evenface.models.draws import Randomness
from evenface.models.margin import at_least_single
from evenface.seeds import derive_seed, hash_bits
from evenface.train.distributed import World


@dataclass(frozen=True)
class Shard:
    """The classes [start, stop) of this process.

    Attributes:
        total: number of classes C.
        world: the processes.
        sample: share of its classes that a process uses in a step, in (0, 1]; those of the batch
            are always among them.
    """

    total: int
    world: World
    sample: float = 1.0

    @property
    def start(self) -> int:
        """First class."""
        return self._bound(self.world.rank)

    @property
    def stop(self) -> int:
        """One past the last class."""
        return self._bound(self.world.rank + 1)

    def cut(self, whole: Tensor) -> Tensor:
        """This process's rows of a tensor (C, …)."""
        return whole[self.start : self.stop].clone()

    def collect(self, part: Tensor) -> Tensor:
        """All rows (C, …) in the first process, of ``part`` (stop − start, …) in each; elsewhere
        ``part``."""
        world = self.world
        if world.size == 1:
            return part
        rows = -(-self.total // world.size)
        padded = part.new_zeros((rows, *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(world.size)] if world.first else None
        dist.gather(padded, parts)
        if parts is None:
            return part
        counts = [self._bound(rank + 1) - self._bound(rank) for rank in range(world.size)]
        return torch.cat([rows[:count] for rows, count in zip(parts, counts, strict=True)])

    def active(self, labels: Tensor, seed: int) -> Tensor:
        """Classes used in a step, counted from ``start``, sorted: the batch's, and others drawn.

        Their number does not depend on the labels, so a GPU is not waited for. A class's lot is a
        function of seed and class alone.

        Args:
            labels: int64 (B,) of the whole batch.
            seed: of the step.
        """
        count = self.stop - self.start
        chosen = min(count, max(math.ceil(self.sample * count), len(labels)))
        lots = hash_bits(derive_seed(seed, "classes"), np.arange(self.start, self.stop))
        order = torch.from_numpy(np.argsort(np.argsort(lots, kind="stable"), kind="stable"))
        order = order.to(labels.device, non_blocking=True)
        position = labels - self.start
        # Labels of other processes write to a place beyond the end.
        position = torch.where((position >= 0) & (position < count), position, count)
        order = torch.cat([order, order.new_zeros(1)]).index_fill(0, position, -1)[:count]
        return order.topk(chosen, largest=False).indices.sort().values

    def _bound(self, rank: int) -> int:
        return min(rank * -(-self.total // self.world.size), self.total)


def shard_head(head: MarginHead, world: World, sample: float = 1.0) -> Shard:
    """Keep only this process's class centres of ``head``.

    Raises:
        ValueError: a process would have no classes.
    """
    shard = Shard(head.num_identities, world, sample)
    if shard._bound(world.size - 1) >= shard.total:  # the last one
        raise ValueError(
            f"{head.num_identities} identities cannot be spread over {world.size} processes"
        )
    head.weight = nn.Parameter(shard.cut(head.weight.detach()))
    return shard


def sharded_cross_entropy(
    head: MarginHead,
    shard: Shard,
    embeddings: Tensor,
    labels: Tensor,
    *,
    generator: Randomness = None,
    seed: int = 0,
) -> Tensor:
    """Mean cross-entropy over all classes (or those that are active), the same in every process.

    Args:
        head: with this process's class centres.
        shard: which they are.
        embeddings: (B, D) of the whole batch, not normalised; the same in every process. So is
            their gradient.
        labels: int64 (B,) in [0, C).
        generator: source of random margins, alike in every process.
        seed: of the step, for the choice of classes.
    """
    world = shard.world
    with torch.autocast(embeddings.device.type, enabled=False):
        values = at_least_single(_ToShards.apply(embeddings, world))
        norms = values.norm(dim=1)
        centres: Tensor = head.weight
        columns = labels - shard.start
        inside = (columns >= 0) & (columns < shard.stop - shard.start)
        if shard.sample < 1:
            active = shard.active(labels, seed)
            places = torch.zeros(len(centres), dtype=torch.int64, device=labels.device)
            places[active] = torch.arange(len(active), device=labels.device)
            columns = places[columns.clamp(0, len(centres) - 1)]
            centres = centres.index_select(0, active)
        columns = torch.where(inside, columns, -1)
        cosines = F.linear(F.normalize(values), F.normalize(centres.to(values.dtype)))
        cosines = cosines.clamp(-1.0, 1.0)
        place = columns.clamp(min=0)[:, None]

        def own(matrix: Tensor) -> Tensor:
            """Each sample's value in its own class's column, wherever that is."""
            here = torch.where(inside, matrix.gather(1, place)[:, 0], 0.0)
            result: Tensor = _SumOfShards.apply(here, world)
            return result

        logits = head.logits(cosines, columns, own(cosines), norms, generator)
        highest = logits.detach().max(dim=1).values
        if world.size > 1:
            dist.all_reduce(highest, dist.ReduceOp.MAX)
        total: Tensor = _SumOfShards.apply((logits - highest[:, None]).exp().sum(dim=1), world)
        return (total.log() + highest - own(logits)).mean()


class _ToShards(torch.autograd.Function):
    """The same values; gradients of all processes are added up."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        ctx.world = world
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0]
        if ctx.world.size > 1:
            gradient = gradient.clone(memory_format=torch.contiguous_format)
            dist.all_reduce(gradient)
        return gradient, None


class _SumOfShards(torch.autograd.Function):
    """The sum over processes; what follows is the same in each, and so is the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        if world.size > 1:
            dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
