"""Training sets as insightface publishes them: ``train.rec`` with ``.idx``, ``property``, ``.lst``.

Key 0 is a record with labels [N + 1, N + 1 + P]: images have keys 1 … N, labelled [label, aligned]
or with a plain label, and keys N + 1 … N + P are one empty record per identity with labels
[first key, last key + 1]. Files of other tools have no such records: every key is an image.

The list ``train.lst`` (or ``list.txt``), where there is one, names the people (the folders its
paths lie in) and may carry group numbers behind the label: one column of the races of
BUPT-BalancedFace (:data:`RACES`), or what ``train.groups.json`` declares. It also names the people
where the records' labels name nobody, as in DCFace's files.

MXNet's ``im2rec.py`` may write a set in chunks, ``train_0.rec``, ``train_1.rec``, …; a folder of
them is one set.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenface.console import progress
from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.bupt import ATTRIBUTE as RACE_ATTRIBUTE
from evenface.data.formats.folder import printable
from evenface.data.formats.lst import ImageList, join_lists, read_lst
from evenface.data.formats.recordio import (
    MAX_EXACT,
    Index,
    RecordError,
    RecordFile,
    exact_label,
    read_index,
    scan,
    unpack,
)
from evenface.errors import DataError
from evenface.files import read_json

LAYOUT = "train.rec (or train_0.rec, train_1.rec, …) with train.idx and train.lst (MXNet)"
RACES = ("Caucasian", "Indian", "Asian", "African")
"""BUPT-BalancedFace's numbers of races, from 0 (Wang & Deng, CVPR 2020)."""
GROUPS_SUFFIX = ".groups.json"
LIST_NAME = "list.txt"
"""Of a list that is not named as its ``.rec``."""
SUBFOLDER = "record"
"""Where sets of DCFace's kind keep their files."""

_CHUNK = re.compile(r"(.+?)[._-]?([0-9]+)\.rec")
_BOXES = (4, 14)  # columns of a bounding box, and of one with five landmarks


class _Group(NamedTuple):
    attribute: str
    names: tuple[str, ...]
    codes: NDArray[np.int32]
    """(N,) index into names; −1 where unknown."""


class _Part(NamedTuple):
    """One ``.rec`` file of N images."""

    file: RecordFile
    images: Index
    labels: NDArray[np.int32]
    """(N,) −1 where a record states none."""
    by_identity: bool
    """Whether records of identities state the labels."""
    listed: ImageList | None
    remarks: list[str]


class RecordSource:
    """The images of ``.rec`` files, in the order of files and keys. Made by
    :func:`open_records`."""

    def __init__(
        self,
        parts: Sequence[tuple[RecordFile, Index]],
        labels: NDArray[np.int32],
        names: dict[int, str],
        groups: list[_Group],
        remarks: Sequence[str],
        *,
        listed: bool,
    ) -> None:
        self.attributes = tuple(group.attribute for group in groups)
        self.remarks = tuple(remarks)
        self._parts = parts
        self._ends: list[int] = np.cumsum([len(images.keys) for _, images in parts]).tolist()
        self._labels = labels
        self._names = names
        self._groups = groups
        self._listed = listed
        """Whether labels come from a list: those of the records mean nothing."""

    @property
    def description(self) -> dict[str, Any]:
        digest = hashlib.sha256(",".join(str(file.size) for file, _ in self._parts).encode())
        indices = [part for _, images in self._parts for part in images]
        for part in (*indices, self._labels, *(group.codes for group in self._groups)):
            digest.update(np.ascontiguousarray(part).data)
        digest.update(repr((self._names, [group[:2] for group in self._groups])).encode())
        path = self._parts[0][0].path.resolve()
        return {
            "format": "recordio",
            "path": printable(str(path if len(self._parts) == 1 else path.parent)),
            "attributes": list(self.attributes),
            "images": len(self),
            "identities": len(self._names),
            "listing": digest.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._labels)

    def record(self, number: int) -> Record:
        values = (
            group.names[code] if (code := int(group.codes[number])) >= 0 else None
            for group in self._groups
        )
        file, images, place = self._place(number)
        return Record(
            f"{file.path.name} key {images.keys[place]}",
            self._names[int(self._labels[number])],
            tuple(values),
        )

    def read(self, number: int) -> bytes:
        file, images, place = self._place(number)
        try:
            content = unpack(file.content(int(images.offsets[place])))
            label = self._labels[number] if self._listed else exact_label(content.labels[0])
        except RecordError as error:
            raise OSError(str(error)) from None
        if label != self._labels[number]:
            raise OSError(
                f"its label is {label}, but its key lies in the range of label "
                f"{self._labels[number]}"
            )
        return content.image

    def _place(self, number: int) -> tuple[RecordFile, Index, int]:
        part = bisect_right(self._ends, number)
        return (*self._parts[part], number - (self._ends[part - 1] if part else 0))


