"""What a source of images offers to the import, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One image file of a source."""

    name: str
    """For messages and reports; unique within the source."""
    identity: str
    attributes: tuple[str | None, ...] = ()
    """Values of :attr:`Source.attributes`."""
    every_face: bool = False
    """The image shows one person many times: every face found in it is taken."""


class Source(Protocol):
    """A finite, ordered collection of image files whose people are known.

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


@dataclass(frozen=True)
class Format:
    """One layout in which data sets are published."""

    name: str
    layout: str
    """The layout in one line, for messages."""
    recognises: Callable[[Path], bool] = field(repr=False)
    """Whether a path looks like this format."""
    open: Callable[[Path, str], Source] = field(repr=False)
    """``open(path, group_attribute)`` lists the source; DataError where it is malformed."""
