"""The page of an audit."""

from __future__ import annotations

from evenface.evaluate.results import seen_notes
from evenface.report.audit.chapter import Chapter
from evenface.report.audit.glossary import AUDIT_GLOSSARY
from evenface.report.audit.pieces import Identification, Verification
from evenface.report.audit.results import Audit, Searched, Verified
from evenface.report.templates import render_template
from evenface.study.wording import listed


def render(
    audit: Audit, verification: list[Verification], identification: list[Identification]
) -> str:
    """The page as text: makes no request and needs no script."""
    models = list(
        dict.fromkeys(
            [v.model for v in audit.verification] + [s.model for s in audit.identification]
        )
    )
    context = {
        "version": audit.evenface,
        "audit": audit,
        "title": " and ".join(models) if len(models) < 3 else f"{len(models)} models",
        "models": models,
        "verification": verification,
        "identification": identification,
        "protocols": [
            *(piece.chapter.title for piece in verification),
            *(piece.chapter.title for piece in identification),
        ],
        "simulated": _simulated(verification, identification),
        "seen": _seen(audit),
        "origins": origins,
        "glossary": AUDIT_GLOSSARY,
    }
    return render_template("audit/template.html.j2", context, listed=listed)


def origins(chapter: Chapter) -> str:
    """Where the images come from, counted: "960 synthetic"; "" where that is not known."""
    counts = chapter.first.protocol.origins
    return listed([f"{number:,} {origin}" for origin, number in counts.items() if number])


def _seen(audit: Audit) -> list[str]:
    """What models were trained on that they are measured on, a sentence each."""
    every: list[Verified | Searched] = [*audit.verification, *audit.identification]
    return [
        f"{of.model} on {of.protocol}: {note}."
        for of in every
        for note in seen_notes(of.result.notes)
    ]


def _simulated(verification: list[Verification], identification: list[Identification]) -> list[str]:
    """Titles of the protocols with synthetic images."""
    titles = [p.chapter.title for p in verification if p.chapter.simulated]
    searches = (p.chapter for p in identification)
    return titles + [c.title for c in searches if any(r.simulated for r in c.models.values())]
