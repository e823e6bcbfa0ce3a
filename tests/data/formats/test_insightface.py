"""insightface's training sets: keys, labels, people and races; what is missing or contradicts."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mxnet_files as mx
from evenface.data.formats import insightface, open_source
from evenface.data.formats.insightface import RecordSource, open_records
from evenface.data.formats.recordio import Index, RecordFile
from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.errors import DataError

IMAGES = [(label, f"image {k} of {label}".encode() + mx.MAGIC * k) for label in range(3)
          for k in range(label + 1)]  # fmt: skip
LABELS = [label for label, _ in IMAGES]


def listed(source: RecordSource) -> list[tuple[str, bytes]]:
    return [(source.record(i).identity, source.read(i)) for i in range(len(source))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mx.write_training_set(tmp_path / "set", IMAGES)
    return tmp_path / "set"


def test_a_training_set(folder: Path) -> None:
    assert mx.read_training_set(folder) == IMAGES
    for path in (folder, folder / "train.rec"):
        source = open_records(path)
        assert listed(source) == [(str(label), image) for label, image in IMAGES]
        assert [source.record(i).name for i in (0, 5)] == ["train.rec key 1", "train.rec key 6"]
        assert source.attributes == ()
        assert source.remarks == ()
        assert isinstance(open_source(path), RecordSource)


def test_labels_are_padded_and_may_have_gaps(tmp_path: Path) -> None:
    mx.write_training_set(tmp_path, [(2, b"a"), (11, b"b"), (2, b"c")])
    source = open_records(tmp_path)
    assert listed(source) == [("02", b"a"), ("11", b"b"), ("02", b"c")]
    assert source.remarks == ("property says '3,112,112', but the records have 2 identities",)


@pytest.mark.parametrize("vector", [True, False])
def test_without_a_header_record(tmp_path: Path, vector: bool) -> None:
    mx.write_indexed(
        tmp_path,
        [
            (key, mx.pack(mx.Header(0, [float(label), 1.0] if vector else float(label), key, 0), i))
            for key, (label, i) in reversed(list(enumerate(IMAGES)))
        ],
    )
    source = open_records(tmp_path)
    assert listed(source) == [(str(label), image) for label, image in IMAGES]
    assert source.remarks == ()


@pytest.mark.parametrize("with_keys", [True, False])
def test_without_an_index(folder: Path, with_keys: bool) -> None:
    if with_keys:
        (folder / "train.idx").unlink()
        expected = IMAGES
    else:
        expected = IMAGES[::-1]
        mx.write_indexed(
            folder, [(0, mx.pack(mx.Header(0, float(label), 0, 0), i)) for label, i in expected]
        )
        (folder / "train.idx").unlink()
    source = open_records(folder)
    assert listed(source) == [(str(label), image) for label, image in expected]
    assert source.remarks == ("no train.idx: the records were read one after the other",)


def test_without_records_of_identities(tmp_path: Path) -> None:
    records = [(k, mx.pack(mx.Header(0, float(n), k, 0), i)) for k, (n, i) in enumerate(IMAGES, 1)]
    records.append((0, mx.pack(mx.Header(2, [7.0, 10.0], 0, 0), b"")))
    mx.write_indexed(tmp_path, records)
    source = open_records(tmp_path)
    assert listed(source) == [(str(label), image) for label, image in IMAGES]
    assert source.remarks == ("labels were read from each image's record",)


def test_description_tells_contents_apart(folder: Path, tmp_path: Path) -> None:
    before = open_records(folder).description
    assert open_records(folder).description == before
    assert (before["images"], before["identities"]) == (6, 3)
    mx.write_training_set(folder, [(label, image + b"!") for label, image in IMAGES])
    assert open_records(folder).description != before


def test_more_records_than_float32_can_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Key ranges from 2^24 on are rounded: 16,777,219 images → first identity 16,777,220, and
    # their end 16,777,223 → 16,777,224.
    images, people = 2**24 + 2, 4
    first = images + 1
    bounds = np.float32([first, first + people]).tolist()
    assert bounds == [first + 1, first + people + 1]
    mx.write_indexed(
        folder,
        [
            (0, mx.pack(mx.Header(2, bounds, 0, 0), b"")),
            (1, mx.pack(mx.Header(2, [5.0, 1.0], 1, 0), b"image")),
            (2, mx.pack(mx.Header(2, [1.0, 2.0], 2, 0), b"")),
        ],
    )
    offsets = [int(line.split()[1]) for line in (folder / "train.idx").read_text().splitlines()]
    keys = np.arange(first + people)
    index = Index(keys, np.where(keys == 0, offsets[0], offsets[1]))
    index.offsets[first:] = offsets[2]
    monkeypatch.setattr(
        insightface, "_each_label", lambda file, images: np.full(len(images.keys), 5, np.int32)
    )
    found, labels, by_identity, remarks = insightface._images(
        RecordFile(folder / "train.rec"), index
    )
    assert (found.keys[0], found.keys[-1]) == (1, images)
    assert (len(labels), by_identity) == (images, False)
    assert "more than 2^24 records" in remarks[0]
    assert "from each image's record" in remarks[1]


# --- lists ---------------------------------------------------------------------------------------

PEOPLE = ("m.0a", "m.0b", "m.0c")


def write_list(folder: Path, *lines: tuple[object, ...], stem: str = "train") -> None:
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    (folder / f"{stem}.lst").write_text(text)


def paths(root: str = "/data/race/African/") -> list[str]:
    return [f"{root}{PEOPLE[label]}/{k}.jpg" for k, label in enumerate(LABELS)]


@pytest.mark.parametrize("aligned", [True, False])
def test_people_have_the_names_of_their_folders(folder: Path, aligned: bool) -> None:
    start = ("1",) if aligned else ()
    write_list(folder, *((*start, p, n) for p, n in zip(paths(), LABELS, strict=True)))
    source = open_records(folder)
    assert [source.record(i).identity for i in range(6)] == [PEOPLE[label] for label in LABELS]
    assert source.remarks == ()


def test_one_name_in_two_groups(folder: Path) -> None:
    owners = ["East/p", "West/p", "West/q"]
    write_list(folder, *((1, f"x/{owners[n]}/{k}.jpg", n) for k, n in enumerate(LABELS)))
    source = open_records(folder)
    assert [source.record(i).identity for i in range(6)] == [owners[label] for label in LABELS]


def test_folders_that_are_no_people(folder: Path) -> None:
    write_list(folder, *((1, f"images/{k}.jpg", n) for k, n in enumerate(LABELS)))
    source = open_records(folder)
    assert [source.record(i).identity for i in range(6)] == list(map(str, LABELS))
    assert source.remarks == (
        "the folders in the list are not one a label: people are called by label",
    )


RACE_OF = (3, 0, 2)


@pytest.mark.parametrize("layout", ["aligned path label race", "path label race", "path race"])
def test_races_of_bupt(folder: Path, layout: str) -> None:
    cells = {"aligned": ["1"] * 6, "path": paths(), "label": LABELS}
    cells["race"] = [RACE_OF[label] for label in LABELS]
    write_list(folder, *zip(*(cells[name] for name in layout.split()), strict=True))
    source = open_records(folder)
    assert source.attributes == ("ethnicity",)
    races = ("African", "Caucasian", "Asian")
    assert [source.record(i).attributes for i in range(6)] == [(races[n],) for n in LABELS]
    assert "0 Caucasian, 1 Indian, 2 Asian, 3 African" in source.remarks[0]
    renamed = open_records(folder, "heritage", races=("a", "b", "c", "d"))
    assert renamed.attributes == ("heritage",)
    assert renamed.record(0).attributes == ("d",)
    assert renamed.description != source.description


def test_declared_groups(folder: Path) -> None:
    names = {"ethnicity": ["north", "south"], "gender": ["female", "male"]}
    (folder / "train.groups.json").write_text(json.dumps({"attributes": names}))
    write_list(folder, *((1, p, n, n % 2, -1) for p, n in zip(paths(), LABELS, strict=True)))
    source = open_records(folder)
    assert source.attributes == ("ethnicity", "gender")
    assert [source.record(i).attributes for i in (0, 1, 5)] == [
        ("north", None),
        ("south", None),
        ("north", None),
    ]
    assert source.remarks == ()


def test_boxes_are_no_groups(folder: Path) -> None:
    write_list(folder, *((1, p, n, 0, 0, 112, 112) for p, n in zip(paths(), LABELS, strict=True)))
    source = open_records(folder)
    assert source.attributes == ()
    assert source.remarks == ("4 columns of the list, boxes of faces, are not read",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no lines with a path and a label"),
        ([(1, "a/b.jpg", 0)], r"1 lines for 6 images of train\.rec"),
        ([(1, p, n + 4) for p, n in zip(paths(), LABELS, strict=True)], "line 1 has label 4, the"),
        ([(1, "a/b.jpg", 0), (1, "a/b.jpg")], "line 2 is b'1.ta/b.jpg', expected"),
        ([(1, "a/b.jpg", 0), (1, "a/b.jpg", "x")], "line 2 is"),
        ([(1, "a/b.jpg", 0), (1, "a/b.jpg", 0.5)], "line 2 is"),
        ([("a/b.jpg",)], "line 1 is"),
        ([(1, "", 0)], "line 1 is"),
        ([(1, p, n, 4) for p, n in zip(paths(), LABELS, strict=True)], "line 1: 4 is no ethnicity"),
        ([(1, p, n, 0, 0) for p, n in zip(paths(), LABELS, strict=True)], "2 numbers behind the"),
    ],
)  # fmt: skip
def test_bad_lists(folder: Path, lines: list[tuple[object, ...]], message: str) -> None:
    write_list(folder, *lines)
    with pytest.raises(DataError, match=rf"train\.lst: .*{message}"):
        open_records(folder)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"attributes": {"A b": ["x"]}}',
        '{"attributes": {"a": []}}',
        '{"attributes": 1}',
        "{",
    ],
)
def test_bad_declarations(folder: Path, content: str) -> None:
    write_list(folder, *((1, p, n, 0) for p, n in zip(paths(), LABELS, strict=True)))
    (folder / "train.groups.json").write_text(content)
    with pytest.raises(DataError, match=r"train\.groups\.json: "):
        open_records(folder)


def test_declaration_with_another_number_of_columns(folder: Path) -> None:
    (folder / "train.groups.json").write_text('{"attributes": {"a": ["x"], "b": ["y"]}}')
    write_list(folder, *((1, p, n, 0) for p, n in zip(paths(), LABELS, strict=True)))
    with pytest.raises(DataError, match=r"1 numbers behind the label; .* declares 2 attributes"):
        open_records(folder)


def test_lists_that_are_not_utf8(folder: Path) -> None:
    line = b"1\tx/caf\xe9/1.jpg\t%d\n"
    people = [b"caf\xe9", b"b", b"c"]
    content = b"".join(b"1\tx/%s/1.jpg\t%d\n" % (people[n], n) for n in LABELS)
    (folder / "train.lst").write_bytes(content)
    assert line % 0 in content
    assert open_records(folder).record(0).identity == "caf\\xe9"


# --- labels that tell nobody apart ---------------------------------------------------------------


def write_plain(folder: Path, labels: list[float], stem: str = "file", first: int = 0) -> None:
    """Records without a header record, as DCFace's writer and im2rec leave them."""
    records = [
        (key, mx.pack(mx.Header(0, label, key, 0), f"image {key}".encode()))
        for key, label in enumerate(labels, start=first)
    ]
    mx.write_indexed(folder, records)
    for kind in ("rec", "idx"):
        (folder / f"train.{kind}").rename(folder / f"{stem}.{kind}")


