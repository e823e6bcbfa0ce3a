import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from evenface.data import embedding_cache as module
from evenface.data.embedding_cache import CacheRecord, EmbeddingCache, missing_shards
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import DataError
from evenface.teachers.cache import begin_cache, cached_embeddings, embed_shards, join_shards

COUNT = 300


class CornerTeacher:
    """Embeds a face by two pixels of its left half; counts what it is asked for."""

    name = "corner"
    embedding_size = 2

    def __init__(self, fingerprint="teacher-1", stop_after=None, scale=1.0):
        self.fingerprint = fingerprint
        self.embedded = 0
        self.stop_after = stop_after
        self.scale = scale

    def embed(self, images):
        if self.stop_after is not None and self.embedded >= self.stop_after:
            raise KeyboardInterrupt
        self.embedded += len(images)
        return images[:, 0, :2, 0].astype(np.float32) * np.float32(self.scale)


class Rows:
    """Images in memory."""

    def __init__(self, count=COUNT, fingerprint="images-1"):
        random = np.random.default_rng(0)
        self.pixels = random.integers(1, 256, (count, 112, 112, 3), dtype=np.uint8)
        self.image_fingerprint = fingerprint

    def __len__(self):
        return len(self.pixels)

    def images(self, rows):
        return self.pixels[rows]


def expected(rows, view):
    columns = [0, 1] if view == "original" else [111, 110]
    return rows.pixels[:, 0, columns, 0].astype(np.float32)


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Three shards in 300 rows, one block each."""
    monkeypatch.setattr(module, "SHARD_ROWS", 128)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_both_views_are_kept_in_row_order(tmp_path, rows, dtype):
    cache = cached_embeddings(CornerTeacher(), rows, tmp_path / "c", dtype=dtype)
    assert cache.views == ("original", "flip")
    assert (len(cache), cache.embedding_size) == (COUNT, 2)
    for view in cache.views:
        embeddings = cache.view(view)
        assert isinstance(embeddings, np.memmap)
        assert embeddings.dtype == dtype
        np.testing.assert_array_equal(embeddings, expected(rows, view))


def test_what_is_there_is_not_embedded_again(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path, views=["original"])
    second = CornerTeacher()
    cache = cached_embeddings(second, rows, tmp_path)
    assert second.embedded == COUNT
    third = CornerTeacher()
    cached_embeddings(third, rows, tmp_path)
    assert third.embedded == 0
    np.testing.assert_array_equal(cache.view("original"), expected(rows, "original"))
    np.testing.assert_array_equal(cache.view("flip"), expected(rows, "flip"))


def test_interrupted_embedding_is_continued(tmp_path, rows):
    interrupted = CornerTeacher(stop_after=200)
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(interrupted, rows, tmp_path)
    with pytest.raises(DataError, match=r"'original' is not finished \(256 of 300 rows\)"):
        EmbeddingCache.open(tmp_path).view("original")
    continued = CornerTeacher()
    cache = cached_embeddings(continued, rows, tmp_path)
    assert interrupted.embedded + continued.embedded == 2 * COUNT
    for view in cache.views:
        np.testing.assert_array_equal(cache.view(view), expected(rows, view))


def test_killed_process_is_continued(tmp_path, rows):
    script = f"""
import os, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_embedding_cache import CornerTeacher, Rows
from evenface.data import embedding_cache
from evenface.teachers.cache import cached_embeddings

embedding_cache.SHARD_ROWS = 128

class Killed(CornerTeacher):
    def embed(self, images):
        if self.embedded:
            os._exit(9)
        return super().embed(images)

