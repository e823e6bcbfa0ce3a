"""Embeddings of folders of photographs, and who in one is most like a probe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenface.console import progress
from evenface.data.formats.folder import SUFFIXES
from evenface.errors import DataError
from evenface.files import atomic_path
from evenface.parallel import usable_cores
from evenface.recogniser import AlignedFace, Recogniser

SUFFIX = ".parquet"
METADATA_KEY = b"evenface"
"""Key of the JSON in a table's metadata: model (its name), fingerprint, views."""

_BATCH = 64


@dataclass
class Embedded:
    """What was done with a set of photographs."""

    images: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """File and reason."""


@dataclass(frozen=True)
class Candidate:
    """A person of a gallery.

    Attributes:
        person: name of the folder, or of the file without its ending.
        score: highest cosine between the probe and one of the person's photographs.
    """

    person: str
    score: float


@dataclass(frozen=True)
class Ranking:
    """People of a gallery, the most alike first, and the photographs that were left out."""

    candidates: list[Candidate]
    skipped: list[tuple[str, str]]


def embed_folder(
    recogniser: Recogniser, folder: Path, out: Path, *, skip_bad: bool = False
) -> Embedded:
    """Write a Parquet table with the columns ``path``, ``embedding`` (float32, unit length) and
    ``remarks``, in the order of the paths, in constant memory.

    The table's metadata names the model (:data:`METADATA_KEY`), so that embeddings of two models
    are never compared.

    Args:
        recogniser: what embeds.
        folder: photographs at any depth, or one photograph.
        out: the table.
        skip_bad: leave out what has no face or cannot be read.

    Raises:
        DataError: no photographs there, or one that cannot be embedded and ``skip_bad`` is off.
    """
    size = recogniser.model.embedding_size
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("embedding", pa.list_(pa.float32(), size)),
            ("remarks", pa.string()),
        ],
        metadata={METADATA_KEY: json.dumps(_identity(recogniser))},
    )
    done = Embedded()
    root = folder.parent if folder.is_file() else folder
    with atomic_path(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for paths, faces, embeddings in _embedded(recogniser, folder, done, skip_bad=skip_bad):
            columns = [
                pa.array([path.relative_to(root).as_posix() for path in paths]),
                pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), size),
                pa.array(["; ".join(face.remarks) for face in faces]),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return done


def rank_gallery(
    recogniser: Recogniser, probe: Path, gallery: Path, *, skip_bad: bool = False
) -> Ranking:
    """People of a gallery by likeness to a probe.

    Args:
        recogniser: what embeds.
        probe: a photograph.
        gallery: folder ``<person>/<photograph>``, or photographs named after people; or a table
            that :func:`embed_folder` wrote of such a folder.
        skip_bad: leave out photographs of the gallery that cannot be embedded.

    Raises:
        DataError: no photographs, one that cannot be embedded and ``skip_bad`` is off, or a table
            of another model.
    """
    done = Embedded()
    if gallery.is_file() and gallery.suffix.lower() == SUFFIX:
        rows = _rows_of_table(recogniser, gallery)
    else:
        rows = (
            (path.relative_to(gallery).as_posix(), embedding)
            for paths, _, embeddings in _embedded(recogniser, gallery, done, skip_bad=skip_bad)
            for path, embedding in zip(paths, embeddings, strict=True)
        )
    wanted = recogniser.embed(recogniser.face(probe).pixels[None])[0]
    best: dict[str, float] = {}
    for path, embedding in rows:
        person = person_of(path)
        score = float(np.clip(embedding @ wanted, -1.0, 1.0))
        best[person] = max(best.get(person, -1.0), score)
    if not best:
        raise DataError(f"{gallery}: nobody is in this gallery")
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return Ranking([Candidate(name, score) for name, score in ranked], done.skipped)


def person_of(path: str) -> str:
    """The person whom a photograph of a gallery shows: its first folder, else its name.

    Args:
        path: of the photograph, within the gallery, with "/".
    """
    whole = PurePosixPath(path)
    return whole.parts[0] if len(whole.parts) > 1 else whole.stem


