"""What a training minimises: classification, and distillation where the recipe asks for it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from evenface.distill import create_distillation
from evenface.errors import UsageError
from evenface.models import MarginHead, create_head
from evenface.train.recipe import TrainRecipe


class Objective(nn.Module):
    """The losses of a recipe, with the parameters that they learn (the head's class centres).

    Args:
        head: classifier with a margin.
        distillation: loss between student and teacher embeddings, or None.
    """

    def __init__(self, head: MarginHead, distillation: nn.Module | None) -> None:
        super().__init__()
        self.head = head
        self.distillation = distillation

    @classmethod
    def from_recipe(cls, recipe: TrainRecipe, num_identities: int) -> Objective:
        """The objective of a recipe, freshly initialised (torch's global generator).

        Raises:
            ValueError: the recipe's embedding size is not settled.
            UsageError: the recipe names a part or an option that does not exist.
        """
        size = recipe.backbone.embedding_size
        if size is None:
            raise ValueError("the embedding size must be settled before training")
        try:
            head = create_head(
                recipe.head.name,
                embedding_size=size,
                num_identities=num_identities,
                **recipe.head.options,
            )
            if recipe.distill is None:
                return cls(head, None)
            return cls(head, create_distillation(recipe.distill.name, weight=recipe.distill.weight))
        except (ValueError, TypeError) as error:
            raise UsageError(f"recipe '{recipe.name}': {error}") from None

    def forward(
        self, embeddings: Tensor, labels: Tensor, targets: Tensor | None
    ) -> dict[str, Tensor]:
        """Scalar losses by name: "classification" and, when distilling, "distillation".

        Args:
            embeddings: float32 (B, D), not normalised.
            labels: int64 (B,).
            targets: teacher embeddings of the same views, float32 (B, D), or None.
        """
        parts = {"classification": F.cross_entropy(self.head(embeddings, labels), labels)}
        if self.distillation is not None:
            parts["distillation"] = self.distillation(embeddings, targets)
        return parts
