"""Batches: every row once an epoch, targets of the very views, nothing but the step decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import PixelTeacher

from evenface.errors import DataError
from evenface.teachers.cache import cached_embeddings
from evenface.train.batches import BatchSource


def source(manifest, cache=None, *, batch_size=7, seed=0, flip=True):
    return BatchSource(manifest, cache, batch_size=batch_size, seed=seed, flip=flip)


def rows_of(batch, manifest):
    """Which rows a batch holds, and which of them mirrored, found by their pixels."""
    plain = {image.tobytes(): row for row, image in enumerate(manifest.images())}
    rows, flipped = [], []
    for image in batch.images:
        mirrored = image[:, ::-1].tobytes()
        flipped.append(mirrored in plain)
        rows.append(plain[mirrored if mirrored in plain else image.tobytes()])
    return np.array(rows), np.array(flipped)


def test_shapes_and_types(manifest, cache):
    batch = source(manifest, cache).batch(0)
    assert (batch.images.shape, batch.images.dtype) == ((7, 112, 112, 3), np.uint8)
    assert (batch.labels.shape, batch.labels.dtype) == ((7,), np.int64)
    assert (batch.targets.shape, batch.targets.dtype) == ((7, 8), np.float32)
    assert source(manifest).batch(0).targets is None


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch_size=st.integers(2, 40), seed=st.integers(0, 1000), epoch=st.integers(0, 3))
def test_an_epoch_holds_each_row_at_most_once(manifest, batch_size, seed, epoch):
    batches = source(manifest, batch_size=batch_size, seed=seed)
    count = batches.batches_per_epoch
    assert count * batches.batch_size > len(manifest) - batches.batch_size
    seen = np.concatenate(
        [rows_of(batches.batch(epoch * count + n), manifest)[0] for n in range(count)]
    )
    assert len(set(seen.tolist())) == len(seen) == count * batches.batch_size


def test_labels_and_targets_belong_to_the_views(manifest, cache):
    batches = source(manifest, cache)
    labels = manifest.labels()
    seen = set()
    for step in range(12):
        batch = batches.batch(step)
        rows, flipped = rows_of(batch, manifest)
        np.testing.assert_array_equal(batch.labels, labels[rows])
        # The teacher reads pixels: its embedding of what the student sees.
        expected = batch.images[:, 56, :8, 0].astype(np.float32) - 127.5
        np.testing.assert_array_equal(batch.targets, expected)
        seen |= set(flipped.tolist())
    assert seen == {True, False}


def test_the_order_changes_with_epoch_and_seed_only(manifest):
    first, again = source(manifest), source(manifest)
    order = [rows_of(first.batch(step), manifest)[0].tolist() for step in range(8)]
    assert order == [rows_of(again.batch(step), manifest)[0].tolist() for step in range(8)]
    assert order[:4] != order[4:]
    other = source(manifest, seed=1)
    assert order != [rows_of(other.batch(step), manifest)[0].tolist() for step in range(8)]


def test_a_flip_is_decided_by_row_and_epoch_whatever_the_batch(manifest):
    decided = {}
    for batch_size in (5, 10):
        batches = source(manifest, batch_size=batch_size)
        for number in range(batches.batches_per_epoch):
            rows, flipped = rows_of(batches.batch(number), manifest)
            for row, is_flipped in zip(rows.tolist(), flipped.tolist(), strict=True):
                assert decided.setdefault(row, is_flipped) == is_flipped
    assert 0.2 < np.mean(list(decided.values())) < 0.8
    assert set(decided) == set(range(len(manifest)))


def test_without_flips_only_the_original_view_is_needed(manifest, tmp_path):
    cache = cached_embeddings(PixelTeacher(), manifest, tmp_path / "half", views=["original"])
    batch = source(manifest, cache, flip=False).batch(0)
    assert not rows_of(batch, manifest)[1].any()
    with pytest.raises(DataError, match="view 'flip' is not finished"):
        source(manifest, cache, flip=True)


def test_prefetching_gives_the_same_batches(manifest, cache):
    batches = source(manifest, cache)
    ahead = list(batches.prefetch(range(3, 9)))
    assert len(ahead) == 6
    for step, batch in zip(range(3, 9), ahead, strict=True):
        np.testing.assert_array_equal(batch.images, batches.batch(step).images)
        np.testing.assert_array_equal(batch.targets, batches.batch(step).targets)
    assert list(batches.prefetch(range(4, 4))) == []


def test_a_batch_is_no_larger_than_the_set(manifest):
    batches = source(manifest, batch_size=1000)
    assert (batches.batch_size, batches.batches_per_epoch) == (len(manifest), 1)
