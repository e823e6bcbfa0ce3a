"""What an evaluation says, as typed and validated records: the layout of ``evaluation.json``.

Rates and accuracies are fractions in [0, 1]. Nothing is ever NaN or infinite: what cannot be said
is None, with a note.

Version 3 adds what an audit shows (exact thresholds, operating points, the cross-table, curves for
plots). Each of these is None or empty in results of version 2, which stay readable, and where an
evaluation was asked for the core measures only. Version 4 adds ``measures`` of groups and over
groups: those of the catalogue that have no field of their own.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from evenface.display import display
from evenface.errors import DataError
from evenface.evaluate import frame
from evenface.evaluate.bootstrap import Figure, PairedDifference, expansion, mean_figure, shrink
from evenface.evaluate.measures import MEASURES
from evenface.evaluate.protocols import PairsOrigin, pairs_statement
from evenface.files import atomic_path, read_json, write_json
from evenface.record import Estimate, Record

EVALUATION_FILE = "evaluation.json"
REPLICATES_FILE = "replicates.npz"
GLOBAL = ("fdr", "garbe", "fnmr_ratio")
"""Measures over groups at the threshold of :class:`GlobalThreshold`."""
_AVERAGED = {"overall.accuracy": "accuracy"}
"""Means over groups that are not called "mean.<measure>"."""
_PAIRS, _SHRINKAGE = "pairs/", "shrinkage/"


class AccuracyEstimate(Estimate):
    """10-fold accuracy: mean over folds, and their standard deviation (population, as usual)."""

    fold_std: float


class Histogram(Record):
    """Numbers of pairs by score, in equal bins from ``low`` to ``high``, alike for all groups."""

    low: float
    high: float
    genuine: list[int]
    impostor: list[int]


class RateCurve(Record):
    """FMR and FNMR at thresholds that are alike for all groups, ascending."""

    thresholds: list[float]
    fmr: list[float]
    fnmr: list[float]


class Roc(Record):
    """Corners of the ROC, at most 200, ascending."""

    far: list[float]
    tar: list[float]


class GroupResult(Record):
    """One group."""

    accuracy: AccuracyEstimate
    folds: list[float]
    eer: Estimate
    auc: Estimate
    dprime: Estimate
    """Distance of genuine from impostor cosines in standard deviations."""
    tar_at_far: dict[str, Estimate]
    """Keys are the levels as written: "1e-1" … "1e-5"."""
    fold_pairs: int
    genuine_pairs: int
    impostor_pairs: int
    identities: int | None
    """None where a table of scores names no identities, as for ``images``."""
    images: int | None
    single_image_identities: int | None
    mean_genuine_cosine: float
    """Mean score where the scores are no cosines."""
    mean_impostor_cosine: float
    roc: Roc
    accuracy_exact: AccuracyEstimate | None = None
    """As ``accuracy``, with every distinct score of the other folds as a possible threshold."""
    distribution: Histogram | None = None
    rates: RateCurve | None = None
    measures: dict[str, Estimate] = Field(default_factory=dict)
    """More of :data:`evenface.evaluate.measures.MEASURES`, by name; empty before version 4."""

    def estimate(self, measure: str) -> Estimate | None:
        """The record of a measure by the name that it has among replicates; None if not measured.

        For "accuracy", "accuracy_exact", "eer", "auc", "dprime", "tar@far=…", and ``measures``.
        """
        name, _, level = measure.partition("@far=")
        if level:
            return self.tar_at_far.get(level)
        return self.measures.get(name, getattr(self, name, None))


class WorstGroup(Record):
    """The group of the lowest accuracy, and how often each group was it in the replicates."""

    value: str | None
    share: dict[str, float] | None
    note: str | None = None


class Overall(Record):
    """Over groups, from their 10-fold accuracies; ``dprime_gap`` from their d′."""

    accuracy: Estimate
    std_sample: Estimate
    std_population: Estimate
    std_expected: Estimate
    """The sample STD that sampling noise alone would give were the groups equal."""
    std_corrected: Estimate | None = None
    """The sample STD without the share of its square that sampling noise alone gives."""
    std_excess_p: float | None
    """Share of replicates of equal groups whose STD is at least the observed one, counting the
    data themselves as one more replicate."""
    ser: Estimate
    gap: Estimate
    dprime_gap: Estimate
    probit_gap: Estimate
    worst_group: WorstGroup
    means: dict[str, Estimate] = Field(default_factory=dict)
    """Over groups, of the measures of a group by the names that they have among replicates:
    "accuracy_exact", "eer", "auc", "dprime", "tar@far=1e-3", …"""
    measures: dict[str, Estimate] = Field(default_factory=dict)
    """More of :data:`evenface.evaluate.measures.MEASURES`, by name; empty before version 4, and
    with one group."""

    def estimate(self, name: str) -> Estimate:
        """The record of a measure by its name in the catalogue."""
        found = self.measures.get(name, getattr(self, name, None))
        if not isinstance(found, Estimate):
            raise ValueError(f"{name!r} was not measured over groups")
        return found


class GlobalThreshold(Record):
    """Error rates of all groups at one threshold, as a deployed system has it.

    The threshold is the loosest at which the mean of the groups' FMR does not exceed
    ``target_fmr``; each replicate chooses its own.
    """

    target_fmr: float
    threshold: float | None
    """Cosine at or above which a pair is accepted."""
    fmr: dict[str, Estimate]
    fnmr: dict[str, Estimate]
    fdr: Estimate
    garbe: Estimate
    fnmr_ratio: Estimate
    """Largest over smallest FNMR."""
    note: str | None = None


class OwnThreshold(Record):
    """A group at a threshold of its own."""

    threshold: float | None
    fmr: Estimate
    fnmr: Estimate


class OperatingPoint(Record):
    """Error rates at one threshold for all groups, set at a target FMR on other people.

    The threshold is the loosest at which the mean of the groups' FMR does not exceed the target
    on the pairs that choose it; these share no identity with the pairs it is measured on (but see
    ``note``). Each part of the pairs is measured at the threshold that the other parts chose, and
    each replicate chooses anew.
    """

    key: str
    """The target as written, "1e-3": the name of its measures is ``<measure>@<key>``."""
    target_fmr: float
    chosen_on: Literal["other folds", "other half of the identities"]
    threshold: float | None
    """Mean over parts; None where the impostor pairs do not support the target."""
    thresholds: list[float | None]
    """One for each part; None where no threshold keeps the target."""
    fmr: dict[str, Estimate]
    fnmr: dict[str, Estimate]
    mean_fmr: Estimate
    """Over groups."""
    mean_fnmr: Estimate
    own: dict[str, OwnThreshold]
    """The same with a threshold for each group, at which that group's FMR meets the target."""
    measures: dict[str, Estimate]
    """Over groups at the one threshold: those of the catalogue's kind "threshold". Empty with one
    group."""
    gfmr: dict[str, Estimate] = Field(default_factory=dict)
    """Generalised FMR by group: false matches among all impostor pairs, those without a score
    included. Empty where every pair has a score, as for ``gfnmr``."""
    gfnmr: dict[str, Estimate] = Field(default_factory=dict)
    """Generalised FNMR: false non-matches and genuine pairs without a score, among all genuine
    pairs."""
    worst_fmr: WorstGroup
    worst_fnmr: WorstGroup
    note: str | None = None


