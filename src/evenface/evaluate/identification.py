"""1:N identification: probes searched in a gallery, closed and open set.

A gallery entry is a person: the mean of the unit-length embeddings of their gallery images. A
probe is an image. It is *mated* if its person is in the gallery. Measures as in ISO/IEC 19795-1
and NIST's FRTE 1:N (Grother, Ngan & Hanaoka, NISTIR 8271):

- **Rank-k rate**: share of mated probes whose person is among the k best-scoring entries.
- **FPIR(τ)**: share of unmated probes with any entry at or above τ.
- **FNIR(τ)**: share of mated probes whose person is not the best-scoring entry, or scores below τ.

Entries that score the same as the mate rank before it: ties never help.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate.bootstrap import identity_counts, percentile_interval, zero_error_limit
from evenface.evaluate.embeddings import unit_length
from evenface.evaluate.pairs import Rows
from evenface.evaluate.verification import far_support
from evenface.files import fingerprint, read_json, write_json
from evenface.record import Estimate, Record

RANKS = (1, 5, 10, 20, 50)
FPIR_LEVELS = {"1e-1": 1e-1, "1e-2": 1e-2, "1e-3": 1e-3}
IDENTIFICATION_FILE = "identification.json"
GALLERY, PROBE = "gallery", "probe"

# Scores held at a time.
_BLOCK = 4_000_000
_FIXED = "the gallery and the threshold stay as they are in resamples"
_CHOSEN = "thresholds are chosen on the unmated probes that FPIR is measured on"
_NO_UNMATED = "every probe's person is in the gallery: nothing can be accepted falsely"


@dataclass(frozen=True, eq=False)
class IdentificationSet:
    """Gallery and probes over the rows of one manifest."""

    name: str
    manifest: Manifest
    gallery: Rows
    """(E,) rows of gallery images."""
    gallery_person: Rows
    """(E,) entry 0 … G − 1 of each."""
    probe: Rows
    """(P,) rows of probes."""
    mate: Rows
    """(P,) entry of each probe's person; −1 for none."""
    person: Rows
    """(P,) person of each probe, 0 …, mated or not."""
    groups: tuple[str, ...]
    group: Rows
    """(P,) index into ``groups``."""
    notes: tuple[str, ...]

    @property
    def entries(self) -> int:
        """G, the number of people in the gallery."""
        return int(self.gallery_person.max()) + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex): equal for two models that search the same."""
        digest = hashlib.sha256()
        for rows in (self.gallery, self.gallery_person, self.probe, self.mate, self.group):
            digest.update(np.ascontiguousarray(rows, "<i8").data)
        return fingerprint([self.manifest.fingerprint, list(self.groups), digest.hexdigest()])


class RateByGroup(Record):
    """A rate of all probes, and of each group's."""

    overall: Estimate
    groups: dict[str, Estimate]


class OpenSetPoint(Record):
    """Error rates at the one threshold that keeps a target FPIR over all unmated probes."""

    target_fpir: float
    threshold: float | None
    fpir: RateByGroup
    fnir: RateByGroup
    note: str | None = None


class ProbeCounts(Record):
    """Probes of one group."""

    mated: int
    unmated: int
    people: int


