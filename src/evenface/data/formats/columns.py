"""What tables, tar shards and Parquet shards have in common: named fields that describe images."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evenface.data.formats.base import NONE
from evenface.data.manifest import ATTRIBUTE_NAME, ORIGINS, RESERVED_COLUMNS
from evenface.errors import DataError, UsageError

IDENTITY_FIELDS = ("identity", "person", "subject", "label", "class", "cls")
"""Names under which the identity is looked for, in this order."""
LANDMARKS_FIELD, ORIGIN_FIELD, SPLIT_FIELD = "landmarks", "origin", "split"
ARROW_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises at damaged files; the last where text is not UTF-8."""
MOST_CLASSES = 20
"""A column of whole numbers with more distinct values than this holds measurements, not classes."""
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf(inity)?)", re.I
)
MAX_TEXT = 10_000
"""Characters of a name or an attribute's value."""
MOST_LISTED = 10
"""Clashing names that a message lists."""
_NUMBERS = re.compile(r"[\s,;:()\[\]]+")
_EXACT = 2**53  # whole numbers beyond it are not told apart in floating point


def text_of(value: Any) -> str | None:
    """A field's value as text, exactly: 7.0 is "7", true is "true".

    Returns:
        None where there is no value, or an empty text.

    Raises:
        ValueError: a list or mapping, a number that is not whole, half a Unicode character, or more
            than :data:`MAX_TEXT` characters.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"a text of {len(value):,} characters; at most {MAX_TEXT:,}")
        value.encode()  # JSON can hold halves of characters, which nothing else can
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value:  # how pandas writes a missing number
            return None
        if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        raise ValueError(f"{value!r} is not a whole number")
    raise ValueError(f"{_shortened(value)} is neither text nor a whole number")


class Texts:
    """A column of text, each distinct value kept once."""

    def __init__(self) -> None:
        self._values: list[str | None] = []
        self._places: dict[str | None, int] = {}
        self._codes = array("i")

    @classmethod
    def of(cls, column: pa.ChunkedArray, where: str) -> Texts:
        """From an Arrow column of any scalar type.

        Raises:
            DataError: a value that :func:`text_of` refuses; ``where`` and the row begin the
                message.
        """
        texts = cls()
        if not len(column):
            return texts
        try:
            column = column.combine_chunks()
            encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            values = encoded.dictionary.to_pylist()
        except ARROW_ERRORS:
            raise DataError(f"{where}: neither UTF-8 nor numbers ({column.type})") from None
        codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        for code, value in enumerate(values):
            try:
                texts._values.append(text_of(value))
            except ValueError as error:
                row = int(np.argmax(codes == code)) + 1
                raise DataError(f"{where}, row {row:,}: {error}") from None
        texts._values.append(None)
        texts._codes = array("i", np.where(codes < 0, len(texts._values) - 1, codes).tolist())
        return texts

    def append(self, value: str | None) -> None:
        """Add a value at the end."""
        code = self._places.setdefault(value, len(self._values))
        if code == len(self._values):
            self._values.append(value)
        self._codes.append(code)

    def pad(self, length: int) -> None:
        """Add None until there are ``length`` values."""
        while len(self) < length:
            self.append(None)

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, number: int) -> str | None:
        return self._values[self._codes[number]]

    def __iter__(self) -> Iterator[str | None]:
        return (self._values[code] for code in self._codes)

    def digest(self) -> bytes:
        """SHA-256 of the values in order."""
        digest = hashlib.sha256(json.dumps(self._values).encode())
        digest.update(self._codes.tobytes())
        return digest.digest()

    def to_arrow(self) -> pa.Array:
        """As Arrow strings."""
        return pa.array(self._values, pa.string()).take(pa.array(np.asarray(self._codes)))

    def stripped(self) -> Texts:
        """The values without white space around them; None where nothing is left."""
        result = Texts()
        for value in self:
            result.append((value and value.strip()) or None)
        return result

    def stripped_names(self, where: str) -> Texts:
        """:meth:`stripped`, for values that each name one person.

        Raises:
            DataError: different values become one name; lists them.
        """
        result = self.stripped()
        _refuse_clashes(zip(self, result, strict=True), where, "names that differ only in spaces")
        return result

    def renamed(self, names: Sequence[str], where: str) -> Texts:
        """Class numbers replaced by the names of the classes.

        Raises:
            DataError: a class without a name, or several classes of one name; lists them.
        """
        result = Texts()
        for row, value in enumerate(self, start=1):
            if value is None:
                result.append(None)
            elif value.isdecimal() and str(number := int(value)) == value and number < len(names):
                try:
                    result.append(text_of(names[number]))
                except ValueError as error:
                    raise DataError(f"{where}: the name of class {value}: {error}") from None
            else:
                raise DataError(
                    f"{where}, row {row:,}: class {value!r}, but {len(names):,} classes are named"
                )
        _refuse_clashes(zip(self, result, strict=True), where, "several classes of one name")
        return result


@dataclass(frozen=True)
class Fields:
    """Which field of a source means what."""

    identity: str
    """"" where none names the person."""
    attributes: tuple[tuple[str, str], ...]
    """(field, name of the attribute)."""
    remarks: tuple[str, ...]


def choose_fields(
    names: Sequence[str],
    taken: Iterable[str],
    *,
    identity: str,
    attributes: tuple[str, ...] | None,
    measured: Callable[[str], bool],
    where: str,
) -> Fields:
    """Find the identity and the attributes among the fields of a source.

    Args:
        names: all fields whose values can be text.
        taken: fields that mean something else; "" for none.
        identity: the field that was asked for; "": the first of :data:`IDENTITY_FIELDS`;
            ``none``: no field names the person.
        attributes: the fields that were asked for; None: all that can name an attribute, hold no
            measurements, and do not name the person once more.
        measured: whether a field holds measurements (:func:`is_measurement`).
        where: for messages.

    Raises:
        DataError: a field that was asked for is missing, or none names the person.
    """
    known = ", ".join(map(repr, names)) or "none"
    chosen = "" if identity == NONE else identity or find_field(IDENTITY_FIELDS, names)
    if identity != NONE and (not chosen or chosen not in names):
        what = repr(identity) if identity else f"identity ({' or '.join(IDENTITY_FIELDS)})"
        raise DataError(
            f"{where}: no column {what} of text or whole numbers; it has {known}. Name the column "
            f"with --identity, or take images without identity with --identity {NONE}"
        )
    others = {*filter(None, (chosen, *taken))}
    rest = [name for name in names if name not in others]
    if attributes is not None:
        if missing := [name for name in attributes if name not in rest]:
            raise DataError(f"{where}: no column {missing[0]!r} for an attribute; it has {known}")
        rest = list(attributes)
    fields: dict[str, str] = {}
    left_out, numbers = [], []
    for field in rest:
        if attributes is None and field.strip().lower() in IDENTITY_FIELDS:
            left_out.append(repr(field))  # the person once more, by number or name
            continue
        if attributes is None and measured(field):
            numbers.append(field)
            continue
        name = re.sub(r"[\s-]+", "_", field.strip().lower())
        usable = ATTRIBUTE_NAME.fullmatch(name) and name not in RESERVED_COLUMNS
        if usable and name not in fields:
            fields[name] = field
        elif attributes is not None:
            raise DataError(
                f"{where}: {field!r} cannot name an attribute (letters, digits and _; no name of "
                "another column). Rename the column"
            )
        else:
            left_out.append(repr(field))
    remarks = [f"columns left out: {', '.join(left_out)}"] if left_out else []
    if numbers:
        remarks.append(
            f"columns of measurements left out: {', '.join(map(repr, numbers))}. A column is taken "
            f"all the same with --attributes {numbers[0]}"
        )
    return Fields(chosen, tuple((field, name) for name, field in fields.items()), tuple(remarks))


def is_measurement(values: Iterable[Any]) -> bool:
    """Whether the values of a column are measurements rather than names of groups.

    They are where all of them are numbers, or texts of numbers, and either one has a fraction or
    there are more than :data:`MOST_CLASSES` different ones: scores, ages, sizes. None and empty
    texts do not count.
    """
    distinct: set[float] = set()
    fraction = False
    for value in values:
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return False
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            return False
        number = float(value)
        if math.isfinite(number):
            fraction |= not number.is_integer()
            distinct.add(number)
    return fraction or len(distinct) > MOST_CLASSES


def distinct_values(column: pa.ChunkedArray) -> list[Any]:
    """The different values of an Arrow column; none where it is damaged."""
    try:
        return column.unique().to_pylist()
    except ARROW_ERRORS:
        return []


def person_finder(pattern: str) -> Callable[[str, str], str]:
    """Finds the person in a path, given also where the path is from, for messages.

    Args:
        pattern: see :attr:`evenface.data.formats.base.ReadOptions.identity_from`.

    Raises:
        UsageError: no regular expression. What is returned raises DataError for a path in which it
            finds nobody.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--identity-from {pattern!r}: no regular expression ({error})") from None
    group = "identity" if "identity" in expression.groupindex else min(expression.groups, 1)

    def find(path: str, where: str) -> str:
        match = expression.search(path)
        if not match or not match[group]:
            raise DataError(f"{where}: --identity-from {pattern!r} finds nobody in {path!r}")
        return str(match[group])

    return find


