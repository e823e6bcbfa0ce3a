"""Exports: nothing lost but what is told, read back by import and by independent readers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mxnet_files as mx
from evenface.cli.main import main
from evenface.data.export import EXPORTERS, Encoding, export
from evenface.data.export.base import Job, file_name, image_numbers
from evenface.data.formats import ReadOptions
from evenface.data.formats.verification_bin import read_bin
from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.evaluate.protocols import Protocol, protocol_from_manifest

# Identities lie scattered over the rows; one name holds the group's, as import writes it.
PEOPLE = ["north/p", "q", "south/p", "q", "r é", "south/p", "north/p", "r é", "q"]
GROUP = {"north/p": "north", "q": "south", "south/p": "south", "r é": "north"}


@pytest.fixture
def manifest(stores: Path) -> Manifest:
    return Manifest.from_columns(
        stores / "synthetic",
        index=[3, 1, 4, 15, 9, 2, 6, 5, 35],
        identity=PEOPLE,
        origin="synthetic",
        dataset="little",
        licence="CC0-1.0",
        split="train",
        notes=["many faces", *[""] * 8],
        attributes={
            "ethnicity": [GROUP[name] for name in PEOPLE],
            "gender": ["female" if name == "q" else None for name in PEOPLE],
        },
    )


@pytest.fixture
def protocol(manifest: Manifest) -> Protocol:
    return protocol_from_manifest(manifest, folds=2, seed=1)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def sha(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def content(manifest: Manifest, *columns: str) -> list[tuple[Any, ...]]:
    """Images and columns of all rows, in an order that does not depend on the rows'."""
    cells = [manifest.column(name).tolist() for name in columns]
    rows = zip(map(sha, manifest.images()), *cells, strict=True)
    return sorted(rows, key=lambda row: row[0])


def read_back(folder: Path, out: Path, read: ReadOptions | None = None) -> Manifest:
    import_dataset(folder, out, dataset="x", origin="real", licence="y", read=read or ReadOptions())
    return Manifest.read(out)


@pytest.mark.parametrize("format", ["folder", "recordio", "webdataset", "parquet"])
def test_import_reads_what_export_wrote(manifest: Manifest, tmp_path: Path, format: str) -> None:
    sharded = format in ("webdataset", "parquet")
    export(manifest, tmp_path / "out", format, shard_images=4 if sharded else None)
    read = ReadOptions(group_attribute="ethnicity") if format == "folder" else None
    found = read_back(tmp_path / "out", tmp_path / "back", read)
    columns = ["identity", "ethnicity"]
    if format != "folder":
        columns.append("gender")
    if sharded:
        columns += ["split", "origin"]
    assert content(found, *columns) == content(manifest, *columns)


# --- RecordIO ------------------------------------------------------------------------------------


def test_recordio_as_arcface_torch_reads_it(manifest: Manifest, tmp_path: Path) -> None:
    report = export(manifest, tmp_path / "out", "recordio")
    found = mx.read_training_set(tmp_path / "out")
    names = manifest.identities()
    expected = sorted(
        (names.index(name), row, sha(image))
        for row, (name, image) in enumerate(zip(PEOPLE, manifest.images(), strict=True))
    )
    assert [(label, sha(pixels(image))) for label, image in found] == [
        (label, digest) for label, _, digest in expected
    ]
    assert (tmp_path / "out" / "property").read_text() == "4,112,112\n"
    assert report.remarks == ["the format carries no origin, dataset, licence, split, notes"]


def test_recordio_has_the_records_of_insightface(manifest: Manifest, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "recordio")
    records = {key: mx.unpack(record) for key, record in mx.read_indexed(tmp_path / "out").items()}
    assert records[0] == (mx.Header(2, [10.0, 14.0], 0, 0), b"")
    sizes = [PEOPLE.count(name) for name in manifest.identities()]
    start = 1
    for key, size in enumerate(sizes, start=10):
        assert records[key] == (mx.Header(2, [float(start), float(start + size)], key, 0), b"")
        start += size
    assert all(records[key][0].label[1] == 1.0 for key in range(1, 10))
    assert all(records[key][0].id == key for key in records)
    assert list(mx.read_indexed(tmp_path / "out"))[-1] == 0


def test_recordio_list(manifest: Manifest, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "recordio")
    lines = (tmp_path / "out" / "train.lst").read_text().splitlines()
    assert lines[0] == "1\tnorth/p/000001.png\t0\t0\t-1"
    assert lines[2] == "1\tq/000001.png\t1\t1\t0"
    groups = json.loads((tmp_path / "out" / "train.groups.json").read_text())
    assert groups == {"attributes": {"ethnicity": ["north", "south"], "gender": ["female"]}}


