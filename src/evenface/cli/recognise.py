"""evenface verify, embed, identify: a model in use. They run in the base install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evenface.recogniser import Recogniser
    from evenface.teachers.record import AuditedThreshold

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="ONNX file, run folder, small, small-int8, sface or study. Default: sface where it "
        "has been fetched, else small.",
        metavar="MODEL",
        show_default=False,
    ),
]
Fmr = Annotated[
    float | None,
    typer.Option(
        "--fmr",
        help="False match rate to decide at, such as 1e-4. Default: 1e-3, or that of the model's "
        "audit.",
        show_default=False,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Decide at this cosine instead of --fmr.", show_default=False),
]
ThresholdFrom = Annotated[
    Path | None,
    typer.Option(
        "--threshold-from",
        help="Take the threshold from an audit of this model: a folder that evenface evaluate "
        "--out wrote.",
        metavar="AUDIT",
        show_default=False,
    ),
]
ExitCode = Annotated[
    bool,
    typer.Option(
        "--exit-code", help="Exit with 0 for a match and 3 for none (1 and 2 are errors)."
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out photographs that cannot be embedded.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NO_MATCH = 3
"""Exit code of --exit-code where there is no match."""


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command("verify")(verify)
    app.command("embed")(embed)
    app.command("identify")(identify)


def verify(
    first: Annotated[Path, typer.Argument(help="Photograph of one person.")],
    second: Annotated[Path, typer.Argument(help="Photograph to compare it with.")],
    model: Model = None,
    fmr: Fmr = None,
    threshold: Threshold = None,
    threshold_from: ThresholdFrom = None,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
) -> None:
    """Compare the faces of two photographs: score, decision, and error rates by group."""
    from dataclasses import asdict

    recogniser = _load(model, fmr, threshold, threshold_from, exit_code)
    found = recogniser.verify(first, second)
    decides_by = recogniser.decides_by
    if as_json:
        _print_json(recogniser, asdict(found))
    else:
        lines = [str(recogniser.about)]
        if decides_by is None:
            lines += [
                f"cosine {found.score:.4f}: no decision, because no threshold is known",
                "Give --threshold or --threshold-from, or export the model with --audit",
            ]
        else:
            decision = "match" if found.match else "no match"
            lines.append(f"cosine {found.score:.4f}: {decision} ({decides_by})")
        lines += [f"• {remark}" for remark in found.remarks]
        if recogniser.operating_point is not None:
            lines += _rates(recogniser.operating_point)
        _print(lines)
    if exit_code and not found.match:
        raise typer.Exit(NO_MATCH)


def embed(
    folder: Annotated[Path, typer.Argument(help="Photographs, or a folder of them (recursive).")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .parquet.")],
    model: Model = None,
    skip_bad: SkipBad = False,
) -> None:
    """Embed every photograph of a folder: a table of file, embedding and remarks.

    The table names the model; identify takes it as --gallery.
    """
    from evenface.console import note
    from evenface.embedding_table import SUFFIX, embed_folder
    from evenface.errors import UsageError
    from evenface.recogniser import Recogniser

    if out.suffix != SUFFIX:
        raise UsageError(f"{out}: name a {SUFFIX} file")
    recogniser = Recogniser.load(model)
    note(str(recogniser.about))
    done = embed_folder(recogniser, folder, out, skip_bad=skip_bad)
    say_skipped(done.skipped)
    more = f", {len(done.skipped):,} left out" if done.skipped else ""
    note(f"{out}: {done.images:,} embeddings{more}")


def identify(
    probe: Annotated[Path, typer.Argument(help="Photograph of the person to search for.")],
    gallery: Annotated[
        Path,
        typer.Option(
            help="Folder <person>/<photograph>, or photographs named after people; or the table "
            "that evenface embed or evenface gallery add made of it."
        ),
    ],
    model: Model = None,
    fmr: Fmr = None,
    threshold: Threshold = None,
    threshold_from: ThresholdFrom = None,
    rank: Annotated[int, typer.Option(min=1, help="Number of people to list.")] = 5,
    skip_bad: SkipBad = False,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
) -> None:
    """Find the people of a gallery who are most similar to the person in a photograph."""
    from dataclasses import asdict

    from evenface.embedding_table import rank_gallery

    recogniser = _load(model, fmr, threshold, threshold_from, exit_code)
    ranking = rank_gallery(recogniser, probe, gallery, skip_bad=skip_bad)
    candidates = ranking.candidates[:rank]
    cut = recogniser.threshold
    if as_json:
        people = [
            {**asdict(c), "match": None if cut is None else c.score >= cut} for c in candidates
        ]
        skipped = [{"file": file, "reason": reason} for file, reason in ranking.skipped]
        _print_json(recogniser, {"threshold": cut, "candidates": people, "skipped": skipped})
    else:
        say_skipped(ranking.skipped)
        lines = [str(recogniser.about)]
        for place, candidate in enumerate(candidates, start=1):
            decision = ""
            if cut is not None:
                decision = ": match" if candidate.score >= cut else ": no match"
            lines.append(f"{place}. {candidate.person}: cosine {candidate.score:.4f}{decision}")
        if cut is None:
            lines.append("no threshold is known: the first may still be a stranger")
        else:
            lines += [
                str(recogniser.decides_by),
                "These rates are those of one comparison; a larger gallery gives more false "
                "matches.",
            ]
        _print(lines)
    if exit_code and cut is not None and candidates[0].score < cut:
        raise typer.Exit(NO_MATCH)


def _load(
    model: str | None,
    fmr: float | None,
    threshold: float | None,
    threshold_from: Path | None,
    exit_code: bool,
) -> Recogniser:
    from evenface.errors import UsageError
    from evenface.recogniser import Recogniser

    recogniser = Recogniser.load(model, fmr=fmr, threshold=threshold, audit=threshold_from)
    if exit_code and recogniser.decides_by is None:
        raise UsageError(
            f"--exit-code needs a decision, but no threshold of {recogniser.model.name} is known. "
            "Give --threshold or --threshold-from"
        )
    return recogniser


def _print(lines: Sequence[str]) -> None:
    from evenface.console import out

    for line in lines:
        out().print(line, markup=False, highlight=False)


def _print_json(recogniser: Recogniser, found: dict[str, Any]) -> None:
    import json

    decides_by = recogniser.decides_by
    point = recogniser.operating_point
    record = {
        "model": recogniser.about.as_dict(),
        **found,
        "basis": decides_by.basis if decides_by else None,
        "fmr": decides_by.fmr if decides_by else None,
        "decided_by": str(decides_by) if decides_by else None,
        "operating_point": point.model_dump(mode="json") if point else None,
    }
    typer.echo(json.dumps(record, allow_nan=False))


def say_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Name the files that were left out, the first ten with the reason."""
    from evenface.console import warn

    for _, reason in skipped[:10]:
        warn(f"left out: {reason}")
    if len(skipped) > 10:
        warn(f"left out: {len(skipped) - 10:,} more")


def _rates(audit: AuditedThreshold) -> list[str]:
    lines = [f"on {audit.protocol}:"]
    if audit.simulated:
        lines = [f"SIMULATED: on {audit.protocol}; these rates say nothing about real people"]
    for group in audit.fmr:
        rates = [audit.fmr[group].value, audit.fnmr[group].value]
        false, missed = ("–" if r is None else f"{100 * r:.2f} %" for r in rates)
        lines.append(f"  {group}: {false} false matches, {missed} false non-matches")
    return lines
