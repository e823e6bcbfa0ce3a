"""How far an import has come, so that an interrupted one continues.

A file of JSON lines beside the growing store: the request first, then one line a chunk of records,
written when the chunk's images are on the disk. A line that was cut off by a kill is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evenface.files import write_text

JOURNAL_NAME = "import-journal.jsonl"


@dataclass
class Chunk:
    """What became of the records up to ``records``, since the chunk before."""

    records: int
    """Records done, this chunk included."""
    images: int
    """Images written, this chunk included."""
    counts: dict[int, int] = field(default_factory=dict)
    """Record → number of images where that is not one."""
    problems: dict[int, str] = field(default_factory=dict)
    """Record → why it cannot be used."""
    notes: dict[int, str] = field(default_factory=dict)
    """Image → what was noticed."""
    sizes: dict[str, int] = field(default_factory=dict)
    """"width×height" of image files → their number."""


class Journal:
    """The journal of one import into ``folder``."""

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self._path = folder / JOURNAL_NAME
        self._request = request

    def read(self) -> list[Chunk]:
        """The chunks done; none when the journal is missing or belongs to another request."""
        if not self._path.is_file():
            return []
        with open(self._path, encoding="utf-8", errors="replace") as lines:
            entries = list(_whole_lines(lines))
        if not entries or entries[0] != self._request:
            return []
        return [_chunk(entry) for entry in entries[1:]]

    def start(self, chunks: Iterable[Chunk]) -> None:
        """Begin the file anew with the chunks that are kept."""
        entries = [self._request, *map(asdict, chunks)]
        write_text(self._path, "".join(json.dumps(entry) + "\n" for entry in entries))

    def append(self, chunk: Chunk) -> None:
        """Record a chunk; on return it is on the disk."""
        with open(self._path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(asdict(chunk)) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def remove(self) -> None:
        """The import is finished, or starts from nothing."""
        self._path.unlink(missing_ok=True)


def _whole_lines(lines: Iterable[str]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # cut off by a kill: nothing after it counts
            return


def _chunk(entry: dict[str, Any]) -> Chunk:
    tables = {
        name: {int(key): value for key, value in entry[name].items()}  # JSON keys are text
        for name in ("counts", "problems", "notes")
    }
    return Chunk(entry["records"], entry["images"], **tables, sizes=entry["sizes"])