def test_recordio_without_attributes(stores: Path, tmp_path: Path) -> None:
    plain = Manifest.from_columns(
        stores / "real", index=[0, 1], identity=["a", "b"], origin="real", dataset="", licence=""
    )
    export(plain, tmp_path / "out", "recordio")
    assert not (tmp_path / "out" / "train.groups.json").exists()
    assert content(read_back(tmp_path / "out", tmp_path / "back"), "identity") == content(
        plain, "identity"
    )


def test_recordio_keeps_odd_names_apart(stores: Path, tmp_path: Path) -> None:
    plain = ["a:b", "é*"]
    names = [*plain, "x\ty", "x y", " x y", "a/b/c", "d/b/c", "a\\b", ".", "n\nm", "%", "/"]
    odd = Manifest.from_columns(
        stores / "real",
        index=range(len(names)),
        identity=names,
        origin="real",
        dataset="",
        licence="",
    )
    report = export(odd, tmp_path / "out", "recordio")
    assert "written as %XX" in report.remarks[-1]
    found = read_back(tmp_path / "out", tmp_path / "back")
    assert len(found.identities()) == len(names)
    assert set(plain) <= set(found.identities())


# --- the other formats ---------------------------------------------------------------------------


def test_folder(manifest: Manifest, tmp_path: Path) -> None:
    report = export(manifest, tmp_path / "out", "folder")
    files = sorted(str(p.relative_to(tmp_path / "out")) for p in tmp_path.glob("out/*/*/*"))
    assert files[:4] == [
        "north/p/p_0001.png",
        "north/p/p_0002.png",
        "north/r é/r é_0001.png",
        "north/r é/r é_0002.png",
    ]
    assert len(files) == 9
    assert "the folders have no place for the attributes gender" in report.remarks
    export(manifest, tmp_path / "flat", "folder", group_by=())
    assert sorted(os.listdir(tmp_path / "flat")) == [
        "export-report.json",
        "north%2Fp",
        "q",
        "r é",
        "south%2Fp",
    ]


def test_folder_with_people_of_several_groups(manifest: Manifest, tmp_path: Path) -> None:
    crossing = manifest.with_column("identity", ["p"] * 9)
    with pytest.raises(DataError, match=r"'p' has images in several groups.*--group-by none"):
        export(crossing, tmp_path / "out", "folder")
    assert os.listdir(tmp_path) == []
    clash = manifest.with_column("identity", ["south/q" if n == "south/p" else n for n in PEOPLE])
    export(clash, tmp_path / "out", "folder")
    assert sorted(os.listdir(tmp_path / "out" / "south")) == ["q", "south%2Fq"]


def test_folder_without_a_group(manifest: Manifest, tmp_path: Path) -> None:
    report = export(manifest, tmp_path / "out", "folder", group_by=["gender"])
    assert (tmp_path / "out" / "unknown" / "r é").is_dir()
    assert any("6 images without a group lie in 'unknown'" in line for line in report.remarks)


def test_webdataset(manifest: Manifest, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "webdataset", shard_images=4)
    shards = sorted(tmp_path.glob("out/*.tar"))
    assert [path.name for path in shards] == [f"shard-00000{n}.tar" for n in range(3)]
    members = {}
    for path in shards:
        with tarfile.open(path) as shard:
            for member in shard:
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
                members[member.name] = shard.extractfile(member).read()  # type: ignore[union-attr]
    assert len(members) == 27
    assert sha(pixels(members["000000004.png"])) == sha(manifest.images([4])[0])
    assert members["000000001.cls"] == b"1"
    assert json.loads(members["000000001.json"]) == {
        "identity": "q",
        "origin": "synthetic",
        "dataset": "little",
        "licence": "CC0-1.0",
        "split": "train",
        "ethnicity": "south",
        "gender": "female",
    }


def test_parquet(manifest: Manifest, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "parquet", shard_images=5)
    paths = sorted(tmp_path.glob("out/data/*.parquet"))
    assert [path.name for path in paths] == [f"train-0000{n}-of-00002.parquet" for n in range(2)]
    tables = [pq.read_table(path) for path in paths]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["identity"] for row in rows] == PEOPLE
    names = manifest.identities()
    assert [row["label"] for row in rows] == [names.index(name) for name in PEOPLE]
    assert [sha(pixels(row["image"]["bytes"])) for row in rows] == list(map(sha, manifest.images()))
    features = json.loads(tables[0].schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"_type": "ClassLabel", "names": names}
    assert list(features) == tables[0].column_names


