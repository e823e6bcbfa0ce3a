"""What distillation through class centres in the teacher's space shares."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from evenface.models.margin import additive_angular_margin

Kind = Literal["arc", "cos"]


def margin_cross_entropy(
    student: Tensor,
    centres: Tensor,
    labels: Tensor,
    *,
    s: float,
    margins: Tensor | float,
    kind: Kind = "arc",
) -> Tensor:
    """Cross-entropy (B,) of s · cos with a margin on the own class.

    Args:
        student: L2-normalised embeddings (B, D).
        centres: (C, D), normalised here.
        labels: int64 (B,).
        s: scale.
        margins: one, or one a sample (B,).
        kind: "arc" for cos(θ + m), "cos" for cos θ − m.
    """
    cosines = (student @ F.normalize(centres.to(student.dtype)).T).clamp(-1.0, 1.0)
    own = cosines.gather(1, labels[:, None])[:, 0]
    reduced = additive_angular_margin(own, margins) if kind == "arc" else own - margins
    logits = cosines.scatter(1, labels[:, None], reduced[:, None].to(cosines.dtype)) * s
    return F.cross_entropy(logits, labels, reduction="none")


def check_scale(s: float) -> float:
    """``s`` if it is positive; else ValueError."""
    if not s > 0:
        raise ValueError(f"the scale s must be positive, got {s}")
    return s


def unit_centres(centres: Tensor) -> Tensor:
    """Class centres (C, D) as float32, L2-normalised; ValueError for another shape."""
    if centres.ndim != 2 or not len(centres):
        raise ValueError(f"class centres must be (C, D), got {tuple(centres.shape)}")
    return F.normalize(torch.as_tensor(centres, dtype=torch.float32))
