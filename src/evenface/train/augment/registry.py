"""Augmentations by name, and the one that applies those of a recipe.

Every random draw is a hash of (seed, name, epoch, row), made on the CPU: neither the batch, nor the
number of processes, nor an interruption changes what happens to an image. All of them take and give
uint8, and compute in whole numbers or in single operations of float arithmetic, so that the same
image comes out on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenface.errors import UsageError
from evenface.registry import Registry
from evenface.seeds import derive_seed, hash_bits
from evenface.train.device import to_device


@dataclass(frozen=True)
class Option:
    """A number that a recipe may set.

    Attributes:
        default: where the recipe says nothing.
        low, high: both allowed.
    """

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Augmentation:
    """One entry of the registry.

    Attributes:
        apply: ``(images, draws, **options) -> images`` on the chosen rows: uint8 (b, H, W, 3) and
            float64 draws in [0, 1) (b, ``draws``). Images are a tensor on any device, or an array
            for ``on_cpu``. With ``pairs``: ``(images, others, draws, **options)``.
        place: in the order of application, ascending; each has its own.
        draws: random numbers a row.
        on_cpu: works on arrays, before the images travel to the device.
        pairs: mixes each image with another one of the training set, before anything else.
        options: besides "probability".
    """

    apply: Callable[..., Any]
    place: int
    draws: int
    on_cpu: bool
    pairs: bool
    options: Mapping[str, Option]


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")

_PROBABILITY = Option(1.0, 0.0, 1.0)


def augmentation(
    name: str,
    *,
    place: int,
    draws: int,
    on_cpu: bool = False,
    pairs: bool = False,
    **options: Option,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: register a function under ``name``; see :class:`Augmentation`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        options_ = {"probability": _PROBABILITY, **options}
        entry = Augmentation(function, place, draws, on_cpu, pairs, options_)
        AUGMENTATIONS.register(name)(entry)
        return function

    return add


class Augmenter:
    """The augmentations of a recipe, one after the other in the order of :data:`ORDER`.

    Args:
        chosen: name → options, as in the recipe.
        seed: of the recipe.
        order: names in the order of application.

    Raises:
        UsageError: an unknown name or option, or a value out of range.
    """

    def __init__(
        self, chosen: Mapping[str, Mapping[str, float]], seed: int, order: tuple[str, ...]
    ) -> None:
        for name, options in chosen.items():
            _check(name, options)
        self._seed = seed
        self._chosen = [
            (
                name,
                AUGMENTATIONS[name],
                {key: option.default for key, option in AUGMENTATIONS[name].options.items()}
                | dict(chosen[name]),
            )
            for name in order
            if name in chosen
        ]

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of those that mix images with others."""
        return tuple(name for name, entry, _ in self._chosen if entry.pairs)

    def mix(
        self,
        images: np.ndarray | Tensor,
        epoch: int,
        rows: np.ndarray,
        *,
        count: int,
        read: Callable[[np.ndarray, np.ndarray], np.ndarray | Tensor],
    ) -> np.ndarray | Tensor:
        """Those that mix two images; before :meth:`on_cpu` and :meth:`on_device`.

        The other image is drawn from the whole training set, mirrored half of the time, and not
        otherwise augmented: it depends on seed, epoch and row alone, not on the batch.

        Args:
            images: the batch, uint8 (B, H, W, 3), which may be changed.
            epoch: that it is of.
            rows: (B,) of the manifest.
            count: rows of the manifest.
            read: rows, and which of them to mirror, to images of the same kind.
        """
        tensor = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
        for name, entry, options in self._chosen:
            if not entry.pairs:
                continue
            which, draws = self._draw(name, entry, options["probability"], epoch, rows)
            if not len(which):
                continue
            seed = derive_seed(self._seed, "augment", name, "other")
            bits = hash_bits(seed, epoch, rows[which])
            steps = (bits >> np.uint64(1)) % np.uint64(max(count - 1, 1))  # never to itself
            others = (rows[which] + 1 + steps.astype(np.int64)) % count
            found = read(others, (bits & np.uint64(1)) == 1)
            index = to_device(which, tensor.device)
            mixed = entry.apply(
                tensor.index_select(0, index),
                to_device(found, tensor.device),
                draws,
                **_own(options),
            )
            tensor.index_copy_(0, index, mixed)
        return tensor.numpy() if isinstance(images, np.ndarray) else tensor

    def on_cpu(self, images: np.ndarray, epoch: int, rows: np.ndarray) -> np.ndarray:
        """Those that work on arrays. Changes ``images``, uint8 (B, H, W, 3), and returns them."""
        for name, entry, options in self._chosen:
            if entry.on_cpu:
                which, draws = self._draw(name, entry, options["probability"], epoch, rows)
                if len(which):
                    images[which] = entry.apply(images[which], draws, **_own(options))
        return images

    def on_device(self, images: Tensor, epoch: int, rows: np.ndarray) -> Tensor:
        """The others, where the images are: uint8 (B, H, W, 3), which may be changed.

        Args:
            images: the batch.
            epoch: that it is of.
            rows: (B,) of the manifest.
        """
        for name, entry, options in self._chosen:
            if entry.on_cpu or entry.pairs:
                continue
            which, draws = self._draw(name, entry, options["probability"], epoch, rows)
            if len(which):
                index = to_device(which, images.device)
                changed = entry.apply(images.index_select(0, index), draws, **_own(options))
                images.index_copy_(0, index, changed.to(torch.uint8))
        return images

    def _draw(
        self, name: str, entry: Augmentation, probability: float, epoch: int, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the chosen rows (b,), and their draws (b, entry.draws)."""
        seed = derive_seed(self._seed, "augment", name)
        bits = hash_bits(seed, epoch, rows[:, None], np.arange(1 + entry.draws))
        draws = (bits >> np.uint64(11)) * 2.0**-53
        which = np.flatnonzero(draws[:, 0] < probability)
        return which, draws[which, 1:]


def _own(options: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in options.items() if key != "probability"}


def _check(name: str, options: Mapping[str, float]) -> None:
    try:
        known = AUGMENTATIONS[name].options
    except ValueError as error:
        raise UsageError(f"augment: {error}") from None
    for key, value in options.items():
        if key not in known:
            raise UsageError(f"augment.{name}: no option '{key}'; known: {', '.join(known)}")
        if not known[key].low <= value <= known[key].high:
            raise UsageError(
                f"augment.{name}.{key} must be in [{known[key].low:g}, {known[key].high:g}], "
                f"got {value:g}"
            )
    values = {key: option.default for key, option in known.items()} | dict(options)
    for low, high in (("lowest", "highest"), ("smallest", "largest")):
        if {low, high} <= values.keys() and values[low] > values[high]:
            raise UsageError(
                f"augment.{name}: {low} {values[low]:g} is above {high} {values[high]:g}"
            )
