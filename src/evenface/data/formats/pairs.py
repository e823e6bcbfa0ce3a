"""Pairs files: which images a verification set compares.

The content decides the kind:

- **LFW's** (also RFW's): genuine ``name<TAB>i<TAB>j``, impostor ``name1<TAB>i<TAB>name2<TAB>j``;
  the first line may be a header ``folds<TAB>n`` or ``n``: n genuine and n impostor pairs a fold
  (Huang et al., *Labeled Faces in the Wild*, 2007). RFW's files come with and without it.
- **Tables of paths** (divided by tabs, commas or semicolons) whose first line names the columns:
  ``path1``, ``path2``, ``genuine`` (1/0, 1/−1 or true/false) and, if wanted, ``fold`` (a number),
  ``group``, ``identity1`` and ``identity2``; or as in BFW's datatable ``p1``, ``p2``, ``label``,
  ``att1``, ``att2``, ``id1``, ``id2`` (Robinson et al., *Face Recognition: Too Bias, or Not Too
  Bias?*, CVPRW 2020).
- **Lists of paths** without such a line: ``path path genuine`` or ``genuine path path``.
- **Two lines a pair**, ``path flag``, as CALFW and CPLFW have them: the flag is 0 for impostors
  (Zheng et al., 2017; Zheng & Deng, 2018).

In paths, backslashes are taken for slashes. Every line is a pair, a header, blank or an error: none
is skipped.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from evenface.data.decode import ImageError
from evenface.data.formats.folder import SUFFIXES, printable
from evenface.errors import DataError

Kind = Literal["lfw", "paths"]

_NUMBER = re.compile(r"[0-9]{1,9}")
_TRUTH = {
    **dict.fromkeys(("1", "1.0", "+1", "true", "yes", "genuine"), True),
    **dict.fromkeys(("0", "0.0", "-1", "-1.0", "false", "no", "impostor"), False),
}
_REQUIRED = ("path1", "path2", "genuine")
_OPTIONAL = ("fold", "group", "group2", "identity1", "identity2")
_ALIASES = {
    "p1": "path1",
    "p2": "path2",
    "label": "genuine",
    "att1": "group",
    "att2": "group2",
    "id1": "identity1",
    "id2": "identity2",
}
"""BFW's names of columns."""
PICKLE_SUFFIXES = (".pkl", ".pickle")
_PICKLE = b"\x80"  # what a pickle of protocol 2 and later begins with
_ALSO_IN = ("", "images", "aligned images")
"""Folders of a set that files named without one lie in, as CALFW and CPLFW unpack."""
_NUMBERED_FILE = re.compile(r"(.+)_[0-9]+\.\w+")


@dataclass(frozen=True, slots=True)
class ImageName:
    """One side of a pair: a path, or image ``number`` of an identity."""

    identity: str = ""
    number: int = 0
    path: str = ""
    """Relative to the set's folder, with ``/``; empty where identity and number are given, as LFW
    names images. Sets that name the people of paths give the identity as well."""

    def __str__(self) -> str:
        return self.path or f"{self.identity}/{self.identity}_{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of a pairs file."""

    line: int
    """From 1."""
    first: ImageName
    second: ImageName
    genuine: bool
    fold: int = -1
    """From 0; −1 where the file tells none."""
    group: str | None = None


@dataclass(frozen=True, eq=False)
class PairsFile:
    """A pairs file, as read by :func:`read_pairs`."""

    path: Path
    kind: Kind
    pairs: tuple[Pair, ...]
    folds: int
    """Number of folds that the file's header, structure or column tells; 0 for none."""
    remarks: tuple[str, ...] = field(default=())
    """What a person should know about the file."""

    @property
    def names_people(self) -> bool:
        """Whether the file tells the person of every image."""
        return all(name.identity for pair in self.pairs for name in (pair.first, pair.second))

    def __len__(self) -> int:
        return len(self.pairs)


