"""evenface data: import, render, inspect and preview face data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import AsJson, GroupBy
from evenface.cli.common import names_of as _names
from evenface.cli.common import print_table as _print_table

if TYPE_CHECKING:
    from evenface.data.importing import ImportReport
    from evenface.data.inspect import Inspection


class Origin(StrEnum):
    """Whether the faces are photographs of people."""

    REAL = "real"
    SYNTHETIC = "synthetic"


class Align(StrEnum):
    """When faces are detected and aligned."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


Seed = Annotated[int, typer.Option(help="Decides every random choice.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Parallel workers; default: one for each core.")
]
Dataset = Annotated[
    Path, typer.Argument(help="A dataset folder, or a manifest file.", metavar="PATH")
]


def register(app: typer.Typer) -> None:
    """Add ``evenface data``."""
    from evenface.cli.data_groups import label, overlap
    from evenface.cli.data_mix import mix_data

    data = typer.Typer(
        help="Face data sets: import, render, inspect, label, mix.", no_args_is_help=True
    )
    data.command("import")(import_data)
    data.command("render")(render)
    data.command("inspect")(inspect_data)
    data.command("preview")(preview)
    data.command("mix")(mix_data)
    data.command("label")(label)
    data.command("overlap")(overlap)
    app.add_typer(data, name="data")


def import_data(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder [<group>/]<identity>/<image>, or one of the small sets among the "
            "assets: orl, openpeople."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Dataset folder to write.")],
    dataset: Annotated[
        str, typer.Option(help="Name of the data set; default: the name of the folder.")
    ] = "",
    origin: Annotated[
        Origin | None,
        typer.Option(help="Are these photographs of people? Taken as real unless said."),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Licence, kept with every image; default: unspecified.")
    ] = "",
    align: Annotated[
        Align | None,
        typer.Option(
            help="auto (default): 112×112 images are taken as aligned, all others are aligned; "
            "never: the whole image is resized (only for crops that are aligned already)."
        ),
    ] = None,
    group_attribute: Annotated[
        str, typer.Option(help="What the group level means, e.g. ethnicity; default: group.")
    ] = "",
    split: Annotated[str, typer.Option(help="Split that all images belong to.")] = "",
    max_bad_rate: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of unusable images to leave out and count."),
    ] = 0.0,
    workers: Workers = None,
) -> None:
    """Import face images: find, align and pack them, once.

    An interrupted import continues when the same command is given again. import-report.json in
    the folder lists what was left out and why.
    """
    from evenface.console import note
    from evenface.data.importing import import_folder
    from evenface.data.sources import SMALL_SETS
    from evenface.errors import UsageError

    if source in SMALL_SETS:
        if dataset or origin or licence or align or group_attribute:
            raise UsageError(
                f"name, origin, licence, alignment and attributes of '{source}' are known and "
                f"cannot be set. For a folder of that name, say ./{source}"
            )
        report = SMALL_SETS[source](out, split=split, max_bad_rate=max_bad_rate, workers=workers)
    else:
        folder = Path(source)
        name = dataset or folder.resolve().name
        origin = origin or Origin.REAL
        licence = licence or "unspecified"
        note(f"{folder} is taken as '{name}', origin {origin.value}, licence {licence}")
        report = import_folder(
            folder,
            out,
            dataset=name,
            origin=origin.value,
            licence=licence,
            align=(align or Align.AUTO).value,
            group_attribute=group_attribute or "group",
            split=split,
            max_bad_rate=max_bad_rate,
            workers=workers,
        )
    _print_import(report, out)


def render(
    out: Annotated[Path, typer.Argument(help="Dataset folder to write.")],
    look: Annotated[
        str,
        typer.Option(
            help="plain; camera imitates photographs; studio is held out, train nothing on it."
        ),
    ] = "plain",
    split: Annotated[str, typer.Option(help="Split that all images belong to.")] = "train",
    identities_per_group: Annotated[int, typer.Option(min=1, help="People in each group.")] = 50,
    images_per_identity: Annotated[int, typer.Option(min=1, help="Images of each person.")] = 10,
    seed: Seed = 0,
    first_identity: Annotated[
        int, typer.Option(min=0, help="Number of the first person; disjoint ranges share nobody.")
    ] = 0,
    groups: Annotated[
        str, typer.Option(metavar="A[,B…]", help="Phenotype axes; default: all.")
    ] = "",
    workers: Workers = None,
) -> None:
    """Render synthetic faces with exact labels (extra: render)."""
    from evenface.console import note
    from evenface.data.render import GROUPS, render_dataset

    folder = render_dataset(
        out,
        look=look,
        split=split,
        identities_per_group=identities_per_group,
        images_per_identity=images_per_identity,
        seed=seed,
        first_identity=first_identity,
        groups=_names(groups) or GROUPS,
        workers=workers,
    )
    note(f"look at it: evenface data preview {folder} sheet.png")