cached_embeddings(Killed(), Rows(), sys.argv[1])
"""
    process = subprocess.run([sys.executable, "-c", script, str(tmp_path / "c")], check=False)
    assert process.returncode == 9
    continued = CornerTeacher()
    cache = cached_embeddings(continued, rows, tmp_path / "c")
    assert continued.embedded < 2 * COUNT
    np.testing.assert_array_equal(cache.view("original"), expected(rows, "original"))


def test_full_disk_is_told_and_the_rest_done_later(tmp_path, rows, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            cached_embeddings(CornerTeacher(), rows, tmp_path)
    cache = cached_embeddings(CornerTeacher(), rows, tmp_path)
    np.testing.assert_array_equal(cache.view("flip"), expected(rows, "flip"))


def test_a_damaged_shard_is_embedded_again(tmp_path, rows):
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(CornerTeacher(stop_after=200), rows, tmp_path)
    first = min((tmp_path / "shards").iterdir())
    os.truncate(first, 500)
    continued = CornerTeacher()
    cache = cached_embeddings(continued, rows, tmp_path)
    assert continued.embedded == 2 * COUNT - 128
    np.testing.assert_array_equal(cache.view("original"), expected(rows, "original"))
    assert not (tmp_path / "shards").exists()


def test_shards_in_any_order_by_anybody_give_the_same_bytes(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path / "one")
    begin_cache(CornerTeacher(), rows, tmp_path / "many")
    for view in ("flip", "original"):
        for numbers in ([2], [0, 1], [1]):  # one of them twice
            embed_shards(CornerTeacher(), rows, tmp_path / "many", view, numbers)
        record = CacheRecord.read(tmp_path / "many")
        assert missing_shards(tmp_path / "many", record, view) == []
    join_shards(tmp_path / "many", ["original", "flip"])
    for name in ("original.npy", "flip.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert CacheRecord.read(tmp_path / "one") == CacheRecord.read(tmp_path / "many")


def test_a_missing_shard_is_named(tmp_path, rows):
    begin_cache(CornerTeacher(), rows, tmp_path)
    embed_shards(CornerTeacher(), rows, tmp_path, "original", [0, 2])
    with pytest.raises(DataError, match=r"original-000001\.npy: missing"):
        join_shards(tmp_path, ["original"])
    assert not (tmp_path / "original.npy").exists()


def test_other_teacher_is_refused_naming_both(tmp_path, rows):
    cached_embeddings(CornerTeacher("teacher-1"), rows, tmp_path)
    message = r"other teacher \(fingerprint teacher-1\) than asked for \(teacher-2\).*delete"
    with pytest.raises(DataError, match=message):
        cached_embeddings(CornerTeacher("teacher-2"), rows, tmp_path)
    with pytest.raises(DataError, match=message):
        EmbeddingCache.open(tmp_path, teacher_fingerprint="teacher-2")


def test_other_images_are_refused_naming_both(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path)
    message = r"other images \(fingerprint images-1\) than asked for \(images-2\).*delete"
    with pytest.raises(DataError, match=message):
        cached_embeddings(CornerTeacher(), Rows(fingerprint="images-2"), tmp_path)
    with pytest.raises(DataError, match=message):
        EmbeddingCache.open(tmp_path, image_fingerprint="images-2")


def test_matching_fingerprints_open(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path)
    cache = EmbeddingCache.open(
        tmp_path, teacher_fingerprint="teacher-1", image_fingerprint="images-1"
    )
    np.testing.assert_array_equal(cache.view(), expected(rows, "original"))


def test_other_dtype_is_refused(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path)
    with pytest.raises(DataError, match="holds float32, not float16"):
        cached_embeddings(CornerTeacher(), rows, tmp_path, dtype="float16")


@pytest.mark.parametrize(("scale", "dtype"), [(1e6, "float16"), (np.nan, "float32")])
def test_embeddings_that_cannot_be_stored_are_refused(tmp_path, rows, scale, dtype):
    with pytest.raises(DataError, match=f"teacher 'corner': .* {dtype}"):
        cached_embeddings(CornerTeacher(scale=scale), rows, tmp_path, dtype=dtype)
    assert EmbeddingCache.open(tmp_path).views == ()


def test_unknown_names_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="unknown view 'mirror'; known: original, flip"):
        cached_embeddings(CornerTeacher(), rows, tmp_path, views=["mirror"])
    with pytest.raises(ValueError, match="dtype must be"):
        cached_embeddings(CornerTeacher(), rows, tmp_path, dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_folder_without_a_cache_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no embedding cache.*evenface teacher embed"):
        EmbeddingCache.open(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "rows": 3}', '{"version": 9}']
)
def test_damaged_record_is_told(tmp_path, content):
    (tmp_path / "cache.json").write_text(content)
    with pytest.raises(DataError, match=r"cache\.json"):
        EmbeddingCache.open(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "other shape"])
def test_damaged_embeddings_are_told(tmp_path, rows, damage):
    cache = cached_embeddings(CornerTeacher(), rows, tmp_path)
    path = tmp_path / "flip.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "other shape":
        np.save(path, np.zeros((COUNT, 3), np.float32))
    else:
        os.truncate(path, 0 if damage == "empty" else path.stat().st_size - 1)
    with pytest.raises(DataError, match=r"flip\.npy.*embed again"):
        cache.view("flip")


def test_record_is_readable_json(tmp_path, rows):
    cached_embeddings(CornerTeacher(), rows, tmp_path, views=["flip"])
    assert json.loads((tmp_path / "cache.json").read_text()) == {
        "version": 1,
        "teacher": "corner",
        "teacher_fingerprint": "teacher-1",
        "image_fingerprint": "images-1",
        "count": COUNT,
        "embedding_size": 2,
        "dtype": "float32",
        "rows_done": {"flip": COUNT},
    }


def test_manifest_rows_are_embedded_in_manifest_order(tmp_path):
    pixels = Rows(10).pixels
    with ImageStoreWriter(tmp_path / "d") as writer:
        writer.append(pixels)
    order = np.array([7, 2, 9])
    manifest = Manifest.from_columns(
        tmp_path / "d",
        index=order,
        identity=["a", "a", "b"],
        origin="synthetic",
        dataset="noise",
        licence="CC0-1.0",
    )
    cache = cached_embeddings(CornerTeacher(), manifest, tmp_path / "c")
    np.testing.assert_array_equal(cache.view(), pixels[order, 0, :2, 0])
    np.testing.assert_array_equal(cache.view("flip"), pixels[order, 0, :-3:-1, 0])