def open_records(
    path: Path, group_attribute: str = RACE_ATTRIBUTE, *, races: Sequence[str] = RACES
) -> RecordSource:
    """List a ``.rec`` file, or a folder that holds ``train.rec``, a single one, or chunks.

    Without an ``.idx`` the records are read one after the other. Labels are taken from the
    identities' records where there are such, and else from each image's record; from the list where
    those are all equal, or number the images.

    Args:
        path: file or folder.
        group_attribute: attribute that a column of races becomes.
        races: names of its numbers, from 0.

    Raises:
        DataError: no such file; truncated, damaged or contradictory files; labels that are no
            class numbers or beyond 2^24, or that tell nobody apart where no list does. The message
            names the record.
    """
    files = _locate(path)
    parts = [_read_part(file, alone=len(files) == 1) for file in files]
    if bare := [part for part in parts if (part.listed is None) != (parts[0].listed is None)]:
        raise DataError(
            f"{bare[0].file.path}: {parts[0].file.path.name} and this one need a list beside them, "
            "or neither of them"
        )
    found = join_lists([part.listed for part in parts if part.listed]) if parts[0].listed else None
    labels = np.concatenate([part.labels for part in parts])
    remarks = [remark for part in parts for remark in part.remarks]
    listed = not any(part.by_identity for part in parts) and _tell_nobody_apart(labels)
    if listed:
        labels = _labels_of_list(files[0], labels, found)
        remarks.append(
            f"the labels of the records tell nobody apart: people were taken from "
            f"{found.files[0].name if found else ''}"
        )
    names, name_remarks = _names(labels, found)
    groups, group_remarks = _groups(found, labels, listed, group_attribute, tuple(races))
    remarks += [*name_remarks, *group_remarks, *_property_remarks(files[0], names)]
    places = [(part.file, part.images) for part in parts]
    return RecordSource(places, labels, names, groups, remarks, listed=listed)