WORTHLESS = {
    "all 0": [0.0] * 6,
    "all -1": [-1.0] * 6,
    "numbered": [float(key) for key in range(6)],
}
DCFACE_LINES = {
    "key path label": [(k, f"{PEOPLE[n]}/{k}.jpg", n) for k, n in enumerate(LABELS)],
    "key path": [(k, f"{PEOPLE[n]}/{k}.jpg") for k, n in enumerate(LABELS)],
    "key path 0": [(k, f"{PEOPLE[n]}/{k}.jpg", 0) for k, n in enumerate(LABELS)],
    "path label": [(f"{PEOPLE[n]}/{k}.jpg", n) for k, n in enumerate(LABELS)],
    "key label path": [(k, f"{n}.000000", f"{PEOPLE[n]}/{k}.jpg") for k, n in enumerate(LABELS)],
}


@pytest.mark.parametrize("labels", WORTHLESS.values(), ids=WORTHLESS)
@pytest.mark.parametrize("lines", DCFACE_LINES.values(), ids=DCFACE_LINES)
def test_people_are_in_the_list(
    tmp_path: Path, labels: list[float], lines: list[tuple[object, ...]]
) -> None:
    record = tmp_path / "record"
    write_plain(record, labels)
    write_list(record, *(lines if "." in str(lines[0][0]) else lines[::-1]), stem="list")
    (record / "list.lst").rename(record / "list.txt")
    for path in (record, tmp_path, record / "file.rec"):
        source = open_source(path)
        expected = [(PEOPLE[label], f"image {k}".encode()) for k, label in enumerate(LABELS)]
        assert listed(source) == expected
        assert source.remarks == (
            "the labels of the records tell nobody apart: people were taken from list.txt",
        )


