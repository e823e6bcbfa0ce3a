"""The field's terms that the page uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """An entry; ``id`` is its anchor."""

    id: str
    name: str
    meaning: str


GLOSSARY = (
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
        "accuracy",
        "Accuracy",
        "Share of pairs told right, mean over 10 folds: the threshold is chosen on nine folds and "
        "used on the tenth. Each group has its own threshold, as in the RFW benchmark; the table "
        "at one threshold shows what that hides.",
    ),
    Term(
        "std",
        "STD",
        "Standard deviation of accuracy over groups. The sample convention divides by the number "
        "of groups minus one, the population convention by the number of groups; the literature "
        "uses both.",
    ),
    Term(
        "std-expected",
        "STD if groups were equal",
        "The STD that sampling noise alone gives when all groups have one accuracy. STD cannot be "
        "negative, so it is above zero even then. Only an STD that noise seldom reaches shows "
        "groups that differ.",
    ),
    Term(
        "ser",
        "SER, skewed error ratio",
        "Highest error over groups divided by the lowest; error is 100 − accuracy. 1 is equal. "
        "Without an error in some group it is undefined, and only a lower bound is given.",
    ),
    Term("gap", "Gap", "Highest accuracy over groups minus the lowest."),
    Term(
        "dprime",
        "d′ gap",
        "d′ is the distance between the mean scores of genuine and impostor pairs in pooled "
        "standard deviations: it depends on no threshold and has no ceiling. The gap is the "
        "highest over groups minus the lowest.",
    ),
    Term(
        "probit",
        "Probit gap",
        "Highest minus lowest accuracy over groups after the inverse of the normal distribution, "
        "which undoes the ceiling: near 100 % every gap shrinks, this one does not.",
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
    Term("fnmr", "FNMR", "False non-match rate: share of genuine pairs that are rejected."),
    Term(
        "fnmr-ratio",
        "FNMR ratio",
        "Highest FNMR over groups divided by the lowest, at one threshold for all groups. 1 is "
        "equal.",
    ),
    Term(
        "eer",
        "EER, equal error rate",
        "The error where FMR and FNMR are equal. Lower is better.",
    ),
    Term(
        "tar-far",
        "TAR@FAR",
        "Share of genuine pairs accepted (true accept rate) at the threshold that lets through "
        "that share of impostor pairs.",
    ),
    Term("roc", "ROC", "TAR against FAR over all thresholds."),
    Term(
        "auc",
        "AUC",
        "Area under the ROC: the chance that a genuine pair scores higher than an impostor pair.",
    ),
    Term(
        "fdr",
        "FDR, fairness discrepancy rate",
        "1 minus the mean of the largest differences of FMR and of FNMR between groups, at one "
        "threshold. 1 is equal.",
    ),
    Term(
        "garbe",
        "GARBE",
        "Mean of the Gini coefficients of FMR and of FNMR over groups, at one threshold. 0 is "
        "equal.",
    ),
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
