"""evenface data label and evenface data overlap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.common import AsJson, print_table

if TYPE_CHECKING:
    from evenface.data.labels import LabelReport
    from evenface.data.overlap import OverlapReport

_MANY_ALIKE = 0.25
"""Share of similar people above which the teacher is more likely to be at fault than the sets."""

Embeddings = Annotated[
    list[Path] | None,
    typer.Option(
        help="Embedding cache of either set ('evenface teacher embed'); give one for each."
    ),
]


def label(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Data set folder or manifest to label.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; images are not copied.")],
    attribute: Annotated[
        str, typer.Option(help="The attribute that is predicted, e.g. ethnicity.")
    ] = "ethnicity",
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the scores of an outside classifier for each image: columns path (or "
            "identity) and one for each class; or, without a header, Caucasian, Asian, Indian, "
            "African, other, path."
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Labelled data set that a classifier is trained on."),
    ] = None,
    embeddings: Embeddings = None,
    abstain: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Leave identities with a lower best score unlabelled."),
    ] = 0.6,
    images: Annotated[int, typer.Option(min=1, help="Most images per identity to train on.")] = 10,
    min_cell: Annotated[
        int, typer.Option(min=0, help="Report no rate over fewer held-out identities.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the choice of held-out identities.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Predict an attribute: from an outside classifier's scores, or from teacher embeddings.

    Each identity gets the class with the best mean score over its images, or none where that is
    below --abstain. Declared values stay as they are; what is predicted is marked so everywhere.
    """
    from evenface.data.labels import label_dataset

    report = label_dataset(
        dataset,
        out,
        attribute=attribute,
        predictions=predictions,
        train=train,
        embeddings=embeddings or (),
        abstain=abstain,
        max_images=images,
        min_cell=min_cell,
        seed=seed,
    )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print_labels(report, out)


def overlap(
    train: Annotated[Path, typer.Argument(help="Training set: folder or manifest.")],
    test: Annotated[Path, typer.Argument(help="Test set: folder or manifest.")],
    embeddings: Embeddings = None,
    threshold: Annotated[
        float,
        typer.Option(
            min=-1.0,
            max=1.0,
            help="Cosine of mean embeddings at or above which two people are the same.",
        ),
    ] = 0.6,
    image_threshold: Annotated[
        float,
        typer.Option(
            min=-1.0, max=1.0, help="Cosine at or above which an image is a copy of another."
        ),
    ] = 0.95,
    report_path: Annotated[
        Path | None, typer.Option("--report", help="JSON file for all findings.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the training set without those people.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the people that a training and a test set share: by name, and by likeness."""
    from evenface.console import note, warn
    from evenface.data.embedded import match_caches
    from evenface.data.manifest import MANIFEST_NAME, Manifest
    from evenface.data.overlap import find_overlap, rows_without
    from evenface.errors import DataError, UsageError
    from evenface.files import write_json

    if report_path is not None and report_path.suffix.lower() != ".json":
        raise UsageError(f"{report_path}: name a .json file for the report")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: holds something already. Choose a new folder")
    sets = Manifest.read(train), Manifest.read(test)
    first, second = match_caches(sets, embeddings or ())
    if (first is None) != (second is None):
        lacking = test if second is None else train
        raise UsageError(f"{lacking}: give its embedding cache too, or compare by name only")
    pair = (first, second) if first is not None and second is not None else None
    found = find_overlap(
        *sets, embeddings=pair, threshold=threshold, image_threshold=image_threshold
    )
    if report_path is not None:
        write_json(report_path, found.model_dump())
    if out is not None:
        rows = rows_without(sets[0], found.remove)
        if not len(rows):
            raise UsageError(f"{train}: every identity is in {test}; nothing would be left")
        sets[0].select(rows).write(out / MANIFEST_NAME)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    _print_overlap(found)
    if pair is None:
        warn("only names were compared; to compare faces too, give --embeddings of both sets")
    if out is not None:
        note(
            f"{out}: {found.train.images - found.images_to_remove:,} images of "
            f"{found.train.identities - len(found.remove):,} identities; no image was copied"
        )


def _print_overlap(found: OverlapReport) -> None:
    from evenface.console import note, warn

    rows: list[tuple[str, ...]]
    rows = [(n.identity, n.match, n.test_identity, f"{n.images:,}", "") for n in found.names]
    rows += [
        (p.identity, "people alike", p.test_identity, f"{p.images:,}", f"{p.cosine:.3f}")
        for p in found.people
    ]
    copies: dict[tuple[str, str], list[float]] = {}
    for image in found.images:
        copies.setdefault((image.identity, image.test_identity), []).append(image.cosine)
    rows += [
        (pair[0], "images alike", pair[1], f"{len(cosines):,}", f"{max(cosines):.3f}")
        for pair, cosines in copies.items()
    ]
    if rows:
        print_table(("training identity", "by", "test identity", "images", "cosine"), rows)
    if found.closest_kept:
        pair = found.closest_kept[0]
        note(
            f"the most similar people below {found.threshold}: {pair.identity} and "
            f"{pair.test_identity}, cosine {pair.cosine:.3f}"
        )
    note(
        f"{len(found.remove):,} of {found.train.identities:,} training identities are in the test "
        f"set, with {found.images_to_remove:,} of {found.train.images:,} images"
    )
    if (alike := len(found.people)) > _MANY_ALIKE * found.train.identities:
        warn(
            f"{alike:,} of them are matched only by the teacher, at a cosine of at least "
            f"{found.threshold}. So many suggest that it separates these faces badly: look at some "
            "pairs, and raise --threshold (overlap_threshold of a mix)"
        )


def _print_labels(report: LabelReport, out: Path) -> None:
    from evenface.console import note, warn
    from evenface.data.cells import shown

    rows = [
        (name, f"{count.identities:,}", f"{count.images:,}")
        for name, count in report.predicted.items()
    ]
    print_table((f"{report.attribute} (predicted)", "identities", "images"), rows)
    if held := report.held_out:
        headings = ("held out: true", *(f"as {name}" for name in held.columns), "recall")
        table = [
            (name, *(f"{count:,}" for count in counts), shown(held.recall[name]))
            for name, counts in held.confusion.items()
        ]
        print_table(headings, table)
        note(
            f"calibration error on {held.identities:,} held-out identities: "
            f"{shown(held.calibration_error, '.3f')}; right among those that got a label: "
            f"{shown(held.accuracy_decided)}"
        )
    if report.unmatched:
        warn(f"{len(report.unmatched):,} names of the predictions are not in the data set")
    if report.without_scores:
        warn(f"{len(report.without_scores):,} identities have no scores and stay unlabelled")
    note(
        f"{out}: {len(report.uncertain):,} identities are too uncertain and stay unlabelled; "
        "predicted values are marked, and labels.parquet lists them"
    )
