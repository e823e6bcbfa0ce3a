"""What a study compares: arms, and where each stands in the grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["real", "synthetic", "mix"]
"""What a training set is made of."""


@dataclass(frozen=True)
class Arm:
    """A training set with a teacher or none, trained once for each seed; or a reference model."""

    id: str
    title: str
    kind: Literal["student", "teacher", "untrained"]
    set: str | None
    kd: bool | None
    teacher: str | None
    """Id of the teacher that a student distils from, or that this arm is."""
    seeds: tuple[int, ...]
    """Empty for a teacher."""
    levels: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    """Factor → level. A student without a teacher has no level of factors of distillation."""
