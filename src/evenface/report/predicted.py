"""The table of group labels that a study predicted, with the classifier's confusion matrix."""

from __future__ import annotations

from evenface.report.numbers import count
from evenface.report.table import Cell, Column, Table, TableRow
from evenface.study.record import Results


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
