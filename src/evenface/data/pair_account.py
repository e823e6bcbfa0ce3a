"""The account of a published set: which of its pairs are lost, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from evenface.data.formats.folder import printable
from evenface.data.importing import REPORT_NAME as IMPORT_REPORT_NAME
from evenface.data.importing import ImportReport
from evenface.data.published_sets import ImageKey, PublishedSet
from evenface.errors import DataError
from evenface.files import write_json

REPORT_NAME = "verification-report.json"

_NAMED = 10  # lost pairs told in an error message; the report lists them all


class LostPair(BaseModel):
    """A pair that the result does not hold."""

    file: str
    line: int
    group: str
    pair: str
    genuine: bool
    reason: str


class GroupAccount(BaseModel):
    """What became of the pairs of one group."""

    pairs: int
    """In the file."""
    genuine: int
    lost: int
    folds: int
    """That the file tells; 0 for none."""
    images: int
    """Distinct images of the file."""


class VerificationReport(BaseModel):
    """What became of a published set (``verification-report.json``)."""

    version: int = 1
    status: Literal["complete", "failed"]
    source: str
    dataset: str
    pairs: int
    pairs_lost: int
    groups: dict[str, GroupAccount]
    identities_in_several_groups: dict[str, list[str]]
    noticed: dict[str, int]
    """Images with "many faces" (the largest was taken), "small face" or "resized"."""
    remarks: list[str]
    lost: list[LostPair]


class Account:
    """Tells which pairs are lost, writes that down, and stops where they are too many."""

    def __init__(
        self,
        published: PublishedSet,
        dataset: str,
        people: dict[ImageKey, str],
        remarks: list[str],
        out: Path,
    ) -> None:
        self._noticed: dict[str, int] = {}
        self._published = published
        self._dataset = dataset
        self._path = out / REPORT_NAME
        groups_of = defaultdict(set)
        for (number, _), person in people.items():
            groups_of[person].add(published.groups[number].name)
        self._crossing = {p: sorted(g) for p, g in sorted(groups_of.items()) if len(g) > 1}
        told = {f"{g.file.path.name}: {text}" for g in published.groups for text in g.file.remarks}
        self._remarks = [*sorted(told), *remarks]

    def add(self, imported: ImportReport) -> None:
        """Take up what the import noticed."""
        self._noticed = imported.noticed
        if across := imported.duplicates.across_identities:
            self._remarks.append(
                f"{across:,} images equal one of another identity byte for byte, so that a label "
                f"is wrong; {IMPORT_REPORT_NAME} lists them"
            )

    def judge(
        self, problems: dict[ImageKey, str], max_lost_rate: float, *, finished: bool = False
    ) -> VerificationReport:
        """The account with these images missing; written when it fails or is the last.

        Raises:
            DataError: too many pairs are lost, or all of a group.
        """
        lost = list(self._lost(problems))
        report = self._report(lost)
        empty = [name for name, group in report.groups.items() if group.lost == group.pairs]
        if failed := bool(empty) or len(lost) > max_lost_rate * report.pairs:
            report.status = "failed"
        if failed or finished:
            write_json(self._path, report.model_dump())
        if failed:
            raise DataError(self._failure(report, empty))
        return report

    def _lost(self, problems: dict[ImageKey, str]) -> Iterator[LostPair]:
        for number, group in enumerate(self._published.groups):
            for pair in group.file.pairs:
                names = dict.fromkeys((pair.first, pair.second))
                reasons = [
                    f"{name}: {problems[number, name]}"
                    for name in names
                    if (number, name) in problems
                ]
                if reasons:
                    yield LostPair(
                        file=str(group.file.path),
                        line=pair.line,
                        group=group.name,
                        pair=f"{pair.first} {pair.second}",
                        genuine=pair.genuine,
                        reason="; ".join(reasons),
                    )

    def _report(self, lost: list[LostPair]) -> VerificationReport:
        lost_of = Counter(pair.group for pair in lost)
        groups = {}
        for group in self._published.groups:
            pairs = group.file.pairs
            groups[group.name or "all"] = GroupAccount(
                pairs=len(pairs),
                genuine=sum(pair.genuine for pair in pairs),
                lost=lost_of[group.name],
                folds=group.file.folds,
                images=len({name for pair in pairs for name in (pair.first, pair.second)}),
            )
        return VerificationReport(
            status="complete",
            source=printable(str(self._published.root.resolve())),
            dataset=self._dataset,
            pairs=sum(group.pairs for group in groups.values()),
            pairs_lost=len(lost),
            groups=groups,
            identities_in_several_groups=self._crossing,
            noticed=self._noticed,
            remarks=self._remarks,
            lost=lost,
        )

    def _failure(self, report: VerificationReport, empty: list[str]) -> str:
        lines = [f"{report.pairs_lost:,} of {report.pairs:,} pairs are lost:"]
        for pair in report.lost[:_NAMED]:
            lines.append(f"  {Path(pair.file).name} line {pair.line}: {pair.reason}")
        if len(report.lost) > _NAMED:
            lines.append(f"  … and {len(report.lost) - _NAMED:,} more, all in {self._path}")
        if empty:
            lines.append(f"No pair is left of {', '.join(map(repr, empty))}")
        else:
            rate = -(-report.pairs_lost * 10_000 // report.pairs) / 10_000
            lines.append(
                f"Continue without them with --max-lost-rate {rate:g}, or correct the images and "
                "write into a new folder"
            )
        return "\n".join(lines)
