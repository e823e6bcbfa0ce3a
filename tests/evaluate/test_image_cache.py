"""Embeddings kept by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, person

from evenface.errors import DataError
from evenface.evaluate.image_cache import ImageCache

FACES = np.stack([person(number, 0) for number in range(5)])


def test_only_what_is_not_known_is_embedded(tmp_path: Path) -> None:
    model = PixelModel()
    expected = PixelModel().embed(FACES)
    first = ImageCache(model, tmp_path)
    assert np.array_equal(first.embed(FACES[[0, 1, 0]]), expected[[0, 1, 0]])
    assert len(model.seen) == 2
    # Another set, in another process.
    second = ImageCache(model, tmp_path)
    assert np.array_equal(second.embed(FACES[::-1]), expected[::-1])
    assert len(model.seen) == 5
    assert np.array_equal(second.embed(FACES), expected)
    assert len(model.seen) == 5


def test_models_do_not_share(tmp_path: Path) -> None:
    ImageCache(PixelModel(), tmp_path).embed(FACES)
    other = PixelModel()
    other.fingerprint = "cd" * 32
    ImageCache(other, tmp_path).embed(FACES)
    assert len(other.seen) == 5


def test_a_record_cut_short_is_embedded_again(tmp_path: Path) -> None:
    cache = ImageCache(PixelModel(), tmp_path)
    expected = cache.embed(FACES)
    data = cache.path.read_bytes()
    cache.path.write_bytes(data[:-7])
    model = PixelModel()
    assert np.array_equal(ImageCache(model, tmp_path).embed(FACES), expected)
    assert len(model.seen) == 1
    assert cache.path.read_bytes() == data


def test_what_no_distance_can_be_taken_of_is_not_kept(tmp_path: Path) -> None:
    class Broken(PixelModel):
        def embed(self, images: np.ndarray) -> np.ndarray:
            return np.full((len(images), 147), np.nan)

    cache = ImageCache(Broken(), tmp_path)
    with pytest.raises(DataError, match="NaN or infinite"):
        cache.embed(FACES)
    assert not cache.path.exists()


def test_another_shape_than_promised_is_refused(tmp_path: Path) -> None:
    class Short(PixelModel):
        embedding_size = 99

    with pytest.raises(DataError, match="expected \\(5, 99\\)"):
        ImageCache(Short(), tmp_path).embed(FACES)
