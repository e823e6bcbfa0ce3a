"""A contact sheet: a few identities, one in each row."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from evenface.data.manifest import Manifest
from evenface.data.store import IMAGE_SIZE
from evenface.seeds import derive_seed, generator

GAP = 4
_PAPER = 255


@dataclass(frozen=True)
class Preview:
    """A contact sheet and what it shows."""

    sheet: np.ndarray
    """uint8 (H, W, 3) RGB."""
    rows: list[tuple[str, str, int]]
    """Group, identity and number of images shown, from top to bottom."""
    shows_real_people: bool


def contact_sheet(
    manifest: Manifest, *, identities: int = 8, images: int = 8, seed: int = 0
) -> Preview:
    """Draw a contact sheet; a row is one identity.

    Identities are drawn from all groups in turn, so that each group is seen.

    Args:
        manifest: where to draw from.
        identities: at most this many rows, ≥ 1.
        images: at most this many images a row, ≥ 1.
        seed: decides whom and what is shown.

    Raises:
        ValueError: a count below 1.
    """
    if identities < 1 or images < 1:
        raise ValueError(f"a sheet needs at least 1 × 1 images, got {identities} × {images}")
    names, labels, groups = manifest.identities(), manifest.labels(), manifest.groups()
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], np.arange(len(names) + 1))
    chosen = _choose(names, groups[order[first[:-1]]], identities, seed)
    rows_of = [
        _some(order[first[label] : first[label + 1]], images, seed, names[label])
        for _, label in chosen
    ]
    sheet = _draw(manifest, rows_of)
    shown = [
        (group, names[label], len(rows))
        for (group, label), rows in zip(chosen, rows_of, strict=True)
    ]
    real = manifest.select(np.concatenate(rows_of)).column("origin") == "real"
    return Preview(sheet, shown, bool(real.any()))


def _choose(names: list[str], group_of: np.ndarray, count: int, seed: int) -> list[tuple[str, int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for label in sorted(range(len(names)), key=lambda i: derive_seed(seed, "preview", names[i])):
        members[group_of[label]].append(label)
    in_turn = chain.from_iterable(zip_longest(*(members[group] for group in sorted(members))))
    drawn = [label for label in in_turn if label is not None][:count]
    return sorted((str(group_of[label]), label) for label in drawn)


def _some(rows: np.ndarray, count: int, seed: int, name: str) -> np.ndarray:
    picked = generator(seed, "preview-images", name).permutation(len(rows))[:count]
    return rows[np.sort(picked)]


def _draw(manifest: Manifest, rows_of: list[np.ndarray]) -> np.ndarray:
    step = IMAGE_SIZE + GAP
    columns = max(len(rows) for rows in rows_of)
    shape = (len(rows_of) * step + GAP, columns * step + GAP, 3)
    sheet = np.full(shape, _PAPER, dtype=np.uint8)
    for y, rows in enumerate(rows_of):
        for x, image in enumerate(manifest.images(rows)):
            top, left = y * step + GAP, x * step + GAP
            sheet[top : top + IMAGE_SIZE, left : left + IMAGE_SIZE] = image
    return sheet
