"""What changes while training: backbone, head and optimiser; and one step of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from evenface.errors import UsageError
from evenface.files import atomic_path
from evenface.models import create_backbone
from evenface.models.inputs import to_input
from evenface.models.weights import load_state, read_state
from evenface.run_folder import run_backbone
from evenface.seeds import derive_seed
from evenface.train.average import WeightAverage
from evenface.train.batches import Batch
from evenface.train.device import to_device
from evenface.train.distributed import ALONE, World
from evenface.train.objective import Objective
from evenface.train.optimizers import create_optimizer, parameter_groups
from evenface.train.recipe import TrainRecipe
from evenface.train.recompute import recompute_blocks, recomputed, running_statistics_kept
from evenface.train.run import start_weights
from evenface.train.supply import Supply

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision → type that the backbone computes in under autocast."""


class Learner:
    """Backbone, head, losses and optimiser of a recipe, freshly initialised from its seed.

    Args:
        recipe: its embedding size must be settled.
        num_identities: number of classes C.
        device: where to compute.
        supply: what the losses draw on besides the batches.
        world: the processes that train together.
        backbone: to train, instead of a new one of the recipe.

    Attributes:
        backbone: in training mode.
        objective: the losses, with the head.
        average: of the backbone's weights, None where the recipe asks for none.

    Raises:
        UsageError: the recipe names a part or an option that does not exist.
    """

    def __init__(
        self,
        recipe: TrainRecipe,
        num_identities: int,
        device: torch.device,
        supply: Supply | None = None,
        world: World = ALONE,
        backbone: nn.Module | None = None,
    ) -> None:
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        if backbone is None:
            backbone = build_backbone(recipe)
            if recipe.backbone.start is not None:
                weights = start_weights(recipe.backbone.start)
                load_state(backbone, read_state(weights), weights, recipe.backbone.name)
        if world.size > 1 and device.type == "cuda":
            backbone = nn.SyncBatchNorm.convert_sync_batchnorm(backbone)
        self.backbone = backbone.to(device)
        self._frozen = _modules(backbone, recipe)
        self.freeze()
        self.objective = Objective.from_recipe(recipe, num_identities, supply)
        if recipe.head is not None:
            self.objective.share(world, sharded=recipe.head.sharded, sample=recipe.head.sample)
            if self.objective.shard and world.size > 1 and recipe.precision == "fp16":
                raise UsageError("a sharded head cannot be trained in fp16: precision=bf16")
        self.objective.to(device)
        self.device = device
        self._world = world
        self._half = HALF.get(recipe.precision)
        self._double = recipe.precision == "fp64"
        self._micro_batches = recipe.micro_batches
        self._clip_norm = recipe.optimizer.clip_norm
        if self._double:
            self.backbone.double()
            self.objective.double()
        if recipe.channels_last or (recipe.channels_last is None and device.type == "cuda"):
            self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.backbone, recipe.ema.decay) if recipe.ema else None
        if recipe.recompute:
            recompute_blocks(self.backbone)
        self._forward = torch.compile(self.backbone) if recipe.compile else self.backbone
        self.objective.watch(self.backbone)
        groups = parameter_groups(
            [
                (self.backbone, recipe.optimizer.backbone_rate),
                (self.objective, recipe.optimizer.head_rate),
            ],
            recipe.optimizer,
        )
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        # One kernel; it also spares fp16's scaler a look at the device in every step.
        fused = device.type == "cuda" or None
        self._optimizer = create_optimizer(recipe.optimizer, groups, fused=fused)
        self._scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")

    def freeze(self) -> None:
        """Let the recipe's frozen modules learn nothing and keep their statistics."""
        for module in self._frozen:
            module.eval().requires_grad_(requires_grad=False)

    def begin_head(self, centres: np.ndarray) -> None:
        """Take over class centres, at the length of the random ones in the mean.

        Args:
            centres: float (C, D), normalised.
        """
        head, shard = self.objective.head, self.objective.shard
        assert head is not None
        with torch.no_grad():
            length = head.weight.norm(dim=1).mean()
            whole = torch.from_numpy(centres)
            part = whole if shard is None else shard.cut(whole)
            head.weight.copy_(part.to(head.weight) * length)

    def step(self, batch: Batch, rate: float, seed: int) -> dict[str, Tensor]:
        """One optimiser step.

        Args:
            batch: what to learn from, anywhere; this process's part of it.
            rate: learning rate.
            seed: of this step's random numbers (dropout, random margins), which so do not depend
                on where a run was interrupted.

        Returns:
            Scalars on the device, not waited for: "loss", its parts "classification" and, when
            distilling, "distillation", and the backbone's "gradient_norm" before clipping. In
            fp16 also "loss_scale"; a step that was left out because its scaled gradient
            overflowed has the norm 0.
        """
        labels = to_device(batch.labels, self.device)
        targets = None if batch.targets is None else to_device(batch.targets, self.device)
        pixels = to_device(batch.images, self.device)
        embeddings = self._embed(pixels, seed)
        if self._world.size > 1:
            targets = self.objective.targets(pixels) if targets is None else targets
            targets = None if targets is None else self._world.gather(targets)
            labels = self._world.gather(labels)
            embeddings = self._world.gather(embeddings)
        torch.manual_seed(seed)
        parts = self.objective(
            embeddings,
            labels,
            targets,
            rows=batch.whole,
            seed=seed,
            pixels=pixels if self._world.size == 1 else None,  # not all are here
        )
        loss = torch.stack(list(parts.values())).sum()
        scalars = {"loss": loss, **parts, **self._update(loss, rate)}
        return {name: value.detach() for name, value in scalars.items()}

    def _embed(self, pixels: Tensor, seed: int) -> Tensor:
        """Embeddings (B, D), at least float32, of uint8 (B, 112, 112, 3).

        With several micro-batches the activations of one at a time are in memory: gradients wait
        until the losses of the whole batch are known, then every micro-batch is computed again
        (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
        2021). So heads and losses see the batch as one whatever its parts. Batch norm sees each
        part alone, and its running statistics are those of the first, as with several processes:
        a process's micro-batches are the parts of the whole batch that begin at its own.
        """
        before = self._world.rank * self._micro_batches
        embeddings = []
        for number, part in enumerate(pixels.chunk(self._micro_batches)):
            torch.manual_seed(derive_seed(seed, "micro-batch", before + number))
            with nullcontext() if number == 0 else running_statistics_kept(self.backbone):
                embeddings.append(
                    self._embed_part(part)
                    if self._micro_batches == 1
                    else recomputed(self._embed_part, self.backbone, part)
                )
        return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings)

    def _embed_part(self, pixels: Tensor) -> Tensor:
        images = to_input(pixels, torch.float64 if self._double else torch.float32)
        with torch.autocast(
            self.device.type, dtype=self._half or torch.bfloat16, enabled=self._half is not None
        ):
            embeddings: Tensor = self._forward(images)
        return embeddings if self._double else embeddings.float()

    def _update(self, loss: Tensor, rate: float) -> dict[str, Tensor]:
        """Move the weights down the gradient of ``loss``; scalars of how."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._world.sum_gradients(list(self.backbone.parameters()))
        self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self.backbone.parameters(), self._clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)  # older checkpoints have none
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self.average:
            self.average.update(self.backbone)
        if not self._scaler.is_enabled():
            return {"gradient_norm": norm}
        scale: Tensor = self._scaler._scale.clone()  # type: ignore[union-attr]
        return {"gradient_norm": norm.nan_to_num(0.0, 0.0, 0.0), "loss_scale": scale}

    def align(self) -> None:
        """Take over the first process's weights, momenta and statistics of the losses.

        All processes compute them alike; where one's hardware rounds differently, they would drift
        apart.
        """
        shard = self.objective.shard
        shared = [p for n, p in enumerate(self._parameters) if not shard or n != self._centres]
        momenta = [
            value
            for parameter in shared
            for value in self._optimizer.state.get(parameter, {}).values()
            if value is not None
        ]
        self._world.align([*shared, *momenta, *self.objective.buffers()])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as of one process: a sharded head is put
        together in the first, so every process must call this."""
        objective, optimizer = self.objective.state_dict(), self._optimizer.state_dict()
        if shard := self.objective.shard:
            _on_centres(objective, optimizer, self._centres, shard.collect)
        return {
            "backbone": self.backbone.state_dict(),
            "objective": objective,
            "optimizer": optimizer,
            "scaler": self._scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
        }

    @property
    def _centres(self) -> int:
        """Number of the class centres among the optimiser's parameters."""
        head = self.objective.head
        return next(n for n, p in enumerate(self._parameters) if head and p is head.weight)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state of :meth:`state_dict`, of any number of processes."""
        objective, optimizer = dict(state["objective"]), dict(state["optimizer"])
        if shard := self.objective.shard:
            _on_centres(objective, optimizer, self._centres, shard.cut)
        self.backbone.load_state_dict(state["backbone"])
        self.objective.load_state_dict(objective)
        self._optimizer.load_state_dict(optimizer)
        self._scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])


def _on_centres(
    objective: dict[str, Any],
    optimizer: dict[str, Any],
    number: int,
    change: Callable[[Tensor], Tensor],
) -> None:
    """Change the class centres and their momenta in two state dicts, not in what they are of.

    Args:
        objective, optimizer: state dicts.
        number: of the class centres among the optimiser's parameters.
        change: tensor → tensor.
    """
    objective["head.weight"] = change(objective["head.weight"])
    if number in optimizer["state"]:
        momenta = {  # a counter of steps is no momentum
            key: value if value is None or not value.ndim else change(value)
            for key, value in optimizer["state"][number].items()
        }
        optimizer["state"] = {**optimizer["state"], number: momenta}


def _modules(backbone: nn.Module, recipe: TrainRecipe) -> list[nn.Module]:
    """The modules that a recipe freezes; UsageError where there is no such one."""
    known = dict(backbone.named_modules())
    for name in recipe.backbone.frozen:
        if not name or name not in known:
            listed = ", ".join(child for child, _ in backbone.named_children())
            raise UsageError(
                f"recipe '{recipe.name}': backbone.frozen: no module '{name}' in "
                f"{recipe.backbone.name}, whose parts are: {listed}"
            )
    return [known[name] for name in recipe.backbone.frozen]


def save_weights(backbone: nn.Module, path: Path) -> None:
    """Write a backbone's state dict as safetensors, atomically."""
    state = {key: value.contiguous() for key, value in backbone.state_dict().items()}
    with atomic_path(path) as temporary:
        # save_file would make a file that only its owner can read.
        temporary.write_bytes(safetensors.torch.save(state))


def build_backbone(recipe: TrainRecipe) -> nn.Module:
    """The backbone of a recipe, freshly initialised (torch's global generator), as wide as that of
    the run that it starts from.

    Raises:
        ValueError: the recipe's embedding size is not settled.
        UsageError: the recipe names a backbone or an option that does not exist.
    """
    size = recipe.backbone.embedding_size
    if size is None:
        raise ValueError("the embedding size must be settled before training")
    start = recipe.backbone.start
    try:
        return create_backbone(
            recipe.backbone.name,
            embedding_size=size,
            dropout=recipe.backbone.dropout_rate,
            channels=run_backbone(start).channels if start and start.is_dir() else None,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"recipe '{recipe.name}': {error}") from None
