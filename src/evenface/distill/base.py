"""What distillation losses share: what they need, and how student and teacher reach them.

A loss is one class in one file: it says what it needs besides the embeddings and overrides
:meth:`Distillation.loss`, or :meth:`SampleDistillation.distances` where it is a mean over samples.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.models.margin import at_least_single

Need = Literal["labels", "centres", "classifier", "maps"]

NEEDS: dict[Need, str] = {
    "labels": "identities of the images",
    "centres": "the teacher's class centres, or the declared substitute for them",
    "classifier": "a student with a head that knows all classes",
    "maps": "feature maps of student and teacher",
}
"""What a loss may need besides the embeddings of student and teacher."""


class Distillation(nn.Module):
    """A loss between a student and a teacher that have seen the same images.

    Class attributes:
        needs: besides the embeddings; what is needed of a batch is passed by these names.
        same_size: whether both embeddings must have one number of dimensions.
        source: paper.

    Args:
        weight: factor on the loss, positive.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    same_size: ClassVar[bool] = False
    source: ClassVar[str] = ""

    def __init__(self, weight: float) -> None:
        super().__init__()
        if not weight > 0:
            raise ValueError(f"the weight must be positive, got {weight}")
        self.weight = weight

    def forward(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """weight · loss, a scalar in float32 (float64 for float64 embeddings).

        No gradient flows to the teacher.

        Args:
            student: embeddings (B, D_s), not normalised.
            teacher: embeddings of the same views (B, D_t), not normalised.
            extra: what :attr:`needs` names: ``labels`` int64 (B,); ``classifier`` the student's
                logits without a margin (B, C); ``maps`` feature maps of student and teacher.

        Raises:
            ValueError: shapes that do not fit.
        """
        f_s, f_t = self._unit(student, teacher)
        with torch.autocast(student.device.type, enabled=False):
            return self.weight * self.loss(f_s, f_t, **extra)

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The loss without its weight, from L2-normalised embeddings."""
        raise NotImplementedError

    def _unit(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        same = student.shape == teacher.shape if self.same_size else len(student) == len(teacher)
        if student.ndim != 2 or teacher.ndim != 2 or not same:
            wanted = "(B, D) of one shape" if self.same_size else "(B, D) of as many images"
            raise ValueError(
                f"student and teacher embeddings must be {wanted}, "
                f"got {tuple(student.shape)} and {tuple(teacher.shape)}"
            )
        with torch.autocast(student.device.type, enabled=False):
            f_s = F.normalize(at_least_single(student))
            return f_s, F.normalize(teacher.detach().to(f_s.dtype))


class SampleDistillation(Distillation):
    """A loss that is the mean of one distance a sample: groups of samples can be weighed."""

    def loss(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """Mean of :meth:`distances`."""
        return self.distances(student, teacher, **extra).mean()

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The distance of every sample (B,), from L2-normalised embeddings."""
        raise NotImplementedError

    def by_sample(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """What :meth:`forward` averages, (B,), without the weight."""
        f_s, f_t = self._unit(student, teacher)
        with torch.autocast(student.device.type, enabled=False):
            return self.distances(f_s, f_t, **extra)


def squared_distances(unit: Tensor) -> Tensor:
    """Squared Euclidean distances (B, B) between L2-normalised embeddings; 0 on the diagonal."""
    cosines = unit @ unit.T
    return (2 - 2 * cosines).clamp(min=0) * (1 - torch.eye(len(unit)).to(unit))


def safe_sqrt(values: Tensor) -> Tensor:
    """√ with the gradient 0 where there is none, at 0."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