def photographs(folder: Path) -> list[Path]:
    """Image files at any depth, sorted; the file itself where ``folder`` is one.

    Raises:
        DataError: none there.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such file or folder")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise DataError(f"{folder}: no photographs in it ({', '.join(sorted(SUFFIXES))})")
    return found


def _embedded(
    recogniser: Recogniser, folder: Path, done: Embedded, *, skip_bad: bool
) -> Iterator[tuple[list[Path], list[AlignedFace], np.ndarray]]:
    """Photographs, their faces and embeddings, in batches; counts in ``done``."""
    files = photographs(folder)
    with (
        progress("embed", len(files), unit="images") as bar,
        ThreadPoolExecutor(usable_cores()) as pool,
    ):
        for batch in _batches(files):
            found = pool.map(lambda path: _face(recogniser, path), batch)
            taken: list[tuple[Path, AlignedFace]] = []
            for path, result in zip(batch, found, strict=True):
                if isinstance(result, AlignedFace):
                    taken.append((path, result))
                elif skip_bad:
                    done.skipped.append((str(path), str(result)))
                else:
                    raise DataError(f"{result}. Leave such files out with --skip-bad")
            if taken:
                paths, faces = (list(column) for column in zip(*taken, strict=True))
                done.images += len(taken)
                yield paths, faces, recogniser.embed(np.stack([face.pixels for face in faces]))
            bar.advance(len(batch))
    if not done.images:
        raise DataError(f"{folder}: none of its {len(files):,} photographs can be embedded")


def read_gallery(path: Path, recogniser: Recogniser | None = None) -> pa.Table:
    """A table of :func:`embed_folder`, whole.

    Args:
        path: the file.
        recogniser: that must have made it; None for any.

    Raises:
        DataError: no such file, another kind of file, or a table of another model.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        table = pq.read_table(path, columns=["path", "embedding", "remarks"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a table of 'evenface embed' ({error})") from None
    recorded = (table.schema.metadata or {}).get(METADATA_KEY)
    if recogniser is not None:
        _check_identity(recogniser, path, recorded)
    elif recorded is None:
        raise DataError(f"{path}: does not say which model made it: it is no gallery")
    return table


def _rows_of_table(recogniser: Recogniser, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with pq.ParquetFile(path) as table:
            _check_identity(recogniser, path, (table.schema_arrow.metadata or {}).get(METADATA_KEY))
            for batch in table.iter_batches(columns=["path", "embedding"]):
                values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                embeddings = values.reshape(len(batch), recogniser.model.embedding_size)
                if not np.isfinite(embeddings).all():
                    raise DataError(f"{path}: holds embeddings that are NaN or infinite")
                yield from zip(batch.column("path").to_pylist(), embeddings, strict=True)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a table of 'evenface embed' ({error})") from None


def _identity(recogniser: Recogniser) -> dict[str, Any]:
    about = recogniser.about
    return {"model": about.name, "fingerprint": about.fingerprint, "views": list(about.views)}


def _check_identity(recogniser: Recogniser, path: Path, recorded: bytes | None) -> None:
    if recorded is None:
        raise DataError(
            f"{path}: does not say which model made it. Make it with 'evenface embed FOLDER --out "
            f"{path.name}'"
        )
    theirs, mine = json.loads(recorded), _identity(recogniser)
    if {**theirs, "model": ""} != {**mine, "model": ""}:
        raise DataError(
            f"{path}: holds embeddings of {_named(theirs)}, which cannot be compared with those of "
            f"{_named(mine)}. Give the table's model with --model, or embed the folder again"
        )


def _named(identity: dict[str, Any]) -> str:
    views = "+".join(identity["views"])
    return f"{identity['model']} (fingerprint {identity['fingerprint'][:12]}…, views {views})"


def _face(recogniser: Recogniser, path: Path) -> AlignedFace | DataError:
    try:
        return recogniser.face(path)
    except DataError as error:
        return error


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    remaining = iter(files)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