def read_pairs(path: str | Path) -> PairsFile:
    """Read a pairs file (see the module's text), text in UTF-8.

    Folds: LFW's are those of the header, or, without one, of blocks of genuine and impostor pairs
    that alternate and have one length. Tables number them in the column ``fold``.

    Raises:
        DataError: no such file, not UTF-8, no pairs, a line that is neither pair nor header, or a
            header that promises other pairs than there are; the message names the line.
    """
    path = Path(path)
    lines = list(_lines(path))
    if not lines:
        raise DataError(f"{path}: no pairs: the file is empty")
    table = _dialect(lines[0][1])
    if table:
        found = _read_table(path, lines, table)
    elif listed := _listed(lines[0][1]):
        found = _read_list(path, lines, listed)
    elif _flagged(lines[0][1]):
        found = _read_flagged(path, lines)
    else:
        found = _read_lfw(path, lines)
    return replace(found, remarks=(*found.remarks, *_oddities(found.pairs)))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of the lines that are not blank."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if content.startswith(_PICKLE) or path.suffix.lower() in PICKLE_SUFFIXES:
        raise DataError(
            f"{path}: a pickle is a program, and is not opened. Take the set's CSV file (BFW's "
            "bfw-v…-datatable.csv), or write one where you trust the file: "
            "pandas.read_pickle(…).to_csv(…, index=False)"
        )
    for number, raw in enumerate(re.split(rb"\r\n|\n|\r", content), start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path}: line {number} is not UTF-8: {raw[:60]!r}") from None
        if line.strip():
            yield number, line


# --- LFW's format --------------------------------------------------------------------------------


