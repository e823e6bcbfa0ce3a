"""A little labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter

MakeManifest = Callable[..., Manifest]


@pytest.fixture(scope="session")
def noise_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 400 images of noise, all manifests of these tests point into it."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    with ImageStoreWriter(folder) as writer:
        for _ in range(4):
            writer.append(rng.integers(0, 256, (100, 112, 112, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="session")
def make_manifest(noise_store: Path) -> MakeManifest:
    """Function of group → list of images per identity; other columns by keyword."""

    def make(sizes: dict[str, list[int]], **columns: object) -> Manifest:
        people = [(g, i, k) for g, counts in sizes.items() for i, k in enumerate(counts)]
        identity = [f"{g}-{i:03d}" for g, i, k in people for _ in range(k)]
        group = [g for g, _, k in people for _ in range(k)]
        given = {
            "index": np.arange(len(identity)),
            "identity": identity,
            "origin": "synthetic",
            "dataset": "noise",
            "licence": "CC0-1.0",
            "attributes": {"ethnicity": group},
        }
        return Manifest.from_columns(noise_store, **{**given, **columns})

    return make


@pytest.fixture(scope="session")
def two_groups(make_manifest: MakeManifest) -> Manifest:
    """Two groups of 24 identities with 4 images."""
    return make_manifest({"a": [4] * 24, "b": [4] * 24})
