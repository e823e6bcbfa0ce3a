"""FHIBE's faces: the release "crop and align" of Sony's Fair Human-Centric Image Benchmark.

The unpacked release holds ``data/processed/fhibe_face_crop_align/fhibe_face_crop_align.csv``, a row
for each face with ``filepath`` (below the unpacked folder), ``subject_id``, the person's own
statements, and ``keypoints`` in pixels of the crop, so that no detector is needed. All its people
consented and may withdraw, which gives a new release each time (Xiang et al., Nature, 2025).
"""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from evenface.data.formats.base import Format, ReadOptions, Record
from evenface.data.formats.columns import ARROW_ERRORS, Texts, inside, require, row_landmarks
from evenface.data.formats.folder import printable, read_image_file
from evenface.errors import DataError
from evenface.files import sha256_file

TABLE = Path("data/processed/fhibe_face_crop_align/fhibe_face_crop_align.csv")
LAYOUT = f"the unpacked release fhibe.<version>_…/ with {TABLE}"
SEPARATOR = "; "
"""Between several values of one attribute: people may name several ancestries."""
AGE_BANDS = {"[18,30)": 18, "[30,40)": 30, "[40,50)": 40, "[50,60)": 50, "[60,+)": 60}
"""Band → its lowest age in years."""
ALONE = "multiple_subjects"
AGE, AGE_BAND = "age", "age_band"
ATTRIBUTES = (
    "pronoun",
    AGE,
    "ancestry",
    "apparent_skin_color",
    "natural_skin_color",
    "location_country",
    "head_pose",
    ALONE,
)
"""Columns that become attributes unless others are asked for; ``age`` becomes ``age_band``."""

_PATH, _IDENTITY, _KEYPOINTS = "filepath", "subject_id", "keypoints"
# In the order of the ArcFace template: a person's right eye is the left one in the image.
_LANDMARKS = ("right eye", "left eye", "nose", "mouth right", "mouth left")
_NUMBER = re.compile(r"\s*[0-9]+\.\s*")
_RELEASE = re.compile(r"fhibe[._-](.+?)(_downsampled|_fullres)?(_public)?", re.IGNORECASE)
_BASES = ("", "data/raw", "data")  # what paths were relative to in releases and in their tools
_BLOCK_BYTES = 2**26  # a row holds the outlines of all parts of a face
_UNKNOWN = "unknown"


class FhibeSource:
    """The faces of an unpacked release, in the order of its table. Made by :func:`open_fhibe`."""

    def __init__(
        self,
        table: Path,
        root: Path,
        paths: list[str],
        identities: Texts,
        attributes: dict[str, Texts],
        landmarks: np.ndarray,
        remarks: tuple[str, ...],
    ) -> None:
        self.attributes = tuple(attributes)
        self.remarks = remarks
        self._table = table
        self._root = root
        self._paths = paths
        self._identities = identities
        self._values = tuple(attributes.values())
        self._landmarks = landmarks

    @property
    def description(self) -> dict[str, Any]:
        return {
            "format": "fhibe",
            "path": printable(str(self._root.resolve())),
            "release": release_of(self._root),
            "attributes": list(self.attributes),
            "images": len(self),
            "sha256": sha256_file(self._table),
        }

    def __len__(self) -> int:
        return len(self._paths)

    def record(self, number: int) -> Record:
        return Record(
            f"{Path(self._paths[number]).name} (row {number + 1})",
            str(self._identities[number]),
            tuple(column[number] for column in self._values),
            landmarks=row_landmarks(self._landmarks, number),
            origin="real",
            split="test",  # its terms forbid training
        )

    def read(self, number: int) -> bytes:
        return read_image_file(self._paths[number])


def open_fhibe(path: Path, options: ReadOptions) -> FhibeSource:
    """List the faces of an unpacked release, or of its table.

    Raises:
        DataError: no table, a column missing, an empty path or subject, a path that leads out, an
            age or keypoints that cannot be read. The message names the row.
    """
    file = path if path.is_file() else path / TABLE
    root = file.resolve().parents[len(TABLE.parts) - 1] if path.is_file() else path
    columns = options.attributes or ATTRIBUTES
    table = _read(file, (_PATH, _IDENTITY, *columns), (_KEYPOINTS,))

    def texts(name: str) -> Texts:
        return Texts.of(table.column(name), f"{file}, column {name!r}")

    identities = texts(_IDENTITY)
    require(identities, f"{file}, column {_IDENTITY!r}")
    attributes = {}
    for name in columns:
        if name == AGE:
            attributes[AGE_BAND] = _mapped(texts(name), _age_band, f"{file}, column {name!r}")
        else:
            attributes[name] = _mapped(texts(name), _selected, f"{file}, column {name!r}")
    landmarks, remark = _landmarks(table, str(file))
    remarks = [
        f"FHIBE release {release_of(root)}, recorded in the import report. Its people may "
        "withdraw: use the newest release, and delete older ones and what was made of them"
    ]
    if release_of(root) == _UNKNOWN:
        remarks.append(
            f"{printable(root.name)!r} does not tell the release's version: keep the name that the "
            "archive gives the folder"
        )
    paths = _paths(texts(_PATH), root, f"{file}, column {_PATH!r}")
    return FhibeSource(
        file, root, paths, identities, attributes, landmarks, (*remarks, *filter(None, [remark]))
    )


