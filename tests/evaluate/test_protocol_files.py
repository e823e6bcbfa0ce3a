"""Published verification sets as protocols."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, encoded, person, write_set
from PIL import Image
from sklearn.model_selection import KFold

from bcolz_files import write_carray
from evenface.data.formats.verification_bin import read_bin, write_bin
from evenface.errors import DataError
from evenface.evaluate import Protocol, evaluate_embeddings, fold_accuracy
from evenface.evaluate.faces import EncodedFaces
from evenface.evaluate.model import embed_views
from evenface.evaluate.pair_lists import contiguous_folds
from evenface.evaluate.protocol_files import bin_set, bins_of, pairs_set, rfw_of
from evenface.evaluate.protocol_specs import ProtocolOptions, tasks_of
from evenface.evaluate.tasks import Settings


@pytest.mark.parametrize(("count", "folds"), [(20, 10), (23, 10), (7, 3), (3, 3)])
def test_folds_are_those_of_scikit_learn(count: int, folds: int) -> None:
    expected = np.empty(count)
    for fold, (_, held_out) in enumerate(KFold(folds).split(np.zeros(count))):
        expected[held_out] = fold
    np.testing.assert_array_equal(contiguous_folds(count, folds), expected)


def test_bin_keeps_each_image_once_and_the_order_of_pairs(tmp_path: Path) -> None:
    write_set(tmp_path / "lfw.bin")
    given = bin_set(tmp_path / "lfw.bin")
    # Two takes of each of 20 people, in 80 places.
    assert len(given.faces) == 40
    assert given.order.shape == (80,)
    pairs = given.protocol.fold_pairs
    np.testing.assert_array_equal(pairs.a, given.order[::2])
    np.testing.assert_array_equal(pairs.b, given.order[1::2])
    np.testing.assert_array_equal(pairs.fold, contiguous_folds(40, 10))
    assert given.protocol.counts[0].identities == 20
    assert not given.protocol.cross_table
    assert "40 of 80 images are repeats" in given.protocol.notes
    np.testing.assert_array_equal(given.faces.images(given.order[1:2])[0], person(0, 1))


def test_accuracy_of_a_bin_is_the_reference_protocol(tmp_path: Path) -> None:
    write_set(tmp_path / "lfw.bin")
    given = bin_set(tmp_path / "lfw.bin")
    values = np.random.default_rng(0).normal(size=(len(given.faces), 8))
    result = evaluate_embeddings(values, given.protocol, replicates=0)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    first, second = unit[given.order[::2]], unit[given.order[1::2]]
    genuine = np.tile([True, True, False, False], 10)
    expected = fold_accuracy(((first - second) ** 2).sum(axis=1), genuine)
    assert result.groups["all"].folds == expected.tolist()


def test_bins_of_groups_are_one_protocol(tmp_path: Path) -> None:
    for number, race in enumerate(("African", "Asian", "Caucasian")):
        write_set(tmp_path / f"{race}_test.bin", first=100 * number)
    write_set(tmp_path / "lfw.bin")
    tasks = tasks_of(str(tmp_path))
    assert [task.name for task in tasks] == [tmp_path.name, "lfw"]
    assert tasks[0].protocol is not None
    assert tasks[0].protocol.groups == ("African", "Asian", "Caucasian")
    assert len(tasks[0].order) == 240
    assert list(bins_of(tmp_path)[tmp_path.name]) == ["African", "Asian", "Caucasian"]
    result = tasks[0].measure(
        embed_views(PixelModel(), tasks[0].faces, tasks[0].rows),
        Settings(replicates=0),
        "pixels",
    )
    assert min(group.accuracy.value for group in result.groups.values()) > 0.9
    assert result.cross_tables == []


def test_a_bcolz_array_gives_the_result_of_the_bin(tmp_path: Path) -> None:
    pytest.importorskip("numcodecs", reason="the extra bcolz is not installed")
    (tmp_path / "bin").mkdir()
    write_set(tmp_path / "bin" / "lfw.bin")
    held = read_bin(tmp_path / "bin" / "lfw.bin")
    pictures = [np.asarray(Image.open(io.BytesIO(image))) for image in held.images]
    write_carray(tmp_path / "evolve" / "lfw", pictures, held.genuine.tolist(), chunklen=7)
    results = []
    for spec in ("bin/lfw.bin", "evolve/lfw", "evolve"):
        (task,) = tasks_of(str(tmp_path / spec))
        assert task.name == "lfw"
        embedded = embed_views(PixelModel(), task.faces, task.rows)
        results.append(task.measure(embedded, Settings(replicates=0), "pixels"))
    assert results[1].groups == results[0].groups
    assert results[2].groups == results[0].groups


def test_bcolz_arrays_of_groups_are_one_protocol(tmp_path: Path) -> None:
    pytest.importorskip("numcodecs", reason="the extra bcolz is not installed")
    pictures = [person(k // 2, k % 2) for k in range(8)]
    for name in ("African_test", "Asian_test", "lfw"):
        write_carray(tmp_path / name, pictures, [True, False, True, False])
    write_set(tmp_path / "lfw.bin")
    assert bins_of(tmp_path) == {
        tmp_path.name: {race: tmp_path / f"{race}_test" for race in ("African", "Asian")},
        "lfw": {"all": tmp_path / "lfw.bin"},
    }
    given = bin_set(bins_of(tmp_path)[tmp_path.name], folds=2)
    assert given.protocol.groups == ("African", "Asian")


def test_a_protocol_of_files_is_read_as_written(tmp_path: Path) -> None:
    write_set(tmp_path / "lfw.bin")
    protocol = bin_set(tmp_path / "lfw.bin").protocol
    protocol.write(tmp_path / "protocol.parquet")
    read = Protocol.read(tmp_path / "protocol.parquet")
    assert read.fingerprint == protocol.fingerprint
    assert read.cross_table is False
    assert len(read.fold_pairs) == len(read.score_pairs) == 40


def test_shared_people_of_folds_and_groups_are_reported(tmp_path: Path) -> None:
    # Every fold has the same two people.
    images, genuine = [], []
    for _ in range(10):
        images += [person(0, 0), person(0, 1), person(1, 0), person(1, 1)]
        images += [person(0, 0), person(1, 1), person(0, 1), person(1, 0)]
        genuine += [True, True, False, False]
    data = [encoded(image) for image in images]
    for race in ("a", "b"):
        write_bin(tmp_path / f"{race}_test.bin", data, genuine)
    given = bin_set({race: tmp_path / f"{race}_test.bin" for race in ("a", "b")})
    assert "2 of 2 people are in more than one group" in given.protocol.notes
    result = evaluate_embeddings(np.eye(4), given.protocol, replicates=0)
    assert any("2 of 2 identities are in more than one fold" in note for note in result.notes)


def test_contradicting_labels_are_reported(tmp_path: Path) -> None:
    a, b, c = (encoded(person(k, 0)) for k in range(3))
    d, e = (encoded(person(k, 1)) for k in range(2))
    write_bin(tmp_path / "x.bin", [a, b, b, c, a, c, d, e], [True, True, False, False])
    notes = bin_set(tmp_path / "x.bin", folds=2).protocol.notes
    assert any("1 impostor pairs show one person" in note for note in notes)
    assert any("folds in file order leave some" in note for note in notes)


@pytest.mark.parametrize(
    ("genuine", "message"),
    [
        ([True, True, True], "has no impostor pair"),
        ([False, False, False], "has no genuine pair"),
        ([True, False, False], "has 1 genuine pair"),
    ],
)
def test_groups_without_pairs_of_a_kind(tmp_path: Path, genuine, message: str) -> None:
    images = [encoded(person(k, 0)) for k in range(6)]
    write_bin(tmp_path / "a_test.bin", images, genuine)
    with pytest.raises(DataError, match=rf"group 'a' {message}"):
        bin_set({"a": tmp_path / "a_test.bin"})


def test_images_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    good = encoded(person(0, 0))
    wide = encoded(np.zeros((112, 100, 3), np.uint8))
    for bad, message in ((b"nonsense", "not an image"), (wide, "100×112 pixels; aligned faces")):
        write_bin(tmp_path / "x.bin", [good, bad] * 4, [True, False, True, False])
        faces = bin_set(tmp_path / "x.bin", folds=2).faces
        with pytest.raises(DataError, match=rf"x.bin: image 1: {message}"):
            faces.images(np.arange(2))


def test_images_are_not_kept_decoded(tmp_path: Path) -> None:
    write_set(tmp_path / "lfw.bin")
    faces = bin_set(tmp_path / "lfw.bin").faces
    assert isinstance(faces, EncodedFaces)
    before = dict(vars(faces))
    faces.images(np.arange(4))
    assert vars(faces) == before


# --- pairs files ---------------------------------------------------------------------------------


def write_tree(root: Path, people: int, takes: int = 2, prefix: str = "p") -> None:
    for number in range(people):
        folder = root / f"{prefix}{number}"
        folder.mkdir(parents=True, exist_ok=True)
        for take in range(takes):
            name = f"{prefix}{number}_{take + 1:04d}.png"
            (folder / name).write_bytes(encoded(person(number, take)))


def lfw_lines(people: int, prefix: str = "p") -> list[str]:
    lines = []
    for k in range(0, people, 2):
        lines += [f"{prefix}{k}\t1\t2", f"{prefix}{k + 1}\t1\t2"]
        lines += [f"{prefix}{k}\t{i}\t{prefix}{k + 1}\t{i}" for i in (1, 2)]
    return lines


def test_lfw_names_give_people_and_names_of_images(tmp_path: Path) -> None:
    write_tree(tmp_path / "images", 6)
    text = "\n".join(["3\t2", *lfw_lines(6)])
    (tmp_path / "pairs.txt").write_text(text)
    (task,) = tasks_of(str(tmp_path))
    assert task.names is not None
    assert task.names[0] == "p0/p0_0001.png"
    assert task.protocol is not None
    assert task.protocol.counts[0].identities == 6
    assert task.protocol.cross_table
    assert task.protocol.folds == 3
    (elsewhere,) = tasks_of(f"{tmp_path / 'pairs.txt'}@{tmp_path / 'images'}")
    assert elsewhere.fingerprint == task.fingerprint


def test_rfw_as_published(tmp_path: Path) -> None:
    for race in ("African", "Indian"):
        write_tree(tmp_path / "images" / race, 8, prefix=race)
        folder = tmp_path / "txts" / race
        folder.mkdir(parents=True)
        (folder / f"{race}_pairs.txt").write_text("\n".join(lfw_lines(8, race)))
    (task,) = tasks_of(str(tmp_path))
    assert task.protocol is not None
    assert task.protocol.groups == ("African", "Indian")
    assert [c.identities for c in task.protocol.counts] == [8, 8]
    assert task.protocol.folds == 4
    assert task.faces.images(task.rows).shape == (32, 112, 112, 3)


def test_own_tables_with_groups(tmp_path: Path) -> None:
    write_tree(tmp_path, 4)
    rows = ["path1,path2,genuine,group"]
    for k, group in ((0, "x"), (2, "y")):
        one, two = (f"p{k}/p{k}_000{i}.png" for i in (1, 2))
        three, four = (f"p{k + 1}/p{k + 1}_000{i}.png" for i in (1, 2))
        rows += [f"{one},{two},1,{group}", f"{three},{four},1,{group}"]
        rows += [f"{one},{three},0,{group}", f"{two},{four},0,{group}"]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(rows))
    first = pairs_set(path)
    assert first.protocol.groups == ("x", "y")
    assert any("dealt to 2 folds at random" in note for note in first.protocol.notes)
    assert first.protocol.fingerprint == pairs_set(path).protocol.fingerprint
    path.write_text("\n".join([*rows, f"{one},{three},0,"]))
    with pytest.raises(DataError, match="line 10 has no group"):
        pairs_set(path)


def test_absent_images_are_named_with_their_line(tmp_path: Path) -> None:
    write_tree(tmp_path / "images", 4)
    lines = lfw_lines(4)
    lines[1] = "p1\t1\t9"
    lines[5] = "p3\t1\t8"
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"pairs.txt: line 2: no file p1/p1_0009.*2 pairs name"):
        tasks_of(str(tmp_path))


def test_what_is_no_protocol(tmp_path: Path) -> None:
    assert rfw_of(tmp_path) is None
    for spec, message in (
        (str(tmp_path), "no protocol in this folder"),
        (str(tmp_path / "none"), "no such file or folder"),
        (f"{tmp_path}@{tmp_path / 'none'}", "no such folder of images"),
    ):
        with pytest.raises(DataError, match=message):
            tasks_of(spec, ProtocolOptions())
