"""Little data sets, made of noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter


def noise(count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, 112, 112, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def write_store(folder: Path, count: int, seed: int = 0) -> np.ndarray:
    images = noise(count, seed)
    with ImageStoreWriter(folder) as writer:
        writer.append(images)
    return images


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores, ``real`` and ``synthetic``, of 120 images each."""
    root = tmp_path_factory.mktemp("stores")
    write_store(root / "real", 120, seed=1)
    write_store(root / "synthetic", 120, seed=2)
    return root


Describe = Callable[..., Manifest]


@pytest.fixture(scope="session")
def describe(stores: Path) -> Describe:
    """Makes a manifest over one of the stores: ``describe(part, people)``, people being
    (identity, ethnicity, images)."""

    def make(part: str, people: Sequence[tuple[str, str | None, int]]) -> Manifest:
        identity = [name for name, _, images in people for _ in range(images)]
        ethnicity = [group for _, group, images in people for _ in range(images)]
        return Manifest.from_columns(
            stores / part,
            index=range(len(identity)),
            identity=identity,
            origin=part,
            dataset=f"little {part}",
            licence="CC0-1.0",
            attributes={"ethnicity": ethnicity},
        )

    return make


@pytest.fixture
def face_folder(tmp_path: Path) -> Path:
    """``<group>/<identity>/<image>``: 2 groups × 3 identities × 2 noise images of 112×112."""
    root = tmp_path / "faces"
    images = iter(noise(12, seed=3))
    for group in ("north", "south"):
        for person in ("p1", "p2", "p3"):
            folder = root / group / f"{group[0]}{person}"
            folder.mkdir(parents=True)
            for name in ("a.png", "b.png"):
                Image.fromarray(next(images)).save(folder / name)
    return root