def test_verification_sets(manifest: Manifest, protocol: Protocol, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "bin", protocol=protocol)
    for number, group in enumerate(("north", "south")):
        path = tmp_path / "out" / f"{group}_test.bin"
        pairs = protocol.fold_pairs.select(protocol.fold_pairs.group == number)
        found = read_bin(path)
        assert found.genuine.tolist() == pairs.genuine.tolist()
        images = [sha(pixels(image)) for image in found.images]
        assert images[0::2] == list(map(sha, manifest.images(pairs.a)))
        assert images[1::2] == list(map(sha, manifest.images(pairs.b)))
        with open(path, "rb") as handle:
            bins, issame = pickle.load(handle, encoding="bytes")
        assert (bins, issame) == (found.images, found.genuine.tolist())


# --- all -----------------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("format", EXPORTERS.names())
def test_same_content_same_bytes(
    manifest: Manifest, protocol: Protocol, tmp_path: Path, format: str
) -> None:
    options = {"protocol": protocol} if format == "bin" else {}
    for name, workers in (("one", 1), ("two", 3)):
        export(manifest, tmp_path / name, format, workers=workers, **options)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("format", EXPORTERS.names())
def test_failure_leaves_nothing(
    manifest: Manifest,
    protocol: Protocol,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
) -> None:
    whole = Job.encoded

    def interrupted(self: Job, rows: np.ndarray) -> Iterator[bytes]:
        yield from whole(self, rows[:2])
        raise KeyboardInterrupt

    options = {"protocol": protocol} if format == "bin" else {}
    with monkeypatch.context() as patch:
        patch.setattr(Job, "encoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(manifest, tmp_path / "out", format, **options)
    assert os.listdir(tmp_path) == []
    export(manifest, tmp_path / "out", format, **options)
    assert (tmp_path / "out" / "export-report.json").is_file()


def test_what_is_there_is_respected(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = export(manifest, out, "folder")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert export(manifest, out, "folder") == first
    assert "nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    for other in (
        {"format": "recordio"},
        {"format": "folder", "group_by": ()},
        {"format": "folder", "encoding": Encoding("jpg")},
    ):
        with pytest.raises(DataError, match="holds another export already"):
            export(manifest, out, **other)
    with pytest.raises(DataError, match="holds another export already"):
        export(manifest.select([0, 1]), out, "folder")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(DataError, match="not empty, and no export"):
        export(manifest, tmp_path / "mine", "folder")
    with pytest.raises(DataError, match="a file; the export needs a folder"):
        export(manifest, tmp_path / "mine" / "thesis.tex", "folder")
    (tmp_path / "empty").mkdir()
    export(manifest, tmp_path / "empty", "folder")


def test_jpeg(manifest: Manifest, tmp_path: Path) -> None:
    export(manifest, tmp_path / "out", "recordio", encoding=Encoding("jpg", 90))
    for _, image in mx.read_training_set(tmp_path / "out"):
        with Image.open(io.BytesIO(image)) as opened:
            assert (opened.format, opened.size) == ("JPEG", (112, 112))
    assert ".jpg\t" in (tmp_path / "out" / "train.lst").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "zip"}, "unknown format 'zip'; known: bin, folder"),
        ({"format": "recordio", "shard_images": 3}, "shard_images means nothing .* 'recordio'"),
        ({"format": "webdataset", "shard_images": 0}, "at least one image"),
        ({"format": "webdataset", "group_by": ()}, "group_by means nothing"),
        ({"format": "bin"}, "needs pairs"),
        ({"format": "folder", "workers": 0}, "workers must be"),
        ({"format": "folder", "group_by": ["mood"]}, "no attribute 'mood'"),
    ],
)
def test_options_that_make_no_sense(
    manifest: Manifest, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(manifest, tmp_path / "out", **options)
    with pytest.raises(UsageError, match="between 1 and 100"):
        Encoding("jpg", 0)
    assert os.listdir(tmp_path) == []


def test_protocol_of_another_manifest(
    manifest: Manifest, protocol: Protocol, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="of another manifest"):
        export(manifest.select(range(8)), tmp_path / "out", "bin", protocol=protocol)


@given(st.text(max_size=20), st.text(max_size=20))
def test_file_names(one: str, two: str) -> None:
    name = file_name(one)
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\\0\n")
    assert not name.startswith((".", "@"))
    assert (name == file_name(two)) is (one == two)


def test_long_names(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too long to name a file"):
        export(manifest.with_column("identity", ["é" * 101] * 9), tmp_path, "folder", group_by=())


def test_image_numbers() -> None:
    assert image_numbers(np.array([1, 0, 1, 1, 0])).tolist() == [1, 1, 2, 3, 2]


# --- the command ---------------------------------------------------------------------------------


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(["data", "export", *map(str, arguments)])
    assert done.value.code == code


@pytest.fixture
def dataset(manifest: Manifest, stores: Path) -> Iterator[Path]:
    path = stores / "export.parquet"
    manifest.write(path)
    yield path
    path.unlink()


def test_command(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(dataset, tmp_path / "rec", "--format", "recordio", "--jpeg", 90, "--split", "train")
    assert "9 images of 4 identities as recordio" in capsys.readouterr().err
    assert len(mx.read_training_set(tmp_path / "rec")) == 9
    run(dataset, tmp_path / "flat", "--format", "folder", "--group-by", "none")
    assert (tmp_path / "flat" / "q").is_dir()
    run(dataset, tmp_path / "rec", "--format", "folder", code=1)
    run(dataset, tmp_path / "x", "--format", "folder", "--split", "test", code=2)
    run(dataset, tmp_path / "x", "--format", "folder", "--pairs-per-group", 4, code=2)
    run(dataset, tmp_path / "x", "--format", "zip", code=2)
    run(tmp_path / "gone", tmp_path / "x", "--format", "folder", code=1)


def test_command_for_verification_sets(
    dataset: Path,
    manifest: Manifest,
    protocol: Protocol,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(dataset, tmp_path / "drawn", "--format", "bin", "--pairs-per-group", 20)
    assert len(read_bin(tmp_path / "drawn" / "north_test.bin")) >= 2
    protocol.write(tmp_path / "protocol.parquet")
    given = ("--protocol", tmp_path / "protocol.parquet")
    run(dataset, tmp_path / "given", "--format", "bin", *given)
    assert sorted(os.listdir(tmp_path / "given")) == [
        "export-report.json",
        "north_test.bin",
        "south_test.bin",
    ]
    manifest.write(tmp_path / "held" / "manifest.parquet")
    replace(protocol, pairs="published").write(tmp_path / "held" / "protocol.parquet")
    capsys.readouterr()
    run(tmp_path / "held", tmp_path / "own", "--format", "bin")
    assert "Pairs: published" in " ".join(capsys.readouterr().err.split())
    for name in ("north_test.bin", "south_test.bin"):
        own, of_file = (tmp_path / folder / name for folder in ("own", "given"))
        assert own.read_bytes() == of_file.read_bytes()
    run(f"draw:{tmp_path / 'held'}", tmp_path / "anew", "--format", "bin", "--pairs-per-group", 20)
    assert files_of(tmp_path / "anew") == files_of(tmp_path / "drawn")
    run(dataset, tmp_path / "x", "--format", "bin", *given, "--group-by", "gender", code=2)
    run(dataset, tmp_path / "x", "--format", "bin", "--protocol", tmp_path / "gone", code=1)
    assert "no such protocol file" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["recordio", "webdataset", "parquet"])
def test_predicted_attributes_are_not_read_back_as_declared(
    manifest: Manifest, tmp_path: Path, format: str
) -> None:
    gender = ["female" if name == "q" else "male" for name in PEOPLE]
    source = ["predicted" if name == "q" else "declared" for name in PEOPLE]
    guessed = manifest.with_attribute("gender", gender, source=source)
    report = export(guessed, tmp_path / "out", format)
    told = "'gender' is predicted, in part or whole, and so written as 'predicted_gender'"
    assert told in report.remarks
    again = read_back(tmp_path / "out", tmp_path / "back")
    assert again.attributes == ("ethnicity", "predicted_gender")
    assert content(again, "predicted_gender") == content(guessed, "gender")
    clash = guessed.with_attribute("predicted_gender", gender)
    with pytest.raises(DataError, match="which is there"):
        export(clash, tmp_path / "clash", format)


def test_predicted_groups_are_told(manifest: Manifest, tmp_path: Path) -> None:
    values = [GROUP[name] for name in PEOPLE]
    guessed = manifest.with_attribute("ethnicity", values, source="predicted")
    told = "the groups by 'ethnicity' are predicted, in part or whole, which the format cannot say"
    assert told in export(guessed, tmp_path / "out", "folder").remarks
    pairs = protocol_from_manifest(guessed, folds=2, seed=1)
    assert told in export(guessed, tmp_path / "bins", "bin", protocol=pairs).remarks
    assert told not in export(guessed, tmp_path / "flat", "folder", group_by=()).remarks


def test_what_a_killed_export_left_is_named(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".out.0123abcd.tmp").mkdir()
    (tmp_path / ".outer.0123abcd.tmp").mkdir()
    export(manifest, tmp_path / "out", "folder")
    told = "".join(capsys.readouterr().err.split())
    assert ".out.0123abcd.tmp:leftbyanexportthatwaskilled" in told
    assert ".outer." not in told
    assert (tmp_path / ".out.0123abcd.tmp").is_dir()