@pytest.mark.parametrize(("kind", "labels"), WORTHLESS.items())
def test_labels_that_tell_nobody_apart_need_a_list(
    tmp_path: Path, kind: str, labels: list[float]
) -> None:
    write_plain(tmp_path, labels)
    what = "numbered from image to image" if kind == "numbered" else kind
    message = rf"file\.rec: the labels of its 6 records are {what}, which .*file\.lst or list\.txt"
    with pytest.raises(DataError, match=message):
        open_records(tmp_path)
    write_list(tmp_path, *((k, f"images/{k}.jpg", 0) for k in range(6)), stem="file")
    with pytest.raises(DataError, match=r"file\.lst: neither the labels of the records"):
        open_records(tmp_path)


def test_one_image_a_person(tmp_path: Path) -> None:
    write_plain(tmp_path, WORTHLESS["numbered"])
    write_list(tmp_path, *((k, k, f"p{k}/1.jpg") for k in range(6)), stem="file")
    assert open_records(tmp_path).record(4).identity == "p4"


def test_a_text_that_is_no_list(tmp_path: Path) -> None:
    write_plain(tmp_path, list(map(float, LABELS)))
    (tmp_path / "list.txt").write_text("downloaded in May\n")
    (remark,) = open_records(tmp_path).remarks
    assert remark.startswith("not read: ")
    assert "list.txt: line 1 is b'downloaded in May'" in remark
    write_plain(tmp_path, WORTHLESS["all 0"])
    with pytest.raises(DataError, match=r"list\.txt: line 1 is"):
        open_records(tmp_path)


