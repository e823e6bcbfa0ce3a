"""Scores of a verification set's pairs, made elsewhere, by the names of the images.

A ``.csv``, ``.tsv`` or ``.parquet`` file with the columns ``image1``, ``image2`` and ``score``, a
pair a row, in any order. Images are called as the set's list calls them, with or without suffix;
where the set has no names (``.bin``), they are numbered from 0 in its order. Other columns, and
pairs that the set does not compare, are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.embedding_files import bare_name
from evenface.evaluate.evaluation import PairScores
from evenface.evaluate.pairs import Rows
from evenface.evaluate.protocols import Pairs, Protocol
from evenface.evaluate.score_table import SUFFIXES, read_table
from evenface.files import fingerprint

COLUMNS = ("image1", "image2", "score")


@dataclass(frozen=True, eq=False)
class PairScoreFile:
    """Scores (P,) of pairs of images."""

    path: Path
    first: tuple[str, ...]
    second: tuple[str, ...]
    score: NDArray[np.float64]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over names and scores."""
        return fingerprint([self.first, self.second, self.score.tolist()])

    def of_protocol(
        self,
        protocol: Protocol,
        order: Rows,
        names: Sequence[str] | None,
        *,
        cosine: bool = False,
        distance: bool = False,
    ) -> PairScores:
        """The scores of a protocol's pairs.

        Args:
            protocol: which pairs.
            order: (K,) row of each image in the set's own order, repeats included.
            names: (N,) of the rows; None where the set has none.
            cosine: whether scores are cosines, so that the reference protocol's grid applies.
            distance: whether lower is more alike.

        Raises:
            DataError: a pair without a score, or with two; cosines outside [−1, 1].
        """
        count = len(protocol.identity)
        if names is None:
            rows = {str(number): int(row) for number, row in enumerate(order)}
        else:
            last_first = [(name, row) for row, name in enumerate(names)][::-1]
            rows = {bare_name(name): row for name, row in last_first} | dict(last_first)
        ends = [
            np.array([rows.get(name, rows.get(bare_name(name), -1)) for name in of], dtype=np.int64)
            for of in (self.first, self.second)
        ]
        known = (ends[0] >= 0) & (ends[1] >= 0)
        keys, values = _keys(ends[0][known], ends[1][known], count), self.score[known]
        keys, place, inverse = np.unique(keys, return_index=True, return_inverse=True)
        if (differs := values[place][inverse] != values).any():
            row = int(np.flatnonzero(known)[differs.argmax()])
            raise DataError(
                f"{self.path}: row {row + 1}: {self.first[row]!r} and {self.second[row]!r} have "
                "another score in an earlier row"
            )
        values = values[place]
        if cosine and len(values) and np.abs(values).max() > 1 + 1e-6:
            raise DataError(f"{self.path}: score {np.abs(values).max():g} is no cosine, in [-1, 1]")

        def called(row: int) -> str:
            return f"number {int(np.flatnonzero(order == row)[0])}" if names is None else names[row]

        def of(pairs: Pairs) -> NDArray[np.float64]:
            wanted = _keys(pairs.a, pairs.b, count)
            found = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
            absent = keys[found] != wanted if len(keys) else np.ones(len(pairs), dtype=bool)
            if absent.any():
                pair = int(absent.argmax())
                raise DataError(
                    f"{self.path}: no score of {called(pairs.a[pair])!r} and "
                    f"{called(pairs.b[pair])!r} ({int(absent.sum()):,} of {len(pairs):,} pairs of "
                    f"{protocol.name} have none)"
                )
            return -values[found] if distance else values[found]

        folds, pairs = of(protocol.fold_pairs), of(protocol.score_pairs)
        return PairScores(2 * folds - 2 if cosine else folds, pairs, on_grid=cosine)


def read_pair_scores(path: str | Path) -> PairScoreFile:
    """Read a file of scores (see the module's text).

    Raises:
        DataError: no such file, not readable, a column missing, no rows, an empty name or a score
            that is no finite number; the message names the file and the row.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: a file of scores is a {', '.join(SUFFIXES)}")
    table = read_table(path, COLUMNS, "file of scores")
    for column in COLUMNS:
        if (times := table.column_names.count(column)) != 1:
            raise DataError(
                f"{path}: {times or 'no'} column{'s' * (times > 1)} {column!r}; scores of pairs "
                f"have the columns {', '.join(COLUMNS)}; found: {', '.join(table.column_names)}"
            )
    if not len(table):
        raise DataError(f"{path}: there are no rows")
    first, second = (_names(path, table, column) for column in COLUMNS[:2])
    score = np.empty(len(table))
    for row, value in enumerate(table.column("score").to_pylist()):
        try:
            score[row] = float(value)
        except (TypeError, ValueError):
            score[row] = np.nan
        if not np.isfinite(score[row]):
            raise DataError(
                f"{path}: row {row + 1}: score {value!r:.40} is no finite number. Models are "
                "compared on the same pairs: give a failed comparison the lowest score, or audit "
                "the model alone with 'evenface evaluate-scores'"
            )
    return PairScoreFile(path, first, second, score)


def _names(path: Path, table: pa.Table, column: str) -> tuple[str, ...]:
    names = table.column(column).to_pylist()
    if None in names:
        raise DataError(f"{path}: row {names.index(None) + 1} has no {column}")
    return tuple(map(str, names))


def _keys(a: Rows, b: Rows, count: int) -> Rows:
    """(P,) a number for each unordered pair of rows."""
    return np.asarray(np.minimum(a, b) * count + np.maximum(a, b), dtype=np.int64)
