"""Fixtures of the tests of training."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tiny_training import PixelTeacher, tiny_recipe, write_dataset

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.teachers.cache import cached_embeddings
from evenface.train.learner import Learner


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_dataset(tmp_path / "faces")


@pytest.fixture
def manifest(dataset) -> Manifest:
    return Manifest.read(dataset)


@pytest.fixture
def cache(manifest, tmp_path) -> EmbeddingCache:
    return cached_embeddings(PixelTeacher(), manifest, tmp_path / "cache")


@pytest.fixture
def make_recipe(dataset):
    """Makes the tiny recipe with some fields replaced."""
    return partial(tiny_recipe, data=dataset)


@pytest.fixture
def break_at(monkeypatch):
    """Makes the n-th step of the next training call a function before it runs."""

    def install(number, action):
        step = Learner.step
        count = 0

        def counted(self, *arguments):
            nonlocal count
            count += 1
            if count == number:
                action()
            return step(self, *arguments)

        monkeypatch.setattr(Learner, "step", counted)
        return lambda: monkeypatch.setattr(Learner, "step", step)

    return install
