"""Images at any depth of a folder, whose people are unknown or stand in their names.

SFHQ and other sets of portraits name nobody (``--identity none``). SynthMoCap and others have the
person in the name of the file (``--identity-from REGEX``).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.columns import person_finder
from evenface.data.formats.folder import Names, Walk, printable, read_image_file
from evenface.errors import DataError

LAYOUT = "images at any depth, with --identity none or --identity-from REGEX"


class ImagesSource:
    """The images below a folder, sorted by path. Made by :func:`open_images`."""

    attributes: tuple[str, ...] = ()

    def __init__(
        self,
        root: Path,
        files: Names,
        people: list[str],
        remarks: tuple[str, ...],
        *,
        format: str,
        origin: str,
    ) -> None:
        self.remarks = remarks
        self._root = root
        self._files = files
        self._people = people
        self._format = format
        self._origin = origin

    @property
    def description(self) -> dict[str, Any]:
        listing = hashlib.sha256()
        for number in range(len(self)):
            listing.update(os.fsencode(self._files[number]) + b"\0")
            listing.update(self._person(number).encode() + b"\0")
        return {
            "format": self._format,
            "path": printable(str(self._root.resolve())),
            "images": len(self),
            "identities": len(set(self._people)),
            "listing": listing.hexdigest(),
        }

    def __len__(self) -> int:
        return len(self._files)

    def record(self, number: int) -> Record:
        name = printable(self._files[number])
        return Record(name, self._person(number), origin=self._origin)

    def read(self, number: int) -> bytes:
        return read_image_file(os.path.join(self._root, self._files[number]))

    def _person(self, number: int) -> str:
        return self._people[number] if self._people else ""


def open_images(
    root: Path, pattern: str = "", *, format: str = "images", origin: str = ""
) -> ImagesSource:
    """List the images below a folder.

    Args:
        root: the folder.
        pattern: finds the person in a path relative to it, with ``/``
            (:attr:`ReadOptions.identity_from`); "": people are unknown.
        format: name that the description bears.
        origin: of all images, "" where the set does not say.

    Raises:
        UsageError: no regular expression.
        DataError: no folder, no images, or a path in which no person is found.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected {LAYOUT}")
    find = person_finder(pattern) if pattern else None
    files, people = Names(), []
    walk = Walk(root)
    for parts, names in walk.folders():
        paths = [os.path.join(*parts, name) for name in names]
        files.extend(paths)
        if find:
            people += [find(printable(path).replace(os.sep, "/"), str(root)) for path in paths]
    if not len(files):
        raise DataError(f"{root}: no images found")
    return ImagesSource(
        root, files, people, tuple(walk.remarks(depth=1)[:1]), format=format, origin=origin
    )


def _open(path: Path, options: ReadOptions) -> ImagesSource:
    return open_images(path, options.identity_from)


FORMAT = Format(
    "images",
    LAYOUT,
    recognises=lambda path: False,  # a folder of people looks the same
    open=_open,
    heeds=frozenset({"identity", "identity_from"}),
)