def release_of(root: Path) -> str:
    """The release's version, as the unpacked folder's name tells it; else "unknown"."""
    match = _RELEASE.fullmatch(root.resolve().name)
    return printable(match[1]) if match else _UNKNOWN


def values_of(text: str | None) -> tuple[str, ...]:
    """The values of an attribute that may have several."""
    return tuple(text.split(SEPARATOR)) if text else ()


def _read(file: Path, needed: tuple[str, ...], wanted: tuple[str, ...]) -> pa.Table:
    """The columns ``needed``, and those of ``wanted`` that are there, as text."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected {LAYOUT}")
    try:
        with open(file, encoding="utf-8-sig") as handle:
            header = pacsv.read_csv(pa.py_buffer(handle.readline().encode())).column_names
        if missing := [name for name in needed if name not in header]:
            raise DataError(
                f"{file}: no column {missing[0]!r}; it has {', '.join(map(repr, header))}"
            )
        names = [*needed, *(name for name in wanted if name in header)]
        table = pacsv.read_csv(
            file,
            pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except ARROW_ERRORS as error:
        raise DataError(f"{file}: not a readable table in UTF-8 ({error})") from None
    if not table.num_rows:
        raise DataError(f"{file}: no rows")
    return table


def _mapped(column: Texts, function: Any, where: str) -> Texts:
    """The column with a function of each value. DataError names the row that it refuses."""
    result = Texts()
    for row, value in enumerate(column, start=1):
        try:
            result.append(None if value is None else function(value))
        except ValueError as error:
            raise DataError(f"{where}, row {row:,}: {error}") from None
    return result


def _age_band(text: str) -> str:
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    bands = [name for name, lowest in AGE_BANDS.items() if age >= lowest]
    if not bands:
        raise ValueError(f"{text!r:.40} is no age from 18 years on")
    return bands[-1]


def _selected(text: str) -> str | None:
    """Selections as text: "['0. Africa', '3. Europe']" is "Africa; Europe"."""
    values = [text]
    if text.startswith("["):
        try:
            parsed = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"{text!r:.60} is no list of values") from None
        # A list of numbers is one value, a colour.
        values = parsed if all(isinstance(value, str) for value in parsed) else [text]
    plain = (_NUMBER.sub("", value, count=1).strip() for value in values)
    return SEPARATOR.join(dict.fromkeys(filter(None, plain))) or None


def _landmarks(table: pa.Table, where: str) -> tuple[np.ndarray, str]:
    """float32 (N, 5, 2), NaN where a row has none, and a remark on these."""
    points = np.full((table.num_rows, 5, 2), np.nan, dtype=np.float32)
    values = table.column(_KEYPOINTS) if _KEYPOINTS in table.column_names else []
    for row, value in enumerate(values):
        if text := value.as_py():
            try:
                found = _five(ast.literal_eval(text))
            except (ValueError, TypeError, SyntaxError, AttributeError, RecursionError):
                raise DataError(
                    f"{where}, column {_KEYPOINTS!r}, row {row + 1:,}: {text!r:.60} is no mapping "
                    "of names to x, y and visibility"
                ) from None
            points[row] = np.nan if found is None else found
    bare = int(np.isnan(points[:, 0, 0]).sum())
    if not bare:
        return points, ""
    return points, (
        f"{bare:,} of {len(points):,} faces have no visible keypoints of both eyes, nose and "
        "mouth: the detector looks for these"
    )


def _five(keypoints: dict[str, Any]) -> np.ndarray | None:
    """The five landmarks of the ArcFace template; None where one is missing or not visible."""
    named = {_NUMBER.sub("", name, count=1).strip().lower(): p for name, p in keypoints.items()}
    found = [named.get(name) for name in _LANDMARKS]
    if any(point is None or (len(point) > 2 and not point[2]) for point in found):
        return None
    five = np.array([point[:2] for point in found if point is not None], dtype=np.float64)
    if five.shape != (5, 2):
        raise ValueError("keypoints without two coordinates")
    return five if np.isfinite(five).all() and np.ptp(five, axis=0).max() > 0 else None


def _paths(column: Texts, root: Path, where: str) -> list[str]:
    require(column, where)
    given = [str(value).replace("\\", "/") for value in column]
    base = next((base for base in _BASES if (root / base / given[0]).is_file()), "")
    absolute = str((root / base).absolute())
    paths = []
    for row, value in enumerate(given, start=1):
        try:
            paths.append(inside(absolute, value))
        except ValueError as error:
            raise DataError(f"{where}, row {row:,}: {error}") from None
    return paths


def _recognises(path: Path) -> bool:
    return (path / TABLE).is_file() or (path.is_file() and path.name == TABLE.name)


FORMAT = Format(
    "fhibe", LAYOUT, recognises=_recognises, open=open_fhibe, heeds=frozenset({"attributes"})
)