def inspect_data(
    path: Dataset,
    group_by: GroupBy = "",
    as_json: AsJson = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all images and check their checksums.")
    ] = False,
) -> None:
    """Say what a data set or manifest holds."""
    from evenface.data.inspect import inspect
    from evenface.data.manifest import Manifest

    manifest = Manifest.read(path)
    if verify:
        for store in manifest.stores.values():
            store.verify()
    inspection = inspect(manifest, _names(group_by))
    if as_json:
        typer.echo(inspection.model_dump_json(indent=2))
    else:
        _print_inspection(inspection)


def preview(
    path: Dataset,
    out: Annotated[Path, typer.Argument(help="Image file to write, e.g. sheet.png.")],
    identities: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 8,
    images: Annotated[int, typer.Option(min=1, help="Images in a row at most.")] = 8,
    seed: Seed = 0,
) -> None:
    """Draw a contact sheet: a row is one identity."""
    from PIL import Image

    from evenface.console import out as console
    from evenface.console import warn
    from evenface.data.manifest import Manifest
    from evenface.data.preview import contact_sheet
    from evenface.errors import UsageError
    from evenface.files import atomic_path

    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"{out}: name a .png, .jpg or .webp file")
    drawn = contact_sheet(Manifest.read(path), identities=identities, images=images, seed=seed)
    with atomic_path(out) as temporary:
        Image.fromarray(drawn.sheet).save(temporary)
    for number, (group, identity, count) in enumerate(drawn.rows, start=1):
        console().print(
            f"row {number}: {identity} ({group}), {count} images", markup=False, highlight=False
        )
    people = "identity" if len(drawn.rows) == 1 else "identities"
    console().print(f"{out}: {len(drawn.rows)} {people}", markup=False, highlight=False)
    if drawn.shows_real_people:
        warn("the sheet shows photographs of real people: do not publish it without their consent")


def _print_import(report: ImportReport, out: Path) -> None:
    from evenface.console import note

    rows = [
        (name, f"{count.identities:,}", f"{count.images:,}")
        for name, count in report.groups.items()
    ]
    _print_table(("group", "identities", "images"), rows)
    remarks = [f"{count:,} images: {what}" for what, count in report.noticed.items() if count]
    for names, what in (
        (report.identities_with_one_image, "have a single image"),
        (report.identities_lost, "have no usable image and are left out"),
    ):
        if names:
            remarks.append(f"{len(names):,} identities {what}, e.g. {names[0]!r}")
    if report.problems:
        remarks.append(f"{len(report.problems):,} image files left out, listed in the report")
    for remark in remarks:
        note(remark)
    note(f"{out}: {report.images:,} images of {report.identities:,} identities")


def _print_inspection(found: Inspection) -> None:
    each = found.images_per_identity
    facts = [
        ("images", f"{found.images:,}"),
        ("identities", f"{found.identities:,}"),
        (
            "images per identity",
            f"min {each.min}, median {each.median:g}, mean {each.mean:.1f}, max {each.max}",
        ),
        ("identities with one image", f"{found.identities_with_one_image:,}"),
        ("origins", _listed(found.origins)),
        ("data sets", _listed(found.datasets)),
        ("licences", _listed(found.licences)),
        ("splits", _listed({name or "(none)": n for name, n in found.splits.items()})),
        ("notes", _listed(found.notes) or "none"),
    ]
    for name, summary in found.attributes.items():
        sources = ", ".join(summary.sources)
        missing = summary.images_without_value
        gap = f", {missing:,} images without" if missing else ""
        facts.append((f"attribute {name}", f"{len(summary.values)} values, {sources}{gap}"))
    for store in found.stores:
        facts.append(("store", f"{store.path} ({store.images:,} images)"))
    _print_table(("", ""), facts)
    rows = [
        (name, f"{count.identities:,}", f"{count.images:,}") for name, count in found.groups.items()
    ]
    _print_table((" × ".join(found.group_by) or "group", "identities", "images"), rows)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