def _refuse_clashes(pairs: Iterable[tuple[str | None, str | None]], where: str, what: str) -> None:
    """Raise DataError where different values have become one name."""
    origins: dict[str, set[str]] = {}
    for value, name in pairs:
        if value is not None and name is not None:
            origins.setdefault(name, set()).add(value)
    clashes = [sorted(values) for _, values in sorted(origins.items()) if len(values) > 1]
    if clashes:
        listed = "; ".join(" and ".join(map(repr, values)) for values in clashes[:MOST_LISTED])
        more = f"; and {len(clashes) - MOST_LISTED:,} more" if len(clashes) > MOST_LISTED else ""
        raise DataError(
            f"{where}: {what} would become one person: {listed}{more}. Rename them, or choose "
            "another column with --identity"
        )


def require(column: Texts, where: str) -> None:
    """Raise DataError at the first row without a value."""
    for row, value in enumerate(column, start=1):
        if value is None:
            raise DataError(f"{where}, row {row:,}: empty")


def check_origins(column: Texts, where: str) -> None:
    """Raise DataError at the first row whose origin is neither empty nor known."""
    for row, value in enumerate(column, start=1):
        if value is not None and value not in ORIGINS:
            options = " or ".join(map(repr, ORIGINS))
            raise DataError(f"{where}, row {row:,}: {value!r}, expected {options} or nothing")


