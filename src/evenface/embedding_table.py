"""Embeddings of folders of photographs, and who in one is most like a probe."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenface.console import progress
from evenface.data.formats.folder import SUFFIXES
from evenface.errors import DataError
from evenface.files import atomic_path
from evenface.parallel import usable_cores
from evenface.recogniser import AlignedFace, Recogniser

_BATCH = 64


@dataclass
class Embedded:
    """What :func:`embed_folder` did."""

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


def embed_folder(
    recogniser: Recogniser, folder: Path, out: Path, *, skip_bad: bool = False
) -> Embedded:
    """Write a Parquet table with the columns ``path``, ``embedding`` (float32, unit length) and
    ``remarks``, in the order of the paths, in constant memory.

    Args:
        recogniser: what embeds.
        folder: photographs at any depth, or one photograph.
        out: the table.
        skip_bad: leave out what has no face or cannot be read.

    Raises:
        DataError: no photographs there, or one that cannot be embedded and ``skip_bad`` is off.
    """
    files = photographs(folder)
    size = recogniser.model.embedding_size
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("embedding", pa.list_(pa.float32(), size)),
            ("remarks", pa.string()),
        ],
        metadata={"evenface.model": recogniser.model.fingerprint},
    )
    done = Embedded()
    with (
        atomic_path(out) as temporary,
        pq.ParquetWriter(temporary, schema) as writer,
        progress("embed", len(files), unit="images") as bar,
        ThreadPoolExecutor(usable_cores()) as pool,
    ):
        for batch in _batches(files):
            taken: list[tuple[Path, AlignedFace]] = []
            for path, result in zip(
                batch, pool.map(lambda p: _face(recogniser, p), batch), strict=True
            ):
                if isinstance(result, AlignedFace):
                    taken.append((path, result))
                elif skip_bad:
                    done.skipped.append((str(path), str(result)))
                else:
                    raise DataError(f"{result}. Leave such files out with --skip-bad")
            if taken:
                embeddings = recogniser.embed(np.stack([face.pixels for _, face in taken]))
                columns = [
                    pa.array([str(path.relative_to(_root(folder))) for path, _ in taken]),
                    pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), size),
                    pa.array(["; ".join(face.remarks) for _, face in taken]),
                ]
                writer.write_table(pa.table(columns, schema=schema))
            done.images += len(taken)
            bar.advance(len(batch))
    return done


def rank_gallery(recogniser: Recogniser, probe: Path, gallery: Path) -> list[Candidate]:
    """People of a gallery by likeness to a probe, the most alike first.

    Args:
        recogniser: what embeds.
        probe: a photograph.
        gallery: folder ``<person>/<photograph>``, or photographs named after people.

    Raises:
        DataError: no photographs, or one without a face.
    """
    wanted = recogniser.embed(recogniser.face(probe).pixels[None])[0]
    best: dict[str, float] = {}
    files = photographs(gallery)
    with (
        progress("gallery", len(files), unit="images") as bar,
        ThreadPoolExecutor(usable_cores()) as pool,
    ):
        for batch in _batches(files):
            faces = list(pool.map(recogniser.face, batch))
            scores = recogniser.embed(np.stack([face.pixels for face in faces])) @ wanted
            for path, score in zip(batch, scores.tolist(), strict=True):
                parts = path.relative_to(gallery).parts
                person = parts[0] if len(parts) > 1 else path.stem
                best[person] = max(best.get(person, -1.0), score)
            bar.advance(len(batch))
    return [
        Candidate(name, score) for name, score in sorted(best.items(), key=lambda i: (-i[1], i[0]))
    ]


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


def _face(recogniser: Recogniser, path: Path) -> AlignedFace | DataError:
    try:
        return recogniser.face(path)
    except DataError as error:
        return error


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    remaining = iter(files)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _root(folder: Path) -> Path:
    return folder.parent if folder.is_file() else folder
