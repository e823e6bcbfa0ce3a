"""Files with the same bytes: found, told apart, kept or dropped, and remembered over a resume."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evenface.cli.main import main
from evenface.data import importing
from evenface.data.duplicates import DigestFile, SameFile, digest, find_duplicates
from evenface.data.finding_times import FINDING_TIMES_NAME
from evenface.data.importing import ImportReport, import_dataset
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError


def run(source: Path, out: Path, **options: object) -> ImportReport:
    known: dict = {"dataset": "little", "origin": "synthetic", "licence": "CC0-1.0", "workers": 2}
    return import_dataset(source, out, **(known | options))


def contents(folder: Path) -> dict[str, bytes]:
    """Of each file, but for the times that an import took."""
    files = (path for path in sorted(folder.iterdir()) if path.name != FINDING_TIMES_NAME)
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def within(face_folder: Path) -> Path:
    """One file twice under the same person."""
    shutil.copy(face_folder / "north/np1/a.png", face_folder / "north/np1/c.png")
    return face_folder


@pytest.fixture
def across(within: Path) -> Path:
    """Another file under two people, twice under the second."""
    for name in ("x.png", "y.png"):
        shutil.copy(within / "north/np2/b.png", within / "south/sp1" / name)
    return within


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=30))
def test_against_comparing_all(records: list[tuple[int, int, bool]]) -> None:
    contents = [bytes([content]) for content, *_ in records]
    digests = np.array([list(digest(c)) for c in contents], np.uint8).reshape(-1, 16)
    usable = np.array([fine for *_, fine in records], bool)
    people: dict[bytes, set[int]] = defaultdict(set)
    for content, (_, person, fine) in zip(contents, records, strict=True):
        if fine:
            people[content].add(person)
    expected, first = [], {}
    for number, (content, fine) in enumerate(zip(contents, usable, strict=True)):
        if fine and content in first:
            expected.append(SameFile(number, first[content], len(people[content]) > 1))
        elif fine:
            first[content] = number
    assert find_duplicates(digests, usable, lambda number: str(records[number][1])) == expected


def test_within_an_identity(within: Path, tmp_path: Path) -> None:
    report = run(within, tmp_path / "kept")
    assert (report.images, report.problem_rate) == (13, 0.0)
    assert report.duplicates.model_dump() == {
        "policy": "keep",
        "within_identities": 1,
        "across_identities": 0,
        "images_dropped": 0,
        "listed": [
            {
                "record": "north/np1/c.png",
                "equals": "north/np1/a.png",
                "across_identities": False,
            }
        ],
    }
    report = run(within, tmp_path / "dropped", duplicates="drop")
    assert (report.images, report.duplicates.images_dropped) == (12, 1)
    manifest = Manifest.read(tmp_path / "dropped")
    assert manifest.column("index").tolist() == [0, 1, *range(3, 13)]
    assert not set(contents(tmp_path / "kept")) & {"import-digests.bin.partial"}


def test_across_identities(across: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run(across, tmp_path / "out")
    message = str(caught.value)
    assert "2 of 15 images are identical to one of another identity" in message
    assert "south/sp1/x.png: equals north/np2/b.png" in message
    assert "--duplicates drop" in message
    assert "--max-bad-rate 0.1334" in message
    report = json.loads((tmp_path / "out" / "import-report.json").read_text())
    assert (report["status"], report["duplicates"]["across_identities"]) == ("failed", 2)
    assert not (tmp_path / "out" / "store.json").exists()

    kept = run(across, tmp_path / "out", max_bad_rate=0.1334)
    assert (kept.images, kept.duplicates.across_identities) == (15, 2)
    dropped = run(across, tmp_path / "dropped", duplicates="drop")
    # Of the pair within np1 the first stays; of the three across nobody knows whose they are.
    assert (dropped.images, dropped.duplicates.images_dropped) == (11, 4)
    assert dropped.identities_with_one_image == ["np2"]
    assert [item.across_identities for item in dropped.duplicates.listed] == [False, True, True]


@pytest.mark.parametrize("after", [1, 3, 6])
def test_an_interrupted_import_finds_them_all(
    across: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(importing, "_CHUNK", 2)
    monkeypatch.setattr(importing, "_BATCH", 1)
    append, done = importing.Journal.append, []

    def stop(self: importing.Journal, chunk: importing.Chunk) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(chunk)
        append(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(importing.Journal, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            run(across, tmp_path / "out", duplicates="drop")
    assert len(DigestFile(tmp_path / "out")) == 2 * after + 2
    run(across, tmp_path / "out", duplicates="drop")
    run(across, tmp_path / "fresh", duplicates="drop", workers=5)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("length", [0, 5, 16 * 3, 16 * 3 + 7])
def test_digests_that_were_cut_are_made_anew(
    within: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(importing, "_CHUNK", 2)
    monkeypatch.setattr(importing, "_BATCH", 1)
    (within / "south/sp3/b.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 13"):
        run(within, tmp_path / "out")
    path = DigestFile(tmp_path / "out").path
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="1 of 13"):
        run(within, tmp_path / "out")
    assert len(path.read_bytes()) == 13 * 16


def test_a_label_that_was_mended(across: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(across, tmp_path / "out")
    for number, name in enumerate(("x.png", "y.png")):
        pixels = np.full((112, 112, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(across / "south/sp1" / name)
    assert run(across, tmp_path / "out").images == 15
    run(across, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_damaged_files_are_no_duplicates(face_folder: Path, tmp_path: Path) -> None:
    for name in ("north/np1/a.png", "south/sp1/a.png"):
        (face_folder / name).write_bytes(b"no image")
    report = run(face_folder, tmp_path / "out", max_bad_rate=0.5)
    assert len(report.problems) == 2
    assert report.duplicates.listed == []


def test_the_command(across: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "import", str(across), str(tmp_path / "out"), "--duplicates", "drop"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0
    told = capsys.readouterr().err
    assert "3 image files equal an earlier one, 2 of them of another identity; 4 images" in told
    with pytest.raises(UsageError, match="duplicates is one of keep, drop"):
        run(across, tmp_path / "out", duplicates="maybe")


def test_an_import_by_an_older_version_is_finished(face_folder: Path, tmp_path: Path) -> None:
    report = run(face_folder, tmp_path / "out")
    path = tmp_path / "out" / "import-report.json"
    old = json.loads(path.read_text())
    del old["request"]["duplicates"], old["duplicates"], old["source_sizes"]
    path.write_text(json.dumps(old | {"version": 1}))
    assert run(face_folder, tmp_path / "out").images == report.images
    with pytest.raises(DataError, match="another duplicates"):
        run(face_folder, tmp_path / "out", duplicates="drop")
