"""RFW, LFW and their like, from folders to .bin files and protocols: every pair accounted for."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.data.formats.verification_bin import read_bin
from evenface.data.manifest import Manifest
from evenface.data.published_sets import find_published_set
from evenface.data.verification_sets import PreparedSet, prepare_verification_set
from evenface.errors import DataError, UsageError
from evenface.evaluate.prepared_sets import write_protocol
from evenface.evaluate.protocols import Protocol

RACES = ("African", "Asian")
FOLDS, SHARE = 3, 2


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)


def person(race: str, number: int) -> str:
    """One person is of both races, as some of RFW are."""
    return "m.0both" if number == 0 else f"m.0{race[:2].lower()}{number}"


def plant_rfw(root: Path, *, header: bool = False, images: str = "images") -> Path:
    """Two races, 3 folds × (2 genuine + 2 impostor), 6 people with images 1 and 2."""
    pixels = iter(noise(24, seed=5))
    for race in RACES:
        people = [person(race, number) for number in range(FOLDS * SHARE)]
        for name in people:
            for k in (1, 2):
                save(root / images / race / name / f"{name}_{k:04d}.jpg", next(pixels))
        lines = [f"{FOLDS}\t{SHARE}"] if header else []
        for fold in range(FOLDS):
            mine = people[fold * SHARE : (fold + 1) * SHARE]
            lines += [f"{name}\t1\t2" for name in mine]
            lines += [f"{mine[0]}\t1\t{mine[1]}\t2", f"{mine[1]}\t1\t{mine[0]}\t2"]
        text = root / "txts" / race / f"{race}_pairs.txt"
        text.parent.mkdir(parents=True)
        text.write_text("\n".join(lines) + "\n")
    return root


def prepare(root: Path, out: Path, **options: float) -> PreparedSet:
    found = find_published_set(root)
    return prepare_verification_set(
        found, out, dataset="little", licence="none", workers=2, **options
    )


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("images", ["images", "data"])
def test_rfw(tmp_path: Path, header: bool, images: str) -> None:
    root = plant_rfw(tmp_path / "rfw", header=header, images=images)
    out = tmp_path / "out"
    prepared = prepare(root, out)
    assert sorted(os.listdir(out)) == [
        "African_test.bin",
        "Asian_test.bin",
        "faces",
        "manifest.parquet",
        "verification-report.json",
    ]
    report = prepared.report
    assert (report.status, report.pairs, report.pairs_lost) == ("complete", 24, 0)
    assert report.groups["Asian"].model_dump() == {
        "pairs": 12,
        "genuine": 6,
        "lost": 0,
        "folds": 3,
        "images": 12,
    }
    assert report.identities_in_several_groups == {"m.0both": ["African", "Asian"]}
    for race in RACES:
        held = read_bin(out / f"{race}_test.bin")
        lines = (root / "txts" / race / f"{race}_pairs.txt").read_text().splitlines()[header:]
        assert len(held) == len(lines)
        for number, line in enumerate(lines):
            cells = line.split("\t")
            other = cells[0] if len(cells) == 3 else cells[2]
            assert held.genuine[number] == (len(cells) == 3)
            for side, (name, k) in enumerate(((cells[0], cells[1]), (other, cells[-1]))):
                path = root / images / race / name / f"{name}_{int(k):04d}.jpg"
                np.testing.assert_array_equal(
                    pixels(held.images[2 * number + side]), np.asarray(Image.open(path))
                )


def test_manifest_and_protocol(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = prepare(plant_rfw(tmp_path / "rfw", header=True), out)
    write_protocol(prepared, out)
    manifest, protocol = Manifest.read(out), Protocol.read(out / "protocol.parquet")
    assert protocol.manifest_fingerprint == manifest.fingerprint
    assert manifest.attributes == protocol.group_by == ("ethnicity",)
    assert (len(manifest), len(manifest.identities())) == (24, 11)
    assert protocol.groups == RACES
    assert protocol.folds == FOLDS
    assert protocol.cross_table
    pairs = protocol.fold_pairs
    assert len(pairs) == 24
    assert np.bincount(pairs.fold).tolist() == [8, 8, 8]
    names = manifest.column("identity")
    np.testing.assert_array_equal(names[pairs.a] == names[pairs.b], pairs.genuine)
    for number, race in enumerate(RACES):
        held = read_bin(out / f"{race}_test.bin")
        mine = pairs.select(pairs.group == number)
        np.testing.assert_array_equal(manifest.images(mine.a), list(map(pixels, held.images[::2])))
        np.testing.assert_array_equal(mine.genuine, held.genuine)
        assert set(manifest.column("ethnicity")[mine.a]) == {race}


def test_lost_pairs_are_listed(tmp_path: Path) -> None:
    root = plant_rfw(tmp_path / "rfw")
    (root / "images" / "African" / "m.0af1" / "m.0af1_0001.jpg").unlink()
    (root / "images" / "Asian" / "m.0as3" / "m.0as3_0002.jpg").write_bytes(b"\xff\xd8 no image")
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"(?s)2 of 24 pairs.*African_pairs\.txt line 2: m\.0af1/m"):
        prepare(root, out, max_lost_rate=0.08)
    report = json.loads((out / "verification-report.json").read_text())
    assert (report["status"], report["pairs_lost"]) == ("failed", 2)
    assert os.listdir(out) == ["verification-report.json"]
    with pytest.raises(DataError, match=r"(?s)4 of 24 pairs are lost.*--max-lost-rate 0\.1667"):
        prepare(root, out, max_lost_rate=0.1)
    prepared = prepare(root, out, max_lost_rate=0.1667)
    report = json.loads((out / "verification-report.json").read_text())
    assert report["status"] == "complete"
    assert [(lost["group"], lost["line"], lost["genuine"]) for lost in report["lost"]] == [
        ("African", 2, True),
        ("African", 4, False),
        ("Asian", 6, True),
        ("Asian", 7, False),
    ]
    assert report["lost"][0]["reason"].startswith("m.0af1/m.0af1_0001: no file")
    assert "m.0as3/m.0as3_0002: " in report["lost"][2]["reason"]
    assert len(prepared.a) == 20
    assert [len(read_bin(out / f"{race}_test.bin")) for race in RACES] == [10, 10]
    protocol = write_protocol(prepared, out)
    assert any("4 of 24 pairs are lost" in text for text in protocol.notes)
    assert np.bincount(protocol.fold_pairs.fold).tolist() == [6, 6, 8]


def test_equal_images_of_two_people_are_told(tmp_path: Path) -> None:
    root = plant_rfw(tmp_path / "rfw")
    folder = root / "images" / "Asian"
    shutil.copy(folder / "m.0as1" / "m.0as1_0001.jpg", folder / "m.0as2" / "m.0as2_0001.jpg")
    report = prepare(root, tmp_path / "out").report
    assert report.pairs_lost == 0
    assert "1 images equal one of another identity" in report.remarks[-1]


def test_a_group_without_pairs(tmp_path: Path) -> None:
    root = plant_rfw(tmp_path / "rfw")
    shutil.rmtree(root / "images" / "Asian")
    (root / "images" / "Asian").mkdir()
    with pytest.raises(DataError, match="No pair is left of 'Asian'"):
        prepare(root, tmp_path / "out", max_lost_rate=1.0)


def test_repeating_changes_nothing(tmp_path: Path) -> None:
    root, out = plant_rfw(tmp_path / "rfw"), tmp_path / "out"
    prepare(root, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    prepare(root, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    prepare(root, tmp_path / "other")
    assert (tmp_path / "other" / "Asian_test.bin").read_bytes() == before[out / "Asian_test.bin"]


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    root = plant_rfw(tmp_path / "rfw")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.parquet").touch()
    with pytest.raises(DataError, match="holds something else"):
        prepare(root, tmp_path / "out")
    prepare(root, tmp_path / "mine")
    with pytest.raises(DataError, match="holds something else"):
        prepare_verification_set(
            find_published_set(root), tmp_path / "mine", dataset="other", licence=""
        )
    with pytest.raises(DataError, match="a file; a folder is needed"):
        prepare(root, tmp_path / "out" / "manifest.parquet")
    with pytest.raises(UsageError, match="inside the source"):
        prepare(root, root / "out")
    with pytest.raises(UsageError, match="between 0 and 1"):
        prepare(root, tmp_path / "new", max_lost_rate=2.0)


# --- other layouts -------------------------------------------------------------------------------


def plant_lfw(root: Path) -> Path:
    pixels = iter(noise(8, seed=6))
    for name in ("Ann_Lee", "Bo_Ek", "Cy_Fox", "Di_Gal"):
        for k in (1, 2):
            save(root / name / f"{name}_{k:04d}.jpg", next(pixels))
    (root / "pairs.txt").write_text(
        "2\t1\nAnn_Lee\t1\t2\nBo_Ek\t1\tAnn_Lee\t1\nCy_Fox\t1\t2\nCy_Fox\t1\tDi_Gal\t2\n"
    )
    return root


def test_lfw(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = prepare(plant_lfw(tmp_path / "lfw"), out)
    assert prepared.groups == ("all",)
    assert prepared.manifest.attributes == ()
    assert len(read_bin(out / "little.bin")) == 4
    assert len(prepared.manifest) == 6  # two images are in no pair
    assert prepared.fold.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("by_folder", [True, False])
def test_table_of_paths(tmp_path: Path, by_folder: bool) -> None:
    root = tmp_path / "set"
    places = ["a/1", "a/2", "b/1", "b/2"] if by_folder else ["x1", "x2", "x3", "x4"]
    for place, image in zip(places, noise(4, seed=7), strict=True):
        save(root / f"{place}.jpg", image)
    one, two, three, four = places
    (tmp_path / "pairs.csv").write_text(
        "path1,path2,genuine,group\n"
        f"{one}.jpg,{two}.jpg,1,north\n{one}.jpg,{three}.jpg,0,north\n"
        f"{three}.jpg,{four}.jpg,1,north\n{two}.jpg,{four}.jpg,0,north\n"
        f"{one}.jpg,{two}.jpg,1,south\n{one}.jpg,{three}.jpg,0,south\n"
        f"{three}.jpg,{four}.jpg,1,south\n{two}.jpg,{four}.jpg,0,south\n"
    )
    found = find_published_set(root, tmp_path / "pairs.csv", attribute="region")
    prepared = prepare_verification_set(found, tmp_path / "out", dataset="x", licence="")
    assert prepared.groups == ("north", "south")
    assert prepared.manifest.attributes == ("region",)
    assert prepared.identities_named is by_folder
    people = ["a", "b"] if by_folder else ["x1.jpg", "x3.jpg"]
    assert prepared.manifest.identities() == people
    protocol = write_protocol(prepared, tmp_path / "out")
    assert protocol.cross_table is by_folder
    assert len(protocol.fold_pairs) == 8


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "out: not there|set: not there"),
        (["p/p_0001.jpg"], r"pairs\.txt: not there. Expected RFW's folder"),
        (["txts/readme"], "no <Race>/<Race>_pairs.txt"),
        (["txts/Asian/Asian_pairs.txt"], "no folder images/Asian, which Asian_pairs.txt needs"),
    ],
)
def test_no_such_set(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    with pytest.raises(DataError, match=message):
        find_published_set(tmp_path / "set")


def test_rows_without_a_group(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("path1,path2,genuine,group\na,b,1,x\na,c,0,\n")
    with pytest.raises(DataError, match=r"pairs\.csv: line 3 has no group"):
        find_published_set(tmp_path, tmp_path / "pairs.csv")


# --- the command ---------------------------------------------------------------------------------


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(["data", "verification-set", *map(str, arguments)])
    assert done.value.code == code


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = plant_rfw(tmp_path / "rfw")
    (root / "images" / "African" / "m.0af1" / "m.0af1_0001.jpg").unlink()
    run(root, tmp_path / "out", code=1)
    assert "2 of 24 pairs are lost" in capsys.readouterr().err
    run(root, tmp_path / "out", "--max-lost-rate", 0.1)
    printed = capsys.readouterr()
    assert "African" in printed.out
    assert "1 identities are in several groups, e.g. 'm.0both' in African and Asian" in printed.err
    assert "22 of 24 pairs" in printed.err
    assert len(Protocol.read(tmp_path / "out" / "protocol.parquet").fold_pairs) == 22
    run(tmp_path / "gone", tmp_path / "out", code=1)


@pytest.mark.assets
def test_faces_are_found_and_aligned(openpeople_wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "people"
    taken: dict[str, int] = {}
    with zipfile.ZipFile(openpeople_wheel) as wheel:
        for name in sorted(wheel.namelist()):
            owner = name.split("/")[3] if name.count("/") > 3 else ""
            portrait = name.endswith(".jpg") and "_sheet" not in name
            if portrait and taken.get(owner, 0) < 2 and (owner in taken or len(taken) < 2):
                taken[owner] = taken.get(owner, 0) + 1
                path = root / owner / f"{owner}_{taken[owner]:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wheel.read(name))
    one, two = taken
    save(root / "nobody" / "nobody_0001.jpg", np.zeros((200, 200, 3), np.uint8))
    (root / "pairs.txt").write_text(
        f"{one}\t1\t2\n{one}\t1\t{two}\t1\n{two}\t1\t2\n{two}\t2\t{one}\t2\nnobody\t1\t{one}\t1\n"
    )
    prepared = prepare_verification_set(
        find_published_set(root),
        tmp_path / "out",
        dataset="people",
        licence="MIT",
        origin="synthetic",
        max_lost_rate=0.2,
    )
    (lost,) = prepared.report.lost
    assert lost.reason == "nobody/nobody_0001: no face found"
    held = read_bin(tmp_path / "out" / "people.bin")
    assert {pixels(image).shape for image in held.images} == {(112, 112, 3)}
    assert write_protocol(prepared, tmp_path / "out").simulated
