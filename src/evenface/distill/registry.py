"""Names of distillation losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from evenface.registry import Registry

DISTILLATIONS: Registry[Callable[..., nn.Module]] = Registry("distillation loss")


def create_distillation(name: str, **options: Any) -> nn.Module:
    """A loss ``loss(student, teacher)`` on embeddings (B, D) of the same views → scalar.

    Raises:
        ValueError: unknown name (the known are listed), or an option out of range.
        TypeError: an option that the loss does not have.
    """
    return DISTILLATIONS[name](**options)


def list_distillations() -> list[str]:
    """Names for :func:`create_distillation`, sorted."""
    return DISTILLATIONS.names()