class CrossCell(Estimate):
    """FMR of impostor pairs with one person of either group."""

    pairs: int
    matches: int


class CrossTable(Record):
    """FMR of every pair of groups at one threshold; symmetric."""

    target_fmr: float
    threshold: float
    cells: dict[str, dict[str, CrossCell]]
    note: str | None = None


class Reliability(Record):
    """How calibrated probabilities compare to what was seen, in equal bins from 0 to 1."""

    predicted: list[float | None]
    """Mean probability of being genuine; None in an empty bin, as for ``observed``."""
    observed: list[float | None]
    """Share of genuine pairs."""
    pairs: list[int]


class GroupCalibration(Record):
    """One group under a global calibration."""

    reliability: Reliability
    brier: Estimate
    """Mean squared difference of probability and truth."""
    error: Estimate
    """Expected calibration error over the bins."""


class Calibration(Record):
    """A logistic map from scores to probabilities, alike for all groups, fitted on other people."""

    method: str
    groups: dict[str, GroupCalibration]
    note: str | None = None


class WorstCaseThreshold(Record):
    """One threshold that makes the worst group's error smallest, chosen on other people."""

    threshold: float | None
    """Mean over parts."""
    error: dict[str, Estimate]
    """(FMR + FNMR) / 2 of each group."""
    worst_error: Estimate
    worst_group: WorstGroup
    note: str | None = None


