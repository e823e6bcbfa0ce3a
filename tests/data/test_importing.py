"""Import: the same store whatever happens on the way, and no finished look when it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.data import importing
from evenface.data.align import ARCFACE_TEMPLATE
from evenface.data.detect import Face
from evenface.data.finding_times import FINDING_TIMES_NAME
from evenface.data.importing import ImportReport, import_folder
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStore
from evenface.errors import DataError, UsageError


def run(source: Path, out: Path, **options: object) -> ImportReport:
    known: dict = {"dataset": "little", "origin": "synthetic", "licence": "CC0-1.0", "workers": 2}
    return import_folder(source, out, **(known | options))


def contents(folder: Path) -> dict[str, bytes]:
    """Of each file, but for the times that an import took."""
    files = (path for path in sorted(folder.iterdir()) if path.name != FINDING_TIMES_NAME)
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journal every two records, so that little sets have several chunks."""
    monkeypatch.setattr(importing, "_CHUNK", 2)
    monkeypatch.setattr(importing, "_BATCH", 1)


def test_a_folder_becomes_a_dataset(face_folder: Path, tmp_path: Path) -> None:
    report = run(face_folder, tmp_path / "out", group_attribute="ethnicity", split="train")
    manifest = Manifest.read(tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {
        "images.bin",
        "store.json",
        "manifest.parquet",
        "import-report.json",
    }
    assert manifest.identities() == ["np1", "np2", "np3", "sp1", "sp2", "sp3"]
    assert manifest.column("ethnicity").tolist() == ["north"] * 6 + ["south"] * 6
    for name, value in {
        "ethnicity_source": "declared",
        "origin": "synthetic",
        "dataset": "little",
        "licence": "CC0-1.0",
        "split": "train",
        "store": ".",
        "notes": "",
    }.items():
        assert set(manifest.column(name)) == {value}
    files = sorted(face_folder.glob("*/*/*.png"))
    np.testing.assert_array_equal(manifest.images(), [np.asarray(Image.open(f)) for f in files])
    ImageStore.open(tmp_path / "out").verify()
    assert (report.status, report.records, report.images, report.identities) == (
        "complete",
        12,
        12,
        6,
    )
    assert report.groups["north"].model_dump() == {"images": 6, "identities": 3}
    assert report.identities_with_one_image == []
    written = json.loads((tmp_path / "out" / "import-report.json").read_text())
    assert written == report.model_dump()


@pytest.mark.usefixtures("small_steps")
def test_the_number_of_workers_changes_nothing(face_folder: Path, tmp_path: Path) -> None:
    for workers in (1, 4):
        run(face_folder, tmp_path / str(workers), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_a_finished_import_is_not_repeated(
    face_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(face_folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    monkeypatch.setattr(importing, "Preparer", None)  # would fail if anything were prepared
    assert run(face_folder, tmp_path / "out", max_bad_rate=0.5) == first
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"dataset": "other"}, "dataset"), ({"align": "never", "split": "x"}, "align, split")],
)
def test_another_import_is_not_overwritten(
    face_folder: Path, tmp_path: Path, changes: dict, named: str
) -> None:
    run(face_folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match=f"holds another data set.*another {named}"):
        run(face_folder, tmp_path / "out", **changes)
    assert contents(tmp_path / "out") == before


def test_foreign_folders_are_left_alone(face_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match=r"'thesis\.tex'"):
        run(face_folder, out)
    assert contents(out) == {"thesis.tex": b"precious"}
    with pytest.raises(DataError, match="a file"):
        run(face_folder, out / "thesis.tex")
    with pytest.raises(UsageError, match="inside the source"):
        run(face_folder, face_folder / "out")


