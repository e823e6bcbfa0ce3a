"""Names of groups, looks and splits; light, so that command lines can list them."""

from __future__ import annotations

from evenface.errors import UsageError

GROUPS = ("african", "asian", "caucasian")
"""anny's three phenotype axes. They are the generator's own; no claim about people is meant."""

LOOKS = ("camera", "plain", "studio")
"""How images are made; see :mod:`evenface.render.looks`."""

RANGE_SIZE = 1_000_000
SPLIT_RANGES = {
    split: range(number * RANGE_SIZE, (number + 1) * RANGE_SIZE)
    for number, split in enumerate(("teacher", "train", "validation", "test"))
}
"""Indices of the identities of each split. They are disjoint, so no person is in two splits."""


def check_known(kind: str, name: str, known: tuple[str, ...]) -> None:
    """UsageError listing the known names unless ``name`` is one of them."""
    if name not in known:
        raise UsageError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
