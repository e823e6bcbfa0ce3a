"""The field's terms that an audit uses: those of studies that hold here, and its own."""

from __future__ import annotations

from evenface.evaluate.measures import TERMS, Term
from evenface.report.glossary import WORDS

_SHARED = {"group", "embedding", "pairs", "worst-group", "roc", "paired", "holm"}
_OWN = (
    Term(
        "interval",
        "Interval",
        "Bootstrap interval: the people of each group are drawn again with replacement, and "
        "everything is computed anew. Pairs that share people are dependent, so people are drawn "
        "and not pairs; what is specific to two people is counted once.",
    ),
    Term(
        "threshold",
        "One threshold, set on other people",
        "A deployed system accepts a pair at or above one score, whoever is in front of it. The "
        "threshold is the loosest at which the mean FMR over groups keeps a target, on pairs that "
        "share no people with those it is measured on, unless a note says otherwise.",
    ),
    Term(
        "own-threshold",
        "Own threshold",
        "A threshold for each group, at which that group’s FMR keeps the target: what remains of "
        "the differences when a system may look at the group.",
    ),
    Term(
        "cross-table",
        "Cross-table",
        "FMR of impostor pairs by the groups of both people. People of one group look more alike "
        "to a model than people of two: an FMR over all impostors hides where a system fails.",
    ),
    Term(
        "ece",
        "Calibration error",
        "Mean distance between the probability given and the share that is genuine, over ten bins.",
    ),
    Term(
        "every-group",
        "Better in every group",
        "Each group must show it by itself: the largest of the groups’ one-sided p-values decides "
        "(intersection–union), without correction.",
    ),
)  # fmt: skip

AUDIT_GLOSSARY = tuple(
    sorted(
        (*TERMS.values(), *_OWN, *(term for term in WORDS if term.id in _SHARED)),
        key=lambda term: term.name.casefold(),
    )
)
"""In alphabetical order; ids are unique."""
