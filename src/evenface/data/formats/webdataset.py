"""WebDataset: tar shards in which the files of one sample share a key.

``key.jpg`` is the image; ``key.cls`` (text) or ``key.json`` (an object) names the person, and the
object's other fields are attributes. The key is the name up to the first dot of its last part.
Nothing is ever extracted: images are read where they lie, so names that lead out of a folder do no
harm.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evenface.data.formats.base import NONE, Format, ReadOptions, Record
from evenface.data.formats.columns import (
    LANDMARKS_FIELD,
    ORIGIN_FIELD,
    SPLIT_FIELD,
    Texts,
    check_origins,
    choose_fields,
    find_field,
    is_measurement,
    landmarks_of,
    text_of,
)
from evenface.data.formats.folder import SUFFIXES, check_size, printable
from evenface.errors import DataError

LAYOUT = "tar shards with key.jpg and key.cls or key.json (a .tar, a folder, or a{000..012}.tar)"
MAX_LABEL_BYTES = 2**20
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LABEL = "cls"


class _Labels:
    """The labels' fields, a column each."""

    def __init__(self) -> None:
        self.columns: dict[str, Texts] = {}
        self.landmarks: list[np.ndarray | None] = []
        self.unfit: dict[str, str] = {}
        """Field → the first value that is neither text nor a whole number, and where."""

    def append(self, label: dict[str, Any], where: str) -> None:
        """Add the label of one sample. ValueError where its landmarks are malformed."""
        count = len(self.landmarks)
        points = None
        for name, value in label.items():
            if name.lower() == LANDMARKS_FIELD:
                points = landmarks_of(value)
                continue
            column = self.columns.setdefault(name, Texts())
            column.pad(count)
            try:
                column.append(text_of(value))
            except ValueError as error:
                self.unfit.setdefault(name, f"{where}: {error}")
        self.landmarks.append(points)

    def column(self, name: str) -> Texts:
        """A value for each sample. DataError where one is neither text nor a whole number."""
        if name in self.unfit:
            raise DataError(f"field {name!r} of {self.unfit[name]}")
        self.columns[name].pad(len(self.landmarks))
        return self.columns[name]


