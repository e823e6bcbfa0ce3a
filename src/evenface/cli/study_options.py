"""Options that name a study and change it; several commands share them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenface.study.spec import StudySpec

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
    Path | None, typer.Option("--synthetic", help="Your synthetic faces, laid out alike.")
]
Test = Annotated[
    Path | None,
    typer.Option(
        "--test",
        help="Your test faces, laid out alike, or a published verification set (a .bin, a file of "
        "pairs, RFW's folder), instead of held-out real ones.",
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
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the study, e.g. --set seed=1.")
]


def chosen_study(
    name: str,
    real: Path | None,
    synthetic: Path | None,
    test: Path | None,
    teachers: list[str] | None,
    assignments: list[str] | None,
) -> StudySpec:
    """The study called ``name`` (or of a file) with what the options change."""
    from evenface import recipes
    from evenface.study.spec import brings_published_tests, load_study, own_faces
    from evenface.teachers import teacher_names

    overrides: dict[str, object] = own_faces(
        real, synthetic, test, published=brings_published_tests(name)
    )
    if teachers:
        overrides["teachers"] = [
            str(Path(teacher).resolve())
            if Path(teacher).exists() and teacher not in teacher_names()
            else teacher
            for teacher in teachers
        ]
    return load_study(name, overrides | recipes.parse_overrides(assignments or []))
