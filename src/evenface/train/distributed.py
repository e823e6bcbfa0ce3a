"""Several processes train one model: what they are, and how they talk (torchrun starts them).

Every process embeds its equal part of a batch. Embeddings are gathered, and every process computes
the losses of the whole batch from them, so losses, margins, ranks and running statistics of heads
are those of one process. Each then has the gradient of its own embeddings; the backbone's
gradients are summed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from evenface.errors import TrainingDivergedError, UsageError


@dataclass(frozen=True)
class World:
    """The processes of a training, and which of them this is.

    Attributes:
        rank: number of this process.
        size: how many there are.
        local_rank: number of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    _control: Any = field(default=None, repr=False)
    """Group for words between hosts, which must not wait for devices."""

    @property
    def first(self) -> bool:
        """Whether this process writes, logs and shows progress."""
        return self.rank == 0

    def check(self, batch_size: int, micro_batches: int) -> None:
        """UsageError unless a batch can be cut into equal parts of two images or more."""
        parts = self.size * micro_batches
        if self.size > 1 and (batch_size % parts or batch_size < 2 * parts):
            raise UsageError(
                f"a batch of {batch_size} images cannot be cut into {parts} parts of one size, at "
                f"least 2 ({self.size} processes × {micro_batches} micro-batches)"
            )

    def largest(self, value: int) -> int:
        """The largest of all processes' values."""
        if self.size == 1:
            return value
        word = torch.tensor(value)
        dist.all_reduce(word, dist.ReduceOp.MAX, group=self._control)
        return int(word)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier(group=self._control)

    @contextmanager
    def diverging_together(self) -> Iterator[None]:
        """If one process finds a divergence inside, all of them raise TrainingDivergedError."""
        error: TrainingDivergedError | None = None
        try:
            yield
        except TrainingDivergedError as found:
            error = found
        if self.largest(int(error is not None)):
            raise error or TrainingDivergedError("training diverged in another process")

    def gather(self, part: Tensor) -> Tensor:
        """All processes' parts (B/size, …) as one batch (B, …).

        Its gradient is that of the own part: the losses that follow are the same everywhere.
        """
        if self.size == 1:
            return part
        gathered: Tensor = _Gather.apply(part, self)
        return gathered

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their sums over the processes."""
        if self.size > 1:
            _exchange([p.grad for p in parameters if p.grad is not None], dist.all_reduce)

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the first one's values, in place."""
        if self.size > 1:
            _exchange([tensor.detach() for tensor in tensors], partial(dist.broadcast, src=0))


def _exchange(tensors: Sequence[Tensor], collective: Callable[[Tensor], object]) -> None:
    """Run a collective over tensors in place, all of one type at once."""
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        same = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        collective(flat)
        pieces = flat.split([tensor.numel() for tensor in same])
        for tensor, piece in zip(same, pieces, strict=True):
            tensor.copy_(piece.view(tensor.shape))


ALONE = World()


@contextmanager
def open_world(device: str) -> Iterator[World]:
    """The processes that torchrun started; :data:`ALONE` where it did not.

    Args:
        device: the recipe's; it decides how processes talk (NCCL between GPUs, else Gloo).

    Raises:
        UsageError: torchrun's environment is incomplete.
    """
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local_rank = int(os.environ["LOCAL_RANK"])
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"WORLD_SIZE is set, but {error} is not as torchrun sets it. Start the processes by "
            "torchrun, or unset WORLD_SIZE"
        ) from None
    own = not dist.is_initialized()
    if own:
        gpu = device != "cpu" and torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(local_rank % torch.cuda.device_count())
        dist.init_process_group("nccl" if gpu else "gloo", rank=rank, world_size=size)
    try:
        yield World(rank, size, local_rank, dist.new_group(backend="gloo"))
    finally:
        if own:
            dist.destroy_process_group()


def own_device(name: str, world: World) -> str:
    """What the recipe's device is for this process: "cuda" is the GPU of its local rank.

    Raises:
        UsageError: one GPU is named for several processes.
    """
    if world.size == 1 or name == "cpu":
        return name
    if name.startswith("cuda:"):
        raise UsageError(f"device '{name}' is one GPU for {world.size} processes; give cuda")
    if name == "cuda" or torch.cuda.is_available():
        return f"cuda:{world.local_rank}"
    return name


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, world: World) -> Tensor:
        ctx.world = world
        parts = [torch.empty_like(part.contiguous()) for _ in range(world.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        world: World = ctx.world
        return gradients[0].chunk(world.size)[world.rank], None
