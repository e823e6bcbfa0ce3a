"""evenface gallery: people enrolled once, for identify. It runs in the base install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenface.cli.recognise import AsJson, Model, SkipBad, say_skipped

Gallery = Annotated[Path, typer.Argument(metavar="GALLERY", help="The gallery, a .parquet file.")]


def register(app: typer.Typer) -> None:
    """Add ``evenface gallery``."""
    gallery = typer.Typer(
        help="A gallery of people for 'identify': names and embeddings, no photographs.",
        no_args_is_help=True,
    )
    gallery.command("add")(add)
    gallery.command("list")(list_people)
    gallery.command("remove")(remove)
    app.add_typer(gallery, name="gallery")


def add(
    gallery: Gallery,
    photographs: Annotated[
        Path,
        typer.Argument(
            help="Folder <person>/<photograph>, or photographs named after people.",
        ),
    ],
    person: Annotated[
        str | None,
        typer.Option(help="Whom all of the photographs show.", show_default=False),
    ] = None,
    model: Model = None,
    skip_bad: SkipBad = False,
) -> None:
    """Enrol photographs; the gallery is made where there is none. A photograph of the same path
    replaces the earlier one."""
    from evenface import gallery as galleries
    from evenface.console import note
    from evenface.recogniser import Recogniser

    recogniser = Recogniser.load(model)
    note(str(recogniser.about))
    done = galleries.add(recogniser, gallery, photographs, person=person, skip_bad=skip_bad)
    say_skipped(done.skipped)
    parts = [f"{done.images:,} photographs of {len(done.people):,} people added"]
    parts += [f"{done.replaced:,} of them anew"] if done.replaced else []
    parts += [f"{len(done.skipped):,} left out"] if done.skipped else []
    note(f"{gallery}: {', '.join(parts)}")


def list_people(gallery: Gallery, as_json: AsJson = False) -> None:
    """List the people of a gallery, with the number of photographs enrolled."""
    import json

    from evenface import gallery as galleries
    from evenface.console import out

    people = galleries.people(gallery)
    if as_json:
        typer.echo(json.dumps(people, ensure_ascii=False))
        return
    for person, images in people.items():
        out().print(f"{person}: {images:,}", markup=False, highlight=False)


def remove(
    gallery: Gallery,
    people: Annotated[list[str], typer.Argument(metavar="PERSON...", help="Names.")],
) -> None:
    """Take people out of a gallery, with all of their embeddings."""
    from evenface import gallery as galleries
    from evenface.console import note

    removed = galleries.remove(gallery, people)
    note(f"{gallery}: {removed:,} embeddings of {len(set(people)):,} people removed")