# --- im2rec --------------------------------------------------------------------------------------


def test_the_list_of_im2rec(tmp_path: Path) -> None:
    write_plain(tmp_path, list(map(float, LABELS)), stem="train")
    lines = [(k, f"{n:f}", f"{PEOPLE[n]}/{k}.jpg") for k, n in enumerate(LABELS)]
    write_list(tmp_path, *(lines[k] for k in (3, 1, 5, 0, 2, 4)))  # im2rec shuffles its list
    source = open_records(tmp_path)
    assert [source.record(i).identity for i in range(6)] == [PEOPLE[label] for label in LABELS]
    assert source.remarks == ()
    write_list(tmp_path, *((k, f"{2 - LABELS[k]:f}", path) for k, _, path in lines))
    with pytest.raises(DataError, match=r"train\.lst: line 1 has label 2, the record has 0"):
        open_records(tmp_path)


@pytest.mark.parametrize("keys", [[0, 1, 2, 3, 4, 6], [0, 1, 2, 3, 4, 4]])
def test_a_list_with_other_keys(tmp_path: Path, keys: list[int]) -> None:
    write_plain(tmp_path, list(map(float, LABELS)), stem="train")
    write_list(tmp_path, *((k, n, f"a/{n}.jpg") for k, n in zip(keys, LABELS, strict=True)))
    with pytest.raises(DataError, match=r"train\.lst: line [56]: its key [64] is not that of one"):
        open_records(tmp_path)