class IdentificationResult(Record):
    """One model on one gallery and its probes: the layout of ``identification.json``."""

    version: int = 1
    model: str | None
    protocol: str
    fingerprint: str
    simulated: bool
    gallery_people: int
    gallery_images: int
    probes: dict[str, ProbeCounts]
    rank_rate: dict[str, RateByGroup]
    """Keys are the ranks: "1", "5", …; those above the gallery's size are left out."""
    open_set: list[OpenSetPoint]
    replicates: int
    seed: int
    level: float
    notes: list[str]

    def write(self, folder: Path) -> None:
        """Write ``identification.json``, atomically."""
        write_json(folder / IDENTIFICATION_FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` wrote; DataError where it is absent or damaged."""
        path = folder / IDENTIFICATION_FILE
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise DataError(f"{path}: not an identification result ({error})") from None


def identification_set(
    manifest: Manifest,
    *,
    group_by: str | Sequence[str] | None = None,
    name: str = "identification",
) -> IdentificationSet:
    """Rows of split "gallery" and "probe" of a manifest; other rows are left out.

    Args:
        manifest: the images; each identity is one person, in whichever split.
        group_by: as in ``Manifest.groups``; groups are those of the probes.
        name: what results call the set.

    Raises:
        UsageError: an unknown attribute.
        DataError: no gallery, no probes, a gallery of one person, or no mated probe.
    """
    split = manifest.column("split")
    gallery, probe = (np.flatnonzero(split == part) for part in (GALLERY, PROBE))
    for part, rows in ((GALLERY, gallery), (PROBE, probe)):
        if not len(rows):
            raise DataError(f"{name}: no image of split {part!r}; see 'evenface evaluate --help'")
    labels = manifest.labels()
    people, entry = np.unique(labels[gallery], return_inverse=True)
    if len(people) < 2:
        raise DataError(f"{name}: the gallery holds one person; two are needed for a search")
    place = np.searchsorted(people, labels[probe]).clip(max=len(people) - 1)
    mate = np.where(people[place] == labels[probe], place, -1)
    if (mate < 0).all():
        raise DataError(f"{name}: no probe shows a person of the gallery")
    groups, group = np.unique(manifest.groups(group_by)[probe].astype(str), return_inverse=True)
    left_out = len(manifest) - len(gallery) - len(probe)
    return IdentificationSet(
        name=name,
        manifest=manifest,
        gallery=gallery,
        gallery_person=entry.astype(np.int64),
        probe=probe,
        mate=mate.astype(np.int64),
        person=np.unique(labels[probe], return_inverse=True)[1].astype(np.int64),
        groups=tuple(str(label) for label in groups),
        group=group.astype(np.int64),
        notes=(f"{left_out:,} images of other splits are left out",) if left_out else (),
    )


@dataclass(frozen=True, eq=False)
class Search:
    """What the search of each probe (P,) came to."""

    rank: Rows
    """Of the mate, from 1; 0 for unmated probes."""
    mate_score: NDArray[np.float64]
    """NaN for unmated probes."""
    best_score: NDArray[np.float64]
    """Of all entries."""


def search(gallery: NDArray[np.floating], probes: NDArray[np.floating], mate: Rows) -> Search:
    """Compare probes (P, D) with entries (G, D), both unit-length, in blocks."""
    size = max(1, _BLOCK // len(gallery))
    rank = np.zeros(len(probes), dtype=np.int64)
    mate_score = np.full(len(probes), np.nan)
    best = np.empty(len(probes))
    for start in range(0, len(probes), size):
        block = slice(start, start + size)
        scores = probes[block] @ gallery.T
        best[block] = scores.max(axis=1)
        mated = np.flatnonzero(mate[block] >= 0)
        own = scores[mated, mate[block][mated]]
        rank[start + mated] = (scores[mated] >= own[:, None]).sum(axis=1)
        mate_score[start + mated] = own
    return Search(rank, mate_score, best)


def evaluate_identification(
    embeddings: ArrayLike,
    given: IdentificationSet,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    model: str | None = None,
) -> IdentificationResult:
    """Rank-k rates, and FNIR and FPIR at thresholds of target FPIRs, overall and per group.

    Intervals are percentiles of a bootstrap over the probes' people, within each group.

    Args:
        embeddings: (N, D), a row for each row of the manifest; rows not used may hold anything.
        given: gallery and probes.
        replicates, seed, level: of the intervals; 0 replicates for none.
        model: name to put in the result.

    Raises:
        DataError: another number of rows than the manifest's; a used row that is NaN, infinite or
            of zero norm.
    """
    values = np.asarray(embeddings)
    if len(values) != len(given.manifest):
        raise DataError(
            f"there are {len(values):,} embeddings, but the manifest of {given.name} has "
            f"{len(given.manifest):,} rows: they do not belong together"
        )
    unit = unit_length(values, np.concatenate([given.gallery, given.probe]))
    entries = np.zeros((given.entries, values.shape[1]))
    np.add.at(entries, given.gallery_person, unit[given.gallery])
    found = search(unit_length(entries), unit[given.probe], given.mate)
    rates = _Rates(given, replicates, seed, level)
    mated, unmated = given.mate >= 0, given.mate < 0
    points = []
    for target in FPIR_LEVELS.values():
        points.append(_open_set(found, rates, mated, unmated, target))
    counts = {
        label: ProbeCounts(
            mated=int((mated & (given.group == g)).sum()),
            unmated=int((unmated & (given.group == g)).sum()),
            people=len(np.unique(given.person[given.group == g])),
        )
        for g, label in enumerate(given.groups)
    }
    used = np.concatenate([given.gallery, given.probe])
    simulated = bool((given.manifest.column("origin")[used] == "synthetic").any())
    return IdentificationResult(
        model=model,
        protocol=given.name,
        fingerprint=given.fingerprint,
        simulated=simulated,
        gallery_people=given.entries,
        gallery_images=len(given.gallery),
        probes=counts,
        rank_rate={
            str(k): rates.of(mated, found.rank <= k) for k in RANKS if k == 1 or k < given.entries
        },
        open_set=points,
        replicates=replicates,
        seed=seed,
        level=level,
        notes=[
            *given.notes,
            *([_CHOSEN] if unmated.any() else []),
            *([_FIXED] if replicates else []),
        ],
    )


def threshold_at(scores: NDArray[np.float64], target: float) -> float:
    """The lowest threshold at which at most a share ``target`` of scores (n,) is accepted.

    Scores at or above the threshold are accepted: it is just above the highest score that must
    not be.
    """
    allowed = int(np.floor(target * len(scores) + 1e-9))
    if allowed >= len(scores):
        return float(scores.min())
    return float(np.nextafter(np.sort(scores)[::-1][allowed], np.inf))


def _open_set(
    found: Search,
    rates: _Rates,
    mated: NDArray[np.bool_],
    unmated: NDArray[np.bool_],
    target: float,
) -> OpenSetPoint:
    count = int(unmated.sum())
    measurable, note = (
        far_support(count, target, trials="unmated probes", rate="FPIR")
        if count
        else (False, _NO_UNMATED)
    )
    if not measurable:
        nothing = rates.nothing(note)
        return OpenSetPoint(
            target_fpir=target, threshold=None, fpir=nothing, fnir=nothing, note=note
        )
    threshold = threshold_at(found.best_score[unmated], target)
    missed = (found.rank > 1) | (found.mate_score < threshold)
    return OpenSetPoint(
        target_fpir=target,
        threshold=threshold,
        fpir=rates.of(unmated, found.best_score >= threshold),
        fnir=rates.of(mated, missed),
        note=note,
    )


class _Rates:
    """Shares of probes with intervals, all from the same resamples of people."""

    def __init__(self, given: IdentificationSet, replicates: int, seed: int, level: float) -> None:
        self._given, self._level = given, level
        # A person with probes in several groups is drawn in each for itself.
        self._unit = np.empty(len(given.person), dtype=np.int64)
        parts, total = [], 0
        for g, label in enumerate(given.groups):
            of_group = given.group == g
            people, person = np.unique(given.person[of_group], return_inverse=True)
            self._unit[of_group] = total + person
            parts.append(identity_counts(len(people), replicates, seed, label))
            total += len(people)
        self._counts = np.concatenate(parts, axis=1)

    def of(self, among: NDArray[np.bool_], event: NDArray[np.bool_]) -> RateByGroup:
        """Share of events among these probes, (P,) masks both."""
        return self._by_group(lambda chosen: self._estimate(among & chosen, event))

    def nothing(self, note: str | None) -> RateByGroup:
        """What cannot be said."""
        return self._by_group(lambda _: Estimate(note=note))

    def _by_group(self, estimate: Callable[[NDArray[np.bool_]], Estimate]) -> RateByGroup:
        given = self._given
        return RateByGroup(
            overall=estimate(np.ones(len(given.group), dtype=bool)),
            groups={label: estimate(given.group == g) for g, label in enumerate(given.groups)},
        )

    def _estimate(self, among: NDArray[np.bool_], event: NDArray[np.bool_]) -> Estimate:
        if not among.any():
            return Estimate(note="no such probes")
        value = float(event[among].mean())
        if not len(self._counts):
            return Estimate(value=value, low=None, high=None)
        with np.errstate(invalid="ignore"):
            samples = self._total(among & event) / self._total(among)
        low, high = percentile_interval(samples, self._level, floor=0.0, ceiling=1.0)
        note = None
        if value in (0.0, 1.0):
            # No resample holds what the sample does not.
            people = len(np.unique(self._unit[among]))
            limit = zero_error_limit(people, (1 - self._level) / 2)
            if value == 0:
                high = max(high, limit)
            else:
                low = min(low, 1 - limit)
            seen, bound = ("none", "upper") if value == 0 else ("all", "lower")
            note = f"{seen} seen: the {bound} bound is that of no exception among {people:,} people"
        return Estimate(value=value, low=low, high=high, note=note)

    def _total(self, probes: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(R,) weight of a mask of probes in each resample."""
        of_unit = np.bincount(self._unit[probes], minlength=self._counts.shape[1])
        total: NDArray[np.int64] = self._counts @ of_unit
        return total
