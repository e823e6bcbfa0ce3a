"""Names of backbones and heads, and the two functions that make them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from evenface.models.margin import MarginHead
from evenface.models.widths import Channels, narrow
from evenface.registry import Registry, typed_options

BACKBONES: Registry[Callable[..., nn.Module]] = Registry("backbone")
HEADS: Registry[Callable[..., MarginHead]] = Registry("head")

TIMM = "timm:"
"""Before the name of one of timm's networks."""

HEAD_ARGUMENTS = frozenset({"embedding_size", "num_identities", "generator"})
"""Arguments of a head that are no options: what the training knows."""

MAX_EMBEDDING_SIZE = 65_536


def create_backbone(
    name: str,
    *,
    embedding_size: int = 512,
    dropout: float = 0.0,
    channels: Channels | None = None,
) -> nn.Module:
    """A backbone with freshly initialised weights (torch's global generator).

    It maps float images (B, 3, 112, 112), RGB in [−1, 1], to embeddings (B, embedding_size) that
    are not normalised.

    Args:
        name: one of :func:`list_backbones`, or ``timm:NAME`` (:mod:`evenface.models.timm`).
        embedding_size: number of dimensions D, 1 to :data:`MAX_EMBEDDING_SIZE`.
        dropout: probability before the embedding layer, in [0, 1).
        channels: of a pruned one, see :mod:`evenface.models.widths`.

    Raises:
        ValueError: unknown name (the known are listed), an argument out of range, or channels
            that do not fit the backbone or each other.
        MissingDependencyError: timm is asked for and not installed.
    """
    if not 1 <= embedding_size <= MAX_EMBEDDING_SIZE:
        raise ValueError(
            f"embedding_size must be between 1 and {MAX_EMBEDDING_SIZE:,}, got {embedding_size:,}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    make = _factory(name)
    backbone = make(embedding_size=embedding_size, dropout=dropout)
    if channels:
        narrow(backbone, channels)
        with torch.device("meta"):  # shapes without memory
            shapes = make(embedding_size=embedding_size, dropout=dropout).eval()
            narrow(shapes, channels)
            try:
                shapes(torch.zeros(1, 3, 112, 112))
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                raise ValueError(
                    f"channels of '{name}' that do not fit together: {reason}"
                ) from None
    return backbone


def is_backbone(name: str) -> bool:
    """Whether :func:`create_backbone` may take this name; timm's names are not looked up."""
    return name in BACKBONES or name.startswith(TIMM)


def _factory(name: str) -> Callable[..., nn.Module]:
    if name.startswith(TIMM):
        from evenface.models.timm import create_timm

        return partial(create_timm, name.removeprefix(TIMM))
    return BACKBONES[name]


def create_head(
    name: str, *, embedding_size: int, num_identities: int, **options: Any
) -> MarginHead:
    """A margin head with freshly initialised class centres.

    ``head(embeddings, labels)`` maps un-normalised embeddings (B, D) and labels (B,) int64 to
    logits (B, C), already times ``s``; the margin is applied in training and evaluation mode
    alike. ``labels=None`` gives plain s · cos. The class centres are ``head.weight`` (C, D).

    Args:
        name: one of :func:`list_heads`.
        embedding_size: number of dimensions D.
        num_identities: number of classes C.
        options: the head's own, by the paper's letters (``s``, ``m``, ``std``, ``h``), and words
            for its variants (``assign``, ``angle``, ``norms``).

    Raises:
        ValueError: unknown name, or an argument out of range.
        TypeError: an option that the head does not have, or of another type.
    """
    head = HEADS[name]
    options = typed_options(f"head '{name}'", head, options, given=HEAD_ARGUMENTS)
    return head(embedding_size=embedding_size, num_identities=num_identities, **options)


def list_backbones() -> list[str]:
    """Names for :func:`create_backbone`, sorted."""
    return BACKBONES.names()


def list_heads() -> list[str]:
    """Names for :func:`create_head`, sorted."""
    return HEADS.names()
