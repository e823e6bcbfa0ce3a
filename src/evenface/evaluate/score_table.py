"""Scores of pairs from elsewhere, with their labels: evaluated without a model or images.

A CSV or Parquet file, a pair a row. Columns: ``score`` and ``genuine`` (1/0, true/false, yes/no or
genuine/impostor); if wanted ``group`` (of both images, or of the first), ``group2`` (of the
second), ``fold`` (numbers), ``identity1`` and ``identity2`` (names). Others are left unread.

A pair without a score (an empty cell, NaN or NA) is a failure to enrol or acquire: one of its
images gave no template. Some programs write a number instead, such as −1 or −inf; it has to be
declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evenface.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet")
ONE_GROUP = "all"
"""The group of all pairs where a table names none."""

_REQUIRED = ("score", "genuine")
_OPTIONAL = ("group", "group2", "fold", "identity1", "identity2")
_NO_SCORE = ("", "na", "null", "none")
_TRUE = ("1", "1.0", "true", "yes", "genuine")
_FALSE = ("0", "0.0", "false", "no", "impostor")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of P pairs with labels; every array is (P,)."""

    score: NDArray[np.float64]
    """Higher for more alike (distances are negated); NaN where the comparison failed."""
    genuine: NDArray[np.bool_]
    group1: NDArray[np.int64]
    """Index into :attr:`groups`: the group of the first image."""
    group2: NDArray[np.int64]
    """Of the second image."""
    groups: tuple[str, ...]
    fold: NDArray[np.int64]
    """From 0; −1 where the table has none."""
    identity1: NDArray[np.int64]
    """Person of the first image, numbered over (group, identity); −1 where not named."""
    identity2: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    """What a reader of the results must know of the table."""

    def __len__(self) -> int:
        return len(self.score)


def read_scores(
    path: str | Path, *, distance: bool = False, missing: float | None = None
) -> ScoreTable:
    """Read a table of scores (see the module's text).

    Args:
        path: ``.csv`` (commas), ``.tsv`` (tabs) or ``.parquet``.
        distance: whether scores are distances, lower for more alike.
        missing: the score that says that a comparison failed, such as −inf; empty cells and NaN
            always say so.

    Raises:
        DataError: no such file, not readable, a column missing, no pairs, an infinite score or
            no number, a value that is not understood, or labels that contradict each other.
            The message names the row, counted from 1 without the header.
    """
    path = Path(path)
    return score_table(_read(path), name=str(path), distance=distance, missing=missing)


def score_table(
    table: pa.Table,
    *,
    name: str,
    distance: bool = False,
    missing: float | None = None,
    first_row: int = 1,
) -> ScoreTable:
    """Check columns and number their labels; see the module's text for the columns.

    Args:
        table: the known columns only.
        name: what messages call the table.
        distance, missing: as in :func:`read_scores`.
        first_row: number of the first row in messages.

    Raises:
        DataError: as :func:`read_scores`.
    """
    where = _Rows(name, first_row)
    if not len(table):
        raise DataError(f"{name}: the table of scores has no rows")
    score = _scores(where, table.column("score"), missing)
    genuine = _truths(where, table.column("genuine"))
    first, second = _groups(where, table)
    where.refuse(genuine & (first != second), "is genuine, but its groups differ")
    groups, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    group1, group2 = np.split(codes.astype(np.int64), 2)
    identity1, identity2 = _identities(where, table, group1, group2)
    if identity1[0] >= 0:
        same = identity1 == identity2
        where.refuse(genuine & ~same, "is genuine, but names two identities")
        where.refuse(~genuine & same, "names one identity twice, but is no genuine pair")
    notes = []
    known = score[~np.isnan(score)]
    if not len(known):
        raise DataError(f"{name}: no pair has a score ({len(score):,} failed comparisons)")
    if (known == known[0]).all():
        notes.append(f"all {len(known):,} scores are equal: they tell nothing of anybody")
    return ScoreTable(
        score=-score if distance else score,
        genuine=genuine,
        group1=group1,
        group2=group2,
        groups=tuple(str(group) for group in groups),
        fold=_folds(where, table),
        identity1=identity1,
        identity2=identity2,
        notes=tuple(notes),
    )


def is_score_table(path: Path) -> bool:
    """Whether a file is one of the kinds; of Parquet by its columns."""
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        return suffix in SUFFIXES
    try:
        return "score" in pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False


