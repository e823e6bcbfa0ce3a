"""One protocol of an audit: the models on it and how they compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evenface.evaluate.comparison import OPERATING_POINT
from evenface.evaluate.identification import IdentificationResult
from evenface.evaluate.results import Evaluation
from evenface.evaluate.times import Times, by_protocol
from evenface.report.audit.results import Audit, Compared
from evenface.report.measured import Entry
from evenface.report.table import Column, Table


@dataclass(frozen=True)
class Chapter:
    """Models that were verified on the same pairs."""

    id: str
    """Prefix of ids on the page: "p1"."""
    title: str
    models: dict[str, Evaluation]
    comparisons: list[Compared]
    times: dict[str, Times] = field(default_factory=dict)
    """By model, where they were measured."""

    @property
    def first(self) -> Evaluation:
        """What is alike for all models is read from the first."""
        return next(iter(self.models.values()))

    @property
    def groups(self) -> list[str]:
        """Names, in the protocol's order."""
        return list(self.first.groups)

    @property
    def simulated(self) -> bool:
        """Whether any image is synthetic."""
        return self.first.protocol.simulated

    @property
    def level(self) -> float:
        """Coverage of the intervals."""
        return self.first.bootstrap.level

    @property
    def keys(self) -> list[str]:
        """Targets that some model's impostor pairs support, from the loosest."""
        return list(
            dict.fromkeys(
                point.key
                for evaluation in self.models.values()
                for point in evaluation.operating_points
                if point.threshold is not None
            )
        )

    @property
    def key(self) -> str | None:
        """The target that the page speaks of first: 0.1 % if supported, else the strictest."""
        keys = self.keys
        return OPERATING_POINT if OPERATING_POINT in keys else (keys[-1] if keys else None)

    @property
    def entries(self) -> list[Entry]:
        """The models as rows of tables."""
        return [Entry(model, evaluation) for model, evaluation in self.models.items()]

    def table(self, name: str, what: str, columns: list[Column], *, then: str = "") -> Table:
        """An empty table: what it shows, of which protocol, and what there is to say beside."""
        caption = f"{what}: {self.title}.{then}"
        return Table(f"{self.id}-{name}", caption, columns, simulated=self.simulated)


@dataclass(frozen=True)
class SearchChapter:
    """Models that searched the same gallery."""

    id: str
    title: str
    models: dict[str, IdentificationResult]


def chapters(audit: Audit, times: Iterable[Times] = ()) -> list[Chapter]:
    """Verification, in the order of the results."""
    return [
        Chapter(
            f"p{number}",
            protocol,
            {v.model: v.result for v in audit.verification if v.protocol == protocol},
            [c for c in audit.comparisons if c.protocol == protocol],
            by_protocol(times, protocol),
        )
        for number, protocol in enumerate(dict.fromkeys(v.protocol for v in audit.verification), 1)
    ]


def search_chapters(audit: Audit) -> list[SearchChapter]:
    """Identification, in the order of the results."""
    return [
        SearchChapter(
            f"s{number}",
            protocol,
            {s.model: s.result for s in audit.identification if s.protocol == protocol},
        )
        for number, protocol in enumerate(
            dict.fromkeys(s.protocol for s in audit.identification), 1
        )
    ]
