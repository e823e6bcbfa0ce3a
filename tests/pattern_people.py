"""People made of coloured patterns, and a teacher that sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.seeds import generator
from evenface.teachers.cache import cached_embeddings


class PatternTeacher:
    """Embeds an image as the mean colours of its 7 × 7 tiles, (N, 147)."""

    name = "patterns"
    embedding_size = 147

    def __init__(self, fingerprint: str = "patterns") -> None:
        self.fingerprint = fingerprint

    def embed(self, images: np.ndarray) -> np.ndarray:
        tiles = images.reshape(-1, 7, 16, 7, 16, 3).mean(axis=(2, 4))
        return (tiles.reshape(len(images), -1) - 127.5).astype(np.float32)


def pattern(person: str, group: str, image: int) -> np.ndarray:
    """uint8 (112, 112, 3): a person's pattern over a group's, with a little noise."""
    tiles = generator("group", group).uniform(60, 195, (7, 7, 3))
    tiles = tiles + generator("person", person).uniform(-30, 30, (7, 7, 3))
    tiles = tiles + generator("image", person, image).uniform(-8, 8, (7, 7, 3))
    return np.repeat(np.repeat(tiles, 16, axis=0), 16, axis=1).clip(0, 255).astype(np.uint8)


def write_people(
    folder: Path,
    people: Sequence[tuple[str, str, int]],
    *,
    origin: str = "real",
    declared: bool = True,
    names: dict[str, str] | None = None,
) -> Manifest:
    """A data set of (person, group, images); ``names`` gives persons other identity names."""
    names = names or {}
    rows = [(person, group, i) for person, group, images in people for i in range(images)]
    with ImageStoreWriter(folder) as writer:
        for row in rows:
            writer.append(pattern(*row))
    manifest = Manifest.from_columns(
        folder,
        index=range(len(rows)),
        identity=[names.get(person, person) for person, _, _ in rows],
        origin=origin,
        dataset="patterns",
        licence="CC0-1.0",
        attributes={"ethnicity": [group for _, group, _ in rows]} if declared else {},
    )
    manifest.write(folder / "manifest.parquet")
    return manifest


def embed(manifest: Manifest, folder: Path, fingerprint: str = "patterns") -> Path:
    """An embedding cache by the pattern teacher."""
    cached_embeddings(PatternTeacher(fingerprint), manifest, folder, views=("original",))
    return folder
