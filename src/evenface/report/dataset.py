"""One self-contained HTML page on what a data set holds (extra ``report``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evenface.data.cells import TooSmall, shown
from evenface.data.inspect import Bin, Crossing, Inspection
from evenface.data.manifest import Manifest
from evenface.data.preview import contact_sheet
from evenface.files import write_text
from evenface.report.drawings.svg import draw, series_colour
from evenface.report.figure import Figure, Panel
from evenface.report.page import render_template
from evenface.report.samples import Sample, sample
from evenface.report.table import Cell, Column, Table, TableRow, words
from evenface.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHEETS = 12  # groups that get a contact sheet
_ROWS, _COLUMNS = 6, 7
_WIDTH, _BAR_HEIGHT, _HEIGHT = 400, 18, 56


@dataclass(frozen=True)
class _Sheets:
    """The contact sheets, and what they leave out."""

    samples: list[Sample]
    shows_real: bool
    groups_left_out: int


def write_dataset_page(
    manifest: Manifest,
    inspection: Inspection,
    out: Path,
    *,
    title: str,
    show_real: bool = False,
    seed: int = 0,
) -> Path:
    """Write what a data set holds as one self-contained HTML file, atomically.

    The page makes no request and needs no script. It says first what is simulated, and whether it
    shows photographs of people.

    Args:
        manifest: the data set.
        inspection: what :func:`evenface.data.inspect.inspect` found in it.
        out: the HTML file.
        title: name of the data set.
        show_real: whether contact sheets may show photographs of real people; synthetic faces are
            always shown.
        seed: decides whom the contact sheets show.

    Returns:
        ``out``.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed.
    """
    sheets = _sheets(manifest, inspection, show_real, seed)
    context = {
        "version": __version__,
        "title": title,
        "found": inspection,
        "real": inspection.origins.get("real", 0),
        "synthetic": inspection.origins.get("synthetic", 0),
        "predicted": [
            name for name, about in inspection.attributes.items() if about.sources.get("predicted")
        ],
        "crossings": [
            _crossing_table(number, crossing, inspection)
            for number, crossing in enumerate(inspection.crossings)
        ],
        "histogram": _histogram(inspection),
        "origins": _origin_table(inspection),
        "sheets": sheets,
        "mebibytes": lambda size: f"{size / 2**20:,.1f} MiB",
    }
    write_text(out, render_template("dataset.html.j2", context))
    return out


def _sheets(manifest: Manifest, inspection: Inspection, show_real: bool, seed: int) -> _Sheets:
    """A sheet for each group, of synthetic faces only unless real ones may be shown."""
    if not show_real:
        manifest = manifest.where(origin="synthetic")
    groups = manifest.groups(inspection.group_by)
    names = [str(name) for name in np.unique(groups)]
    samples, real = [], False
    for name in names[:_SHEETS]:
        drawn = contact_sheet(
            manifest.select(groups == name), identities=_ROWS, images=_COLUMNS, seed=seed
        )
        real |= drawn.shows_real_people
        samples.append(sample(name, Image.fromarray(drawn.sheet)))
    return _Sheets(samples, real, max(0, len(names) - _SHEETS))


def _crossing_table(number: int, crossing: Crossing, found: Inspection) -> Table:
    names = " × ".join(found.attributes[name].named(name) for name in crossing.attributes)
    table = Table(
        f"crossing-{number}",
        f"Identities and images by {names}" if names else "Identities and images",
        [
            Column(names or "group", numeric=False),
            Column("identities"),
            Column("share of identities"),
            *words(""),
            Column("images"),
            Column("share of images"),
        ],
    )
    most = max(cell.identities for cell in crossing.cells.values())
    rows = [
        TableRow(
            name,
            [
                Cell(f"{cell.identities:,}"),
                _share(cell.share_of_identities),
                Cell("", bar=cell.identities / most),
                Cell(f"{cell.images:,}"),
                _share(cell.share_of_images),
            ],
        )
        for name, cell in crossing.cells.items()
    ]
    table.sections.append(rows)
    if any(isinstance(cell.share_of_images, str) for cell in crossing.cells.values()):
        table.remarks.append(
            f"Too small: fewer than {found.min_cell:,} identities, which bear no rate"
        )
    return table


def _share(share: float | TooSmall) -> Cell:
    return Cell(shown(share, ".1%").replace("%", " %"))


def _origin_table(found: Inspection) -> Table:
    table = Table(
        "origins",
        "Images by origin, data set, licence, split and note",
        [Column("", numeric=False), Column("value", numeric=False), Column("images")],
    )
    for header, counts in (
        ("origin", found.origins),
        ("data set", found.datasets),
        ("licence", found.licences),
        ("split", found.splits),
        ("note", found.notes),
    ):
        rows = [
            TableRow(
                header,
                [Cell(name or "(none)"), Cell(f"{count:,}")],
                span=0 if place else len(counts),
            )
            for place, (name, count) in enumerate(counts.items())
        ]
        if rows:
            table.sections.append(rows)
    return table


def _histogram(found: Inspection) -> Figure:
    spread = found.images_per_identity
    chart = Figure(
        "histogram",
        f"Images per identity: {spread.min:,} to {spread.max:,}, median {spread.median:g}, mean "
        f"{spread.mean:.1f}. Bars give the number of identities; the ranges are not of equal width "
        "where the numbers are spread widely.",
        "There are no identities.",
    )
    said = ", ".join(f"{_label(item)}: {item.identities:,}" for item in found.histogram)
    drawing = draw(
        "images-per-identity",
        f"Identities by their number of images. {said}.",
        lambda axes: _bars(axes, found.histogram),
        size=(_WIDTH, _HEIGHT + _BAR_HEIGHT * len(found.histogram)),
        margins=(80, 70, 10, 40),
    )
    chart.panels.append(Panel("", drawing))
    return chart


def _bars(axes: Axes, bins: list[Bin]) -> None:
    places = range(len(bins))
    axes.barh(places, [item.identities for item in bins], height=0.8, color=series_colour(0))
    for place, item in zip(places, bins, strict=True):
        axes.annotate(
            f"{item.identities:,}",
            (item.identities, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(places, [_label(item) for item in bins])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel("identities")
    axes.set_ylabel("images")


def _label(item: Bin) -> str:
    return f"{item.low:,}" if item.low == item.high else f"{item.low:,}–{item.high:,}"
