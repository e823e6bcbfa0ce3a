"""Parquet with images in it: labels, shards, reading in any order, and damage."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, open_source
from evenface.data.formats.hf_parquet import ParquetSource
from evenface.errors import DataError


def images(first: int, count: int) -> pa.Array:
    return pa.array(
        [{"bytes": picture(n, side=8), "path": f"{n}.png"} for n in range(first, first + count)]
    )


def save(path: Path, columns: dict, *, group: int = 1000, names: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        header = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": header})
    pq.write_table(table, path, row_group_size=group)
    return path


def test_one_file(tmp_path: Path) -> None:
    columns = {"image": images(0, 2), "label": [1, 0], "sex": ["f", None], "score": [0.5, 1.0]}
    path = save(tmp_path / "a.parquet", columns)
    source = open_source(path, ReadOptions(attributes=("sex",)))
    assert listed(source) == [
        ("a.parquet (row 1)", "1", ("f",)),
        ("a.parquet (row 2)", "0", (None,)),
    ]
    assert [source.read(number) for number in range(2)] == [picture(n, side=8) for n in range(2)]
    named = save(tmp_path / "b.parquet", {"image": images(0, 2), "label": [1, 0]}, names=["a", "b"])
    assert [identity for _, identity, _ in listed(open_source(named))] == ["b", "a"]


def test_plain_bytes_and_floating_labels(tmp_path: Path) -> None:
    columns = {"jpg": pa.array([picture(0)]), "person": pa.array([3.0])}
    source = open_source(save(tmp_path / "a.parquet", columns))
    assert listed(source) == [("a.parquet (row 1)", "3", ())]
    assert source.read(0) == picture(0)


def test_shards_and_their_splits(tmp_path: Path) -> None:
    for split, shard, first in (("train", 0, 0), ("train", 1, 3), ("validation", 0, 6)):
        name = f"{split}-{shard:05}-of-00002.parquet"
        save(tmp_path / "data" / name, {"image": images(first, 3), "label": [first] * 3})
    source = open_source(tmp_path)
    assert [identity for _, identity, _ in listed(source)] == list("000333666")
    splits = [source.record(number).split for number in range(9)]
    assert splits == ["train"] * 6 + ["validation"] * 3
    assert [source.read(n) for n in range(9)] == [picture(n, side=8) for n in range(9)]
    assert len(open_source(tmp_path / "data")) == 9


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_any_order_from_many_threads(tmp_path: Path, group: int) -> None:
    count = 900
    for shard in range(2):
        columns = {"image": images(shard * 450, 450), "label": [0] * 450}
        save(tmp_path / f"{shard}.parquet", columns, group=group)
    source = open_source(tmp_path)
    expected = [picture(number, side=8) for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, range(count))) == expected
    numbers = np.random.default_rng(0).integers(0, count, 40).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(source.read, numbers)) == [expected[number] for number in numbers]


def test_nearly_sequential_reading_decodes_each_batch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.parquet", {"image": images(0, 500), "label": [0] * 500}, group=100)
    source = open_source(tmp_path)
    assert isinstance(source, ParquetSource)
    starts: list[int] = []
    start = source._images._from_group_of
    monkeypatch.setattr(
        source._images, "_from_group_of", lambda number: starts.append(number) or start(number)
    )
    rng = np.random.default_rng(0)
    order = np.argsort(np.arange(500) + rng.uniform(0, 100, 500))
    assert [len(source.read(int(number))) > 0 for number in order] == [True] * 500
    assert len(starts) == 1


def test_rows_that_point_at_files(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1))
    rows = [
        {"bytes": None, "path": "1.png"},
        {"bytes": None, "path": "../1.png"},
        {"bytes": None, "path": None},
        None,
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": pa.array(rows, kind), "label": [0] * 4}
    source = open_source(save(tmp_path / "a.parquet", columns))
    assert source.read(0) == picture(1)
    with pytest.raises(OSError, match="lies outside"):
        source.read(1)
    for number in (2, 3):
        with pytest.raises(OSError, match="holds no image"):
            source.read(number)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": images(0, 1), "mood": ["x"]}, r"a\.parquet: no column identity"),
        ({"image": images(0, 2), "label": [0, None]}, "column 'label', row 2: empty"),
        ({"image": images(0, 2), "label": [0.0, 0.5]}, r"row 2: 0\.5 is not a whole"),
        ({"image": images(0, 1)[:0], "label": pa.array([], pa.int64())}, "no rows"),
        ({"image": images(0, 1), "label": [0], "landmarks": [[1.0]]}, "row 1: .*ten numbers"),
        ({"image": images(0, 1), "label": [0], "origin": ["drawn"]}, "row 1: 'drawn'"),
    ],
)
def test_malformed(tmp_path: Path, columns: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(save(tmp_path / "a.parquet", columns), format="parquet")


@pytest.mark.parametrize("label", [2, -1])
def test_classes_without_a_name(tmp_path: Path, label: int) -> None:
    path = save(tmp_path / "a.parquet", {"image": images(0, 1), "label": [label]}, names=["a", "b"])
    with pytest.raises(DataError, match=f"row 1: class '{label}', but 2 classes are named"):
        open_source(path)


def test_columns_of_the_same_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([images(0, 1), pa.array([0]), pa.array([1])], ["image", "l", "l"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: several columns are called l; rename"):
        open_source(tmp_path / "a.parquet", format="parquet")


def test_shards_that_differ(tmp_path: Path) -> None:
    save(tmp_path / "0.parquet", {"image": images(0, 1), "label": [0]})
    save(tmp_path / "1.parquet", {"image": images(0, 1), "label": ["a"]})
    with pytest.raises(DataError, match=r"1\.parquet: its columns differ from those of 0\.parquet"):
        open_source(tmp_path)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet file here"):
        open_source(tmp_path, format="parquet")
    save(tmp_path / "a.parquet", {"label": [0]})
    with pytest.raises(DataError, match="no column of images; it has label"):
        open_source(tmp_path, format="parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        open_source(tmp_path, format="parquet")


def test_damaged_pages_lose_their_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"image": images(0, 300), "label": [0] * 300})
    pq.write_table(table, path, row_group_size=100, compression="zstd")
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 200] = bytes(200)
    path.write_bytes(data)
    source = open_source(path)
    for _ in range(2):
        read = [source.read(number) for number in (*range(100), *range(200, 300))]
        assert read == [picture(n, side=8) for n in (*range(100), *range(200, 300))]
        with pytest.raises(OSError, match="damaged Parquet file"):
            source.read(150)
