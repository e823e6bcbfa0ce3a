"""What may be declared of a study's claims beforehand. Importing this needs neither torch nor
faces."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

GROUP = "{group}"
"""Stands for each group in turn in the names of arms."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(_Declared):
    """How far a group's error is from that of the others; see :mod:`evenface.study.declared`."""

    measure: str = Field(pattern=r"^(accuracy|eer|(own\.)?(fmr|fnmr)@[0-9e-]+|fmr|fnmr)$")
    """Of a group: "fnmr@1e-3" at one threshold for all groups that is set on other people at this
    FMR, "own.fnmr@1e-3" at a threshold for each group; "accuracy" stands for its error. Those with
    "@" need ``evaluation.targets``."""
    scale: Literal["points", "ratio"]
    """Difference to the others' mean, or ratio to their geometric mean."""
    margin: float = Field(gt=0)
    """What counts as no effect: a smaller difference, as a fraction; or a factor above 1 between 1
    and which, or its inverse, a ratio of ratios counts as none."""
    against: Literal["others", "nobody"] = "others"
    """"nobody": the group's error itself, which moves with everything that moves all groups."""
    beside: bool = False
    """Asked of the primary contrasts only."""

    @property
    def limit(self) -> float:
        """The margin on the scale of the test, that of logarithms for ratios."""
        return self.margin if self.scale == "points" else math.log(self.margin)

    @model_validator(mode="after")
    def _margin_fits(self) -> Self:
        if self.scale == "points" and self.margin >= 1:
            raise ValueError("margin: of points a fraction below 1, such as 0.02")
        if self.scale == "ratio" and self.margin <= 1:
            raise ValueError("margin: of ratios a factor above 1, such as 1.1")
        return self


class Harm(_Declared):
    """What a group suffers from being starved: arms by id, with ``{group}`` for the group."""

    name: str
    """In words: "with KD"."""
    starved: str
    """Arm in which the group has less."""
    even: str
    """The same arm, but that the group has as much as the others."""


class HarmContrast(_Declared):
    """Whether one harm is smaller than another, on average over the groups."""

    question: str
    expect: Literal["less", "more", "nothing"]
    """What "supported" means of ``first`` minus ``second``: below 0, above 0, or no effect."""
    first: Harm
    second: Harm | None = None
    """None: ``first`` is compared with no harm."""
    primary: bool = False
    """Others are corrected for their number (Holm)."""

    @property
    def harms(self) -> tuple[Harm, ...]:
        """One or both."""
        return (self.first,) if self.second is None else (self.first, self.second)


class ClaimSettings(_Declared):
    """Numbers and questions that the rules of the claims use; declared before results are seen."""

    margin: float = Field(default=0.01, gt=0, lt=1)
    """Loss of mean accuracy, as a fraction, below which a mix counts as equal to real faces."""
    epsilon: float = Field(default=0.01, gt=0, lt=1)
    """Loss of worst-group accuracy, as a fraction, that a smaller real fraction may cost."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """Coverage of intervals, which the evaluations must have; α of the tests is 1 − level."""
    seeds: int = Field(default=3, ge=3)
    """Training seeds below which every verdict is undecided."""
    endpoints: dict[Name, Endpoint] = Field(default_factory=dict)
    """Of the contrasts, the first being that of the first screen."""
    contrasts: dict[Name, HarmContrast] = Field(default_factory=dict)
    """Asked with every endpoint, those "beside" left out."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.endpoints) != bool(self.contrasts):
            raise ValueError("endpoints and contrasts are declared together")
        return self

    def unknown_arms(self, arms: list[str]) -> list[str]:
        """Names of arms in contrasts that no arm of the study has."""
        named = [a for c in self.contrasts.values() for h in c.harms for a in (h.starved, h.even)]
        return [
            name
            for name in dict.fromkeys(named)
            if not any(fnmatchcase(arm, name.replace(GROUP, "*")) for arm in arms)
        ]
