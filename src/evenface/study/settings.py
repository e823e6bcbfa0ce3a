"""Recipes and studies as flat settings, to be compared key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evenface.train.recipe import TrainRecipe

_APART = {"name", "seed", "data", "distill"}


@dataclass(frozen=True)
class Change:
    """A setting that differs; None where a side has none."""

    first: Any
    second: Any


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key → value of everything that is no mapping, or an empty one."""
    return dict(_leaves(content, ""))


def _leaves(content: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def recipe_settings(recipe: TrainRecipe) -> dict[str, Any]:
    """What makes a model what it is, flat: without name, seed and paths."""
    content = recipe.model_dump(mode="json", exclude=_APART)
    if recipe.distill is not None:
        content["distill"] = recipe.distill.content()
    if recipe.pretrain is not None:
        content["pretrain"] = {"share": recipe.pretrain.share, "set": recipe.pretrain.data.name}
    return flat(content)


def changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Change]:
    """The keys of two flat mappings whose values differ, those of the second last."""
    keys = dict.fromkeys([*first, *second])
    return {
        key: Change(first.get(key), second.get(key))
        for key in keys
        if first.get(key) != second.get(key)
    }
