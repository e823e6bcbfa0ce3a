"""Names of distillation losses."""

from __future__ import annotations

from typing import Any

from evenface.distill.base import Distillation
from evenface.registry import Registry, typed_options

DISTILLATIONS: Registry[type[Distillation]] = Registry("distillation loss")

LOSS_ARGUMENTS = frozenset({"weight", "centres", "channels", "embedding_size", "num_identities"})
"""Arguments of a loss that are no options: its weight, and what the training knows."""


def create_distillation(name: str, **arguments: Any) -> Distillation:
    """A loss ``loss(student, teacher, …)`` on embeddings (B, D) of the same views → scalar.

    Args:
        name: one of :func:`list_distillations`.
        arguments: ``weight``, the loss's options, and what it is made from where it needs that:
            ``centres`` (C, D) of the teacher, ``num_identities`` and ``embedding_size``,
            ``channels`` of the feature maps.

    Raises:
        ValueError: unknown name (the known are listed), or an option out of range.
        TypeError: an option that the loss does not have, or of another type.
    """
    loss = DISTILLATIONS[name]
    return loss(
        **typed_options(f"distillation loss '{name}'", loss, arguments, given=LOSS_ARGUMENTS)
    )


def list_distillations() -> list[str]:
    """Names for :func:`create_distillation`, sorted."""
    return DISTILLATIONS.names()
