"""Folders of images: ``[<group>/]<identity>/<image>``."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.errors import DataError

LAYOUT = "[<group>/]<identity>/<image>"
SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        "jpg",
        "jpeg",
        "png",
        "webp",
        "bmp",
        "gif",
        "jp2",
        "pgm",
        "ppm",
        "tif",
        "tiff",
        "avif",
        "heic",
        "heif",
    )
)
"""Files with another suffix (in lower case) are no images."""
MAX_FILE_BYTES = 256 * 2**20

CLUTTER = frozenset({"__MACOSX", "@eaDir"})
"""What archivers and file servers leave among the images: left out, as are names that begin with a
dot."""


@dataclass(frozen=True, slots=True)
class _Person:
    folder: str
    identity: str
    group: str | None


class Names:
    """File names as one piece of memory; a list of strings would need five times as much."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("q")

    def extend(self, names: list[str]) -> None:
        for name in names:
            self._bytes += os.fsencode(name)
            self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return os.fsdecode(bytes(self._bytes[start : self._ends[number]]))


class FolderSource:
    """The images below one folder, sorted by group, identity and file name.

    Made by :func:`open_folder`.
    """

    def __init__(
        self,
        root: Path,
        attributes: tuple[str, ...],
        remarks: tuple[str, ...],
        people: list[_Person],
        files: Names,
        owners: array[int],
        format: str,
    ) -> None:
        self.attributes = attributes
        self.remarks = remarks
        self.origin = ""
        """Of all images; "" where the layout does not say."""
        self._root = root
        self._people = people
        self._files = files
        self._owners = owners
        self._format = format

    @property
    def description(self) -> dict[str, Any]:
        listing = hashlib.sha256()
        for number in range(len(self)):
            listing.update(os.fsencode(self._path(number)) + b"\0")
        return {
            "format": self._format,
            "path": printable(str(self._root.resolve())),
            "attributes": list(self.attributes),
            "images": len(self),
            "identities": len(self._people),
            "listing": listing.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._files)

    def record(self, number: int) -> Record:
        person = self._people[self._owners[number]]
        attributes = (person.group,) if self.attributes else ()
        name = printable(self._path(number))
        return Record(name, person.identity, attributes, origin=self.origin)

    def read(self, number: int) -> bytes:
        return read_image_file(os.path.join(self._root, self._path(number)))

    def _path(self, number: int) -> str:
        return os.path.join(self._people[self._owners[number]].folder, self._files[number])


def read_image_file(path: str | Path) -> bytes:
    """Content of an image file. Raises OSError; also for what is no file or too large for one."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
        raise OSError("not a regular file")
    check_size(status.st_size)
    with open(path, "rb") as handle:
        return handle.read()


def check_size(size: int) -> None:
    """Raise OSError where ``size`` bytes are too many for an image of a face."""
    if size > MAX_FILE_BYTES:
        raise OSError(f"a file of {size:,} bytes is no image of a face")


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def open_folder(root: Path, group_attribute: str, *, format: str = "folder") -> FolderSource:
    """List a folder of images.

    The depth of the images tells whether there is a group level; it becomes the declared attribute
    ``group_attribute``. An identity name that occurs in several groups becomes ``group/identity``.
    Hidden files, symbolic links that lead back to a parent, and files without an image's suffix
    are left out and counted. ``format`` is the name that the description bears.

    Raises:
        DataError: no folder, no images, or images at different depths.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(f"{root}: a file, expected a folder with {LAYOUT}")
    walk = Walk(root)
    people: list[_Person] = []
    files = Names()
    owners = array("i")
    depth, example = 0, ""
    for parts, names in walk.folders():
        this = os.path.join(*parts, names[0])
        if len(parts) not in (1, 2):
            where = "directly in the folder" if not parts else "too deep"
            raise DataError(f"{root}: {printable(this)!r} lies {where}; expected {LAYOUT}")
        if depth and len(parts) != depth:
            raise DataError(
                f"{root}: images at different depths, {printable(example)!r} and "
                f"{printable(this)!r}; expected {LAYOUT}, with the group level for all or for none"
            )
        depth, example = len(parts), this
        group = printable(parts[0]) if depth == 2 else None
        owners.extend([len(people)] * len(names))
        files.extend(names)
        people.append(_Person(os.path.join(*parts), printable(parts[-1]), group))
    if not len(files):
        skipped = f" ({walk.ignored.total():,} other files)" if walk.ignored else ""
        raise DataError(f"{root}: no images found{skipped}; expected {LAYOUT}")
    people, renamed = _told_apart(root, people)
    attributes = (group_attribute,) if depth == 2 else ()
    remarks = (*walk.remarks(depth), *renamed)
    return FolderSource(root, attributes, remarks, people, files, owners, format)


