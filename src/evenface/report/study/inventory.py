"""Tables of what a study is made of: training sets, labels, people left out, models, stages."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from evenface.report.numbers import MISSING, count, duration, number, percent
from evenface.report.study.models import (
    model_row,
    model_sections,
)
from evenface.report.table import Cell, Column, Link, Table, TableRow, words
from evenface.study.left_out import LeftOutOf
from evenface.study.record import Model, Results, TrainingSet


def sets_table(results: Results) -> Table:
    """What the students learned from."""
    groups = list(dict.fromkeys(group for s in results.sets for group in s.groups))
    table = Table(
        "training-sets",
        "Training sets: identities and images, in all and by group.",
        [
            *words("training set"),
            Column("identities"),
            Column("images"),
            *(Column(group) for group in groups),
            *words("origin of images"),
            Column("real, % of identities"),
            Column("real, % of images"),
        ],
    )
    rows = []
    for item in results.sets:
        cells = [Cell(count(item.identities)), Cell(count(item.images))]
        for group in groups:
            size = item.groups.get(group)
            cells.append(
                Cell(count(size.identities), (f"{count(size.images)} images",))
                if size
                else Cell(MISSING)
            )
        origins = ", ".join(f"{count(n)} {origin}" for origin, n in item.origins.items())
        shares = _real_shares(results, item)
        cells += [Cell(origins or MISSING), *(Cell(percent(share, digits=1)) for share in shares)]
        rows.append(TableRow(item.name, cells, detail=item.title))
    table.sections.append(rows)
    return table


def _real_shares(results: Results, item: TrainingSet) -> tuple[float | None, float | None]:
    """Of identities and of images; in older results, which counted neither, the one asked for."""
    fraction, counted = item.real_fraction, item.real_share
    if counted is not None:
        return counted.identities, counted.images
    if fraction is None or fraction in (0, 1):
        return fraction, fraction
    sets = results.study.spec.get("training_sets")
    wanted = sets.get(item.key or item.name) if isinstance(sets, dict) else None
    by_images = isinstance(wanted, dict) and wanted.get("balance") == "images"
    return (None, fraction) if by_images else (fraction, None)


def models_table(results: Results, pages: Mapping[str, str] | None = None) -> Table:
    """Size and cost of the models.

    Args:
        results: the study.
        pages: folder of a run → its page, which the run is linked to.
    """
    macs = any(model.macs is not None for model in results.models)
    energy = any(model.energy_wh is not None for model in results.models)
    heads = len({model.head for model in results.students}) > 1
    table = Table(
        "models",
        "Models: what was trained, for how long. Time"
        f"{', energy' if energy else ''} and loss are means over seeds; the loss is "
        "that of classification alone, with the margin in it, at the last step logged.",
        [
            *words("model", "backbone"),
            *([Column("head", numeric=False)] if heads else []),
            Column("parameters"),
            *([Column("MACs an image", "macs")] if macs else []),
            Column("embedding size"),
            Column("seeds"),
            Column("optimiser steps"),
            Column("training time"),
            *([Column("energy, Wh", "energy")] if energy else []),
            Column("classification loss"),
            *([Column("runs", numeric=False)] if pages else []),
        ],
        interactive=True,
    )
    for models in model_sections(results):
        rows = []
        for model in models:
            loss = _last_classification(results, model)
            seconds = MISSING if model.seconds is None else duration(model.seconds)
            cells = [
                Cell(model.backbone or MISSING),
                *([Cell(model.head or MISSING)] if heads else []),
                Cell.count(model.parameters),
                *([Cell.count(model.macs)] if macs else []),
                Cell.count(model.embedding_size),
                Cell(str(len(model.seeds)) if model.seeds else MISSING, number=len(model.seeds)),
                Cell.count(model.steps),
                Cell(seconds, number=model.seconds),
                *([Cell(number(model.energy_wh), number=model.energy_wh)] if energy else []),
                Cell(number(loss, digits=3), number=loss),
                *([_run_links(model, pages)] if pages else []),
            ]
            rows.append(model_row(results, model, cells))
        table.sections.append(rows)
    return table


def _run_links(model: Model, pages: Mapping[str, str]) -> Cell:
    links = tuple(
        Link(f"seed {run.seed}", pages[run.run], f"{model.title}, run of seed {run.seed}")
        for run in model.runs
        if run.run in pages
    )
    return Cell("" if links else MISSING, links=links)


def failures_table(results: Results) -> Table:
    """The runs that failed, with what they said."""
    titles = {model.id: model.title for model in results.models}
    table = Table(
        "failed-runs",
        "Runs that failed: holes of this study.",
        [
            *words("model"),
            Column("seed"),
            *words("stage"),
            Column("attempts"),
            *words("message"),
        ],
    )
    rows = [
        TableRow(
            titles.get(failure.model, failure.model),
            [
                Cell(MISSING if failure.seed is None else str(failure.seed)),
                Cell(failure.stage or MISSING),
                Cell(count(failure.attempts)),
                Cell(failure.error),
            ],
        )
        for failure in results.failures
    ]
    table.sections.append(rows)
    return table


def _last_classification(results: Results, model: Model) -> float | None:
    """Mean over seeds at the last point of their curves; None where a seed has none."""
    ends = [points[-1].classification for points in results.curves.get(model.id, ()) if points]
    known = [loss for loss in ends if loss is not None]
    return fmean(known) if known and len(known) == len(ends) else None


def stages_table(results: Results) -> Table:
    """Time of each stage, with the total below."""
    total = sum(stage.seconds for stage in results.stages)
    table = Table(
        "stages",
        "Time of each stage. A reused stage was finished by an earlier call; its time is that of "
        "the call that finished it.",
        [
            *words("stage"),
            Column("time"),
            *words("share", "reused"),
        ],
    )
    table.sections = [
        [
            TableRow(
                stage.name,
                [
                    Cell(duration(stage.seconds)),
                    Cell("", bar=stage.seconds / total if total else 0.0),
                    Cell("yes" if stage.reused else ""),
                ],
            )
            for stage in results.stages
        ],
        [TableRow("total", [Cell(duration(total)), Cell(""), Cell("")])],
    ]
    return table


def labels_table(results: Results) -> Table | None:
    """What synthetic identities are labelled as, above the classifier's confusion matrix.

    None where no labels were predicted.
    """
    labels = results.labels
    if labels is None:
        return None
    held = labels.held_out
    columns = held.columns if held else [*labels.classes, "abstained"]
    of_class = {name: labels.predicted[name].identities for name in labels.predicted}
    abstained = labels.uncertain + labels.without_scores
    given = [of_class.get(name, 0) for name in columns[:-1]]
    table = Table(
        "predicted-labels",
        f"Predicted {labels.attribute} of the synthetic identities"
        + (", and what the classifier makes of labelled people it has not seen" if held else ""),
        [Column("identities", numeric=False), *(Column(f"as {name}") for name in columns)],
    )
    table.sections = [
        [TableRow("synthetic, predicted", [Cell(count(n)) for n in (*given, abstained)])]
    ]
    if held:
        table.sections.append(
            [
                TableRow(f"held out, declared {name}", [Cell(count(n)) for n in taken])
                for name, taken in held.confusion.items()
            ]
        )
    else:
        table.remarks.append(
            "The labels are those of an outside classifier; its errors are not known here"
        )
    table.remarks.append(
        f"An identity whose best score is below {labels.abstain:g} gets no label and takes no part "
        "in a mix that balances groups"
    )
    if labels.declared_identities:
        table.remarks.append(
            f"{labels.declared_identities:,} synthetic identities declare a value, which they keep"
        )
    return table


def left_out_table(results: Results) -> Table | None:
    """How many people of each group were left out, why, and how similar they are.

    None where the study did not look for them.
    """
    found = results.left_out
    if found is None:
        return None
    table = Table(
        "left-out",
        "People left out of training because a test has them",
        [
            *words("training faces"),
            *map(Column, ("identities", "left out", "by name", "people alike", "images alike")),
            Column("cosine"),
        ],
    )
    for role, of in found.faces.items():
        groups = [(group, number) for group, number in of.groups.items() if of.count(group=group)]
        rows = [_row(role, of, None, of.identities)]
        rows += [_row(f"{role}, {group}", of, group, number) for group, number in groups]
        table.sections.append(rows)
    if found.teacher is None:
        table.remarks.append("Only names were compared")
        return table
    table.remarks.append(
        f"Embeddings of {found.teacher}: one person from a cosine of {found.threshold:g} between "
        f"mean embeddings, a copy from {found.image_threshold:g} between images"
    )
    closest = [like.cosine for of in found.faces.values() for like in of.closest_kept]
    if known := [cosine for cosine in closest if cosine is not None]:
        table.remarks.append(
            f"Of those who stay, the most similar has a cosine of {max(known):.2f}"
        )
    return table


def _row(name: str, of: LeftOutOf, group: str | None, identities: int) -> TableRow:
    people = [person for person in of.people if group in (None, person.group)]
    seen = [person.cosine for person in people if person.cosine is not None]
    return TableRow(
        name,
        [
            Cell(count(identities)),
            Cell(count(len(people))),
            Cell(count(of.count(group=group, reason="name"))),
            Cell(count(of.count(group=group, reason="people alike"))),
            Cell(count(of.count(group=group, reason="images alike"))),
            Cell(f"{min(seen):.2f}–{max(seen):.2f}" if seen else MISSING),
        ],
    )
