"""`evenface compare`: models side by side, from their evaluations; `evenface report` anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenface.cli.audit_output import report_audit
from evenface.cli.evaluate import SIMULATED_SEARCH

if TYPE_CHECKING:
    from evenface.evaluate.results import Evaluation
    from evenface.report.audit.results import Audit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare)
    app.command("report")(report)


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B...",
            help="Folders that 'evenface evaluate --out' wrote: of one evaluation each, or of all "
            "evaluations of a model. The others are compared with the first.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report: page, tables (Markdown, CSV, LaTeX), plots."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
) -> None:
    """Compare models on the same pairs: paired tests, group by group and over groups.

    "Not distinguishable" is an answer. Differences are the later model minus the first.
    """
    import json as json_format

    from evenface.errors import UsageError
    from evenface.report.audit import collect_audit

    if len(folders) < 2:
        raise UsageError("give at least two folders of evaluations")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("a folder is given twice")
    found = {folder: read_evaluations(folder) for folder in folders}
    names = model_names(found)
    _refuse_different_pairs(found)
    ordered = [
        (names[folder], evaluations[protocol])
        for protocol in found[folders[0]]
        for folder, evaluations in found.items()
    ]
    try:
        audit = collect_audit(ordered, strict=True)
    except ValueError as error:
        raise UsageError(
            f"not comparable: {error}. Evaluate all models with the same --seed and --replicates, "
            "at least one"
        ) from None
    if out is not None:
        report_audit(audit, out)
    if json:
        records = [compared.model_dump(mode="json") for compared in audit.comparisons]
        typer.echo(json_format.dumps(records, ensure_ascii=False, allow_nan=False))
    else:
        _show(audit)


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of an audit.")],
) -> None:
    """Build the report of an audit anew from its results.json."""
    from evenface.console import out as stdout
    from evenface.evaluate.times import read_times
    from evenface.report.audit import Audit, write_audit
    from evenface.report.audit.results import RESULTS_FILE

    page = write_audit(Audit.read(folder / RESULTS_FILE), folder, read_times(folder))
    stdout().print(f"Report: {page}", highlight=False, markup=False)


def read_evaluations(folder: Path) -> dict[str, Evaluation]:
    """Evaluations in a folder, or in its folders, by the fingerprint of their protocol.

    Raises:
        DataError: there are none, one is damaged, or two are of the same pairs.
    """
    from evenface.errors import DataError
    from evenface.evaluate.results import EVALUATION_FILE, Evaluation

    if (folder / EVALUATION_FILE).exists():
        places = [folder]
    else:
        places = sorted(path.parent for path in folder.glob(f"*/{EVALUATION_FILE}"))
    if not places:
        raise DataError(
            f"{folder}: no evaluation of pairs is here ({EVALUATION_FILE}); make one with "
            f"'evenface evaluate MODEL DATASET --out {folder}'"
        )
    found: dict[str, Evaluation] = {}
    for place in places:
        evaluation = Evaluation.read(place)
        if evaluation.protocol.fingerprint in found:
            raise DataError(
                f"{folder} holds two evaluations on the same pairs; give the folders one by one"
            )
        found[evaluation.protocol.fingerprint] = evaluation
    return found


def model_names(found: dict[Path, dict[str, Evaluation]]) -> dict[Path, str]:
    """What each folder's model is called; by its path where two are called alike."""
    names = {
        folder: next(iter(evaluations.values())).model or folder.name
        for folder, evaluations in found.items()
    }
    times = Counter(names.values())
    return {f: name if times[name] == 1 else f"{name} ({f})" for f, name in names.items()}


def _refuse_different_pairs(found: dict[Path, dict[str, Evaluation]]) -> None:
    from evenface.errors import UsageError

    (first, expected), *others = found.items()
    for folder, evaluations in others:
        for one, other, where in ((expected, evaluations, first), (evaluations, expected, folder)):
            for fingerprint, evaluation in one.items():
                if fingerprint not in other:
                    raise UsageError(
                        f"{first} and {folder} are not of the same pairs: only {where} has those "
                        f"of {evaluation.protocol.name} (fingerprint {fingerprint[:12]}…). "
                        "Evaluate both with the same protocol, options and --seed"
                    )


def _show(audit: Audit) -> None:
    from evenface.console import out as stdout
    from evenface.report.audit.answers import answers
    from evenface.report.audit.chapter import chapters
    from evenface.report.audit.comparisons import difference_table, overall_difference_table
    from evenface.report.formats.terminal import terminal_table

    console = stdout()
    for chapter in chapters(audit):
        if chapter.simulated:
            console.print(SIMULATED_SEARCH, style="bold", highlight=False)
        for answer in answers(chapter)[: len(chapter.comparisons)]:
            said = " ".join([answer.question, answer.answer, *answer.more])
            console.print(said, markup=False, highlight=False)
        for position, compared in enumerate(chapter.comparisons):
            for table in (
                overall_difference_table(chapter, compared, position),
                difference_table(chapter, compared, position, brief=True),
            ):
                console.print(terminal_table(table))
                for remark in (*table.remarks, *table.notes):
                    console.print(f"• {remark}", markup=False, highlight=False)
