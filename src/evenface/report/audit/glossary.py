"""The field's terms that an audit uses: those of studies that hold here, and its own."""

from __future__ import annotations

from evenface.report.glossary import GLOSSARY, Term

_SHARED = {
    "group",
    "embedding",
    "pairs",
    "accuracy",
    "std",
    "std-expected",
    "ser",
    "gap",
    "dprime",
    "probit",
    "worst-group",
    "fnmr",
    "eer",
    "tar-far",
    "roc",
    "auc",
    "fdr",
    "garbe",
    "paired",
    "holm",
}
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
    Term("fmr", "FMR, FAR", "False match rate (false accept rate): share of impostor pairs that "
         "are accepted. Both people of such a pair are of one group, but for the cross-table."),
    Term(
        "exact",
        "Exact thresholds",
        "Accuracy as above, with every score as a possible threshold instead of a grid of 400.",
    ),
    Term(
        "std-corrected",
        "Corrected STD",
        "STD without the share of its square that sampling noise gives. Zero is a frequent value "
        "and no proof of equality.",
    ),
    Term(
        "ir",
        "IR, inequity rate",
        "Square root of highest over lowest FMR times highest over lowest FNMR. 1 is even; one "
        "lucky group decides.",
    ),
    Term(
        "werm",
        "WERM",
        "Square root of the product of both errors’ highest rate over the geometric mean of the "
        "groups. 1 is even.",
    ),
    Term(
        "rate-ratio",
        "FMR ratio, FNMR ratio",
        "Highest rate over groups divided by the lowest. 1 is even. Without an error in some group "
        "it is undefined, and only a lower bound is given.",
    ),
    Term("rate-gap", "FMR gap, FNMR gap", "Highest rate over groups minus the lowest."),
    Term(
        "worst-to-mean",
        "Worst to mean",
        "Highest rate over groups divided by the geometric mean of the groups’ rates. 1 is even.",
    ),
    Term(
        "gini",
        "Gini coefficient",
        "Mean difference between the rates of two groups, relative to twice the mean rate. 0 is "
        "even.",
    ),
    Term(
        "worst-threshold",
        "Threshold for the worst group",
        "The one threshold that makes the largest group error, the mean of FMR and FNMR, as small "
        "as one threshold can.",
    ),
    Term(
        "cross-table",
        "Cross-table",
        "FMR of impostor pairs by the groups of both people. People of one group look more alike "
        "to a model than people of two: an FMR over all impostors hides where a system fails.",
    ),
    Term(
        "brier",
        "Brier score",
        "Mean squared difference between the probability given and the truth (0 or 1).",
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
        (*_OWN, *(term for term in GLOSSARY if term.id in _SHARED)),
        key=lambda term: term.name.casefold(),
    )
)
"""In alphabetical order; ids are unique."""