@dataclass
class Walk:
    """Goes through a folder in sorted order and remembers what it left out."""

    root: Path
    ignored: Counter[str] = field(default_factory=Counter)
    """Suffix → number of files that are no images."""
    loops: list[str] = field(default_factory=list)
    barren: dict[int, list[str]] = field(default_factory=dict)
    """Depth → folders without any image below."""

    def folders(self) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """(path parts below the root, image names) of each folder that holds images itself."""
        yield from self._below((), ())

    def _below(
        self, parts: tuple[str, ...], parents: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        here = os.path.join(self.root, *parts)
        status = os.stat(here)
        key = (status.st_dev, status.st_ino)
        if key in parents:
            self.loops.append(printable(os.path.join(*parts)))
            return
        images, folders = self._list(here)
        if images:
            yield parts, images
        found = bool(images)
        for name in folders:
            for item in self._below((*parts, name), (*parents, key)):
                found = True
                yield item
        if not found and parts:
            self.barren.setdefault(len(parts), []).append(printable(os.path.join(*parts)))

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        images, folders = [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in CLUTTER:
                    continue
                with suppress(OSError):  # of a link that leads to itself
                    if entry.is_dir():
                        folders.append(entry.name)
                        continue
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in SUFFIXES:
                    images.append(entry.name)
                else:
                    self.ignored[printable(suffix)] += 1
        return sorted(images), sorted(folders)

    def remarks(self, depth: int) -> list[str]:
        found = []
        if self.ignored:
            kinds = ", ".join(f"{kind or 'no suffix'} {n:,}" for kind, n in self.ignored.items())
            found.append(f"{self.ignored.total():,} files that are no images left out ({kinds})")
        if self.loops:
            found.append(
                f"{len(self.loops):,} symbolic links that lead back to a parent left out, e.g. "
                f"{self.loops[0]!r}"
            )
        for level, names in sorted(self.barren.items()):
            kind = ("groups", "identities", "folders")[1 + min(level - depth, 1)]
            found.append(f"{len(names):,} {kind} without images, e.g. {names[0]!r}")
        return found


def _told_apart(root: Path, people: list[_Person]) -> tuple[list[_Person], list[str]]:
    """Give identities that share a name in several groups the group's name in front."""
    counts = Counter(person.identity for person in people)
    shared = sorted(name for name, count in counts.items() if count > 1)
    if not shared:
        return people, []
    renamed = [
        _Person(p.folder, f"{p.group}/{p.identity}", p.group) if counts[p.identity] > 1 else p
        for p in people
    ]
    keys = Counter(person.identity for person in renamed)
    if clash := sorted(name for name, count in keys.items() if count > 1):
        raise DataError(
            f"{root}: several identity folders read as {clash[0]!r}, because their names differ "
            "only in bytes that are not UTF-8. Rename them"
        )
    remark = (
        f"{len(shared):,} identity names occur in several groups and were taken for different "
        f"people, named <group>/<identity>, e.g. {shared[0]!r}"
    )
    return renamed, [remark]


def _open(path: Path, options: ReadOptions) -> FolderSource:
    return open_folder(path, options.group_attribute or "group")


FORMAT = Format("folder", LAYOUT, recognises=Path.is_dir, open=_open, last=True)