def _locate(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    for folder in (path, path / SUBFOLDER):
        if (folder / "train.rec").is_file():
            return [folder / "train.rec"]
        found = sorted(folder.glob("*.rec")) if folder.is_dir() else []
        if len(found) == 1:
            return found
        chunks = [match for file in found if (match := _CHUNK.fullmatch(file.name))]
        if found and len(chunks) == len(found) and len({match[1] for match in chunks}) == 1:
            order = sorted(chunks, key=lambda match: (int(match[2]), match[0]))
            return [folder / match[0] for match in order]
        if found:
            raise DataError(
                f"{path}: several .rec files; name one of them ({found[0].name}, …). Chunks of one "
                "set are called train_0.rec, train_1.rec, …"
            )
    raise DataError(f"{path}: no .rec file")


def _recognises(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*.rec")) or any(path.glob(f"{SUBFOLDER}/*.rec"))
    return path.suffix == ".rec" and path.is_file()


def _read_part(path: Path, *, alone: bool) -> _Part:
    file = RecordFile(path)
    index_path = path.with_suffix(".idx")
    remarks: list[str] = []
    if index_path.is_file():
        index = read_index(index_path, file)
    else:
        index = _index_by_scan(file)
        remarks.append(f"no {index_path.name}: the records were read one after the other")
    images, labels, by_identity, more = _images(file, index)
    lst, other = path.with_suffix(".lst"), path.with_name(LIST_NAME)
    listed = None
    if lst.is_file():
        listed = read_lst(lst, images.keys, path.name)
    elif alone and other.is_file():
        try:
            listed = read_lst(other, images.keys, path.name)
        except DataError as error:
            if not by_identity and _tell_nobody_apart(labels):
                raise
            remarks.append(f"not read: {error}")  # any text may have that name
    return _Part(file, images, labels, by_identity, listed, [*remarks, *more])


# --- keys and labels -----------------------------------------------------------------------------


def _index_by_scan(file: RecordFile) -> Index:
    """Keys from the records' own numbers where they differ, else by their order from 1."""
    found = list(scan(file))
    if not found:
        raise DataError(f"{file.path}: the file is empty")
    keys = np.array([record.key for _, record in found], dtype=np.uint64)
    if len(np.unique(keys)) < len(keys) or keys.max() >= 2**62:
        keys = np.arange(1, len(found) + 1, dtype=np.uint64)
    order = np.argsort(keys)
    offsets = np.array([offset for offset, _ in found], dtype=np.int64)
    return Index(keys[order].astype(np.int64), offsets[order])


def _images(file: RecordFile, index: Index) -> tuple[Index, NDArray[np.int32], bool, list[str]]:
    """The images among the records, the label of each, whether records of identities state it, and
    remarks."""
    header = _header(file, index)
    if header is None:
        return index, _each_label(file, index), False, []
    first, end = header
    remarks = []
    if end >= MAX_EXACT:
        first, end = _first_identity(file, index, first), int(index.keys[-1]) + 1
        remarks.append(
            "more than 2^24 records: the header record is rounded, so the keys of images were "
            "taken from the index"
        )
    start, middle, stop = np.searchsorted(index.keys, [1, first, end])
    images = Index(index.keys[start:middle], index.offsets[start:middle])
    people = Index(index.keys[middle:stop], index.offsets[middle:stop])
    if len(images.keys) != first - 1 or len(people.keys) not in (0, end - first):
        raise DataError(
            f"{file.path}: the header record promises {first - 1:,} images and {end - first:,} "
            f"identities, the index has {len(images.keys):,} and {len(people.keys):,} of them. "
            "It is truncated or belongs to another file"
        )
    if not len(images.keys):
        raise DataError(f"{file.path}: no images: the header record promises none")
    if stop < len(index.keys):
        remarks.append(
            f"{len(index.keys) - stop:,} records beyond those of the header are not read"
        )
    labels = _labels_by_identity(file, images, people) if end < MAX_EXACT else None
    by_identity = labels is not None
    if labels is None:
        labels = _each_label(file, images)
        remarks.append("labels were read from each image's record")
    return images, labels, by_identity, remarks


def _header(file: RecordFile, index: Index) -> tuple[int, int] | None:
    """(first key of the identities, their end) as the record of key 0 tells, where it is one."""
    if index.keys[0] != 0:
        return None
    try:
        record = unpack(file.content(int(index.offsets[0])))
    except RecordError as error:
        raise DataError(f"{file.path}: the record of key 0 cannot be read: {error}") from None
    if record.image:
        return None
    bounds = record.labels
    if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1] < 2**40:
        raise DataError(f"{file.path}: the header record (key 0) has the labels {bounds}")
    return int(bounds[0]), int(bounds[1])


def _first_identity(file: RecordFile, index: Index, near: int) -> int:
    """The first key without an image, near a number that float32 has rounded."""
    step = max(1, int(np.spacing(np.float32(near))))
    for key in range(near - step, near + step + 1):
        place = int(np.searchsorted(index.keys, key))
        if place == len(index.keys) or index.keys[place] != key:
            continue
        try:
            if not unpack(file.content(int(index.offsets[place]))).image:
                return key
        except RecordError as error:
            raise DataError(f"{file.path}: key {key} cannot be read: {error}") from None
    raise DataError(f"{file.path}: no record of an identity near key {near:,}")


def _labels_by_identity(file: RecordFile, images: Index, people: Index) -> NDArray[np.int32] | None:
    """Labels from the identities' ranges of keys; None where these do not cover the images."""
    labels = np.full(len(images.keys), -1, dtype=np.int32)
    for key, offset in zip(people.keys.tolist(), people.offsets.tolist(), strict=True):
        try:
            bounds = file.head(offset).labels
            if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1] <= len(labels) + 1:
                raise RecordError(f"its range of keys is {bounds}")
            first, end = int(bounds[0]) - 1, int(bounds[1]) - 1
            if first == end:
                continue
            if labels[first:end].max() >= 0:
                raise RecordError(f"its range of keys, {bounds}, overlaps another one")
            labels[first:end] = _first_label(file, images.offsets[first:end].tolist())
        except RecordError as error:
            raise DataError(f"{file.path}: identity record {key}: {error}") from None
    return labels if labels.min() >= 0 else None


def _first_label(file: RecordFile, offsets: list[int]) -> int:
    """Label of the first image that can be read; a damaged one is the import's business."""
    for offset in offsets[:-1]:
        try:
            return exact_label(file.head(offset).labels[0])
        except RecordError:
            continue
    return exact_label(file.head(offsets[-1]).labels[0])


def _each_label(file: RecordFile, images: Index) -> NDArray[np.int32]:
    """Of each image's record; −1 where all records state that there is none."""
    labels = np.empty(len(images.keys), dtype=np.int32)
    with progress("read labels", len(labels), unit="records") as bar:
        pairs = enumerate(zip(images.keys.tolist(), images.offsets.tolist(), strict=True))
        while block := list(islice(pairs, 4096)):
            for number, (key, offset) in block:
                try:
                    stated = file.head(offset).labels[0]
                    missing = stated == -1 and (number == 0 or labels[number - 1] == -1)
                    labels[number] = -1 if missing else exact_label(stated)
                    if not missing and number and labels[number - 1] == -1:
                        raise RecordError("it has a label, the records before it have none (−1)")
                except RecordError as error:
                    raise DataError(f"{file.path}: key {key}: {error}") from None
            bar.advance(len(block))
    return labels


def _tell_nobody_apart(labels: NDArray[np.int32]) -> bool:
    """Whether all labels are equal, or number the images, so that they name nobody."""
    if len(labels) < 2:
        return bool((labels < 0).any())
    steps = np.diff(labels)
    return bool((steps == 0).all() or (steps == 1).all())


def _labels_of_list(
    path: Path, stated: NDArray[np.int32], found: ImageList | None
) -> NDArray[np.int32]:
    """Labels from the list's column of labels, else from its folders.

    Raises:
        DataError: no list, or one that tells nobody apart either.
    """
    what = f"all {stated[0]}" if stated[0] == stated[-1] else "numbered from image to image"
    if found is None:
        raise DataError(
            f"{path}: the labels of its {len(stated):,} records are {what}, which tells nobody "
            f"apart. Put the set's list beside it, as {path.with_suffix('.lst').name} or "
            f"{LIST_NAME} with lines key<TAB>path<TAB>label"
        )
    columns = [column for column in found.numbers.T[:1] if column.min() >= 0]
    for labels in (*columns, found.folder):
        if 1 < len(np.unique(labels)) < len(labels):
            return labels
    if columns and len(np.unique(columns[0])) == len(stated) == len(found.folders):
        return columns[0]  # one image a person, as label and folder agree
    raise DataError(
        f"{found.files[0]}: neither the labels of the records ({what}) nor labels and folders of "
        "this list tell people apart"
    )


# --- people and groups ---------------------------------------------------------------------------


def _names(labels: NDArray[np.int32], found: ImageList | None) -> tuple[dict[int, str], list[str]]:
    """Label → name of the identity: its folder in the list where that is one to one."""
    present = np.unique(labels)
    width = len(str(present[-1]))
    numbered = {label: f"{label:0{width}d}" for label in present.tolist()}
    if found is None:
        return numbered, []
    pairs = np.unique(labels * np.int64(len(found.folders)) + found.folder)
    if len(pairs) == len(present):
        owners = [divmod(pair, len(found.folders)) for pair in pairs.tolist()]
        for depth in (1, 2):  # people of several groups may share a name
            names = {label: "/".join(found.folders[f][-depth:]) for label, f in owners}
            if all(names.values()) and len(set(names.values())) == len(present):
                return names, []
    return numbered, ["the folders in the list are not one a label: people are called by label"]


def _groups(
    found: ImageList | None,
    labels: NDArray[np.int32],
    listed: bool,
    attribute: str,
    races: tuple[str, ...],
) -> tuple[list[_Group], list[str]]:
    """The group columns of a list, and remarks; ``listed``: the labels come from it as well."""
    if found is None:
        return [], []
    path = found.files[0]
    declaration = path.with_suffix(GROUPS_SUFFIX)
    declared = _declared(declaration)
    columns = found.numbers.T
    highest = len(next(iter(declared.values()), races))
    if listed or not len(columns) or np.array_equal(columns[0], labels):
        columns = columns[1:]
    elif found.keyed or len(columns) > 1 or columns.min() < 0 or columns.max() >= highest:
        line = int(np.argmax(columns[0] != labels))
        raise DataError(
            f"{found.where(line)} has label {columns[0][line]}, the record has {labels[line]}. "
            "If the list belongs to another file, rename it"
        )
    if declared and len(columns) != len(declared):
        raise DataError(
            f"{path}: {len(columns)} numbers behind the label; "
            f"{declaration.name} declares {len(declared)} attributes"
        )
    if declared:
        both = zip(declared.items(), columns, strict=True)
        return [_group(found, name, names, codes) for (name, names), codes in both], []
    if not len(columns):
        return [], []
    if len(columns) in _BOXES:
        return [], [f"{len(columns)} columns of the list, boxes of faces, are not read"]
    if len(columns) > 1:
        raise DataError(
            f"{path}: {len(columns)} numbers behind the label. Say what they are in "
            f"{declaration.name}, e.g. "
            '{"attributes": {"ethnicity": ["African", "Asian"], "gender": ["female", "male"]}}'
        )
    numbered = ", ".join(f"{number} {name}" for number, name in enumerate(races))
    remark = (
        f"the last column of the list is taken as '{attribute}': {numbered}. Other names can be "
        f'given in {declaration.name}: {{"attributes": {{"{attribute}": ["name of 0", …]}}}}'
    )
    return [_group(found, attribute, races, columns[0])], [remark]


def _group(
    found: ImageList, attribute: str, names: tuple[str, ...], codes: NDArray[np.int32]
) -> _Group:
    if (bad := (codes < -1) | (codes >= len(names))).any():
        line = int(np.argmax(bad))
        raise DataError(
            f"{found.where(line)}: {codes[line]} is no {attribute}; known are 0 to "
            f"{len(names) - 1} ({', '.join(names)}), and −1 for unknown"
        )
    return _Group(attribute, names, codes)


def _declared(path: Path) -> dict[str, tuple[str, ...]]:
    """Attribute → names of its numbers, as a ``.groups.json`` declares them."""
    if not path.is_file():
        return {}
    content = read_json(path)
    attributes = content.get("attributes") if isinstance(content, dict) else None
    if not isinstance(attributes, dict) or not all(
        re.fullmatch("[a-z][a-z0-9_]*", attribute)
        and isinstance(names, list)
        and names
        and all(isinstance(name, str) for name in names)
        for attribute, names in attributes.items()
    ):
        raise DataError(
            f'{path}: expected {{"attributes": {{"name": ["name of 0", "name of 1", …], …}}}}, '
            "attributes named in lower-case letters, digits and _"
        )
    return {name: tuple(names) for name, names in attributes.items()}


def _property_remarks(path: Path, names: dict[int, str]) -> list[str]:
    """Whether ``property`` (classes,height,width) agrees."""
    file = path.with_name("property")
    if not file.is_file():
        return []
    text = file.read_bytes()[:200].decode("ascii", "replace").strip()
    classes = text.split(",")[0]
    if classes == str(len(names)):
        return []
    return [f"property says {text!r}, but the records have {len(names):,} identities"]


def _open(path: Path, options: ReadOptions) -> RecordSource:
    return open_records(path, options.group_attribute or RACE_ATTRIBUTE)


FORMAT = Format("recordio", LAYOUT, recognises=_recognises, open=_open)