@pytest.mark.parametrize("with_lists", [True, False])
def test_chunks_of_one_set(tmp_path: Path, with_lists: bool) -> None:
    for number in range(1, 12, 2):  # one image each
        label = LABELS[number // 2]
        write_plain(tmp_path, [float(label)], f"train_{number}", first=number)
        if with_lists:
            line = (number, label, f"{PEOPLE[label]}/{number}.jpg")
            write_list(tmp_path, line, stem=f"train_{number}")
    source = open_records(tmp_path)
    names = PEOPLE if with_lists else ("0", "1", "2")
    assert [source.record(i).identity for i in range(6)] == [names[label] for label in LABELS]
    assert [source.read(i) for i in (0, 5)] == [b"image 1", b"image 11"]  # not sorted as text
    assert source.record(5).name == "train_11.rec key 11"
    assert open_records(tmp_path / "train_11.rec").record(0).identity == names[2]
    if with_lists:
        (tmp_path / "train_11.lst").unlink()
        with pytest.raises(
            DataError, match=r"train_11\.rec: train_1\.rec and this one need a list"
        ):
            open_records(tmp_path)


def test_other_files_of_records_are_no_chunks(tmp_path: Path) -> None:
    for stem in ("train_0", "val_0"):
        write_plain(tmp_path, list(map(float, LABELS)), stem)
    with pytest.raises(DataError, match=r"several \.rec files; name one of them \(train_0\.rec"):
        open_records(tmp_path)


# --- damage --------------------------------------------------------------------------------------


def edit(folder: Path, records: dict[int, bytes | None]) -> None:
    """Write the set anew with some records replaced, or left out (None)."""
    held = mx.read_indexed(folder) | records
    mx.write_indexed(folder, [(key, record) for key, record in held.items() if record is not None])


def image(label: float | list[float], key: int = 1) -> bytes:
    return mx.pack(mx.Header(0, label, key, 0), b"image")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({3: None}, "promises 6 images and 3 identities, the index has 5 and 3"),
        ({8: None}, "promises 6 images and 3 identities, the index has 6 and 2"),
        ({0: mx.pack(mx.Header(2, [1.0, 1.0], 0, 0), b"")}, "no images"),
        ({0: mx.pack(mx.Header(2, [7.0], 0, 0), b"")}, r"the header record \(key 0\) has the"),
        ({0: mx.pack(mx.Header(2, [9.0, 7.0], 0, 0), b"")}, r"the header record \(key 0\) has the"),
        ({0: mx.pack(mx.Header(2, [float("nan")] * 2, 0, 0), b"")}, "the header record"),
        ({0: b"short"}, "the record of key 0 cannot be read: 5 bytes are too few"),
        ({8: mx.pack(mx.Header(2, [2.0, 99.0], 8, 0), b"")}, "identity record 8: its range of"),
        ({8: mx.pack(mx.Header(2, [1.0, 4.0], 8, 0), b"")}, "identity record 8: .* overlaps"),
        ({8: mx.pack(mx.Header(2, [0.0, 4.0], 8, 0), b"")}, "identity record 8: its range of"),
        ({1: image(2.0**24)}, r"identity record 7: its label 16777216 is beyond 2\^24"),
        ({1: image([-1.0, 1.0])}, "identity record 7: its label -1 is no class number"),
    ],
)
def test_contradictions(folder: Path, records: dict[int, bytes | None], message: str) -> None:
    edit(folder, records)
    with pytest.raises(DataError, match=rf"train\.rec: .*{message}"):
        open_records(folder)