def _read_lfw(path: Path, lines: list[tuple[int, str]]) -> PairsFile:
    header = _header(lines[0][1])
    pairs = [_lfw_pair(path, number, line) for number, line in lines[1 if header else 0 :]]
    if not pairs:
        raise DataError(f"{path}: no pairs, only a header")
    size = _promised_folds(path, pairs, *header) if header else _folds_by_blocks(pairs)
    remark = "" if header else "no header; the blocks of pairs tell the folds"
    if not size:
        remark = "no header, and no alternating blocks of one length: the file tells no folds"
    pairs = [replace(p, fold=place // size if size else -1) for place, p in enumerate(pairs)]
    folds = len(pairs) // size if size else 0
    return PairsFile(path, "lfw", tuple(pairs), folds, (remark,) if remark else ())


def _header(line: str) -> tuple[int, int] | None:
    """(folds, genuine pairs a fold) of a header; one fold where it is a single number."""
    numbers = line.split()
    if len(numbers) > 2 or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    return (1, int(numbers[0])) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _lfw_pair(path: Path, number: int, line: str) -> Pair:
    # Tabs divide names that hold spaces; some copies of the files have spaces instead.
    for parts in ([part.strip() for part in line.split("\t")], line.split()):
        numbers = parts[1:] if len(parts) == 3 else parts[1::2]
        if len(parts) in (3, 4) and all(map(_NUMBER.fullmatch, numbers)):
            break
    else:
        raise DataError(
            f"{path}: line {number} is no pair: {line.strip()!r:.100}. Expected "
            "'name<TAB>i<TAB>j' (genuine), 'name1<TAB>i<TAB>name2<TAB>j' (impostor), or a first "
            f"line with the columns {', '.join(_REQUIRED)}"
        )
    first = _numbered(path, number, parts[0], parts[1])
    if len(parts) == 3:
        return Pair(number, first, replace(first, number=int(parts[2])), genuine=True)
    return Pair(number, first, _numbered(path, number, parts[2], parts[3]), genuine=False)


def _numbered(path: Path, line: int, identity: str, number: str) -> ImageName:
    _refuse_bad_name(path, line, identity)
    return ImageName(identity, int(number))


def _promised_folds(path: Path, pairs: list[Pair], folds: int, share: int) -> int:
    """Pairs a fold according to the header, which must agree with what follows."""
    size = 2 * share
    if folds * size != len(pairs):
        raise DataError(
            f"{path}: the header promises {folds} × {share:,} genuine and as many impostor pairs, "
            f"{folds * size:,} in all; the file has {len(pairs):,}"
        )
    for fold in range(folds):
        block = pairs[fold * size : (fold + 1) * size]
        if (genuine := sum(pair.genuine for pair in block)) != share:
            raise DataError(
                f"{path}: lines {block[0].line}–{block[-1].line} (fold {fold + 1}) hold "
                f"{genuine:,} genuine pairs; the header promises {share:,}"
            )
    return size


def _folds_by_blocks(pairs: list[Pair]) -> int:
    """Pairs a fold where genuine and impostor blocks of one length alternate; else 0."""
    runs = [len(list(run)) for _, run in groupby(pairs, key=lambda pair: pair.genuine)]
    alternate = len(runs) > 2 and len(runs) % 2 == 0 and len(set(runs)) == 1
    return 2 * runs[0] if alternate else 0


# --- tables of paths -----------------------------------------------------------------------------


def _dialect(first: str) -> str | None:
    """The delimiter, when the line names the columns of a table of paths."""
    for delimiter in "\t,;":
        names = _columns(first, delimiter)
        if "path1" in names and "path2" in names:
            return delimiter
    return None


def _columns(line: str, delimiter: str) -> list[str]:
    """The columns that a line names, BFW's under our names."""
    names = [name.lower() for name in _cells(line, delimiter)]
    bfw = {"p1", "p2"} <= set(names)
    return [_ALIASES.get(name, name) if bfw else name for name in names]


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for row in csv.reader([line], delimiter=delimiter) for cell in row]
    except csv.Error:  # a cell of 128 KiB, a NUL
        return []


def _read_table(path: Path, lines: list[tuple[int, str]], delimiter: str) -> PairsFile:
    columns = _columns(lines[0][1], delimiter)
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise DataError(f"{path}: line {lines[0][0]}: the column {missing[0]!r} is missing")
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: line {lines[0][0]}: two columns of one name")
    pairs = []
    for number, line in lines[1:]:
        cells = _cells(line, delimiter)
        if len(cells) != len(columns):
            raise DataError(
                f"{path}: line {number} has {len(cells)} cells, expected {len(columns)}"
            )
        pairs.append(_table_pair(path, number, dict(zip(columns, cells, strict=True))))
    if not pairs:
        raise DataError(f"{path}: no pairs, only a header")
    known = set(_REQUIRED + _OPTIONAL)
    ignored = [name for name in columns if name not in known]
    remarks = [f"columns not read: {', '.join(ignored)}"] if ignored else []
    return PairsFile(path, "paths", *_numbered_folds(path, pairs), tuple(remarks))


def _table_pair(path: Path, number: int, row: dict[str, str]) -> Pair:
    sides = []
    for side in "12":
        person = row.get(f"identity{side}", "")
        sides.append(_path_name(path, number, row[f"path{side}"], person))
    if row["genuine"].lower() not in _TRUTH:
        raise DataError(
            f"{path}: line {number}: genuine is {row['genuine']!r:.40}, expected 1/0, 1/-1 or "
            "true/false"
        )
    if (other := row.get("group2", row.get("group"))) != row.get("group"):
        raise DataError(
            f"{path}: line {number}: a pair of two groups, {row.get('group')!r:.40} and "
            f"{other!r:.40}; pairs are of one group"
        )
    fold = row.get("fold", "")
    if fold and not _NUMBER.fullmatch(fold):
        raise DataError(f"{path}: line {number}: fold is {fold!r:.40}, expected a number")
    return Pair(
        number,
        sides[0],
        sides[1],
        _TRUTH[row["genuine"].lower()],
        int(fold) if fold else -1,
        row.get("group") or None,
    )


def _numbered_folds(path: Path, pairs: list[Pair]) -> tuple[tuple[Pair, ...], int]:
    """Folds renumbered from 0 in their order; all pairs have one, or none has."""
    found = sorted({pair.fold for pair in pairs})
    if found == [-1]:
        return tuple(pairs), 0
    if found[0] == -1:
        line = next(pair.line for pair in pairs if pair.fold == -1)
        raise DataError(f"{path}: line {line} has no fold, other lines have one")
    rank = {fold: place for place, fold in enumerate(found)}
    return tuple(replace(pair, fold=rank[pair.fold]) for pair in pairs), len(found)


# --- lists of paths ------------------------------------------------------------------------------


def _split_list(line: str) -> list[str]:
    """Cells divided by tabs, commas or semicolons where there are such, else by spaces."""
    divider = next((divider for divider in "\t,;" if divider in line), None)
    return [cell.strip() for cell in line.strip().split(divider)]


def _names_image(cell: str) -> bool:
    return PurePosixPath(cell.replace("\\", "/")).suffix.lower() in SUFFIXES


def _listed(line: str) -> tuple[int, int, int] | None:
    """The cells of both paths and of the truth in a list of pairs; None for what is none."""
    cells = _split_list(line)
    for places in ((0, 1, 2), (1, 2, 0)):
        if len(cells) == 3 and all(_names_image(cells[place]) for place in places[:2]):
            return places if cells[places[2]].lower() in _TRUTH else None
    return None


def _read_list(path: Path, lines: list[tuple[int, str]], places: tuple[int, int, int]) -> PairsFile:
    pairs = []
    for number, line in lines:
        cells = _split_list(line)
        if _listed(line) != places:
            raise DataError(
                f"{path}: line {number} is no pair: {line.strip()!r:.100}. Expected two paths of "
                "images and 1/0, 1/-1 or true/false, as in line 1"
            )
        first, second = (_path_name(path, number, cells[place]) for place in places[:2])
        pairs.append(Pair(number, first, second, _TRUTH[cells[places[2]].lower()]))
    return PairsFile(path, "paths", tuple(pairs), 0)


def _flagged(line: str) -> tuple[str, int] | None:
    """File and flag of half a pair; None for what is none. The file's name may hold spaces."""
    cells = _split_list(line)
    if len(cells) != 2:
        cells = line.strip().rsplit(maxsplit=1)
    if len(cells) != 2 or not _names_image(cells[0]):
        return None
    return (cells[0], int(cells[1])) if re.fullmatch(r"-?[0-9]{1,4}", cells[1]) else None


def _read_flagged(path: Path, lines: list[tuple[int, str]]) -> PairsFile:
    halves = []
    for number, line in lines:
        half = _flagged(line)
        if half is None:
            raise DataError(
                f"{path}: line {number} is no half of a pair: {line.strip()!r:.100}. Expected "
                "'file flag', two lines a pair, the flag 0 for impostors"
            )
        person = _NUMBERED_FILE.fullmatch(PurePosixPath(half[0]).name)
        name = _path_name(path, number, half[0], person[1] if person else "")
        halves.append((number, name, half[1]))
    if len(halves) % 2:
        raise DataError(f"{path}: {len(halves):,} lines; two lines are a pair, so one is missing")
    pairs = []
    for (number, first, flag), (other, second, flag2) in zip(
        halves[::2], halves[1::2], strict=True
    ):
        if (flag > 0) != (flag2 > 0):
            raise DataError(
                f"{path}: lines {number} and {other} are a pair, but one has the flag {flag}, the "
                f"other {flag2}"
            )
        pairs.append(Pair(number, first, second, flag > 0))
    return PairsFile(path, "paths", tuple(pairs), 0)


# --- both ----------------------------------------------------------------------------------------


def _path_name(path: Path, line: int, name: str, identity: str = "") -> ImageName:
    name = name.replace("\\", "/")
    _refuse_bad_name(path, line, name)
    return ImageName(identity, path=name)


def _refuse_bad_name(path: Path, line: int, name: str) -> None:
    if not name or not name.isprintable():
        raise DataError(f"{path}: line {line}: {name!r:.60} cannot name an image")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DataError(
            f"{path}: line {line}: {name!r:.60} leads out of the set's folder; names are relative "
            "to it"
        )


def _oddities(pairs: tuple[Pair, ...]) -> list[str]:
    remarks = []
    if same := [pair for pair in pairs if pair.first == pair.second]:
        remarks.append(
            f"{len(same):,} pairs compare an image with itself, e.g. in line {same[0].line}"
        )
    seen: dict[frozenset[ImageName], int] = {}
    twice = [
        pair.line
        for pair in pairs
        if seen.setdefault(frozenset((pair.first, pair.second)), pair.line) != pair.line
    ]
    if twice:
        remarks.append(f"{len(twice):,} pairs occur twice, e.g. in line {twice[0]}")
    odd = [
        pair.line
        for pair in pairs
        if not pair.genuine and pair.first.identity == pair.second.identity and not pair.first.path
    ]
    if odd:
        remarks.append(
            f"{len(odd):,} pairs are marked impostor but name one identity, e.g. in line {odd[0]}"
        )
    return remarks


# --- the images ----------------------------------------------------------------------------------


class PairImages:
    """Finds the images that a pairs file names below a folder.

    Numbered images are ``<identity>/<identity>_<number>.<suffix>``, the number with any number of
    leading zeros (LFW and RFW write four digits); paths are taken as they stand, names alone also
    in the folder ``images`` or ``aligned images``.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._of_identity: dict[str, dict[int, list[str]]] = {}

    def find(self, name: ImageName) -> Path:
        """Path of an image.

        Raises:
            ImageError: there is none, or there are several.
        """
        if name.path:
            folders = _ALSO_IN if "/" not in name.path else ("",)
            paths = ((PurePosixPath(folder) / name.path).as_posix() for folder in folders)
            found = [path for path in paths if (self.root / path).is_file()][:1]
        else:
            found = self._numbers(name.identity).get(name.number, [])
        if len(found) > 1:
            raise ImageError(f"several files could be meant: {', '.join(found)}")
        if not found:
            raise ImageError(f"no file {name}{'' if name.path else '.*'} in {self.root}")
        return self.root / found[0]

    def _numbers(self, identity: str) -> dict[int, list[str]]:
        """Number → files of an identity, relative to the root."""
        if identity not in self._of_identity:
            numbers: dict[int, list[str]] = {}
            pattern = re.compile(rf"{re.escape(identity)}_([0-9]{{1,9}})\.(\w+)")
            for file in _sorted_names(self.root / identity):
                match = pattern.fullmatch(printable(file))
                if match and f".{match[2].lower()}" in SUFFIXES:
                    numbers.setdefault(int(match[1]), []).append(f"{identity}/{file}")
            self._of_identity[identity] = numbers
        return self._of_identity[identity]


def _sorted_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
