"""Different names stay different people through every pair of formats, or are refused by name."""

from __future__ import annotations

import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from evenface.data.export import export
from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import DataError

FORMATS = ("folder", "recordio", "webdataset", "parquet")
ODD = [
    "ann",
    "ann ",
    " ann",
    "\tann",
    "ann\n",
    "Ann",
    "ann%20",
    "a/n",
    "a//n",
    "a\\n",
    "á",
    "a\u0301",
]
BARE = [
    " ",
    "  ",
    "%20",
    "%",
    ".",
    "..",
    "0",
    "00",
    "7",
    "7.0",
    "None",
    "__MACOSX",
    "@eaDir",
    "\u200b",
]
NAMES = st.lists(
    st.one_of(
        st.sampled_from([*ODD, *BARE]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
    ),
    min_size=2,
    max_size=6,
    unique=True,
)


def write_people(folder: Path, names: list[str]) -> Manifest:
    """An image a person, whose first pixel is the person's number."""
    images = np.random.default_rng(0).integers(0, 256, (len(names), 112, 112, 3), np.uint8)
    images[:, 0, 0] = np.arange(len(names))[:, None]
    with ImageStoreWriter(folder) as writer:
        writer.append(images)
    manifest = Manifest.from_columns(
        folder,
        index=range(len(images)),
        identity=names,
        origin="synthetic",
        dataset="names",
        licence="CC0-1.0",
    )
    manifest.write(folder / "manifest.parquet")
    return manifest


def people(manifest: Manifest) -> dict[str, set[int]]:
    """Name → the numbers of the people that the images show."""
    found: dict[str, set[int]] = {}
    for name, image in zip(manifest.column("identity"), manifest.images(), strict=True):
        found.setdefault(name, set()).add(int(image[0, 0, 0]))
    return found


def carried(manifest: Manifest, format: str, folder: Path) -> Manifest:
    export(manifest, folder / "export", format)
    back = folder / "import"
    import_dataset(folder / "export", back, dataset="x", origin="real", licence="y", format=format)
    return Manifest.read(back)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), list(product(FORMATS, FORMATS)))
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=NAMES)
@example(names=ODD)
@example(names=BARE)
def test_names_stay_different_through_two_formats(first, second, names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    manifest = write_people(folder / "people", names)
    once = carried(manifest, first, folder / "once")
    twice = carried(once, second, folder / "twice")
    for carried_on in (once, twice):
        found = people(carried_on)
        assert len(found) == len(names)
        assert all(len(numbers) == 1 for numbers in found.values())
    if {first, second} <= {"webdataset", "parquet"}:
        assert set(people(twice)) == set(names)


def encoded(shade: int) -> dict[str, bytes | None]:
    stream = io.BytesIO()
    Image.new("RGB", (112, 112), (shade, shade, shade)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def imported(source: Path, out: Path) -> Manifest:
    import_dataset(source, out, dataset="x", origin="real", licence="y")
    return Manifest.read(out)


def write_classes(path: Path, names: list[object], labels: list[object]) -> Path:
    features = {"label": {"_type": "ClassLabel", "names": names}}
    header = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": [encoded(40 * n) for n in range(len(labels))], "label": labels})
    pq.write_table(table.replace_schema_metadata(header), path)
    return path


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["John", "Ann", "John"], [0, 1, 2, 0], "become one person: '0' and '2'"),
        (["None", None], [0, 1], "become one person: '0' and '1'"),
        (["a", ""], [0, 1], "row 2: empty"),
        (["a", "\ud800"], [0, 1], "the name of class 1"),
        (["a", "b"], ["0", "00"], "class '00', but 2 classes"),
    ],
)
def test_classes_that_name_nobody_or_two_are_refused(tmp_path, names, labels, message):
    path = write_classes(tmp_path / "x.parquet", names, labels)
    with pytest.raises(DataError, match=message):
        imported(path, tmp_path / "out")


def test_a_name_of_classes_that_do_not_occur_may_repeat(tmp_path):
    path = write_classes(tmp_path / "x.parquet", ["ann", "?", "bob", "?"], [0, 2, 2])
    assert imported(path, tmp_path / "out").identities() == ["ann", "bob"]


def test_names_of_a_table_lose_spaces_unless_two_become_one(tmp_path):
    for number in range(4):
        Image.new("RGB", (112, 112), (number, 0, 0)).save(tmp_path / f"{number}.png")
    path = tmp_path / "t.csv"
    path.write_text("path,identity\n0.png, ann\n1.png, ann\n2.png,bob\n3.png, eve\n")
    assert imported(path, tmp_path / "out").identities() == ["ann", "bob", "eve"]
    path.write_text("path,identity\n0.png, ann\n1.png,ann\n2.png,bob\n3.png,bob \n")
    with pytest.raises(DataError, match=r"t\.csv.*' ann' and 'ann'; 'bob' and 'bob '. Rename them"):
        imported(path, tmp_path / "other")
