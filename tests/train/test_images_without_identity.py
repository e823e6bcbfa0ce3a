"""Distillation alone takes images without identity; what learns from people refuses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_training import PixelTeacher, tiny_recipe, write_dataset

from evenface.data.manifest import NOBODY, Manifest
from evenface.errors import UsageError
from evenface.teachers.cache import cached_embeddings
from evenface.train.job import Job


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A cache, and thirty faces of whom two have an identity."""
    folder = write_dataset(tmp_path / "data")
    manifest = Manifest.read(folder)
    names = [f"{NOBODY}squares/{row}" for row in range(len(manifest))]
    names[:2] = ["ann", "ann"]
    bare = manifest.with_column("identity", names)
    bare.write(folder / "manifest.parquet")
    cached_embeddings(PixelTeacher(), bare, tmp_path / "cache")
    return folder


def test_distillation_alone(data: Path) -> None:
    distill = {"cache": data.parent / "cache"}
    for head in (None, {"name": "cosface", "weight": 0.0}):
        job = Job.open(tiny_recipe(data, head=head, distill=distill))
        assert np.count_nonzero(job.manifest.named()) == 2


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, "its head"),
        ({"head": None, "distill": {"centres": "mean"}}, r"distill\.centres"),
        ({"head": None, "sampler": "identities"}, "sampler 'identities'"),
    ],
)
def test_what_needs_identities(data: Path, changes: dict, needed: str) -> None:
    distill = {"cache": data.parent / "cache"}
    changes = changes | {"distill": distill | changes.get("distill", {})}
    with pytest.raises(UsageError, match=f"28 of 30 images have no identity, which {needed} needs"):
        Job.open(tiny_recipe(data, **changes))
