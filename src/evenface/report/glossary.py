"""The field's terms that pages use: those of studies, and those of audits."""

from __future__ import annotations

from evenface.evaluate.measures import TERMS, Term

_WORDS = (
    Term("group", "Group", "The people who share a value of a declared attribute in the data."),
    Term(
        "kd",
        "KD, knowledge distillation",
        "Training a student so that its embeddings also agree with those of a teacher, a network "
        "trained before. Without KD, the student learns from identity labels alone.",
    ),
    Term(
        "embedding",
        "Embedding",
        "The vector that a network turns a face into. Two faces are compared by the cosine of "
        "their embeddings.",
    ),
    Term(
        "pairs",
        "Genuine and impostor pairs",
        "Two images of one identity, and two images of different identities.",
    ),
    Term(
        "worst-group",
        "Worst group",
        "The group of the lowest accuracy, with the share of resamples in which it was the lowest.",
    ),
    Term(
        "fmr",
        "FMR, FAR",
        "False match rate (false accept rate): share of impostor pairs that are accepted. Both "
        "people of such a pair are of one group here; and where one threshold serves all groups, "
        "it is chosen on the pairs that it is measured on. In use neither holds.",
    ),
    Term("roc", "ROC", "TAR against FAR over all thresholds."),
    Term(
        "macs",
        "MACs",
        "Multiply–adds that a network needs for one image: what it costs to run, whatever the "
        "machine.",
    ),
    Term(
        "energy",
        "Energy",
        "An estimate for training one run, from its time and what the machine is assumed to draw. "
        "Read it as a ratio between models.",
    ),
    Term(
        "seed",
        "Seed",
        "The number that a training starts its random choices from. The same arm trained with "
        "several seeds shows how much is chance.",
    ),
    Term(
        "interval",
        "Interval",
        "Bootstrap interval: test identities (within each group) and, where there are several, "
        "training seeds are drawn again with replacement, and everything is computed anew.",
    ),
    Term(
        "paired",
        "Paired difference",
        "Both models are evaluated on the same resamples, and the difference is taken in each.",
    ),
    Term(
        "holm",
        "Holm's correction",
        "Who tests several groups finds something by chance. Holm's method raises the p-values so "
        "that the risk of any false finding among them stays at the level asked for.",
    ),
    Term(
        "verdict",
        "Verdict",
        "What a claim's rule makes of its tests. Undecided: the data fit both answers. Undefined: "
        "what is asked about could not be computed.",
    ),
)
"""What is no measure; "fmr" and "interval" as studies have them."""
_OF_AUDITS = (
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

_ORDER = (
    *("group", "kd", "embedding", "pairs", "accuracy", "std", "std-expected", "avg-std", "ser"),
    *("gap", "dprime", "probit", "score-shift", "worst-group", "fmr", "fnmr", "rate-ratio", "eer"),
    *("tar-far", "roc", "auc", "fdr", "garbe", "macs", "energy", "seed", "interval", "paired"),
    *("holm", "verdict"),
)
_KNOWN = TERMS | {term.id: term for term in _WORDS}
STUDY_TERMS = tuple(_KNOWN[name] for name in _ORDER)
"""In the order of a study's page; ids are unique."""
_SHARED = {"group", "embedding", "pairs", "worst-group", "roc", "paired", "holm"}
AUDIT_TERMS = tuple(
    sorted(
        (*TERMS.values(), *_OF_AUDITS, *(term for term in _WORDS if term.id in _SHARED)),
        key=lambda term: term.name.casefold(),
    )
)
"""In alphabetical order; ids are unique."""