def test_bad_images_fail_the_import(face_folder: Path, tmp_path: Path) -> None:
    (face_folder / "north" / "np1" / "a.png").write_bytes(b"")
    (face_folder / "south" / "sp2" / "b.png").write_bytes(b"no image")
    out = tmp_path / "out"
    with pytest.raises(DataError) as caught:
        run(face_folder, out)
    message = str(caught.value)
    assert "2 of 12 images cannot be used" in message
    assert "north/np1/a.png: the file is empty" in message
    assert "--max-bad-rate 0.1667" in message
    assert not (out / "store.json").exists()
    assert not (out / "manifest.parquet").exists()
    report = json.loads((out / "import-report.json").read_text())
    assert report["status"] == "failed"
    assert [problem["record"] for problem in report["problems"]] == [
        "north/np1/a.png",
        "south/sp2/b.png",
    ]
    with pytest.raises(DataError, match="no such manifest"):
        Manifest.read(out)

    tolerant = run(face_folder, out, max_bad_rate=0.1667)
    assert (tolerant.status, tolerant.images) == ("complete", 10)
    assert tolerant.identities_with_one_image == ["np1", "sp2"]
    fresh = run(face_folder, tmp_path / "fresh", max_bad_rate=0.2)
    assert fresh == tolerant
    assert contents(out) == contents(tmp_path / "fresh")


