"""How often the recognisers that evenface offers err on photographs: ``on_photographs.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, model_validator

from evenface.record import Record

Rate = Annotated[float, Field(ge=0, le=1)]


class Point(Record):
    """Error rates at one threshold."""

    fmr: Annotated[float, Field(gt=0, lt=1)]
    """Share of impostor pairs accepted."""
    fnmr: Rate
    """Share of genuine pairs rejected."""
    threshold: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Cosine at or above which a pair is accepted; None where it was not recorded."""


class MeasuredModel(Record):
    """One recogniser on photographs."""

    title: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the model that was measured; another has other error rates."""
    views: tuple[Literal["original"]] | tuple[Literal["original"], Literal["flip"]]
    """What is embedded and summed before normalising."""
    points: tuple[Point, ...]
    """From the highest FMR to the lowest; empty where nothing was measured."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        fmr = [point.fmr for point in self.points]
        fnmr = [point.fnmr for point in self.points]
        thresholds = [p.threshold for p in self.points if p.threshold is not None]
        if not (_rises(fmr[::-1]) and _rises(fnmr) and _rises(thresholds)):
            raise ValueError("a lower FMR needs a higher threshold and gives a higher FNMR")
        return self

    def at(self, fmr: float) -> Point | None:
        """The point measured at this FMR; None where there is none."""
        return next((p for p in self.points if abs(p.fmr / fmr - 1) < 1e-6), None)


class OnPhotographs(Record):
    """All recognisers that were measured."""

    source: str
    """Photographs and who measured, in short."""
    models: dict[str, MeasuredModel]

    def of(self, fingerprint: str) -> MeasuredModel | None:
        """The model with this fingerprint; None where it is not one of these."""
        return next((m for m in self.models.values() if m.fingerprint == fingerprint), None)


@cache
def on_photographs() -> OnPhotographs:
    """The content of ``on_photographs.yaml``, validated."""
    text = (resources.files("evenface.teachers") / "on_photographs.yaml").read_text("utf-8")
    return OnPhotographs.model_validate(yaml.safe_load(text))


def _rises(values: Sequence[float]) -> bool:
    return list(values) == sorted(set(values))
