"""Teacher embeddings of a study's faces, shared out to processes, GPUs or jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenface.console import note, progress
from evenface.data.embedding_cache import (
    SHARD_ROWS,
    VIEWS,
    CacheRecord,
    EmbeddingCache,
    missing_shards,
)
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.errors import EvenfaceError, UsageError
from evenface.files import read_json, write_json
from evenface.study import layout
from evenface.study.executors import Call, Executor, LocalExecutor, default_workers
from evenface.study.executors.local import visible_gpus
from evenface.teachers import load_teacher
from evenface.teachers.base import LoadedTeacher
from evenface.teachers.cache import begin_cache, embed_shards, join_shards, sole_embedding

TASK_NAME = "task.json"
"""In a cache's folder while it is filled: what to embed with."""
_PARTS = 4
"""Parts for each process: a part that is tried again repeats little."""


def embed_together(
    source: str,
    manifest: Manifest,
    folder: Path,
    *,
    executor: Executor | None = None,
    teacher: LoadedTeacher | None = None,
    options: Mapping[str, Any] | None = None,
    dtype: Any = "float32",
) -> EmbeddingCache:
    """Embed what is missing of a cache in several processes, one on each GPU or core.

    The bytes are those of one process with one thread.

    Args:
        source: the teacher, as :func:`evenface.teachers.load_teacher` takes it; every process
            loads it.
        manifest: which images, in which order.
        folder: of the cache; other processes must see it.
        executor: where. On this machine without a number of workers: a process on each GPU, or
            this one alone.
        teacher: the same, loaded; None: it is loaded here.
        options: for the teacher.
        dtype: see :func:`evenface.teachers.cache.cached_embeddings`.

    Raises:
        DataError: see :func:`evenface.teachers.cache.cached_embeddings`.
        EvenfaceError: a part failed, more than once.
    """
    given = dict(options or {})
    loaded = teacher or load_teacher(source, **given)
    with sole_embedding(folder, VIEWS):
        return _embed(source, loaded, manifest, folder, given, dtype, executor or LocalExecutor())


def _embed(
    source: str,
    teacher: LoadedTeacher,
    manifest: Manifest,
    folder: Path,
    options: Mapping[str, Any],
    dtype: Any,
    executor: Executor,
) -> EmbeddingCache:
    """:func:`embed` in a folder that is held."""
    record = begin_task(source, teacher, manifest, folder, options=options, dtype=dtype)
    left = max(len(missing_shards(folder, record, view)) for view in VIEWS)
    at_once = executor.workers or default_workers()
    alone = isinstance(executor, LocalExecutor) and not (executor.workers or visible_gpus())
    if alone or at_once == 1 or left < at_once:
        for view in VIEWS:
            embed_shards(teacher, manifest, folder, view, missing_shards(folder, record, view))
    else:
        parts = min(left, _PARTS * at_once)
        _share_out(folder, record, parts, executor)
    return finish_task(folder)


def begin_task(
    source: str,
    teacher: LoadedTeacher,
    manifest: Manifest,
    folder: Path,
    *,
    options: Mapping[str, Any] | None = None,
    dtype: Any = "float32",
) -> CacheRecord:
    """Begin a cache so that other processes can embed parts of it; see :func:`embed_part`."""
    record = begin_cache(teacher, manifest, folder, dtype=dtype)
    if shards_left(folder, record):
        manifest.write(folder / MANIFEST_NAME)
        known = str(Path(source).resolve()) if Path(source).exists() else source
        write_json(folder / TASK_NAME, {"teacher": known, "options": dict(options or {})})
    return record


def finish_task(folder: Path) -> EmbeddingCache:
    """Join the shards of a cache.

    Raises:
        DataError: one is missing.
    """
    cache = join_shards(folder, list(VIEWS))
    for name in (TASK_NAME, MANIFEST_NAME):
        (folder / name).unlink(missing_ok=True)
    return cache


def tasks(study: Path) -> list[Path]:
    """Folders of the caches of a study that were begun and are not finished, sorted."""
    return sorted(path.parent for path in (study / layout.EMBEDDINGS).glob(f"*/*/{TASK_NAME}"))


def embed_part(folder: Path, part: int, parts: int) -> int:
    """Embed every ``parts``-th shard of a cache that was begun, from ``part`` on.

    Returns:
        Number of shards that were embedded; those that are there are kept.

    Raises:
        UsageError: no such part.
        DataError: the teacher or the images are not those that the cache was begun with.
    """
    if not 0 <= part < parts:
        raise UsageError(f"there is no part {part} of {parts}; count from 0")
    record = CacheRecord.read(folder)
    chosen = {
        view: [n for n in missing_shards(folder, record, view) if n % parts == part]
        for view in VIEWS
    }
    if any(chosen.values()):
        task = read_json(folder / TASK_NAME)
        teacher = load_teacher(task["teacher"], **task["options"])
        manifest = Manifest.read(folder)
        for view, numbers in chosen.items():
            embed_shards(teacher, manifest, folder, view, numbers)
    return sum(map(len, chosen.values()))


def shards_left(folder: Path, record: CacheRecord) -> int:
    """Number of shards of all views that are still to be embedded."""
    return sum(len(missing_shards(folder, record, view)) for view in VIEWS)


def _share_out(folder: Path, record: CacheRecord, parts: int, executor: Executor) -> None:
    calls = [
        Call(f"embed part {part + 1} of {parts}", embed_part, (folder.absolute(), part, parts))
        for part in range(parts)
    ]
    failures: list[str] = []

    def failed(number: int, error: str, attempts: int) -> None:
        failures.append(f"{calls[number].name}: {error}")

    with _counted(folder, record) as watch:
        executor.run(calls, folder=folder, finished=lambda *_: None, failed=failed, watch=watch)
    if failures:
        listed = "".join(f"\n  {failure}" for failure in failures)
        raise EvenfaceError(
            f"{folder}: {len(failures)} of {parts} parts failed; the others are kept, and the same "
            f"command tries these again:{listed}"
        )


@contextmanager
def _counted(folder: Path, record: CacheRecord) -> Iterator[Callable[[], None]]:
    """A progress bar over the shards that other processes embed; yields its update."""
    seen = shards_left(folder, record)
    whole = len(VIEWS) * -(-record.count // SHARD_ROWS)
    note(f"{folder.name}: {seen:,} of {whole:,} shards of {SHARD_ROWS} images are to be embedded")
    with progress("embed", whole, unit="shards", done=whole - seen) as bar:

        def update() -> None:
            nonlocal seen
            left = shards_left(folder, record)
            bar.advance(seen - left)
            seen = left

        yield update
