"""Augmentations of training images; see :mod:`evenface.train.augment.registry`.

Images change as on the way from a face to a data set: two are mixed, they are compressed (what was
stored is compressed again), seen from elsewhere, cut, seen from afar, out of focus, moved, in
another light, without colour, and then whatever RandAugment, noise, covers and a pattern do.

To add one, write a function under :func:`~evenface.train.augment.registry.augmentation` in a
module of this folder: every module of it is imported.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from evenface.train.augment.registry import AUGMENTATIONS, Augmenter

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

ORDER = tuple(sorted(AUGMENTATIONS, key=lambda name: AUGMENTATIONS[name].place))
"""The order of application, whatever that in a recipe."""

__all__ = ["AUGMENTATIONS", "ORDER", "Augmenter", "create_augmenter"]


def create_augmenter(chosen: Mapping[str, Mapping[str, float]], seed: int) -> Augmenter:
    """The augmentations of a recipe; UsageError for names, options or values that do not exist."""
    return Augmenter(chosen, seed, ORDER)
