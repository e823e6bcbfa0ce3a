"""Augmentations of training images; see :mod:`evenface.train.augment.registry`.

Images change as on the way from a face to a data set: they are compressed (what was stored is
compressed again), cut, seen from afar, out of focus, in another light, without colour, and then
whatever RandAugment and a pattern over it do.
"""

from collections.abc import Mapping

from evenface.train.augment import clutter, crop, jpeg, photometric, randaugment, rescale
from evenface.train.augment.registry import AUGMENTATIONS, Augmenter

ORDER = ("jpeg", "crop", "rescale", "blur", "photometric", "grey", "randaugment", "clutter")
"""The order of application, whatever that in a recipe."""

__all__ = [
    "AUGMENTATIONS",
    "ORDER",
    "Augmenter",
    "clutter",
    "create_augmenter",
    "crop",
    "jpeg",
    "photometric",
    "randaugment",
    "rescale",
]


def create_augmenter(chosen: Mapping[str, Mapping[str, float]], seed: int) -> Augmenter:
    """The augmentations of a recipe; UsageError for names, options or values that do not exist."""
    return Augmenter(chosen, seed, ORDER)
