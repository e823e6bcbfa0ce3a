"""What a mix shall be: typed, validated, by name or from a YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from evenface import recipes
from evenface.data.cells import MIN_CELL
from evenface.data.mix.pools import Unit
from evenface.data.mix.selection import Select
from evenface.data.overlap import IMAGE_THRESHOLD, PEOPLE_THRESHOLD
from evenface.data.quotas import exact
from evenface.errors import UsageError

Balance = Literal["identities", "images", "none"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MixRules(_Part):
    """How two roles, real and synthetic, are mixed; ``docs/mixing.md`` states the rules."""

    real_fraction: float = Field(default=0.7, ge=0, le=1)
    """Share of each group that comes from the real sources."""
    real_fraction_of: Unit | None = None
    """What the fraction counts; None: what is balanced, or identities."""
    balance: Balance = "identities"
    """What is made equal over the groups; "none" leaves them as the sources give them."""
    total: int | None = None
    """Identities or images over all groups; None: as many as possible."""
    total_of: Unit | None = None
    """What ``total`` counts; None: what is balanced, or what the fraction counts."""
    group_by: tuple[str, ...] | None = None
    """Attributes that define the groups; None: the first that all sources have."""
    seed: int = 0
    select: Select = "random"
    """Who is taken first within a group."""
    max_images: PositiveInt | None = None
    """Most images per identity."""
    nearest: bool = False
    """Take the nearest mix that can be had where the one asked for cannot."""
    min_cell: NonNegativeInt = MIN_CELL
    """A share over fewer identities than this is "too small" to be stated."""

    @field_validator("group_by", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def unit(self) -> Unit:
        """What the quotas count."""
        return (self.real_fraction_of or "identities") if self.balance == "none" else self.balance


class MixSource(_Part):
    """A data set that takes part."""

    path: Path
    """Dataset folder or manifest, relative to where the program runs."""
    name: str = ""
    """Enters the seed; default: the role of an only source, else the name of the folder."""
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of its role's quota relative to the others'; None: in proportion to what each has."""
    split: str = ""
    """Rows of this split only; empty: all."""


class MixRecipe(MixRules):
    """Rules and sources: everything that decides about a mix."""

    name: str = "mix"
    real: tuple[MixSource, ...] = ()
    synthetic: tuple[MixSource, ...] = ()
    embeddings: tuple[Path, ...] = ()
    """Embedding caches of the sources (all their rows) and test sets, by one teacher; which is
    whose is told by the images. For a choice by diversity, and for people alike."""
    exclude: tuple[Path, ...] = ()
    """Test sets whose people are left out of every source, or reports of ``evenface data overlap``.
    People are found by name, and by likeness where the test set has embeddings."""
    overlap_threshold: float = Field(default=PEOPLE_THRESHOLD, ge=-1, le=1)
    """Cosine of two people's mean embeddings from which they are one person."""
    overlap_image_threshold: float = Field(default=IMAGE_THRESHOLD, ge=-1, le=1)
    """Cosine of two images from which one is a copy of the other."""

    @field_validator("embeddings", "exclude", mode="before")
    @classmethod
    def _one_path_alone(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @field_validator("real", "synthetic", mode="before")
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        """A path may stand for a source without options, and one source for a list of one."""
        items = value if isinstance(value, list | tuple) else [value]
        return [{"path": item} if isinstance(item, str | Path) else item for item in items]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for role in (self.real, self.synthetic):
            if len({source.weight is None for source in role}) > 1:
                raise ValueError("give a weight to every source of a role, or to none")
        return self

    def of_split(self, split: str) -> Self:
        """The recipe with every source that names no split cut down to this one."""

        def cut(sources: tuple[MixSource, ...]) -> tuple[MixSource, ...]:
            return tuple(s if s.split else s.model_copy(update={"split": split}) for s in sources)

        return self.model_copy(update={"real": cut(self.real), "synthetic": cut(self.synthetic)})

    def scaled(self, scale: float) -> Self:
        """The recipe with its total multiplied, rounded to the nearest whole number.

        Raises:
            UsageError: no total, or a scale that leaves nothing.
        """
        if self.total is None:
            raise UsageError("--scale multiplies the total, but this recipe has none")
        if not 0 < scale < math.inf:
            raise UsageError(f"a scale is a number above 0, got {scale}")
        total = int(self.total * exact(scale) + Fraction(1, 2))
        if total < 1:
            raise UsageError(f"a scale of {scale} leaves nothing of {self.total:,}")
        return self.model_copy(update={"total": total})


def list_mixes() -> list[str]:
    """Names of the mix recipes that come with the package."""
    return recipes.list_named("mix")


def load_mix(source: str, overrides: Mapping[str, Any] | None = None) -> MixRecipe:
    """Read a mix recipe by name (see :func:`list_mixes`) or from a YAML file.

    Raises:
        UsageError: see :func:`evenface.recipes.load`.
    """
    return recipes.load("mix", source, MixRecipe, overrides)
