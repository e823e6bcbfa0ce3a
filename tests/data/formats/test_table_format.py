"""Tables of paths: columns, values, safety, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import listed, picture

from evenface.data.formats import ReadOptions, open_source
from evenface.data.formats.columns import is_measurement, landmarks_of, text_of
from evenface.errors import DataError

POINTS = "38.3 51.7 73.5 51.5 56 71.7 41.5 92.4 70.7 92.2"


def table(folder: Path, text: str, name: str = "faces.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(picture(1))
    path = table(
        tmp_path,
        "path,identity,Ethnicity,age band,origin,split,landmarks\n"
        f"a/1.png,007,North,20-30,synthetic,train,{POINTS}\n"
        '"a/2, b.png",x,,,,,\n',
    )
    source = open_source(path)
    assert source.attributes == ("ethnicity", "age_band")
    assert listed(source) == [
        ("a/1.png (row 1)", "007", ("North", "20-30")),
        ("a/2, b.png (row 2)", "x", (None, None)),
    ]
    first, second = source.record(0), source.record(1)
    assert (first.origin, first.split, second.origin, second.split) == (
        "synthetic",
        "train",
        "",
        "",
    )
    np.testing.assert_allclose(first.landmarks[[0, 4]], [(38.3, 51.7), (70.7, 92.2)], rtol=1e-6)
    assert second.landmarks is None
    assert source.read(0) == picture(1)
    with pytest.raises(FileNotFoundError):
        source.read(1)


def test_tabs_and_byte_order_mark(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffidentity\tpath\nü\té, 1.png\n", "faces.tsv")
    assert listed(open_source(path)) == [("é, 1.png (row 1)", "ü", ())]


def test_columns_by_choice(tmp_path: Path) -> None:
    path = table(tmp_path, ",path,name,sex,score\n0,1.png,ann,f,0.5\n")
    with pytest.raises(DataError, match=r"no column identity \(identity or person or"):
        open_source(path)
    source = open_source(path, ReadOptions(identity="name"))
    assert source.attributes == ("sex",)
    assert source.remarks == (
        "columns left out: ''",
        "columns of measurements left out: 'score'. A column is taken all the same with "
        "--attributes score",
    )
    source = open_source(path, ReadOptions(identity="name", attributes=("sex",)))
    assert listed(source) == [("1.png (row 1)", "ann", ("f",))]
    with pytest.raises(DataError, match="no column 'mood' for an attribute"):
        open_source(path, ReadOptions(identity="name", attributes=("mood",)))
    with pytest.raises(DataError, match="no column 'who'"):
        open_source(path, ReadOptions(identity="who"))


SCORES = {
    "fractions": (["0.91", "", "1", "5e-1"], True),
    "fractions and missing": ([0.25, None, float("nan")], True),
    "ages": (list(range(18, 39)), True),
    "ages as text": (list(map(str, range(18, 39))), True),
    "classes": (list(range(20)) * 3, False),
    "classes that pandas made floats": ([0.0, 1.0, None], False),
    "texts": (["0.5", "north"], False),
    "bands": (["20-30", "30-40"], False),
    "truths": ([True, False], False),
    "nothing": ([None, ""], False),
}


@pytest.mark.parametrize(("values", "expected"), SCORES.values(), ids=SCORES)
def test_measurements(values: list[object], expected: bool) -> None:
    assert is_measurement(values) is expected


@pytest.mark.parametrize("kind", ["table", "parquet"])
def test_scores_are_no_groups_unless_asked_for(tmp_path: Path, kind: str) -> None:
    images = {"path": ["1.png", "2.png"]}
    if kind == "parquet":
        images = {"image": [{"bytes": picture(1), "path": "1.png"}] * 2}
    columns = {**images, "identity": ["a", "b"], "det_score": [0.5, 0.75], "region": ["n", None]}
    path = tmp_path / "faces.parquet"
    pq.write_table(pa.table(columns), path)
    source = open_source(path)
    assert source.attributes == ("region",)
    assert "measurements left out: 'det_score'" in source.remarks[0]
    columns["det_score"] = ["0.5", "0.75"]
    pq.write_table(pa.table(columns), path)
    asked = open_source(path, ReadOptions(attributes=("det_score",)))
    assert [asked.record(i).attributes for i in range(2)] == [("0.5",), ("0.75",)]


@pytest.mark.parametrize(
    ("identities", "expected"),
    [
        ([7, 8], ["7", "8"]),
        ([7.0, 8.0], ["7", "8"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([1, 2], pa.uint8()), ["1", "2"]),
    ],
)
def test_parquet(tmp_path: Path, identities: object, expected: list[str]) -> None:
    columns = {
        "path": ["1.png", "2.png"],
        "identity": identities,
        "old": [True, None],
        "landmarks": pa.array([list(map(float, POINTS.split())), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert [identity for _, identity, _ in listed(source)] == expected
    assert [attributes for *_, attributes in listed(source)] == [("true",), (None,)]
    assert source.record(0).landmarks.shape == (5, 2)
    assert source.record(1).landmarks is None


@pytest.mark.parametrize(
    ("identities", "message"),
    [
        ([7.5, 8.0], r"column 'identity', row 1: 7\.5 is not a whole number"),
        ([7.0, float("nan")], "column 'identity', row 2: empty"),
        (["a", ""], "column 'identity', row 2: empty"),
        ([["a"], ["b"]], "no column identity"),
    ],
)
def test_identities_that_are_none(tmp_path: Path, identities: object, message: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["1.png", "2.png"], "identity": identities}), path)
    with pytest.raises(DataError, match=message):
        open_source(path)


@pytest.mark.parametrize("path", ["../1.png", "a/../../1.png", "/etc/passwd", "..", "a/\0.png"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    pq.write_table(
        pa.table({"path": ["ok.png", path], "identity": ["a", "b"]}), tmp_path / "t.parquet"
    )
    with pytest.raises(DataError, match=r"column 'path', row 2: .* lies outside .*--root"):
        open_source(tmp_path / "t.parquet")


def test_a_root_may_be_declared(tmp_path: Path) -> None:
    images, tables = tmp_path / "images", tmp_path / "tables"
    images.mkdir()
    tables.mkdir()
    (images / "1..png").write_bytes(picture(1))
    rows = f"path,identity\n1..png,a\n{images}/1..png,a\nx/../1..png,a\n"
    source = open_source(table(tables, rows), ReadOptions(root=images))
    assert [source.read(number) for number in range(3)] == [picture(1)] * 3
    with pytest.raises(DataError, match="row 2"):
        open_source(table(tables, rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected a header"),
        ("path,identity\n", "no rows"),
        ("path\n1.png\n", "no column identity"),
        ("file,identity\n1.png,a\n", "no column 'path'; it has 'file', 'identity'"),
        ("path,identity,identity\n1.png,a,b\n", "names 'identity' twice"),
        ("path,identity\n1.png,a\n2.png\n", r"faces\.csv: not a readable table.*Row #3"),
        ("path,identity\n1.png,a\n,b\n", "column 'path', row 2: empty"),
        ("path,identity\n1.png,a\n2.png,\n", "column 'identity', row 2: empty"),
        ("path,identity,origin\n1.png,a,drawn\n", "column 'origin', row 1: 'drawn', expected"),
        ("path,identity,landmarks\n1.png,a,1 2 3\n", "column 'landmarks', row 1: .*ten numbers"),
        ("path,identity,landmarks\n1.png,a,left\n", "row 1: .*not numbers"),
        (f"path,identity,landmarks\n1.png,a,{'1 ' * 10}\n", "row 1: .*not five places"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(table(tmp_path, text))


@pytest.mark.parametrize("data", [b"path,identity\nb.png,caf\xe9\n", b"p\xe9th,identity\n"])
def test_other_encodings(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"t\.csv: .*UTF-?8"):
        open_source(path)


@pytest.mark.parametrize("length", [0, 3, 100, -9])
def test_damaged_parquet(tmp_path: Path, length: int) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["1.png"] * 50, "identity": ["a"] * 50}), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"t\.parquet: not a readable Parquet file"):
        open_source(path)


def test_description_follows_content(tmp_path: Path) -> None:
    before = open_source(table(tmp_path, "path,identity\n1.png,a\n")).description
    assert open_source(table(tmp_path, "path,identity\n1.png,a\n")).description == before
    assert open_source(table(tmp_path, "path,identity\n1.png,b\n")).description != before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        (" ", " "),
        (" a b ", " a b "),
        (3, "3"),
        (3.0, "3"),
        (True, "true"),
        (-1e3, "-1000"),
    ],
)
def test_text(value: object, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [0.5, 1e300, float("inf"), [1], {"a": 1}, "x" * 0 or b"x"])
def test_no_text(value: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        text_of(value)


def test_landmarks() -> None:
    pairs = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    flat = np.array(pairs, dtype=np.float32)
    for value in (pairs, [*range(1, 11)], "1,2;3,4;5,6;7,8;9,10", "[(1, 2), (3, 4), 5 6 7 8 9 10]"):
        np.testing.assert_array_equal(landmarks_of(value), flat)
    assert landmarks_of("  ") is None
    for value in ({"a": 1}, [float("nan")] * 10, [1e999] * 10, "1 2 3", 7):
        with pytest.raises(ValueError, match="landmarks"):
            landmarks_of(value)
