"""Options that name a study and change it; several commands share them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.errors import UsageError
from evenface.study import STUDIES

if TYPE_CHECKING:
    from evenface.study.spec import StudySpec

Folder = Annotated[
    Path,
    typer.Argument(metavar="STUDY", help="Folder of a study, or its name under ./studies."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the study; studies/STUDY if not given.")
]
Real = Annotated[
    Path | None,
    typer.Option(
        "--real",
        help="Your real faces, [<group>/]<identity>/<image>; a share of the identities is held out "
        "where the study brings no published tests.",
    ),
]
Synthetic = Annotated[
    list[str] | None,
    typer.Option(
        "--synthetic",
        metavar="[NAME=]FOLDER",
        help="Your synthetic faces, laid out alike; repeat it for several sets. NAME is what "
        "results call the set; default: the folder's name.",
    ),
]
Test = Annotated[
    Path | None,
    typer.Option(
        "--test",
        help="Your test faces, laid out alike, or a published verification set (a .bin, a bcolz "
        "array, a file of pairs, RFW's folder, a folder of 'evenface data verification-set'), "
        "instead of held-out real ones; draw:FOLDER draws new pairs.",
    ),
]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher",
        help="study, sface, an ONNX file, or a run folder, instead of the study's; may be "
        "repeated.",
    ),
]
Reuse = Annotated[
    list[Path] | None,
    typer.Option(
        "--reuse",
        metavar="FOLDER",
        help="Folder of another study to copy finished, identical parts from; may be repeated.",
    ),
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the study, e.g. --set seed=1.")
]


def study_folder(given: Path) -> Path:
    """The folder of a study that is given as such, or by its name under ./studies.

    Raises:
        UsageError: there is no such folder; lists the studies under ./studies.
    """
    for folder in (given, STUDIES / given):
        if folder.is_dir():
            return folder
    found = sorted(path.name for path in STUDIES.glob("*") if path.is_dir())
    listed = ", ".join(found) or "none"
    raise UsageError(f"{given}: no such study folder. Studies under ./{STUDIES}: {listed}")


def existing_study(source: str) -> Path | None:
    """The folder that ``source`` names: its path, or the name of a study of one's own under
    ./studies. None for a study of the package and for a file.
    """
    from evenface.study.spec import list_studies

    if Path(source).is_dir():
        return Path(source)
    own = STUDIES / source
    return own if source not in list_studies() and own.is_dir() else None


def chosen_study(
    name: str,
    real: Path | None,
    synthetic: list[str] | None,
    test: Path | None,
    teachers: list[str] | None,
    assignments: list[str] | None,
) -> StudySpec:
    """The study called ``name`` (or of a file) with what the options change."""
    from evenface import recipes
    from evenface.study.from_python import choose_study

    return choose_study(
        name,
        real=real,
        synthetic=_by_name(synthetic or []),
        test=test,
        teachers=teachers,
        settings=recipes.parse_overrides(assignments or []),
    )


def _by_name(given: list[str]) -> Path | dict[str, Path] | None:
    """Folders given as FOLDER or NAME=FOLDER: one without a name as it is, others by name.

    Raises:
        UsageError: two of one name.
    """
    from evenface.study.spec import plain_name

    named: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).exists():
            name, folder = "", text
        if len(given) == 1 and not name:
            return Path(folder)
        name = name or plain_name(str(Path(folder).resolve()))
        if name in named:
            raise UsageError(
                f"--synthetic: {named[name]} and {folder} are both called '{name}'. Name one: "
                f"--synthetic NAME={folder}"
            )
        named[name] = Path(folder)
    return named or None
