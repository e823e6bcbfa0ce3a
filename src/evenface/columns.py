"""Columns from elsewhere as NumPy: lists, arrays, pandas, polars and Arrow columns, tensors.

No library is imported for this: a column is what has a length and that NumPy can read, a table is a
mapping of columns or what has ``columns``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError, UsageError

Column: TypeAlias = Any
"""One value for each row."""
Table: TypeAlias = Any
"""Columns by name: a mapping, or a data frame."""

CROSSED = " × "
"""Between the values of crossed attributes."""
_MISSING = ("NAType", "NaTType")
"""Types of pandas for "no value", which equal nothing and are neither true nor false."""


def as_array(what: str, column: Column) -> NDArray[Any]:
    """(N,) the column's values, as NumPy reads them.

    Args:
        what: name for messages.
        column: a list, an array, or anything with ``to_numpy`` or ``__array__``.

    Raises:
        UsageError: a text, a table or a number alone.
        DataError: another number of dimensions.
    """
    if isinstance(column, str | bytes | Mapping) or not hasattr(column, "__len__"):
        raise UsageError(
            f"{what}: expected one value for each row (a list, an array or a column), got a "
            f"{type(column).__name__}"
        )
    try:
        values = _read(column)
    except ValueError:
        raise DataError(f"{what}: its rows are not all of one length") from None
    if values.ndim != 1:
        raise DataError(f"{what}: expected one value for each row, got the shape {values.shape}")
    return values


def numbers(what: str, column: Column) -> NDArray[np.float64]:
    """(N,) float64, NaN where there is no value. Arguments and errors as in :func:`as_array`.

    Raises:
        DataError: values that are no real numbers; the first row is named.
    """
    values = as_array(what, column)
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    if values.dtype.kind != "O":
        raise DataError(f"{what}: expected numbers, got {values.dtype} (row 0: {values[0]!r:.40})")
    found = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            found[row] = np.nan if _missing(value) else float(value)
        except (TypeError, ValueError):
            raise DataError(f"{what}: row {row} is {value!r:.40}, which is no number") from None
    return found


def texts(what: str, column: Column) -> list[str | None]:
    """The values as text, None where there is none; whole numbers without a point.

    Arguments and errors as in :func:`as_array`.
    """
    return [_text(value) for value in as_array(what, column).tolist()]


def matrix(what: str, value: Any) -> NDArray[np.floating]:
    """(N, D) float32 or float64.

    Args:
        what: name for messages.
        value: a two-dimensional array or frame, a list of rows, or a column of rows.

    Raises:
        DataError: another shape, rows of several lengths, or no real numbers.
    """
    try:
        values = _read(value)
        if values.ndim == 1 and values.dtype.kind == "O" and len(values):
            values = np.stack([np.asarray(row) for row in values])
    except ValueError:
        raise DataError(f"{what}: its rows are not all of one length") from None
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{what}: expected the shape (N, D), a row for each image, got "
                        f"{values.shape}")  # fmt: skip
    if values.dtype.kind not in "fiu":
        raise DataError(f"{what}: expected real numbers, got {values.dtype}")
    return values if values.dtype == np.float32 else values.astype(np.float64)


def attributes(groups: Column | Table) -> dict[str, Column]:
    """The columns of a table by name; a column alone under its own name, else "group"."""
    if isinstance(groups, Mapping):
        return {str(name): column for name, column in groups.items()}
    names = getattr(groups, "column_names", None)  # Arrow; its ``columns`` holds the values
    names = getattr(groups, "columns", None) if names is None else names
    if names is not None:
        return {str(name): groups[name] for name in names}
    name = getattr(groups, "name", None)
    return {name if isinstance(name, str) and name else "group": groups}


def group_labels(
    groups: Column | Table | None,
    rows: int,
    *,
    group_by: str | Sequence[str] | None = None,
    cross: bool = False,
    of: str = "row",
    what: str = "groups",
) -> tuple[tuple[str, ...], list[str | None]]:
    """Names of the attributes that define the groups, and each row's group, None without one.

    Args:
        groups: a column, or a table of attributes; None for one group of all rows.
        rows: number of rows that there must be.
        group_by: the attribute, or several to cross; None for the only one.
        cross: cross all attributes.
        of: what a row is, for messages.
        what: what messages call the groups.

    Raises:
        UsageError: an attribute that is not there, or several and no choice among them.
        DataError: another number of rows; every row without a group.
    """
    if groups is None:
        if group_by is not None or cross:
            raise UsageError(f"group_by and cross need {what}")
        return (), ["all"] * rows
    columns = attributes(groups)
    if group_by is not None:
        names = (group_by,) if isinstance(group_by, str) else tuple(group_by)
        if cross:
            raise UsageError("give group_by or cross, not both: group_by crosses what it names")
    else:
        names = tuple(columns)
    if unknown := [name for name in names if name not in columns]:
        raise UsageError(f"{what}: no attribute {unknown[0]!r}; there are {', '.join(columns)}")
    if not names:
        raise UsageError(f"{what}: names no attribute")
    if len(names) > 1 and group_by is None and not cross:
        raise UsageError(
            f"{what} has {len(names)} attributes ({', '.join(names)}): choose with "
            f"group_by={names[0]!r}, or cross them with cross=True"
        )
    values = [texts(f"{what}[{name!r}]" if len(columns) > 1 else what, columns[name])
              for name in names]  # fmt: skip
    for name, column in zip(names, values, strict=True):
        same_length(f"{what} ({name})", len(column), rows, of)
    labels = [
        None if None in row else CROSSED.join(str(value) for value in row)
        for row in zip(*values, strict=True)
    ]
    if rows and not any(label is not None for label in labels):
        raise DataError(f"{what}: no row has a value of {' and '.join(names)}")
    return names, labels


def same_length(what: str, length: int, rows: int, of: str) -> None:
    """DataError unless the two are equal."""
    if length != rows:
        raise DataError(f"{what}: {length:,} values for {rows:,} {of}s; give one for each {of}")


def _read(value: Any) -> NDArray[Any]:
    own = hasattr(value, "to_numpy") and not hasattr(value, "__array__")
    return np.asarray(value.to_numpy() if own else value)


def _text(value: Any) -> str | None:
    if _missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text if text.strip() else None


def _missing(value: Any) -> bool:
    return value is None or type(value).__name__ in _MISSING or bool(value != value)