def read_table(path: Path, text: Sequence[str], what: str) -> pa.Table:
    """The table in a ``.csv``, ``.tsv`` or ``.parquet`` file; empty cells of CSV and TSV are null.

    Args:
        path: the file.
        text: columns that CSV and TSV keep as text: "01" and "1" are two people.
        what: what messages call it.

    Raises:
        DataError: no such file, or not readable.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return pq.read_table(path)
        return pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(delimiter="\t" if suffix == ".tsv" else ","),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(text, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable {what} ({error})") from None


def _read(path: Path) -> pa.Table:
    """The columns that are known."""
    table = read_table(path, (*_REQUIRED, *_OPTIONAL), "table of scores")
    names = table.column_names
    if missing := [name for name in _REQUIRED if name not in names]:
        raise DataError(
            f"{path}: no column {missing[0]!r}; a table of scores has the columns "
            f"{', '.join(_REQUIRED)} and if wanted {', '.join(_OPTIONAL)}; found: "
            f"{', '.join(names) or 'none'}"
        )
    if twice := [name for name in (*_REQUIRED, *_OPTIONAL) if names.count(name) > 1]:
        raise DataError(f"{path}: there are several columns {twice[0]!r}")
    for name, needed in (
        ("group2", "group"),
        ("identity2", "identity1"),
        ("identity1", "identity2"),
    ):
        if name in names and needed not in names:
            raise DataError(f"{path}: column {name!r} needs the column {needed!r}")
    return table.select([name for name in (*_REQUIRED, *_OPTIONAL) if name in names])


@dataclass(frozen=True)
class _Rows:
    """What messages call a table and its rows."""

    name: str
    first: int

    def __call__(self, row: int) -> str:
        return f"{self.name}: row {row + self.first}"

    def refuse(self, bad: NDArray[np.bool_], what: str) -> None:
        """DataError naming the first row of a mask, if there is one."""
        if bad.any():
            count = int(bad.sum())
            more = f" ({count:,} such rows)" if count > 1 else ""
            raise DataError(f"{self(int(bad.argmax()))} {what}{more}")


def _scores(
    where: _Rows, column: pa.ChunkedArray, missing: float | None = None
) -> NDArray[np.float64]:
    """(P,) scores, NaN where a comparison failed."""
    if pa.types.is_float64(column.type):
        scores = np.asarray(column.to_numpy())
    else:
        scores = np.array([_score(where, row, v) for row, v in enumerate(column.to_pylist())])
    if missing is not None:
        scores = np.where(scores == missing, np.nan, scores)
    where.refuse(
        np.isinf(scores),
        "has an infinite score. If it says that the comparison failed, declare it "
        "(--missing=-inf; in Python missing=-math.inf)",
    )
    return scores


def _score(where: _Rows, row: int, value: Any) -> float:
    if value is None or str(value).strip().lower() in _NO_SCORE:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"{where(row)}: score {value!r:.40} is no number. Leave the cell empty where the "
            "comparison failed"
        ) from None


def _truths(where: _Rows, column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    known = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
    truths = np.empty(len(column), dtype=bool)
    for row, value in enumerate(column.to_pylist()):
        truth = known.get(str(value).strip().lower())
        if truth is None:
            raise DataError(
                f"{where(row)}: genuine is {value!r:.40}, expected 1/0, true/false, "
                "yes/no or genuine/impostor"
            )
        truths[row] = truth
    return truths


def _names(where: _Rows, table: pa.Table, name: str) -> NDArray[np.str_]:
    """(P,) text; DataError for a row without a value."""
    values = table.column(name).to_pylist()
    empty = np.array([value is None or not str(value).strip() for value in values])
    where.refuse(empty, f"has no {name}; give every row one, or leave the column out")
    return np.array([str(value) for value in values])


def _groups(where: _Rows, table: pa.Table) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    if "group" not in table.column_names:
        one = np.full(len(table), ONE_GROUP)
        return one, one
    first = _names(where, table, "group")
    if "group2" not in table.column_names:
        return first, first
    return first, _names(where, table, "group2")


def _identities(
    where: _Rows, table: pa.Table, group1: NDArray[np.int64], group2: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if "identity1" not in table.column_names:
        unnamed = np.full(len(table), -1, dtype=np.int64)
        return unnamed, unnamed
    names = [_names(where, table, name) for name in ("identity1", "identity2")]
    _, code = np.unique(np.concatenate(names), return_inverse=True)
    group = np.concatenate([group1, group2])
    _, person = np.unique(group * (code.max() + 1) + code, return_inverse=True)
    first, second = np.split(person.astype(np.int64), 2)
    return first, second


def _folds(where: _Rows, table: pa.Table) -> NDArray[np.int64]:
    if "fold" not in table.column_names:
        return np.full(len(table), -1, dtype=np.int64)
    values: Sequence[Any] = table.column("fold").to_pylist()
    folds = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        try:
            folds[row] = number = int(float(value))
        except (TypeError, ValueError, OverflowError):
            number = -1
        if number < 0 or float(value) != number:
            raise DataError(f"{where(row)}: fold is {value!r:.40}, expected a number from 0 on")
    return np.unique(folds, return_inverse=True)[1].astype(np.int64)