def landmarks_of(value: Any) -> np.ndarray | None:
    """Five points from ten numbers (x1 y1 … x5 y5) as text, a list, or five pairs.

    Returns:
        float32 (5, 2), or None for no value.

    Raises:
        ValueError: anything else, or points that are not five different places.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, str):
            value = [float(part) for part in _NUMBERS.split(value) if part]
        points = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError):
        raise ValueError(f"landmarks {_shortened(value)} are not numbers") from None
    if points.shape not in ((10,), (5, 2)):
        raise ValueError(f"landmarks {_shortened(value)}: expected ten numbers x1 y1 … x5 y5")
    points = points.reshape(5, 2)
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max() == 0:
        raise ValueError(f"landmarks {_shortened(value)} are not five places in an image")
    return points


def landmark_table(values: Iterable[Any], count: int, where: str) -> np.ndarray:
    """float32 (count, 5, 2) of all rows; NaN where a row has none. DataError names the row."""
    table = np.full((count, 5, 2), np.nan, dtype=np.float32)
    for row, value in enumerate(values):
        try:
            points = landmarks_of(value)
        except ValueError as error:
            raise DataError(f"{where}, row {row + 1:,}: {error}") from None
        if points is not None:
            table[row] = points
    return table


def row_landmarks(table: np.ndarray | None, row: int) -> np.ndarray | None:
    """One row of :func:`landmark_table` as float64 (5, 2), or None."""
    if table is None or np.isnan(table[row, 0, 0]):
        return None
    return table[row].astype(np.float64)


def inside(root: str, path: str) -> str:
    """``path``, relative to ``root`` or absolute, as a path that lies in ``root``.

    Judged by the names alone: a symbolic link in ``root`` may lead anywhere, as its owner wished.

    Raises:
        ValueError: it lies elsewhere.
    """
    full = os.path.normpath(os.path.join(root, path))
    if "\0" in path or os.path.commonpath([root, full]) != root:
        raise ValueError(f"{path!r} lies outside {root}. If that is meant, say --root FOLDER")
    return full


def absolute(folder: Path) -> str:
    """The folder as :func:`inside` wants it."""
    return os.path.abspath(folder)


def find_field(wanted: Sequence[str], names: Iterable[str]) -> str:
    """The first of ``wanted`` that is there, whatever its case; "" where none is."""
    by_lower = {name.strip().lower(): name for name in reversed(list(names))}
    return next((by_lower[name] for name in wanted if name in by_lower), "")


def _shortened(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