def test_the_message_names_the_first_ten(face_folder: Path, tmp_path: Path) -> None:
    for path in face_folder.glob("*/*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"and 2 more, all in .*import-report\.json") as caught:
        run(face_folder, tmp_path / "out")
    assert str(caught.value).count("the file is empty") == 10
    with pytest.raises(DataError, match="No image is left"):
        run(face_folder, tmp_path / "out", max_bad_rate=1.0)


@pytest.mark.usefixtures("small_steps")
def test_mended_files_are_taken_up(face_folder: Path, tmp_path: Path) -> None:
    path = face_folder / "north" / "np2" / "b.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(DataError, match="1 of 12"):
        run(face_folder, tmp_path / "out")
    path.write_bytes(whole)
    assert run(face_folder, tmp_path / "out").images == 12
    run(face_folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_an_identity_that_is_lost_is_named(face_folder: Path, tmp_path: Path) -> None:
    for path in (face_folder / "north" / "np3").iterdir():
        path.write_bytes(b"")
    report = run(face_folder, tmp_path / "out", max_bad_rate=0.5)
    assert report.identities_lost == ["np3"]
    assert report.identities == 5


class _Cut(Exception):
    """Stands for whatever ends a process in the middle of its work."""


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_an_interrupted_import_continues(
    face_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    append = importing.Journal.append
    done = []

    def stop(self: importing.Journal, chunk: importing.Chunk) -> None:
        if len(done) == after:
            raise _Cut
        done.append(chunk)
        append(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(importing.Journal, "append", stop)
        with pytest.raises(_Cut):
            run(face_folder, tmp_path / "out")
    assert not (tmp_path / "out" / "store.json").exists()
    # A kill may also cut the last line of the journal.
    journal = tmp_path / "out" / "import-journal.jsonl"
    with open(journal, "a") as handle:
        handle.write('{"records": 99')

    prepared = []
    prepare = importing._prepare
    monkeypatch.setattr(
        importing, "_prepare", lambda *args: prepared.append(args[2]) or prepare(*args)
    )
    run(face_folder, tmp_path / "out")
    assert sorted(prepared) == list(range(2 * after, 12))
    run(face_folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.usefixtures("small_steps")
def test_a_changed_source_restarts_an_unfinished_import(face_folder: Path, tmp_path: Path) -> None:
    bad = face_folder / "south" / "sp3" / "b.png"
    bad.write_bytes(b"")
    with pytest.raises(DataError, match="1 of 12"):
        run(face_folder, tmp_path / "out")
    bad.unlink()
    assert run(face_folder, tmp_path / "out").images == 11
    run(face_folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.slow
def test_a_killed_process_leaves_no_store_and_can_be_repeated(tmp_path: Path) -> None:
    source = tmp_path / "faces"
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    for person in range(60):
        folder = source / f"p{person:02d}"
        folder.mkdir(parents=True)
        for number in range(60):
            Image.fromarray(np.roll(pixels, person * 60 + number)).save(folder / f"{number}.bmp")
    script = (
        "import sys, pathlib; from evenface.data.importing import import_folder; "
        "import_folder(sys.argv[1], sys.argv[2], dataset='d', origin='real', licence='l')"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(out)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (out / "images.bin.partial").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for folder in (out, tmp_path / "fresh"):
        import_folder(source, folder, dataset="d", origin="real", licence="l")
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_face_is_looked_for_only_when_one_must_be_found(
    tmp_path: Path, face_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FaceDetector", None)
    run(face_folder, tmp_path / "aligned")  # 112×112
    monkeypatch.undo()
    with pytest.raises(DataError, match="no face found"):  # patterns: the real detector says no
        run(face_folder, tmp_path / "out", align="always")


def test_faces_are_counted(
    face_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crowd:
        def detect(self, image: np.ndarray) -> list[Face]:
            small = Face((0.0, 0.0, 20.0, 30.0), 0.9, ARCFACE_TEMPLATE)
            value = image.sum() % 256  # the same however the image is turned
            if value < 100:
                return []
            return [small, small] if value > 180 else [small]

    monkeypatch.setattr(importing, "FaceDetector", Crowd)
    values = [np.asarray(Image.open(p)).sum() % 256 for p in face_folder.glob("*/*/*.png")]
    report = run(face_folder, tmp_path / "out", align="always", max_bad_rate=1.0)
    assert report.images == sum(value >= 100 for value in values)
    assert report.noticed == {
        "many faces": sum(value > 180 for value in values),
        "central face is not the largest": 0,
        "turned": 0,
        "small face": report.images,
        "resized": 0,
    }
    assert {problem.problem for problem in report.problems} == {"no face found"}
    notes = Manifest.read(tmp_path / "out").column("notes").tolist()
    assert notes.count("many faces; small face") == report.noticed["many faces"]


def test_the_central_face_is_taken_unless_the_largest_is_wanted(
    face_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Two:
        def detect(self, image: np.ndarray) -> list[Face]:
            beside = np.add(ARCFACE_TEMPLATE, (56.0, 0.0))
            return [
                Face((70.0, 0.0, 42.0, 112.0), 0.95, beside),
                Face((30.0, 30.0, 52.0, 60.0), 0.95, ARCFACE_TEMPLATE),
            ]

    monkeypatch.setattr(importing, "FaceDetector", Two)
    central = run(face_folder, tmp_path / "central", align="always")
    largest = run(face_folder, tmp_path / "largest", align="always", face="largest")
    assert central.noticed["central face is not the largest"] == central.images
    assert largest.noticed == central.noticed
    assert central.request["face"] == "central"
    image = np.asarray(Image.open(face_folder / "north" / "np1" / "a.png"))
    first = np.array([0])
    np.testing.assert_array_equal(Manifest.read(tmp_path / "central").images(first)[0], image)
    beside = Manifest.read(tmp_path / "largest").images(first)[0]
    np.testing.assert_array_equal(beside[:, :56], image[:, 56:])


@pytest.mark.parametrize("crowded", [0, 3])
def test_an_import_from_before_the_rule_took_the_largest_face(
    face_folder: Path, tmp_path: Path, crowded: int
) -> None:
    out = tmp_path / "out"
    run(face_folder, out)
    report = json.loads((out / "import-report.json").read_text("utf-8"))
    del report["request"]["face"]
    report["noticed"] = {"many faces": crowded, "small face": 0, "resized": 0}
    (out / "import-report.json").write_text(json.dumps(report), encoding="utf-8")
    if crowded:
        with pytest.raises(DataError, match="an import with another face"):
            run(face_folder, out)
    assert run(face_folder, out, face="largest" if crowded else "central").images == 12


def test_missing_and_unreadable_files(face_folder: Path, tmp_path: Path) -> None:
    (face_folder / "north" / "np1" / "a.png").unlink()
    (face_folder / "north" / "np1" / "a.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"np1/a\.png: cannot be read: No such file"):
        run(face_folder, tmp_path / "out")


def test_a_full_disk_leaves_no_store(
    face_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(importing.ImageStoreWriter, "append", full)
        with pytest.raises(OSError, match="No space left"):
            run(face_folder, tmp_path / "out")
    assert not (tmp_path / "out" / "store.json").exists()
    assert run(face_folder, tmp_path / "out").images == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origin": "drawn"}, "origin is one of"),
        ({"align": "maybe"}, "align is one of"),
        ({"face": "nearest"}, "face is one of largest, central"),
        ({"max_bad_rate": 2.0}, "between 0 and 1"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_wrong_options(face_folder: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(face_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
