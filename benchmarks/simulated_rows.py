"""The part of a manifest that protocols use, for simulated people: labels without images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class LabelledRows:
    """Rows of people with so many images each.

    Args:
        images: of each identity.
        groups: (identities,) the group of each.
    """

    attributes = ("group",)
    fingerprint = "simulated"

    def __init__(self, images: int, groups: Sequence[str] | NDArray[np.str_]) -> None:
        self._labels = np.repeat(np.arange(len(groups)), images)
        self._groups = np.repeat(np.array(groups, dtype=object), images)

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self) -> NDArray[np.int64]:
        """Identity of each row."""
        return self._labels

    def named(self) -> NDArray[np.bool_]:
        """Whether the person of each row is known."""
        return np.ones(len(self), dtype=bool)

    def groups(self, group_by: object) -> NDArray[np.object_]:
        """Group of each row."""
        return self._groups

    def column(self, name: str) -> NDArray[np.object_]:
        """Group or origin of each row."""
        return self._groups if name == "group" else np.full(len(self), "synthetic", dtype=object)
