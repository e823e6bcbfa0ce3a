"""What changes while training: backbone, head and optimiser; and one step of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from evenface.errors import UsageError
from evenface.files import atomic_path
from evenface.models import create_backbone
from evenface.models.inputs import to_input
from evenface.seeds import derive_seed
from evenface.train.batches import Batch
from evenface.train.device import to_device
from evenface.train.objective import Objective
from evenface.train.recipe import TrainRecipe


class Learner:
    """Backbone, head, losses and optimiser of a recipe, freshly initialised from its seed.

    Args:
        recipe: its embedding size must be settled.
        num_identities: number of classes C.
        device: where to compute.

    Raises:
        UsageError: the recipe names a part or an option that does not exist.
    """

    def __init__(self, recipe: TrainRecipe, num_identities: int, device: torch.device) -> None:
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        self.backbone = build_backbone(recipe).to(device)
        self.objective = Objective.from_recipe(recipe, num_identities).to(device)
        self.device = device
        self._clip_norm = recipe.optimizer.clip_norm
        self._half = recipe.precision == "bf16"
        self._optimizer = torch.optim.SGD(
            [
                parameter
                for part in (self.backbone, self.objective)
                for parameter in part.parameters()
                if parameter.requires_grad
            ],
            lr=recipe.optimizer.lr,
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
            weight_decay=recipe.optimizer.weight_decay,
        )

    def step(self, batch: Batch, rate: float, seed: int) -> dict[str, Tensor]:
        """One optimiser step.

        Args:
            batch: what to learn from.
            rate: learning rate.
            seed: of this step's random numbers (dropout, random margins), which so do not depend
                on where a run was interrupted.

        Returns:
            Scalars on the device, not waited for: "loss", its parts "classification" and, when
            distilling, "distillation", and the backbone's "gradient_norm" before clipping.
        """
        torch.manual_seed(seed)
        images = to_input(to_device(batch.images, self.device))
        labels = to_device(batch.labels, self.device)
        targets = None if batch.targets is None else to_device(batch.targets, self.device)

        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._half):
            embeddings = self.backbone(images)
        parts = self.objective(embeddings.float(), labels, targets)
        loss = torch.stack(list(parts.values())).sum()

        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.backbone.parameters(), self._clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        scalars = {"loss": loss, **parts, "gradient_norm": norm}
        return {name: value.detach() for name, value in scalars.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "backbone": self.backbone.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.backbone.load_state_dict(state["backbone"])
        self.objective.load_state_dict(state["objective"])
        self._optimizer.load_state_dict(state["optimizer"])

    def save_weights(self, path: Path) -> None:
        """Write the backbone alone as safetensors, atomically."""
        state = {key: value.contiguous() for key, value in self.backbone.state_dict().items()}
        with atomic_path(path) as temporary:
            # save_file would make a file that only its owner can read.
            temporary.write_bytes(safetensors.torch.save(state))


def build_backbone(recipe: TrainRecipe) -> nn.Module:
    """The backbone of a recipe, freshly initialised (torch's global generator).

    Raises:
        ValueError: the recipe's embedding size is not settled.
        UsageError: the recipe names a backbone or an option that does not exist.
    """
    size = recipe.backbone.embedding_size
    if size is None:
        raise ValueError("the embedding size must be settled before training")
    try:
        return create_backbone(
            recipe.backbone.name, embedding_size=size, dropout=recipe.backbone.dropout
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"recipe '{recipe.name}': {error}") from None
