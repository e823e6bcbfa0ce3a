"""What a source of images offers to the import, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Record:
    """One image file of a source."""

    name: str
    """For messages and reports; unique within the source."""
    identity: str
    """"" where nobody says who it is."""
    attributes: tuple[str | None, ...] = ()
    """Values of :attr:`Source.attributes`."""
    every_face: bool = False
    """The image shows one person many times: every face found in it is taken."""
    landmarks: np.ndarray | None = field(default=None, compare=False)
    """float64 (5, 2): where the face is, in pixels, in the order of
    :data:`evenface.data.align.ARCFACE_TEMPLATE`; None: it must be found."""
    origin: str = ""
    """"real" or "synthetic"; "" where the source does not say."""
    split: str = ""
    """"" where the source does not say."""


class Source(Protocol):
    """A finite, ordered collection of image files.

    The order is a function of the content alone, so that two imports give the same store.
    ``read`` is called from several threads.
    """

    @property
    def description(self) -> dict[str, Any]:
        """JSON-able: format, place, what it holds. Equal descriptions mean equal sources."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that the source declares."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know about how the source was read."""

    def __len__(self) -> int: ...

    def record(self, number: int) -> Record:
        """Record ``number``, from 0."""

    def read(self, number: int) -> bytes:
        """Content of that record's image file. Raises OSError when it cannot be read."""


NONE = "none"
"""Word for a source whose people are unknown."""


@dataclass(frozen=True)
class ReadOptions:
    """How a source is to be read, where it does not say so itself."""

    group_attribute: str = ""
    """Attribute that a level of group folders (or a race label) becomes; "": the format's own
    name for it."""
    identity: str = ""
    """Column or key that names the person; "": the first of the usual ones; :data:`NONE`: images
    are taken without identity."""
    attributes: tuple[str, ...] | None = None
    """Columns or keys taken as attributes; None: all that can be."""
    root: Path | None = None
    """Folder that image paths are relative to and must lie in; None: that of the table itself."""
    identity_from: str = ""
    """Regular expression that finds the person in an image's path: its group ``identity``, else its
    first group, else all that it matches."""


@dataclass(frozen=True)
class Format:
    """One layout in which data sets are published."""

    name: str
    layout: str
    """The layout in one line, for messages."""
    recognises: Callable[[Path], bool] = field(repr=False)
    """Whether a path looks like this format, told without reading much; False where nothing is."""
    open: Callable[[Path, ReadOptions], Source] = field(repr=False)
    """Lists the source; DataError where it is malformed."""
    heeds: frozenset[str] = frozenset({"group_attribute"})
    """The fields of :class:`ReadOptions` that mean something here."""
    last: bool = False
    """Recognises what others do better: taken only where no other format recognises the path."""
