"""Data sets from arrays, and data sets by their folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evenface.columns import attributes as columns_of
from evenface.columns import texts
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.store import ImageStoreWriter
from evenface.errors import DataError
from evenface.lock import FolderLock


def load_dataset(path: str | Path, *, split: str | None = None) -> Manifest:
    """The manifest of a data set: a row for each image.

    Args:
        path: a data set's folder, or a manifest file.
        split: rows of this split only; None for all.

    Raises:
        UsageError: no rows of the split.
        DataError: no manifest there, or a damaged one.

    See :func:`make_dataset` for an example; ``evenface.import_dataset`` makes one of image files.
    """
    return Manifest.read(path, split=split)


def make_dataset(
    folder: str | Path,
    images: np.ndarray,
    identity: Any,
    *,
    attributes: Mapping[str, Any] | None = None,
    origin: Any = "real",
    name: str | None = None,
    licence: str = "unknown",
    split: Any = "",
) -> Manifest:
    """Write aligned faces and their labels as a data set, to train and evaluate on.

    >>> import tempfile, numpy as np, evenface
    >>> faces = np.zeros((4, 112, 112, 3), np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = evenface.make_dataset(
    ...         f"{folder}/toy", faces, [1, 1, 2, 2], attributes={"region": ["n", "n", "s", "s"]}
    ...     )
    ...     read = evenface.load_dataset(f"{folder}/toy")
    >>> len(read), read.attributes, list(read.groups())
    (4, ('region',), ['n', 'n', 's', 's'])

    Args:
        folder: a new folder.
        images: uint8 (N, 112, 112, 3), RGB, aligned.
        identity: (N,) who each image shows.
        attributes: name → (N,) values, None where unknown; the first is what groups are made of.
        origin: "real" or "synthetic", for all images or (N,).
        name: what records call the data set; None for the folder's name.
        licence: of the images.
        split: "train", "test", …, for all images or (N,).

    Raises:
        ValueError: images of another shape or type, lengths that differ, an origin or a name of an
            attribute that is not allowed.
        DataError: the folder holds a data set already, or an image has no identity.
    """
    folder = Path(folder)
    people = texts("identity", identity)
    if None in people:
        raise DataError(f"identity: row {people.index(None)} has no value")
    pixels = np.asarray(images)
    if len(people) != len(pixels):
        raise ValueError(f"{len(people):,} identities for {len(pixels):,} images")
    manifest = Manifest.from_columns(
        folder,
        index=range(len(people)),
        identity=[str(person) for person in people],
        origin=origin if isinstance(origin, str) else texts("origin", origin),
        dataset=name or folder.name,
        licence=licence,
        split=split if isinstance(split, str) else texts("split", split),
        attributes={
            key: texts(key, column) for key, column in columns_of(attributes or {}).items()
        },
    )
    with FolderLock(folder, doing="is writing there. Choose another folder"):
        with ImageStoreWriter(folder) as writer:
            writer.append(pixels)
        manifest.write(folder / MANIFEST_NAME)
    return manifest
