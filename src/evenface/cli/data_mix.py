"""evenface data mix."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenface.cli.common import AsJson, GroupBy, names_of, print_table

if TYPE_CHECKING:
    from evenface.data.mix import MixRecipe, MixReport


class Balance(StrEnum):
    """What a mix makes equal over the groups."""

    IDENTITIES = "identities"
    IMAGES = "images"
    NONE = "none"


class Unit(StrEnum):
    """What is counted."""

    IDENTITIES = "identities"
    IMAGES = "images"


class Select(StrEnum):
    """Who is taken first within a group."""

    RANDOM = "random"
    CONFIDENCE = "confidence"
    DIVERSITY = "diversity"


def mix_data(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[RECIPE] OUT",
            help="A recipe (a YAML file, or balanced, synthetic, synthetic-mix, mix-equal-ids, "
            "mix-equal-img: the study's sets), then the folder to write; images are not copied.",
        ),
    ],
    real: Annotated[
        list[Path] | None,
        typer.Option(help="Data set of real faces; may be given several times."),
    ] = None,
    synthetic: Annotated[
        list[Path] | None,
        typer.Option(help="Data set of synthetic faces; may be given several times."),
    ] = None,
    real_fraction: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of each group that is real; default: 0.7."),
    ] = None,
    real_fraction_of: Annotated[
        Unit | None, typer.Option(help="What the fraction is of; default: what is balanced.")
    ] = None,
    balance: Annotated[
        Balance | None,
        typer.Option(help="What to balance over groups; default: identities."),
    ] = None,
    group_by: GroupBy = "",
    seed: Annotated[int | None, typer.Option(help="Seed of all choices; default: 0.")] = None,
    total: Annotated[
        int | None,
        typer.Option(min=1, help="Identities or images in all; default: as many as possible."),
    ] = None,
    total_of: Annotated[
        Unit | None, typer.Option(help="What the total counts; default: what is balanced.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Multiply the total, e.g. 0.01 for a small trial.")
    ] = None,
    max_images: Annotated[int | None, typer.Option(min=1, help="Most images per identity.")] = None,
    select: Annotated[
        Select | None,
        typer.Option(
            help="Which identities of a group to take: at random (default), the most confidently "
            "labelled, or the most diverse in the teacher's embeddings."
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Use only rows of this split; default: all rows.")
    ] = "",
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Embedding cache of a source or excluded set ('evenface teacher embed'); may be "
            "given several times."
        ),
    ] = None,
    exclude_overlap: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TEST",
            help="Leave out the people of this test set (or those listed in a report of 'evenface"
            " data overlap'): by name, and by similarity if it has embeddings.",
        ),
    ] = None,
    min_cell: Annotated[
        int | None,
        typer.Option(min=0, help="Report no share over fewer identities; default: 10."),
    ] = None,
    nearest: Annotated[
        bool,
        typer.Option("--nearest", help="If the mix is impossible, make the nearest possible one."),
    ] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Mix real and synthetic sets, the same way within every group."""
    from evenface.data.mix import mix_sources, write_mix
    from evenface.data.mix.inputs import open_sources
    from evenface.errors import UsageError
    from evenface.recipes import parse_overrides

    if len(places) > 2:
        raise UsageError(f"expected [RECIPE] OUT, got {len(places)} places: {' '.join(places)}")
    *recipe_source, out = places
    if not recipe_source and Path(out).suffix.lower() in (".yaml", ".yml"):
        raise UsageError(f"name the folder to write, after the recipe {out}")
    flags: dict[str, Any] = {
        "real": _paths(real),
        "synthetic": _paths(synthetic),
        "real_fraction": real_fraction,
        "real_fraction_of": real_fraction_of and real_fraction_of.value,
        "balance": balance and balance.value,
        "group_by": names_of(group_by),
        "seed": seed,
        "total": total,
        "total_of": total_of and total_of.value,
        "max_images": max_images,
        "select": select and select.value,
        "embeddings": _paths(embeddings),
        "exclude": _paths(exclude_overlap),
        "min_cell": min_cell,
        "nearest": nearest or None,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    recipe = _recipe(recipe_source, {**given, **parse_overrides(assignments or [])})
    if scale is not None:
        recipe = recipe.scaled(scale)
    if split:
        recipe = recipe.of_split(split)
    sources, excluded = open_sources(recipe)
    mixed, report = mix_sources(sources, recipe, excluded=excluded)
    write_mix(mixed, report, out)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print_mix(report, out)


def _recipe(source: list[str], overrides: dict[str, Any]) -> MixRecipe:
    from evenface.data.mix import MixRecipe, load_mix
    from evenface.recipes import validate

    return load_mix(source[0], overrides) if source else validate("mix", overrides, MixRecipe)


def _paths(paths: list[Path] | None) -> list[str] | None:
    return [str(path) for path in paths] if paths else None


def _print_mix(report: MixReport, out: str) -> None:
    from evenface.console import note, warn
    from evenface.data.cells import shown

    several = len(report.sources) > 2
    columns = list(report.sources) if several else ["real", "synthetic"]
    rows = [
        (
            name,
            *(
                ("" if part.asked is None else f"{part.asked:,} asked, ")
                + f"{part.identities:,} of {part.available_identities:,}"
                f" ({part.images:,} of {part.available_images:,})"
                for part in (group.sources.values() if several else (group.real, group.synthetic))
            ),
            f"{shown(group.real_fraction_identities)} ({shown(group.real_fraction_images)})",
        )
        for name, group in report.groups.items()
    ]
    heading = " × ".join(report.group_by) or "group"
    first, *others = columns
    headings = (heading, f"{first}: identities (images) taken", *others, "real share")
    print_table(headings, rows)
    note(
        f"{out}: {report.images:,} images of {report.identities:,} identities; no image was copied"
    )
    if report.nearest:
        changes = ", ".join(
            f"{name.replace('_', ' ')} {value:,}" for name, value in report.nearest.items()
        )
        warn(f"the requested mix is impossible; this is the nearest: {changes}")
    for name, source in report.sources.items():
        for test, people in source.excluded.items():
            note(f"{name}: {len(people):,} identities left out, which are in {test}")
        for attribute, kinds in source.labels.items():
            if predicted := kinds.get("predicted"):
                note(f"{name}: '{attribute}' of {predicted:,} of its images is predicted")
    if report.prefixed:
        names = " and ".join(f"{name}:…" for name in report.sources)
        note(f"identities were renamed {names}, because sources share names")
