"""evenface verify, embed, identify: a model in use. They run in the base install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenface.export.record import AuditedThreshold
    from evenface.recogniser import Recogniser

Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="ONNX file, run folder, small, small-int8, sface or study.",
        metavar="MODEL",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(min=-1.0, max=1.0, help="Cosine to decide by; default: the audited threshold."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_MODEL = "small"


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command("verify")(verify)
    app.command("embed")(embed)
    app.command("identify")(identify)


def verify(
    first: Annotated[Path, typer.Argument(help="Photograph of one person.")],
    second: Annotated[Path, typer.Argument(help="Photograph to compare it with.")],
    model: Model = DEFAULT_MODEL,
    threshold: Threshold = None,
    as_json: AsJson = False,
) -> None:
    """Do two photographs show one person? Score, decision, and how often that errs for whom."""
    import json
    from dataclasses import asdict

    from evenface.console import out

    recogniser = _load(model, threshold)
    found = recogniser.verify(first, second)
    point = recogniser.operating_point if threshold is None else None
    if as_json:
        rates = point.model_dump(mode="json") if point else None
        typer.echo(json.dumps({**asdict(found), "operating_point": rates}, allow_nan=False))
        return
    decision = "no threshold is known, so no decision"
    if found.match is not None:
        decision = "match" if found.match else "no match"
        decision += f" at threshold {found.threshold:.4f}"
    lines = [f"cosine {found.score:.4f}: {decision}"]
    lines += [f"• {remark}" for remark in found.remarks]
    if point:
        lines += _rates(point)
    elif found.match is None:
        lines.append("give one with --threshold, or export the model with --audit")
    else:
        lines.append("the error rates of this threshold are not known")
    for line in lines:
        out().print(line, markup=False, highlight=False)


def embed(
    folder: Annotated[Path, typer.Argument(help="Photographs, or a folder of them (recursive).")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .parquet.")],
    model: Model = DEFAULT_MODEL,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what cannot be embedded, and count it.")
    ] = False,
) -> None:
    """Embed every photograph of a folder: a table of file, embedding and remarks."""
    from evenface.console import note, warn
    from evenface.embedding_table import embed_folder
    from evenface.errors import UsageError

    if out.suffix != ".parquet":
        raise UsageError(f"{out}: name a .parquet file")
    done = embed_folder(_load(model, None), folder, out, skip_bad=skip_bad)
    for name, reason in done.skipped[:10]:
        warn(f"left out {name}: {reason}")
    more = f", {len(done.skipped):,} left out" if done.skipped else ""
    note(f"{out}: {done.images:,} embeddings{more}")


def identify(
    probe: Annotated[Path, typer.Argument(help="Photograph of somebody.")],
    gallery: Annotated[
        Path,
        typer.Option(help="Folder <person>/<photograph>, or photographs named after people."),
    ],
    model: Model = DEFAULT_MODEL,
    threshold: Threshold = None,
    rank: Annotated[int, typer.Option(min=1, help="People listed.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Who of a gallery is most like the person on a photograph, and is it alike enough?"""
    import json
    from dataclasses import asdict

    from evenface.console import out
    from evenface.embedding_table import rank_gallery

    recogniser = _load(model, threshold)
    candidates = rank_gallery(recogniser, probe, gallery)[:rank]
    if as_json:
        typer.echo(json.dumps([asdict(c) for c in candidates], allow_nan=False))
        return
    for place, candidate in enumerate(candidates, start=1):
        decision = ""
        if recogniser.threshold is not None:
            alike = candidate.score >= recogniser.threshold
            decision = ", at or above the threshold" if alike else ", below the threshold"
        line = f"{place}. {candidate.person}: cosine {candidate.score:.4f}{decision}"
        out().print(line, markup=False, highlight=False)
    if recogniser.threshold is None:
        out().print("no threshold is known: the first may still be a stranger", highlight=False)
    else:
        out().print(
            "the threshold's rates are those of one comparison: with a larger gallery false "
            "matches are more frequent",
            highlight=False,
        )


def _load(model: str, threshold: float | None) -> Recogniser:
    from evenface.recogniser import Recogniser

    return Recogniser.load(model, threshold=threshold)


def _rates(point: AuditedThreshold) -> list[str]:
    lines = [f"the threshold was audited on {point.protocol}:"]
    if point.simulated:
        lines = [
            "SIMULATED: the threshold was audited on synthetic faces; its rates say nothing about "
            "real people"
        ]
    for group in point.fmr:
        rates = [point.fmr[group].value, point.fnmr[group].value]
        false, missed = ("–" if r is None else f"{100 * r:.2f} %" for r in rates)
        lines.append(f"  {group}: {false} false matches, {missed} false non-matches")
    return lines
