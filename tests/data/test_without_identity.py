"""Images without identity: imported from every format, and refused where pairs are drawn."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evenface.data.formats import ReadOptions
from evenface.data.importing import import_dataset
from evenface.data.inspect import inspect
from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate import protocol_from_manifest

IMAGES = np.random.default_rng(9).integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)


def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def as_folder(root: Path) -> Path:
    (root / "flat").mkdir()
    for number, image in enumerate(IMAGES):
        (root / "flat" / f"{number}.png").write_bytes(encoded(image))
    return root / "flat"


def as_table(root: Path) -> Path:
    as_folder(root)
    rows = [f"flat/{number}.png" for number in range(len(IMAGES))]
    (root / "t.csv").write_text("\n".join(["path", *rows]))
    return root / "t.csv"


def as_tar(root: Path) -> Path:
    with tarfile.open(root / "0.tar", "w") as tar:
        for number, image in enumerate(IMAGES):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(encoded(image))
            tar.addfile(info, io.BytesIO(encoded(image)))
    return root / "0.tar"


def as_parquet(root: Path) -> Path:
    images = [{"bytes": encoded(image), "path": None} for image in IMAGES]
    pq.write_table(pa.table({"image": images}), root / "i.parquet")
    return root / "i.parquet"


def unnamed(source: Path, out: Path, **options: object) -> Manifest:
    known: dict = {"dataset": "set", "origin": "real", "licence": "CC0", "workers": 1}
    read = ReadOptions(identity="none")
    report = import_dataset(source, out, read=read, **(known | options))
    manifest = Manifest.read(out)
    assert (report.identities, report.without_identity) == (0, len(manifest))
    assert report.identities_with_one_image == report.identities_lost == []
    return manifest


@pytest.mark.parametrize("make", [as_folder, as_table, as_tar, as_parquet])
def test_all_formats(make, tmp_path: Path) -> None:
    manifest = unnamed(make(tmp_path), tmp_path / "out")
    assert not manifest.named().any()
    assert len(manifest.identities()) == len(IMAGES)  # nobody is taken for another
    np.testing.assert_array_equal(manifest.images(), IMAGES)
    found = inspect(manifest)
    assert (found.without_identity, found.identities_with_one_image) == (6, 0)


def test_equal_files_are_no_wrong_labels(tmp_path: Path) -> None:
    folder = as_folder(tmp_path)
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    report = import_dataset(
        folder,
        tmp_path / "out",
        dataset="set",
        origin="real",
        licence="CC0",
        read=ReadOptions(identity="none"),
        duplicates="drop",
    )
    assert report.duplicates.within_identities == 1
    assert report.images == 6


def test_sets_do_not_share_people(tmp_path: Path) -> None:
    folder = as_folder(tmp_path)
    both = [unnamed(folder, tmp_path / name, dataset=name) for name in ("a", "b")]
    assert not set(both[0].identities()) & set(both[1].identities())


def test_no_pairs_are_drawn(tmp_path: Path) -> None:
    manifest = unnamed(as_folder(tmp_path), tmp_path / "out")
    with pytest.raises(DataError, match="the images have no identity"):
        protocol_from_manifest(manifest)
    mixed = manifest.with_column("identity", ["a", "a", "b", "b", *manifest.column("identity")[4:]])
    protocol = protocol_from_manifest(mixed, folds=2)
    assert protocol.rows.tolist() == [0, 1, 2, 3]
