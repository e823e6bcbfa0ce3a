"""Augmentations of training images; see :mod:`evenface.train.augment.registry`."""

from collections.abc import Mapping

from evenface.train.augment.registry import Augmenter

ORDER: tuple[str, ...] = ()
"""The order of application."""

__all__ = ["ORDER", "Augmenter", "create_augmenter"]


def create_augmenter(chosen: Mapping[str, Mapping[str, float]], seed: int) -> Augmenter:
    """The augmentations of a recipe; UsageError for names, options or values that do not exist."""
    return Augmenter(chosen, seed, ORDER)