CrossingError = Literal["fmr", "fnmr"]


class Cell(Record):
    """One combination of values of the attributes of a crossing."""

    attributes: tuple[str, ...]
    values: tuple[str, ...]
    people: int
    genuine_pairs: int
    impostor_pairs: int
    fmr: Estimate
    """Of impostor pairs of two people of the cell."""
    fnmr: Estimate
    too_small: bool
    """Whether it has too few people to be compared."""

    @property
    def name(self) -> str:
        """Its values, joined."""
        return " × ".join(self.values)


class CellDifference(Record):
    """Two cells of one crossing; the difference is the higher rate minus the lower one."""

    error: CrossingError
    attributes: tuple[str, ...]
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    difference: Estimate
    """A fraction."""
    ratio: float | None
    """Of the rates; None where the lower one is zero."""
    p_value: float
    """Two-sided, of this comparison alone."""
    p_holm: float
    """Adjusted for all comparisons of the scan."""


class CrossingScan(Record):
    """What a scan found."""

    threshold: float
    target_fmr: float | None = None
    """That the threshold was chosen for; None where it was given."""
    attributes: tuple[str, ...]
    few_people: int
    """Cells of fewer people are too small to be compared."""
    level: float
    cells: list[Cell]
    differences: list[CellDifference]
    """All that were tested: those decided first, the largest first within."""

    def decided(self, error: CrossingError | None = None) -> list[CellDifference]:
        """The differences that are more than chance, the largest first."""
        alpha = 1 - self.level
        return [
            d for d in self.differences if d.p_holm <= alpha and (error is None or d.error == error)
        ]

    @property
    def too_small(self) -> list[Cell]:
        """Cells of too few people."""
        return [cell for cell in self.cells if cell.too_small]


class Enrolment(Record):
    """Images of one group that were offered, and those of which no face could be taken."""

    images: int
    no_face: int
    unreadable: int
    """Damaged or refused files."""
    failure_to_enrol: Estimate
    """(no face + unreadable) / images."""
    face_found: Estimate
    """Of the images that could be read."""


class FailedPairs(Record):
    """Pairs of one group that were to be compared, and those that got no score.

    A pair without a score has an image that was not enrolled or acquired (ISO/IEC 19795-1).
    """

    genuine_pairs: int
    genuine_failed: int
    impostor_pairs: int
    """Within the group."""
    impostor_failed: int
    genuine_failure: Estimate
    """Failed genuine pairs / genuine pairs."""
    impostor_failure: Estimate


SEEN = "TRAINED ON THESE PEOPLE"
"""Begins the notes of :func:`evenface.evaluate.seen.seen_in_training`."""


def seen_notes(notes: Sequence[str]) -> list[str]:
    """The notes of a result that say that its model was trained on these people."""
    return [note for note in notes if note.startswith(SEEN)]


class ProtocolSummary(Record):
    """Which protocol was used."""

    name: str
    fingerprint: str
    manifest_fingerprint: str
    group_by: list[str]
    folds: int
    seed: int
    origins: dict[str, int]
    simulated: bool
    notes: list[str]
    pairs: PairsOrigin | None = None
    """From the set's own list, or drawn by this program; None in tables of scores and in results
    of older versions."""

    @property
    def pairs_statement(self) -> str:
        """Where the pairs come from, as a sentence; empty where that is not recorded."""
        return pairs_statement(self.pairs, self.seed)


class Bootstrap(Record):
    """How the intervals were made."""

    unit: str = "identity"
    replicates: int
    seed: int
    level: float


