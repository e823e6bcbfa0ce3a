"""Where the teacher's embeddings of a training set come from: one cache, or several as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.files import fingerprint
from evenface.train.recipe import Caches

_BLOCK_ROWS = 65_536


class View(Protocol):
    """Embeddings of one view, read by row."""

    def __getitem__(self, rows: Any) -> np.ndarray: ...


class Targets(Protocol):
    """Teacher embeddings of every row and view; an :class:`EmbeddingCache` is one."""

    @property
    def embedding_size(self) -> int: ...

    def view(self, name: str = "original") -> View: ...


class MeanTargets:
    """The mean of several teachers' normalised embeddings.

    Args:
        caches: of one embedding size, at least one.
    """

    def __init__(self, caches: Sequence[EmbeddingCache]) -> None:
        self._caches = caches
        self.embedding_size = caches[0].embedding_size

    def view(self, name: str = "original") -> View:
        """Embeddings by row, float32."""
        return _MeanView([cache.view(name) for cache in self._caches])


class GroupTargets:
    """Each group's embeddings from its own teacher.

    Args:
        caches: of one embedding size, by code of a group.
        groups: int (N,): code of each row.
    """

    def __init__(self, caches: Sequence[EmbeddingCache], groups: np.ndarray) -> None:
        self._caches = caches
        self._groups = groups
        self.embedding_size = caches[0].embedding_size

    def view(self, name: str = "original") -> View:
        """Embeddings by row, float32."""
        return _GroupView([cache.view(name) for cache in self._caches], self._groups)


class _MeanView:
    def __init__(self, views: Sequence[np.ndarray]) -> None:
        self._views = views

    def __getitem__(self, rows: Any) -> np.ndarray:
        units = np.stack([normalised(view[rows]) for view in self._views])
        return np.asarray(units.mean(axis=0), dtype=np.float32)


class _GroupView:
    def __init__(self, views: Sequence[np.ndarray], groups: np.ndarray) -> None:
        self._views = views
        self._groups = groups

    def __getitem__(self, rows: Any) -> np.ndarray:
        rows = np.arange(len(self._groups))[rows]
        groups = self._groups[rows]
        result = np.empty((len(rows), self._views[0].shape[1]), dtype=np.float32)
        for code in np.unique(groups):
            own = groups == code
            result[own] = self._views[code][rows[own]]
        return result


def open_targets(
    folders: Caches, manifest: Manifest, group_by: str | Sequence[str] | None
) -> tuple[Targets, str, str]:
    """The embeddings that a recipe's ``distill.cache`` names, their teacher's name, and its
    fingerprint.

    Args:
        folders: one, several (mean), or one a group.
        manifest: the training set that they must belong to.
        group_by: attribute of the groups; see :meth:`Manifest.groups`.

    Raises:
        UsageError: teachers of several sizes, or a group without a teacher.
        DataError: a cache is missing, damaged or of other images.
    """

    def opened(folder: Path) -> EmbeddingCache:
        return EmbeddingCache.open(folder, image_fingerprint=manifest.image_fingerprint)

    if isinstance(folders, Path):
        cache = opened(folders)
        return cache, cache.record.teacher, cache.record.teacher_fingerprint
    if isinstance(folders, Mapping):
        names, codes = np.unique(manifest.groups(group_by).astype(str), return_inverse=True)
        if missing := [name for name in names if name not in folders]:
            raise UsageError(
                f"distill.cache names no teacher for the group '{missing[0]}'; groups of the "
                f"training set: {', '.join(names)}"
            )
        caches = [opened(folders[name]) for name in names]
        who = {str(name): cache for name, cache in zip(names, caches, strict=True)}
        targets: Targets = GroupTargets(caches, codes)
        prints: Any = {name: cache.record.teacher_fingerprint for name, cache in who.items()}
        label = ", ".join(f"{name}: {cache.record.teacher}" for name, cache in who.items())
    else:
        caches = [opened(folder) for folder in folders]
        targets = MeanTargets(caches)
        prints = [cache.record.teacher_fingerprint for cache in caches]
        label = " + ".join(cache.record.teacher for cache in caches)
    sizes = sorted({cache.embedding_size for cache in caches})
    if len(sizes) > 1:
        raise UsageError(
            "several teachers must have one number of dimensions, these have "
            + " and ".join(map(str, sizes))
        )
    return targets, label, fingerprint(prints)


def mean_centres(targets: Targets, labels: np.ndarray) -> np.ndarray:
    """Mean normalised embedding of each identity, normalised, float32 (C, D).

    Args:
        targets: the teacher's embeddings; the view "original" is read.
        labels: int (N,): identities, each of 0 … C − 1 at least once.
    """
    view = targets.view()
    count = int(labels.max()) + 1
    sums = np.zeros((count, targets.embedding_size))
    for start in range(0, len(labels), _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(labels)))
        rows = rows[np.argsort(labels[rows], kind="stable")]
        present, starts = np.unique(labels[rows], return_index=True)
        sums[present] += np.add.reduceat(normalised(view[rows]), starts, axis=0)
    return normalised(sums).astype(np.float32)


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """L2-normalised rows, at least float32; zeros stay."""
    embeddings = embeddings.astype(np.promote_types(embeddings.dtype, np.float32), copy=False)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(norms, 1e-12)
