"""Run in several processes: the sharded softmax of every head against the whole one."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch.nn import functional as F

from evenface.models import RowDraws, create_head, list_heads
from evenface.train.distributed import open_world
from evenface.train.sharded_head import shard_head, sharded_cross_entropy

C, D, B = 7, 5, 6


def whole(name, embeddings, labels, head):
    loss = F.cross_entropy(head(embeddings, labels, generator=draws()), labels)
    return loss + sum(p for p in [head.penalty(embeddings)] if p is not None)


def sharded(name, embeddings, labels, head, shard):
    loss = sharded_cross_entropy(head, shard, embeddings, labels, generator=draws())
    return loss + sum(p for p in [head.penalty(embeddings)] if p is not None)


def draws():
    return RowDraws(11, np.arange(B) + 100)


def made(name):
    torch.manual_seed(3)
    head = create_head(name, embedding_size=D, num_identities=C).double()
    torch.nn.init.normal_(head.weight)
    embeddings = (torch.randn(B, D, dtype=torch.float64) * 8).requires_grad_()
    return head, embeddings, torch.tensor([0, 6, 3, 3, 4, 1])


def main():
    with open_world("cpu") as world:
        for name in list_heads():
            head, embeddings, labels = made(name)
            expected = whole(name, embeddings, labels, head)
            expected.backward()
            own, values, _ = made(name)
            shard = shard_head(own, world)
            loss = sharded(name, values, labels, own, shard)
            loss.backward()
            close(loss, expected, f"{name}: loss")
            close(values.grad, embeddings.grad, f"{name}: gradient of the embeddings")
            close(own.weight.grad, shard.cut(head.weight.grad), f"{name}: gradient of the centres")
            for ours, theirs in zip(own.buffers(), head.buffers(), strict=True):
                close(ours, theirs, f"{name}: running statistics")
            collected = shard.collect(own.weight.detach())
            if world.first:
                close(collected, head.weight, f"{name}: collected centres")
        mixed = [torch.full((2, 2), world.rank + 1.0), torch.tensor(world.rank + 5)]
        world.align(mixed)
        assert mixed[0].tolist() == [[1, 1], [1, 1]]
        assert int(mixed[1]) == 5
        parameter = torch.nn.Parameter(torch.zeros(3))
        parameter.grad = torch.full((3,), float(world.rank))
        world.sum_gradients([parameter, torch.nn.Parameter(torch.zeros(1))])
        assert parameter.grad.tolist() == [sum(range(world.size))] * 3
        parts = world.gather(torch.full((2, 3), float(world.rank), requires_grad=True))
        assert parts[:, 0].tolist() == [r for r in range(world.size) for _ in range(2)]


def close(ours, theirs, what):
    if not torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12):
        sys.exit(f"{what} differs: {ours} instead of {theirs}")


if __name__ == "__main__":
    main()
