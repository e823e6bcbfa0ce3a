"""Scores of an outside classifier, image by image, from a CSV file."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evenface.data.labels.scores import IdentityScores, vote
from evenface.errors import DataError

REFERENCE = ("Caucasian", "Asian", "Indian", "African", "other", "path")
"""Columns of a file without a header, as the study's reference code has them."""
_KEYS = ("identity", "path")


def read_predictions(path: Path, identities: list[str]) -> tuple[IdentityScores, list[str]]:
    """Read a file and join it to a data set's identities.

    The file has a line for each image: scores of the classes, not negative (they are divided by
    their sum), and ``identity`` or ``path``. Of a path the last folder is the identity, or the last
    two (``<group>/<identity>``) where the data set names its identities so. Other columns than
    ``path``, ``identity`` and scores are refused.

    Args:
        path: a CSV file with a header, or without one in the layout :data:`REFERENCE`.
        identities: of the data set.

    Returns:
        The vote of each identity that occurs, and the names of the file that the data set lacks.

    Raises:
        DataError: names the line of what cannot be read: no text, missing cells, scores that are
            negative or no numbers, an image named twice, a path without a folder.
    """
    known = {name: place for place, name in enumerate(identities)}
    labels, values = array("q"), array("d")
    unmatched: set[str] = set()
    seen: set[str] = set()
    with _lines(path) as lines:
        columns, rows = _header(path, lines)
        key = next(name for name in _KEYS if name in columns)
        place = columns.index(key)
        image = columns.index("path") if "path" in columns else None
        scored = [i for i, name in enumerate(columns) if name not in _KEYS]
        for line, row in rows:
            where = f"{path}, line {line}"
            if len(row) != len(columns):
                raise DataError(f"{where}: {len(row)} cells, expected {len(columns)}")
            scores = _scores(row, scored, columns, where)
            if image is not None:
                if row[image] in seen:
                    raise DataError(f"{where}: {row[image]!r} is listed twice")
                seen.add(row[image])
            name = _identity(row[place], key, known, where)
            if name in known:
                labels.append(known[name])
                values.extend(scores)
            else:
                unmatched.add(name)
    classes = tuple(columns[i] for i in scored)
    if not labels:
        raise DataError(
            f"{path}: none of its {len(unmatched):,} identities is in the data set"
            + (f", e.g. {min(unmatched)!r}" if unmatched else "; it has no lines")
        )
    table = np.frombuffer(values).reshape(-1, len(classes))
    found = vote(table, np.frombuffer(labels, dtype=np.int64), tuple(identities), classes)
    return found, sorted(unmatched)


class _lines:
    """Numbered rows of a CSV file; what is no text or no CSV is a DataError that names the line."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        self._path = path

    def __enter__(self) -> Iterator[tuple[int, list[str]]]:
        self._file = open(self._path, encoding="utf-8-sig", newline="")
        return self._rows()

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._file, strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, [cell.strip() for cell in row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{self._path}, near line {reader.line_num + 1}: no CSV text ({error})"
            ) from None

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _header(
    path: Path, lines: Iterator[tuple[int, list[str]]]
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Names of the columns, and the lines that hold scores."""
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    number, row = first
    if _is_number(row[0]):
        if len(row) != len(REFERENCE):
            raise DataError(
                f"{path}, line {number}: no header, and {len(row)} cells where the reference "
                f"layout has {len(REFERENCE)} ({', '.join(REFERENCE)}). Add a header"
            )

        def all_lines() -> Iterator[tuple[int, list[str]]]:
            yield number, row
            yield from lines

        return list(REFERENCE), all_lines()
    if "" in row:
        raise DataError(f"{path}, line {number}: a column has no name")
    if len(set(row)) < len(row):
        raise DataError(f"{path}, line {number}: a column name occurs twice: {', '.join(row)}")
    if not set(_KEYS) & set(row):
        raise DataError(
            f"{path}, line {number}: the header names neither path nor identity: {', '.join(row)}"
        )
    if len(set(row) - set(_KEYS)) < 2:
        raise DataError(f"{path}, line {number}: the header names fewer than two classes")
    return row, lines


def _scores(row: list[str], scored: list[int], columns: list[str], where: str) -> list[float]:
    scores = []
    for place in scored:
        score = float(row[place]) if _is_number(row[place]) else math.nan
        if not (math.isfinite(score) and score >= 0):
            raise DataError(
                f"{where}: {row[place]!r} in column {columns[place]!r} is no score. Scores are "
                "numbers of at least 0 (apply a softmax to logits); columns other than path, "
                "identity and scores are to be left out"
            )
        scores.append(score)
    whole = sum(scores)
    if not 0 < whole < math.inf:
        raise DataError(f"{where}: the scores sum to {whole}")
    return [score / whole for score in scores]


def _identity(cell: str, key: str, known: dict[str, int], where: str) -> str:
    if key == "identity":
        return cell
    folders = cell.replace("\\", "/").split("/")[:-1]
    if not folders or not folders[-1]:
        raise DataError(f"{where}: {cell!r} has no folder that names the identity")
    grouped = "/".join(folders[-2:])
    return grouped if grouped in known else folders[-1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
