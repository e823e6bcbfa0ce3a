"""Embeddings of a mix are found in the caches of what it was mixed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.teachers import subset
from evenface.teachers.cache import cached_embeddings
from evenface.teachers.subset import subset_cache
from pattern_people import PatternTeacher, write_people


def source(folder: Path, prefix: str, each: int):
    manifest = write_people(folder, [(f"{prefix}{i}", "east", 3) for i in range(each)])
    return manifest, cached_embeddings(PatternTeacher(), manifest, folder / "cache")


@pytest.mark.parametrize("block", [2, 1000])
def test_rows_of_several_caches_are_gathered_in_order(tmp_path, monkeypatch, block):
    monkeypatch.setattr(subset, "_BLOCK_ROWS", block)
    first, second = source(tmp_path / "a", "a", 3), source(tmp_path / "b", "b", 2)
    whole = Manifest.concat([first[0], second[0]])
    mixed = whole.select(np.random.default_rng(0).permutation(len(whole))[:11])
    gathered = subset_cache([first, second], mixed, tmp_path / "mixed")
    again = cached_embeddings(PatternTeacher(), mixed, tmp_path / "again")
    assert gathered.record == again.record
    for view in ("original", "flip"):
        assert (tmp_path / "mixed" / f"{view}.npy").read_bytes() == (
            tmp_path / "again" / f"{view}.npy"
        ).read_bytes()


def test_an_image_that_was_not_embedded_is_named(tmp_path):
    first, second = source(tmp_path / "a", "a", 2), source(tmp_path / "b", "b", 2)
    print_ = second[0].stores["."].fingerprint[:12]
    with pytest.raises(DataError, match=f"image 4 of the store with fingerprint {print_}"):
        subset_cache([first], second[0].select([4]), tmp_path / "mixed")