@dataclass
class _Listing:
    """Where the images lie and what their samples say, in the order of the shards."""

    shards: list[Path]
    shard: array[int] = field(default_factory=lambda: array("i"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)
    labels: _Labels = field(default_factory=_Labels)
    remarks: list[str] = field(default_factory=list)

    def name(self, number: int) -> str:
        """Shard and member, for messages."""
        return f"{printable(self.shards[self.shard[number]].name)}: {self.names[number]}"


class WebDatasetSource:
    """The images in tar shards. Made by :func:`open_webdataset`."""

    def __init__(
        self,
        path: Path,
        listing: _Listing,
        identities: Texts,
        attributes: dict[str, Texts],
        own: dict[str, Texts],
        remarks: tuple[str, ...],
    ) -> None:
        self.attributes = tuple(attributes)
        self.remarks = remarks
        self._path = path
        self._listing = listing
        self._identities = identities
        self._values = tuple(attributes.values())
        self._own = own

    @property
    def description(self) -> dict[str, Any]:
        listing = hashlib.sha256()
        for number in range(len(self)):
            place = self._listing.offset[number], self._listing.size[number]
            record = self.record(number)
            listing.update(repr((place, record)).encode("utf-8", "surrogateescape"))
        return {
            "format": "webdataset",
            "path": printable(str(self._path.absolute())),
            "attributes": list(self.attributes),
            "shards": len(self._listing.shards),
            "images": len(self),
            "listing": listing.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._listing.size)

    def record(self, number: int) -> Record:
        points = self._listing.labels.landmarks[number]
        own = {name: column[number] or "" for name, column in self._own.items()}
        return Record(
            self._listing.name(number),
            self._identities[number] or "" if len(self._identities) else "",
            tuple(column[number] for column in self._values),
            landmarks=None if points is None else points.astype(np.float64),
            origin=own.get(ORIGIN_FIELD, ""),
            split=own.get(SPLIT_FIELD, ""),
        )

    def read(self, number: int) -> bytes:
        size = self._listing.size[number]
        check_size(size)
        with open(self._listing.shards[self._listing.shard[number]], "rb") as handle:
            handle.seek(self._listing.offset[number])
            data = handle.read(size)
        if len(data) < size:
            raise OSError("the shard ends within the image")
        return data


def open_webdataset(path: Path, options: ReadOptions) -> WebDatasetSource:
    """List the samples of a tar file, of the tar files in a folder, or of a brace pattern.

    Raises:
        DataError: a shard is missing, compressed, damaged or truncated; a sample without label or
            with two images; a label that cannot be read. The message names shard and sample.
    """
    listing = _Listing(shard_files(path))
    for number in range(len(listing.shards)):
        _list_shard(listing, number, bare=options.identity == NONE)
    if not listing.names:
        raise DataError(f"{path}: no images in {len(listing.shards):,} shards; expected {LAYOUT}")
    labels = listing.labels
    own = {name: find_field((name,), labels.columns) for name in (ORIGIN_FIELD, SPLIT_FIELD)}
    asked = {options.identity, *(options.attributes or ())}
    left_out = sorted(set(labels.unfit) - asked)
    chosen = choose_fields(
        [name for name in labels.columns if name not in left_out],
        own.values(),
        identity=options.identity,
        attributes=options.attributes,
        measured=lambda name: is_measurement(labels.columns[name]),
        where=str(path),
    )
    if left_out:
        listing.remarks.append(f"fields left out: {', '.join(map(repr, left_out))}")
    identities = labels.column(chosen.identity) if chosen.identity else Texts()
    if (bare := next((n for n, name in enumerate(identities) if name is None), None)) is not None:
        raise DataError(f"{path}: {listing.name(bare)}: its label has no {chosen.identity!r}")
    texts = {name: labels.column(item).stripped() for name, item in own.items() if item}
    if ORIGIN_FIELD in texts:
        check_origins(texts[ORIGIN_FIELD], f"{path}, field {ORIGIN_FIELD!r}")
    return WebDatasetSource(
        path,
        listing,
        identities,
        {name: labels.column(item).stripped() for item, name in chosen.attributes},
        texts,
        (*listing.remarks, *chosen.remarks),
    )


def shard_files(path: Path) -> list[Path]:
    """The shards that ``path`` means, sorted by name in a folder, in order in a pattern.

    Raises:
        DataError: none, or one of a pattern is missing.
    """
    if path.is_dir():
        found = sorted(path.glob("[!.]*.tar"))
        if not found:
            raise DataError(f"{path}: no .tar file here; expected {LAYOUT}")
        return found
    files = [path] if path.is_file() else [Path(name) for name in _expanded(str(path))]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such shard")
        if file.name.lower().endswith(_COMPRESSED):
            raise DataError(f"{file}: compressed; unpack it to a .tar first, to be read in place")
    return files


def _expanded(pattern: str) -> Iterator[str]:
    """``a{0..2}.tar`` and ``{a,b}.tar`` written out; leading zeros are kept."""
    match = _BRACES.search(pattern)
    if not match:
        yield pattern
        return
    bounds = _RANGE.fullmatch(match[1])
    if bounds:
        low, high = int(bounds[1]), int(bounds[2])
        if high - low > 1_000_000:
            raise DataError(f"{pattern}: more than a million shards")
        options = [str(number).zfill(len(bounds[1])) for number in range(low, high + 1)]
    else:
        options = match[1].split(",")
    for option in options:
        yield from _expanded(pattern[: match.start()] + option + pattern[match.end() :])


# --- one shard -------------------------------------------------------------------------------


@dataclass
class _Sample:
    image: tuple[str, int, int] | None = None
    """Name, offset, size."""
    label: dict[str, Any] = field(default_factory=dict)


def _list_shard(listing: _Listing, number: int, *, bare: bool) -> None:
    path = listing.shards[number]
    others = imageless = 0
    samples: dict[str, _Sample] = {}
    try:
        with tarfile.open(path, "r:", errors="surrogateescape") as tar:
            for member in _members(tar):
                if member.isreg() and not member.issparse():
                    _take(member, tar, samples, path)
                else:
                    others += not member.isdir()
            ended = _is_ended(tar, path)
    except (tarfile.TarError, EOFError, RecursionError) as error:
        raise DataError(f"{path}: not a readable tar file, or cut off ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    for key, sample in samples.items():
        if sample.image is None:
            imageless += bool(sample.label)
            continue
        if not sample.label and not bare:
            raise DataError(
                f"{path}: sample {printable(key)!r} has no label ({_LABEL} or json beside it)"
            )
        name, offset, size = sample.image
        where = f"{path.name}: {printable(name)}"
        listing.shard.append(number)
        listing.offset.append(offset)
        listing.size.append(size)
        listing.names.append(printable(name))
        try:
            listing.labels.append(sample.label, where)
        except ValueError as error:
            raise DataError(f"{path}: {printable(name)}: {error}") from None
    said = {
        f"{others:,} links and special files left out": others,
        f"{imageless:,} labels without an image": imageless,
        "no end mark; was it cut off?": not ended,
    }
    listing.remarks += [f"{printable(path.name)}: {what}" for what, true in said.items() if true]


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    last = -1
    while (member := tar.next()) is not None:
        if member.offset_data <= last:  # a negative size would lead round in circles
            raise tarfile.ReadError(f"a member at byte {member.offset:,} leads back")
        last = member.offset_data
        yield member
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all


def _is_ended(tar: tarfile.TarFile, path: Path) -> bool:
    """Whether the end mark is there; tarfile takes a damaged or half header for the end."""
    size = os.path.getsize(path)
    end: int = tar.offset
    if end > size:
        raise tarfile.ReadError("the last member is cut off")
    with open(path, "rb") as handle:
        handle.seek(end)
        block = handle.read(tarfile.BLOCKSIZE)
    if block and block != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"damaged or cut off at byte {end:,}")
    return bool(block)


def _take(
    member: tarfile.TarInfo, tar: tarfile.TarFile, samples: dict[str, _Sample], path: Path
) -> None:
    key, suffix = _key(member.name)
    kind = suffix.lower().rpartition(".")[2]
    if not key:
        return
    if f".{kind}" in SUFFIXES:
        sample = samples.setdefault(key, _Sample())
        if sample.image:
            raise DataError(
                f"{path}: sample {printable(key)!r} has two images, "
                f"{printable(sample.image[0])!r} and {printable(member.name)!r}"
            )
        sample.image = (member.name, member.offset_data, member.size)
    elif kind in (_LABEL, "json"):
        samples.setdefault(key, _Sample()).label |= _label(tar, member, kind, path)


def _key(name: str) -> tuple[str, str]:
    """Key and suffix; no key for names that begin with a dot (as macOS leaves among others)."""
    folder, slash, last = name.rpartition("/")
    stem, dot, suffix = last.partition(".")
    return (f"{folder}{slash}{stem}", suffix) if stem and dot else ("", "")


def _label(tar: tarfile.TarFile, member: tarfile.TarInfo, kind: str, path: Path) -> dict[str, Any]:
    where = f"{path}: {printable(member.name)}"
    if member.size > MAX_LABEL_BYTES:
        raise DataError(f"{where}: a label of {member.size:,} bytes; at most {MAX_LABEL_BYTES:,}")
    handle = tar.extractfile(member)
    data = handle.read() if handle else b""
    if len(data) < member.size:
        raise DataError(f"{where}: the shard ends within it")
    try:
        text = data.decode("utf-8")
        if kind == _LABEL:
            return {_LABEL: text.strip("\r\n") if text.strip() else ""}
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object with fields")
    return value


def _recognises(path: Path) -> bool:
    name = path.name.lower()
    if path.is_dir():
        return any(path.glob("[!.]*.tar"))
    if path.is_file():
        return name.endswith((".tar", *_COMPRESSED))
    return name.endswith(".tar") and bool(_BRACES.search(str(path)))


FORMAT = Format(
    "webdataset",
    LAYOUT,
    recognises=_recognises,
    open=open_webdataset,
    heeds=frozenset({"identity", "attributes"}),
)