@pytest.mark.parametrize("label", [2.0**24, 2.0**25, 0.5, -1.0, float("nan"), float("inf")])
def test_labels_that_are_no_class_numbers(tmp_path: Path, label: float) -> None:
    mx.write_indexed(tmp_path, [(1, image(0.0)), (2, image(label)), (3, image(1.0))])
    with pytest.raises(DataError, match=r"train\.rec: key 2: its label"):
        open_records(tmp_path)


def test_a_label_that_contradicts_its_range(folder: Path) -> None:
    edit(folder, {6: image(0.0, 6)})
    source = open_records(folder)
    assert source.read(0) == IMAGES[0][1]
    with pytest.raises(OSError, match="its label is 0, but its key lies in the range of label 2"):
        source.read(5)


def test_one_damaged_record_leaves_the_others(folder: Path) -> None:
    offsets = dict(line.split("\t") for line in (folder / "train.idx").read_text().splitlines())
    content = bytearray((folder / "train.rec").read_bytes())
    content[int(offsets["4"])] ^= 0xFF  # the first image of the third person
    (folder / "train.rec").write_bytes(content)
    source = open_records(folder)
    assert source.record(3).identity == "2"
    with pytest.raises(OSError, match="no record begins at byte"):
        source.read(3)
    assert source.read(4) == IMAGES[4][1]


def test_truncated_after_opening(folder: Path) -> None:
    source = open_records(folder)
    os.truncate(folder / "train.rec", 10)
    with pytest.raises(OSError, match="is beyond the end"):
        source.read(0)


def test_records_that_nothing_tells_of(folder: Path) -> None:
    edit(folder, {99: image(0.0, 99)})
    source = open_records(folder)
    assert len(source) == 6
    assert source.remarks == ("1 records beyond those of the header are not read",)


def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_import_of_grey_small_and_broken_images(tmp_path: Path) -> None:
    grey = np.arange(112 * 112, dtype=np.uint32).astype(np.uint8).reshape(112, 112)
    small = np.full((60, 80, 3), 7, np.uint8)
    images = [(0, encoded(grey)), (0, b"not an image"), (1, encoded(small)), (1, b"")]
    mx.write_training_set(tmp_path / "set", images)
    options = {"dataset": "x", "origin": "real", "licence": "y", "align": "never"}
    with pytest.raises(DataError, match=r"2 of 4 images cannot be used:\n  train\.rec key 2: not"):
        import_dataset(tmp_path / "set", tmp_path / "out", **options)
    report = import_dataset(tmp_path / "set", tmp_path / "out", max_bad_rate=0.5, **options)
    assert [problem.record for problem in report.problems] == ["train.rec key 2", "train.rec key 4"]
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.column("identity").tolist() == ["0", "1"]
    np.testing.assert_array_equal(manifest.images([0])[0], np.stack([grey] * 3, axis=2))
    assert (manifest.images([1]) == 7).all()


def test_no_record_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.rec file"):
        open_records(tmp_path)
    with pytest.raises(DataError, match=r"no \.rec file"):
        open_records(tmp_path / "gone")
    for name in ("a.rec", "b.rec"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"several \.rec files; name one of them \(a\.rec"):
        open_records(tmp_path)
    with pytest.raises(DataError, match=r"a\.rec: the file is empty"):
        open_records(tmp_path / "a.rec")
    (tmp_path / "a.rec").write_bytes(b"\x89PNG\r\n and so on")
    with pytest.raises(DataError, match=r"a\.rec: record 0 \(byte 0\) cannot be read: no record"):
        open_records(tmp_path / "a.rec")
