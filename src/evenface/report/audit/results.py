"""What an audit found, as typed and validated records: the layout of its ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator

from evenface.errors import DataError
from evenface.evaluate.comparison import Comparison, compare_evaluations
from evenface.evaluate.identification import IdentificationResult
from evenface.evaluate.results import Evaluation
from evenface.files import read_json, write_json
from evenface.record import Record
from evenface.version import __version__

RESULTS_FILE = "results.json"
KIND: Final = "evenface audit"

Result = Evaluation | IdentificationResult


class Verified(Record):
    """One model on one protocol of verification."""

    model: str
    """Unique within the protocol."""
    protocol: str
    """Equal for models on the same pairs."""
    result: Evaluation

    @field_validator("result", mode="before")
    @classmethod
    def _without_replicates(cls, value: Any) -> Any:
        # They are not part of the file: what was tested with them stands in the comparisons.
        return {"replicates": {}, **value} if isinstance(value, dict) else value


class Searched(Record):
    """One model on one gallery."""

    model: str
    protocol: str
    result: IdentificationResult


class Compared(Record):
    """Two models on the same pairs."""

    protocol: str
    first: str
    second: str
    comparison: Comparison


class Audit(Record):
    """Models on protocols; within each protocol, later models are compared with the first."""

    kind: Literal["evenface audit"] = KIND
    version: Literal[1] = 1
    evenface: str = __version__
    verification: list[Verified] = Field(default_factory=list)
    identification: list[Searched] = Field(default_factory=list)
    comparisons: list[Compared] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write ``results.json``, atomically."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote.

        Raises:
            DataError: the file is missing, damaged, or no audit's.
        """
        content = read_json(path)
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise DataError(f"{path}: these are not the results of an audit")
        if content.get("version") != 1:
            raise DataError(
                f"{path}: version {content.get('version')!r} of an audit's results; this program "
                "reads version 1"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DataError(f"{path}: not the results of an audit ({error})") from None


def collect_audit(results: Sequence[tuple[str, Result]], *, strict: bool = False) -> Audit:
    """Put results side by side and compare those on the same pairs.

    Args:
        results: names of models and what was found; the first of each protocol is the one that
            the others are compared with.
        strict: raise where two results on the same pairs cannot be compared, instead of noting it.

    Raises:
        ValueError: ``strict``, and the results have no replicates or not the same resamples.
    """
    verification: list[Verified] = []
    searched: list[Searched] = []
    comparisons: list[Compared] = []
    notes: list[str] = []
    for model, result in results:
        if isinstance(result, IdentificationResult):
            searched.append(Searched(model=model, protocol=result.protocol, result=result))
            continue
        alike = [
            other
            for other in verification
            if other.result.protocol.fingerprint == result.protocol.fingerprint
        ]
        first = next(
            (a for a in alike if all((b.model, b.protocol) != (model, a.protocol) for b in alike)),
            None,
        )
        taken = {other.protocol for other in verification}
        name = first.protocol if first else _unique(result.protocol.name, taken)
        verification.append(Verified(model=model, protocol=name, result=result))
        if first is None:
            continue
        try:
            found = compare_evaluations(first.result, result)
        except ValueError as error:
            if strict:
                raise
            notes.append(f"{first.model} and {model} on {name} were not compared: {error}")
            continue
        comparisons.append(
            Compared(protocol=name, first=first.model, second=model, comparison=found)
        )
    return Audit(
        verification=verification,
        identification=searched,
        comparisons=comparisons,
        notes=notes,
    )


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} ({number})"
    return unique
