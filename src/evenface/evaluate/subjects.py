"""What is evaluated: a model, or embeddings that one has left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.embedding_files import EmbeddingTable, holds_embeddings, read_embeddings
from evenface.evaluate.model import embed_views
from evenface.evaluate.pairs import Rows
from evenface.evaluate.tasks import Settings, Task
from evenface.run_folder import RUN_NAME
from evenface.teachers.base import Teacher
from evenface.teachers.loading import load_teacher


class Subject(Protocol):
    """Gives embeddings of a task's images."""

    @property
    def name(self) -> str:
        """For results and folders."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex): equal fingerprints, equal embeddings."""

    @property
    def details(self) -> dict[str, str]:
        """For the reader: file, preprocessing, …"""

    def embeddings(
        self, task: Task, rows: Rows, settings: Settings, cache: Path | None
    ) -> NDArray[Any]:
        """(N, D) of a task's faces, of which those of ``rows`` are wanted."""


@dataclass(frozen=True, eq=False)
class ModelSubject:
    """A model that embeds images."""

    model: Teacher

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def fingerprint(self) -> str:
        return self.model.fingerprint

    @property
    def details(self) -> dict[str, str]:
        return dict(getattr(self.model, "details", {}))

    def embeddings(
        self, task: Task, rows: Rows, settings: Settings, cache: Path | None
    ) -> NDArray[np.float32]:
        """Both views summed, each image embedded once per view."""
        return embed_views(self.model, task.faces, rows, views=settings.views, cache=cache)


@dataclass(frozen=True, eq=False)
class TableSubject:
    """Embeddings made elsewhere; views are whatever they were made of."""

    table: EmbeddingTable

    @property
    def name(self) -> str:
        return self.table.path.resolve().stem

    @property
    def fingerprint(self) -> str:
        return self.table.fingerprint

    @property
    def details(self) -> dict[str, str]:
        keyed = "in the set's order" if self.table.names is None else "by image name"
        return {"file": str(self.table.path), "embeddings": f"made elsewhere, {keyed}"}

    def embeddings(
        self, task: Task, rows: Rows, settings: Settings, cache: Path | None
    ) -> NDArray[np.float32]:
        """DataError where they do not belong to the task's images."""
        return self.table.of_rows(len(task.faces), rows, task.order, task.names, task.name)


def load_subject(spec: str, **options: Any) -> Subject:
    """A model (see :func:`load_teacher`), or a file or folder of embeddings.

    Raises:
        UsageError, DataError, MissingAssetError, MissingDependencyError: as the loaders do.
    """
    path = Path(spec)
    run = path.is_dir() and (path / RUN_NAME).is_file()
    if not run and holds_embeddings(path):
        return TableSubject(read_embeddings(path))
    given = {name: value for name, value in options.items() if value is not None}
    return ModelSubject(load_teacher(spec, **given))
