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
    from evenface.data.inspect import Crossing, Inspection


class Origin(StrEnum):
    """Whether the faces are photographs of people."""

    REAL = "real"
    SYNTHETIC = "synthetic"


class Align(StrEnum):
    """When faces are detected and aligned."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class FaceRule(StrEnum):
    """Which of several faces of an image is taken."""

    LARGEST = "largest"
    CENTRAL = "central"


class Duplicates(StrEnum):
    """What becomes of image files with the same bytes."""

    KEEP = "keep"
    DROP = "drop"


Seed = Annotated[int, typer.Option(help="Decides every random choice.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Parallel workers; default: one for each core.")
]
Dataset = Annotated[
    Path, typer.Argument(help="A dataset folder, or a manifest file.", metavar="PATH")
]


def register(app: typer.Typer) -> None:
    """Add ``evenface data``."""
    from evenface.cli.data_export import export_data
    from evenface.cli.data_groups import label, overlap
    from evenface.cli.data_mix import mix_data
    from evenface.cli.verification_set import verification_set

    data = typer.Typer(
        help="Face data sets: import, render, inspect, label, mix, export.", no_args_is_help=True
    )
    data.command("import")(import_data)
    data.command("render")(render)
    data.command("inspect")(inspect_data)
    data.command("preview")(preview)
    data.command("mix")(mix_data)
    data.command("label")(label)
    data.command("overlap")(overlap)
    data.command("export")(export_data)
    data.command("verification-set")(verification_set)
    app.add_typer(data, name="data")


def import_data(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder [<group>/]<identity>/<image>, a table of paths (.csv, .tsv, .parquet), "
            "tar shards, Parquet with images, train.rec of insightface, FHIBE's unpacked release, "
            "or one of the small sets among the assets: orl, openpeople."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Dataset folder to write.")],
    dataset: Annotated[
        str, typer.Option(help="Name of the data set; default: the folder's name.")
    ] = "",
    origin: Annotated[
        Origin | None,
        typer.Option(
            help="real: photographs of people (default); synthetic: generated or rendered."
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Licence, kept with every image; default: unspecified.")
    ] = "",
    align: Annotated[
        Align | None,
        typer.Option(
            help="auto (default): align all images but those of 112×112 pixels, which are assumed"
            " aligned; never: resize the whole image (for crops that are already aligned)."
        ),
    ] = None,
    face: Annotated[
        FaceRule | None,
        typer.Option(
            help="Which face to take where an image has several: central (default; for sets of "
            "loose crops) or largest."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help="Format of the source: agedb, bupt, digiface, fairface, fhibe, folder, images, "
            "list, lmdb, parquet, recordio, sfhq, table or webdataset; "
            "default: detected from the path."
        ),
    ] = "",
    group_attribute: Annotated[
        str,
        typer.Option(
            help="What the group level means, e.g. ethnicity; default: group (of BUPT: ethnicity)."
        ),
    ] = "",
    identity: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column or key that names the person; default: identity, person, subject, label "
            "or class. 'none' takes images without identity, of a folder at any depth.",
        ),
    ] = "",
    identity_from: Annotated[
        str,
        typer.Option(
            metavar="REGEX",
            help="Regular expression that finds the person in an image's path below the folder: "
            "its group 'identity', else its first group, else the whole match.",
        ),
    ] = "",
    attributes: Annotated[
        str,
        typer.Option(
            metavar="A[,B…]",
            help="Columns or keys to take as attributes; default: all of text or whole numbers, "
            "except measurements such as scores and ages.",
        ),
    ] = "",
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that a table's paths are relative to and must lie in; default: the "
            "table's own."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of images that have none in the source.")] = "",
    duplicates: Annotated[
        Duplicates | None,
        typer.Option(
            help="How to handle files with the same bytes. keep (default): keep them, and count "
            "them as bad if their identities differ; drop: keep one if they have one "
            "identity, none if they have several."
        ),
    ] = None,
    max_bad_rate: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Largest tolerated share of bad images, which are left out and counted.",
        ),
    ] = 0.0,
    workers: Workers = None,
) -> None:
    """Import face images: find, align and pack them, once.

    An interrupted import continues when the same command is given again. import-report.json in
    the folder lists what was left out and why.
    """
    from evenface.console import note
    from evenface.data.formats import ReadOptions
    from evenface.data.importing import import_dataset
    from evenface.data.sources import SMALL_SETS
    from evenface.errors import UsageError

    read = ReadOptions(
        group_attribute, identity, _names(attributes), root, identity_from=identity_from
    )
    if source in SMALL_SETS:
        if (
            dataset
            or origin
            or licence
            or align
            or face
            or duplicates
            or format
            or read != ReadOptions()
        ):
            raise UsageError(
                f"name, origin, licence, format, alignment, face, duplicates and attributes of "
                f"'{source}' are fixed and cannot be set. For a folder of that name, write "
                f"./{source}"
            )
        report = SMALL_SETS[source](out, split=split, max_bad_rate=max_bad_rate, workers=workers)
    else:
        path = Path(source)
        name = dataset or (path.resolve().name if path.is_dir() else path.stem)
        origin = origin or Origin.REAL
        licence = licence or "unspecified"
        note(f"{path} is taken as '{name}', origin {origin.value}, licence {licence}")
        report = import_dataset(
            path,
            out,
            dataset=name,
            origin=origin.value,
            licence=licence,
            format=format,
            read=read,
            align=(align or Align.AUTO).value,
            face=(face or FaceRule.CENTRAL).value,
            duplicates=(duplicates or Duplicates.KEEP).value,
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
            help="plain; camera, which imitates photographs; or studio, which is for tests only."
        ),
    ] = "plain",
    split: Annotated[str, typer.Option(help="Split to put all images in.")] = "train",
    identities_per_group: Annotated[int, typer.Option(min=1, help="People in each group.")] = 50,
    images_per_identity: Annotated[int, typer.Option(min=1, help="Images of each person.")] = 10,
    seed: Seed = 0,
    first_identity: Annotated[
        int,
        typer.Option(
            min=0, help="Number of the first person. Renders with disjoint ranges share no people."
        ),
    ] = 0,
    groups: Annotated[
        str, typer.Option(metavar="A[,B…]", help="Phenotype axes; default: all.")
    ] = "",
    workers: Workers = None,
) -> None:
    """Render synthetic faces with exact labels (extra: render)."""
    from evenface.console import note
    from evenface.render import GROUPS, render_dataset

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
    min_cell: Annotated[
        int, typer.Option(min=0, help="Report no share of cells with fewer identities.")
    ] = 10,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a page with contact sheets (extra: report)."),
    ] = None,
    faces: Annotated[
        bool,
        typer.Option("--faces", help="Allow photographs of real people on the page."),
    ] = False,
    seed: Seed = 0,
) -> None:
    """Summarise a data set or manifest."""
    from evenface.console import note, warn
    from evenface.data.inspect import inspect
    from evenface.data.manifest import Manifest

    manifest = Manifest.read(path)
    if verify:
        for store in manifest.stores.values():
            store.verify()
    inspection = inspect(manifest, _names(group_by), min_cell=min_cell)
    if html:
        from evenface.report.dataset import write_dataset_page

        title = (path if path.is_dir() else path.parent).resolve().name
        write_dataset_page(manifest, inspection, html, title=title, show_real=faces, seed=seed)
        note(f"{html}: written")
        if faces and inspection.origins.get("real"):
            warn("the page shows photographs of real people: do not publish it without consent")
    if as_json:
        typer.echo(inspection.model_dump_json(indent=2))
    else:
        _print_inspection(inspection)


def preview(
    path: Dataset,
    out: Annotated[Path, typer.Argument(help="Image file to write, e.g. sheet.png.")],
    identities: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 8,
    images: Annotated[int, typer.Option(min=1, help="Most images per row.")] = 8,
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
    if report.without_identity:
        remarks.append(f"{report.without_identity:,} images have no identity")
    same = report.duplicates
    if same.listed:
        remarks.append(
            f"{len(same.listed):,} image files equal an earlier one, "
            f"{same.across_identities:,} of them of another identity; "
            + (f"{same.images_dropped:,} images left out" if same.images_dropped else "kept")
        )
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
        *(
            [("images without identity", f"{found.without_identity:,}, one person each")]
            if found.without_identity
            else []
        ),
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
        size = f"{store.images:,} images, {store.bytes / 2**20:,.1f} MiB"
        facts.append(("store", f"{store.path} ({size})"))
        if sizes := store.source_sizes:
            side = sizes.shorter_side
            text = f"shorter side {side['min']:.0f} to {side['max']:.0f} pixels, median "
            facts.append(("image files", f"{text}{side['median']:.0f}; {_listed(sizes.common)}"))
    _print_table(("", ""), facts)
    for crossing in found.crossings:
        _print_crossing(crossing, found)
    most = max(item.identities for item in found.histogram)
    bars = [
        (
            f"{item.low:,}" if item.low == item.high else f"{item.low:,}–{item.high:,}",
            f"{item.identities:,}",
            "█" * round(30 * item.identities / most),
        )
        for item in found.histogram
    ]
    _print_table(("images per identity", "identities", ""), bars)


def _print_crossing(crossing: Crossing, found: Inspection) -> None:
    from evenface.data.cells import shown

    rows = [
        (
            name,
            f"{cell.identities:,}",
            shown(cell.share_of_identities),
            f"{cell.images:,}",
            shown(cell.share_of_images),
        )
        for name, cell in crossing.cells.items()
    ]
    names = [found.attributes[name].named(name) for name in crossing.attributes]
    heading = " × ".join(names) or "group"
    _print_table((heading, "identities", "share", "images", "share"), rows)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
