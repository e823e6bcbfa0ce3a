"""Knowledge distillation of logits (Hinton, Vinyals and Dean, arXiv 1503.02531)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from evenface.distill.base import SampleDistillation
from evenface.distill.centres import check_scale, unit_centres
from evenface.distill.registry import DISTILLATIONS


@DISTILLATIONS.register(
    "logit",
    title="logit distillation",
    formula=(
        "T² KL(softmax(z_t/T) ‖ softmax(z/T)), T = temperature, z_t = s · cos with the teacher's "
        "centres, z the head's logits without margin"
    ),
    works=("hinton2015",),
)
class LogitDistillation(SampleDistillation):
    """T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)).

    z_t = s · cos with the teacher's class centres, z_s the student's head without its margin. Both
    must number the identities alike.

    Args:
        centres: the teacher's class centres (C, D_t).
        weight: of the loss.
        temperature: T, positive.
        s: scale of the teacher's logits.
    """

    needs = frozenset({"centres", "classifier"})
    source = "Hinton et al., arXiv 1503.02531"

    def __init__(
        self, *, centres: Tensor, weight: float = 1.0, temperature: float = 4.0, s: float = 64.0
    ) -> None:
        super().__init__(weight)
        if not temperature > 0:
            raise ValueError(f"the temperature must be positive, got {temperature}")
        self.temperature = temperature
        self.s = check_scale(s)
        self.centres: Tensor
        self.register_buffer("centres", unit_centres(centres))

    def distances(self, student: Tensor, teacher: Tensor, **extra: Any) -> Tensor:
        """The divergence of every sample."""
        z_s: Tensor = extra["classifier"]
        z_t = self.s * (teacher @ self.centres.to(teacher.dtype).T)
        log_s = (z_s / self.temperature).log_softmax(dim=1)
        log_t = (z_t / self.temperature).log_softmax(dim=1)
        divergence = F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(dim=1)
        return self.temperature**2 * divergence
