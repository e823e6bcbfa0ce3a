"""Every format from its file to a dataset folder; what sources say wins over what is assumed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.data import importing
from evenface.data.align import ARCFACE_TEMPLATE, align
from evenface.data.importing import ImportReport, import_dataset
from evenface.data.manifest import Manifest
from evenface.data.prepare import Preparer
from evenface.errors import DataError


def run(source: Path, out: Path, **options: object) -> ImportReport:
    known: dict = {"dataset": "little", "origin": "real", "licence": "CC0-1.0", "workers": 2}
    return import_dataset(source, out, **(known | options))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.png"))


def as_table(folder: Path, root: Path) -> Path:
    lines = [
        f"{path.relative_to(root)},{path.parent.name},{path.parent.parent.name}"
        for path in files(folder)
    ]
    path = root / "faces.csv"
    path.write_text("\n".join(["path,identity,region", *lines]) + "\n")
    return path


def as_tars(folder: Path, root: Path) -> Path:
    (root / "tars").mkdir()
    for shard in range(2):
        with tarfile.open(root / "tars" / f"{shard:02}.tar", "w") as tar:
            for number, path in list(enumerate(files(folder)))[6 * shard : 6 * shard + 6]:
                label = {"identity": path.parent.name, "region": path.parent.parent.name}
                for name, data in (
                    (f"{number:03}.png", path.read_bytes()),
                    (f"{number:03}.json", json.dumps(label).encode()),
                ):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return root / "tars"


def as_parquet(folder: Path, root: Path) -> Path:
    paths = files(folder)
    columns = {
        "image": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [path.parent.name for path in paths],
        "region": [path.parent.parent.name for path in paths],
    }
    pq.write_table(pa.table(columns), root / "faces.parquet", row_group_size=5)
    return root / "faces.parquet"


@pytest.mark.parametrize("convert", [as_table, as_tars, as_parquet])
def test_all_formats_give_the_folders_dataset(convert, face_folder: Path, tmp_path: Path) -> None:
    from evenface.data.formats import ReadOptions

    run(face_folder, tmp_path / "folder", read=ReadOptions("region"))
    source = convert(face_folder, tmp_path)
    run(source, tmp_path / "out")
    expected, found = Manifest.read(tmp_path / "folder"), Manifest.read(tmp_path / "out")
    assert found.fingerprint == expected.fingerprint
    for workers in (1, 5):
        run(source, tmp_path / str(workers), workers=workers)
        for name in ("images.bin", "manifest.parquet", "import-report.json"):
            written = (tmp_path / str(workers) / name).read_bytes()
            assert written == (tmp_path / "out" / name).read_bytes()


def test_dcface_and_idiff_face(face_folder: Path, tmp_path: Path) -> None:
    """Both ship as identity folders without labels."""
    report = run(face_folder / "north", tmp_path / "out", origin="synthetic")
    assert report.groups.keys() == {"all"}
    assert report.identities == 3


def test_the_format_is_said(
    face_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_table(face_folder, tmp_path)
    arguments = ["data", "import", str(path), str(tmp_path / "out"), "--attributes", "region"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0
    assert "faces.csv: read as 'table' (a .csv, .tsv or" in capsys.readouterr().err
    assert Manifest.read(tmp_path / "out").attributes == ("region",)
    assert set(Manifest.read(tmp_path / "out").column("dataset")) == {"faces"}
    with pytest.raises(SystemExit) as done:
        main([*arguments[:4], "--format", "webdataset"])
    assert done.value.code == 1
    assert "not a readable tar file" in capsys.readouterr().err


def test_origin_and_split_of_the_source_win(face_folder: Path, tmp_path: Path) -> None:
    rows = ["path,identity,origin,split"]
    for number, path in enumerate(files(face_folder)[:3]):
        said = ("synthetic,test", ",", "real,")[number]
        rows.append(f"{path.relative_to(tmp_path)},p,{said}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    run(tmp_path / "t.csv", tmp_path / "out", origin="synthetic", split="train")
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.column("origin").tolist() == ["synthetic", "synthetic", "real"]
    assert manifest.column("split").tolist() == ["test", "train", "train"]


def test_given_landmarks_need_no_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "FaceDetector", None)  # would fail if it were called
    pixels = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    Image.fromarray(cv2.blur(pixels, (9, 9))).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    points = {"a.png": ARCFACE_TEMPLATE * 1.5 + 40, "b.png": ARCFACE_TEMPLATE / 3}
    rows = [f"{name},p,{' '.join(map(str, p.ravel()))}" for name, p in points.items()]
    (tmp_path / "t.csv").write_text("\n".join(["path,identity,landmarks", *rows]))
    report = run(tmp_path / "t.csv", tmp_path / "out")
    images = Manifest.read(tmp_path / "out").images()
    for image, (name, given) in zip(images, points.items(), strict=True):
        float32 = given.astype(np.float32).astype(np.float64)
        np.testing.assert_array_equal(
            image, align(np.asarray(Image.open(tmp_path / name)), float32)
        )
    assert report.noticed == {
        "many faces": 0,
        "central face is not the largest": 0,
        "turned": 0,
        "small face": 1,
        "resized": 0,
    }
    assert report.source_sizes.model_dump() == {
        "shorter_side": {"min": 260, "median": 260, "max": 260},
        "distinct": 1,
        "common": {"260×300": 2},
    }


def test_landmarks_elsewhere_are_a_problem() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200)).save(buffer, "PNG")

    def nobody() -> None:
        raise AssertionError

    prepare = Preparer("auto", nobody)  # type: ignore[arg-type]
    result = prepare(buffer.getvalue(), landmarks=ARCFACE_TEMPLATE + 300)
    assert (result.problem, result.size) == ("the landmarks are outside the image", (200, 200))
    assert prepare(buffer.getvalue(), landmarks=ARCFACE_TEMPLATE).problem == ""


def test_missing_files_of_a_table_are_named(face_folder: Path, tmp_path: Path) -> None:
    path = as_table(face_folder, tmp_path)
    files(face_folder)[4].unlink()
    files(face_folder)[6].write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        run(path, tmp_path / "out")
    assert "faces/north/np3/a.png (row 5): cannot be read: No such file" in str(caught.value)
    assert "not an image of a known format" in str(caught.value)


def test_bombs_in_a_shard_are_named(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    Image.new("1", (60_000, 2_000)).save(bomb, "PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("0.png", bomb.getvalue()), ("0.cls", b"1")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(DataError, match=r"a\.tar: 0\.png: too large"):
        run(tmp_path / "a.tar", tmp_path / "out")