class Evaluation(Record):
    """One model on one protocol.

    >>> import evenface
    >>> found = evenface.audit([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0], replicates=50)
    >>> found.groups["all"].auc.value, found.groups["all"].eer.value
    (1.0, 0.0)
    >>> found.to_table().column_names[2:6]
    ['measure', 'group', 'other_group', 'value']
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    version: int = Field(default=4, ge=2, le=4)
    model: str | None
    protocol: ProtocolSummary
    bootstrap: Bootstrap
    groups: dict[str, GroupResult]
    overall: Overall
    global_threshold: GlobalThreshold
    operating_points: list[OperatingPoint] = Field(default_factory=list)
    """From the loosest target to the strictest: their measures are curves over the target."""
    worst_case_threshold: WorstCaseThreshold | None = None
    cross_tables: list[CrossTable] = Field(default_factory=list)
    """One for each operating point that the pairs support."""
    calibration: Calibration | None = None
    crossings: CrossingScan | None = None
    """Where a scan was asked for."""
    enrolment: dict[str, Enrolment] | None = None
    """By group, where the data set records what its import could not use."""
    failed_pairs: dict[str, FailedPairs] | None = None
    """By group, where pairs of a table of scores have no score."""
    notes: list[str]
    replicates: dict[str, np.ndarray] = Field(default_factory=dict, exclude=True, repr=False)
    """Measure → bootstrap replicates: (R, G) in the order of ``groups`` for measures of a group,
    (R,) for "overall.…" and "global.…". At operating points the names end in its key: "fnmr@1e-3"
    and "own.fnmr@1e-3" of a group, "fdr@1e-3" over groups. NaN or infinite where undefined. Not
    part of the JSON, as the next two."""
    pair_replicates: dict[str, np.ndarray] = Field(default_factory=dict, exclude=True, repr=False)
    """Measure → replicates that resample pairs of two people, (K, G) or (K,): of what is shrunk by
    itself. Means and spreads of accuracies and d′ are computed from shrunk replicates instead."""
    shrinkage: dict[str, np.ndarray] = Field(default_factory=dict, exclude=True, repr=False)
    """Measure → what its replicates' deviations were multiplied by, (G,) or (): see ``shrinkage``
    and ``expansion`` in :mod:`evenface.evaluate.bootstrap`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, ready for JSON."""
        return self.model_dump(mode="json")

    def to_table(self) -> pa.Table:
        """All figures as a long Arrow table: a row for each measure of each group.

        Columns ``model``, ``protocol``, ``measure`` (as :meth:`compare` takes it), ``group`` (null
        over groups), ``other_group`` (of the cross-table), ``value``, ``low``, ``high``, ``level``
        (of the interval) and ``note``. Rates are fractions; what is undefined is null.
        """
        return frame.to_table({self.model or "": self})

    def to_frame(self) -> Any:
        """:meth:`to_table` as a pandas data frame.

        Raises:
            EvenfaceError: pandas is not installed.
        """
        return frame.to_frame({self.model or "": self})

    def plot(self, what: str = "fnmr", *, ax: Any = None) -> Any:
        """One of the report's pictures as Matplotlib axes. Needs the extra ``report``.

        Args:
            what: "fnmr" or "fmr" (error rates by group with intervals, at one threshold),
                "distributions", "thresholds", "roc", "det", "cross", "reliability", or a measure
                over the target FMR: "fdr", "garbe", "inequity_rate", "werm", "fmr_ratio",
                "fnmr_ratio".
            ax: Matplotlib axes to draw on; None for a new figure.

        Raises:
            UsageError: no such picture (the known are listed), or the results lack what it shows.
            MissingDependencyError: Matplotlib is not installed.
        """
        return display().plot(self, what, ax=ax)

    def report(self, folder: str | Path) -> Path:
        """Write the audit's page, tables and plots into ``folder``. Needs the extra ``report``.

        Returns:
            Path of the page, ``report.html``.

        Raises:
            MissingDependencyError: Matplotlib or Jinja2 is not installed.
            DataError: the folder holds something else.
        """
        return display().report({self.model or "model": self}, Path(folder))

    def _repr_html_(self) -> str:
        return frame.to_html({self.model or "": self})

    def __str__(self) -> str:
        return frame.to_text({self.model or "": self})

    __repr__ = __str__

    def write(self, folder: Path) -> None:
        """Write ``evaluation.json`` and ``replicates.npz`` into ``folder``, each atomically."""
        with atomic_path(folder / REPLICATES_FILE) as temporary, open(temporary, "wb") as handle:
            arrays = dict(self.replicates)
            for prefix, more in ((_PAIRS, self.pair_replicates), (_SHRINKAGE, self.shrinkage)):
                arrays |= {f"{prefix}{measure}": values for measure, values in more.items()}
            np.savez_compressed(handle, **cast("dict[str, Any]", arrays))
        write_json(folder / EVALUATION_FILE, self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` wrote.

        Raises:
            DataError: a file is missing or damaged.
        """
        summary = read_json(folder / EVALUATION_FILE)
        path = folder / REPLICATES_FILE
        try:
            # Opened here because np.load leaves the file open when it is no archive.
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
                arrays = dict(archive)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: not readable ({error})") from None
        parts: dict[str, dict[str, Any]] = {"": {}, _PAIRS: {}, _SHRINKAGE: {}}
        for name, values in arrays.items():
            prefix = next((p for p in (_PAIRS, _SHRINKAGE) if name.startswith(p)), "")
            parts[prefix][name.removeprefix(prefix)] = values
        replicates = {
            "replicates": parts[""],
            "pair_replicates": parts[_PAIRS],
            "shrinkage": parts[_SHRINKAGE],
        }
        try:
            return cls.model_validate({**summary, **replicates})
        except (ValidationError, TypeError) as error:
            raise DataError(f"{folder / EVALUATION_FILE}: not an evaluation ({error})") from None

    def compare(
        self, other: Evaluation, measure: str, *, group: str | None = None
    ) -> PairedDifference:
        """``other − self`` for one measure, on the same pairs and the same resamples.

        Args:
            other: evaluation of another model on the same protocol, seed and replicates.
            measure: a key of ``replicates``: "accuracy", "eer", "auc", "tar@far=1e-2", "fmr",
                "fnmr", "fnmr@1e-3" of a group, or "overall.accuracy", "overall.std_sample",
                "fdr@1e-3", …
            group: the group, for measures of a group.

        Raises:
            ValueError: the evaluations cannot be paired, or the measure or group is unknown.
        """
        self.check_pairing(other)
        return (other.figure(measure, group) - self.figure(measure, group)).difference()

    def check_pairing(self, other: Evaluation) -> None:
        """ValueError where the two are of other pairs or resamples."""
        mine, theirs = self._pairing(), other._pairing()
        if mine != theirs:
            raise ValueError(
                "evaluations on different protocols, seeds or replicates cannot be paired: "
                f"{mine} and {theirs}"
            )

    def figure(self, measure: str, group: str | None = None) -> Figure:
        """A measure with the replicates that differences need; arguments as in :meth:`compare`."""
        samples, value = self.samples(measure, group), self.estimate(measure, group).value
        if group is None and measure not in self.pair_replicates:
            whole = self._figure_over_groups(measure)
            if whole is not None:
                return replace(whole, value=value)
        if measure not in self.pair_replicates:
            return Figure.settled(value, samples, np.empty(0), self.bootstrap.level)
        column = ... if group is None else (..., list(self.groups).index(group))
        factor = float(self.shrinkage[measure][column])
        known = [of.identities for of in self.groups.values() if of.identities is not None]
        people = self.groups[group].identities if group else min(known, default=None)
        return Figure(
            value,
            samples if value is None else shrink(value, samples, 1 / factor),
            self.pair_replicates[measure][column],
            np.zeros(len(samples)),
            np.empty(0),
            self.bootstrap.level,
            expansion(people, self.bootstrap.level),
        )

    def over_groups(
        self, measure: str, statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> Figure:
        """A statistic over groups of a measure of the groups, to be shrunk itself.

        Args:
            measure: of a group.
            statistic: reduces the last axis, the groups. Undefined where it is not finite.
        """
        figures = [self.figure(measure, group) for group in self.groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = [np.nan if of.value is None else of.value for of in figures]
            value = float(statistic(np.array(values)))
            people, pairs = (
                statistic(np.stack(columns, axis=-1))
                for columns in ([of.people for of in figures], [of.pairs for of in figures])
            )
        return replace(
            figures[0],
            value=value if np.isfinite(value) else None,
            people=people,
            pairs=pairs,
            expansion=max(of.expansion for of in figures),
        )

    def _figure_over_groups(self, measure: str) -> Figure | None:
        """A mean or spread of what the groups have, each at thresholds of its own.

        As a figure of one model it is computed from the groups' shrunk replicates; of a difference
        more is specific to pairs, so it is the difference that has to be shrunk.
        """
        averaged = _AVERAGED.get(measure, measure.removeprefix("mean."))
        if averaged != measure and averaged in self.pair_replicates:
            return mean_figure([self.figure(averaged, group) for group in self.groups])
        scope, _, name = measure.rpartition(".")
        known = MEASURES.get(name)
        if scope != "overall" or known is None or known.kind != "overall":
            return None
        of_groups = known.needs[0]
        if of_groups not in self.pair_replicates:
            return None
        fold_pairs = np.array([of.fold_pairs for of in self.groups.values()])
        return self.over_groups(
            of_groups, lambda values: known.compute({of_groups: values, "fold_pairs": fold_pairs})
        )

    def samples(self, measure: str, group: str | None = None) -> NDArray[np.float64]:
        """(R,) bootstrap replicates of a measure; arguments and errors as in :meth:`compare`."""
        if measure not in self.replicates:
            known = ", ".join(self.replicates)
            raise ValueError(f"unknown measure {measure!r}; known: {known}")
        samples = self.replicates[measure]
        if (samples.ndim == 2) != (group is not None):
            needs = "a group" if samples.ndim == 2 else "no group"
            raise ValueError(f"measure {measure!r} takes {needs}")
        if group is None:
            return samples
        if group not in self.groups:
            raise ValueError(f"unknown group {group!r}; known: {', '.join(self.groups)}")
        return samples[:, list(self.groups).index(group)]

    def estimate(self, measure: str, group: str | None = None) -> Estimate:
        """The record of a measure, by the name that it has among ``replicates``."""
        name, _, key = measure.partition("@")
        if key and "far=" not in key:
            return self._at_operating_point(name, key, group)
        scope, _, part = name.rpartition(".")
        if scope == "worst_case" and self.worst_case_threshold is not None:
            record = self.worst_case_threshold
            return record.worst_error if group is None else record.error[group]
        if scope == "calibration" and self.calibration is not None and group is not None:
            return getattr(self.calibration.groups[group], part)
        if scope == "mean":
            return self.overall.means[measure.removeprefix("mean.")]
        if group is None:
            if scope == "overall":
                return self.overall.estimate(part)
            return getattr(self.global_threshold, part)
        if measure in ("fmr", "fnmr"):
            return getattr(self.global_threshold, measure)[group]
        estimate = self.groups[group].estimate(measure)
        if estimate is None:
            raise ValueError(f"{measure!r} was not measured in {group!r}")
        return estimate

    def point(self, key: str | None) -> OperatingPoint | None:
        """The operating point of a target, "1e-3", if the pairs support it."""
        return next(
            (p for p in self.operating_points if p.key == key and p.threshold is not None), None
        )

    def _at_operating_point(self, name: str, key: str, group: str | None) -> Estimate:
        point = next(point for point in self.operating_points if point.key == key)
        if group is None:
            return getattr(point, name) if name.startswith("mean_") else point.measures[name]
        if name.startswith("own."):
            return getattr(point.own[group], name.removeprefix("own."))
        return getattr(point, name)[group]

    def _pairing(self) -> tuple[object, ...]:
        return self.protocol.fingerprint, self.bootstrap.seed, self.bootstrap.replicates
