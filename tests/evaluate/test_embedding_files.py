"""Embeddings made elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenface.errors import DataError
from evenface.evaluate.embedding_files import holds_embeddings, read_embeddings

VALUES = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
NAMES = ("a/1.png", "a/2.png", "b/1.png", "b/2.png")
ORDER = np.arange(4)


def write(folder: Path, kind: str) -> Path:
    if kind == "folder":
        for name, row in zip(NAMES, VALUES, strict=True):
            path = folder / "all" / Path(name).with_suffix(".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, row)
        return folder / "all"
    path = folder / f"e.{kind}"
    if kind == "npy":
        np.save(path, VALUES)
    elif kind == "npz":
        np.savez(path, embeddings=VALUES, names=np.array(NAMES))
    else:
        pq.write_table(pa.table({"name": NAMES, "embedding": VALUES.tolist()}), path)
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "folder"])
def test_every_kind_gives_the_same(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    assert holds_embeddings(path)
    table = read_embeddings(path)
    rows = np.array([0, 3])
    result = table.of_rows(4, rows, ORDER, NAMES, "set")
    np.testing.assert_array_equal(result[rows], VALUES[rows])


def test_order_with_repeats(tmp_path: Path) -> None:
    table = read_embeddings(write(tmp_path, "npy"))
    result = table.of_rows(3, np.arange(3), np.array([0, 1, 0, 2]), None, "set")
    np.testing.assert_array_equal(result, VALUES[[0, 1, 3]])


def test_order_of_names_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=VALUES[::-1], names=np.array(NAMES[::-1]))
    result = read_embeddings(path).of_rows(4, ORDER, ORDER, NAMES, "set")
    np.testing.assert_array_equal(result, VALUES)


def test_refused_by_a_set(tmp_path: Path) -> None:
    ordered, named = (read_embeddings(write(tmp_path, kind)) for kind in ("npy", "npz"))
    with pytest.raises(DataError, match=r"e.npy: 4 embeddings for the 5 images of lfw"):
        ordered.of_rows(5, ORDER, np.arange(5), None, "lfw")
    with pytest.raises(DataError, match="has names, but the images of lfw have none"):
        named.of_rows(4, ORDER, ORDER, None, "lfw")
    with pytest.raises(DataError, match=r"no embedding of 'c/1.png' \(1 of 4 images"):
        named.of_rows(4, ORDER, ORDER, (*NAMES[:3], "c/1.png"), "lfw")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "holds NaN"),
        (0.0, "has zero norm"),
        (np.inf, "holds NaN"),
        (1e300, "holds NaN"),
    ],
)
def test_values_that_are_used_are_checked(tmp_path: Path, value: float, message: str) -> None:
    bad = VALUES.astype(np.float64)
    bad[2] = value
    np.save(tmp_path / "e.npy", bad)
    table = read_embeddings(tmp_path / "e.npy")
    table.of_rows(4, np.array([0, 1]), ORDER, None, "set")
    with pytest.raises(DataError, match=f"embedding number 2 {message}"):
        table.of_rows(4, ORDER, ORDER, None, "set")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for content, message in (
        (np.zeros(3), r"found float64 \(3,\)"),
        (np.zeros((0, 3)), r"found float64 \(0, 3\)"),
        (np.array([["a"]]), "found <U1"),
        (np.array([[{}]], dtype=object), "not readable as embeddings"),
    ):
        np.save(path, content)
        with pytest.raises(DataError, match=message):
            read_embeddings(path)
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match="not readable"):
        read_embeddings(path)
    np.savez(tmp_path / "y.npz", embeddings=VALUES, names=np.array(["a", "a", "b", "c"]))
    with pytest.raises(DataError, match="the name 'a' occurs twice"):
        read_embeddings(tmp_path / "y.npz")
    np.savez(tmp_path / "y.npz", embeddings=VALUES, names=np.array(["a"]))
    with pytest.raises(DataError, match="1 names for 4 embeddings"):
        read_embeddings(tmp_path / "y.npz")
    np.savez(tmp_path / "y.npz", values=VALUES)
    with pytest.raises(DataError, match="not readable"):
        read_embeddings(tmp_path / "y.npz")
    pq.write_table(pa.table({"embedding": [[1.0, 2.0], [1.0]]}), tmp_path / "z.parquet")
    with pytest.raises(DataError, match="row 1 has 1 values, the first has 2"):
        read_embeddings(tmp_path / "z.parquet")
    pq.write_table(pa.table({"embedding": [1.0, 2.0]}), tmp_path / "z.parquet")
    with pytest.raises(DataError, match="not readable"):
        read_embeddings(tmp_path / "z.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_embeddings(tmp_path / "none.npy")
