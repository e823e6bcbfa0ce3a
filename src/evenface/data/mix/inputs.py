"""From a recipe's paths to the sources of a mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evenface.console import warn
from evenface.data.embedded import EmbeddedRows, match_caches
from evenface.data.manifest import Manifest
from evenface.data.mix.pools import ROLES, Source
from evenface.data.mix.recipe import MixRecipe, MixSource
from evenface.data.overlap import OverlapReport, find_overlap, rows_without
from evenface.data.splits import split_rows
from evenface.errors import UsageError

Excluded = dict[str, dict[str, list[str]]]
"""Source → test set → identities left out."""


def open_sources(recipe: MixRecipe) -> tuple[list[Source], Excluded]:
    """Open what the recipe names, leave out what it excludes.

    Raises:
        DataError: a manifest, cache or report that cannot be read.
        UsageError: a split without rows, an exclusion that cannot be made, or nobody left.
    """
    items = [(role, item) for role in ROLES for item in _of(recipe, role)]
    reports = {path: OverlapReport.read(path) for path in recipe.exclude if _is_report(path)}
    tests = {path: Manifest.read(path) for path in recipe.exclude if path not in reports}
    wholes = [Manifest.read(item.path) for _, item in items]
    embedded = match_caches([*wholes, *tests.values()], recipe.embeddings)
    test_embeddings = dict(zip(tests, embedded[len(items) :], strict=True))
    for path in tests:
        if test_embeddings[path] is None:
            warn(
                f"{path}: its people are looked for by name only; to find those alike, name its "
                "embedding cache and those of the sources (--embeddings)"
            )
    for path, report in reports.items():
        if all(whole.fingerprint != report.train.fingerprint for whole in wholes):
            raise UsageError(
                f"{path}: this report was made for none of the sources. Make it anew with "
                "'evenface data overlap', or name the test set itself"
            )
    sources: list[Source] = []
    excluded: Excluded = {}
    for (role, item), whole, rows in zip(items, wholes, embedded, strict=False):
        alone = len(_of(recipe, role)) == 1
        name = item.name or (role if alone else _folder_name(item.path))
        source = _split(Source(name, role, whole, item.weight, rows), item)
        shared = {
            path: report.remove
            for path, report in reports.items()
            if report.train.fingerprint == whole.fingerprint
        }
        for path, test in tests.items():
            shared[path] = _shared(source, test, test_embeddings[path], path, recipe)
        source = _without(source, {name for names in shared.values() for name in names})
        excluded[name] = {str(path): names for path, names in shared.items()}
        sources.append(source)
    return sources, excluded


def _of(recipe: MixRecipe, role: str) -> tuple[MixSource, ...]:
    return recipe.real if role == "real" else recipe.synthetic


def _is_report(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _folder_name(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.is_file() else path.name


def _split(source: Source, item: MixSource) -> Source:
    if not item.split:
        return source
    return _rows(source, split_rows(source.manifest, item.split, item.path))


def _shared(
    source: Source,
    test: Manifest,
    test_embeddings: EmbeddedRows | None,
    path: Path,
    recipe: MixRecipe,
) -> list[str]:
    """Identities of the source that are in the test set."""
    pair = None
    if test_embeddings is not None:
        if source.embeddings is None:
            raise UsageError(
                f"source '{source.name}' has no teacher embeddings to compare with those of "
                f"{path}: name its cache too, or compare by name only"
            )
        pair = source.embeddings, test_embeddings
    return find_overlap(
        source.manifest,
        test,
        embeddings=pair,
        threshold=recipe.overlap_threshold,
        image_threshold=recipe.overlap_image_threshold,
    ).remove


def _without(source: Source, names: set[str]) -> Source:
    rows = rows_without(source.manifest, names)
    if not len(rows):
        raise UsageError(f"source '{source.name}': all its identities are in the test sets")
    return source if len(rows) == len(source.manifest) else _rows(source, rows)


def _rows(source: Source, rows: np.ndarray) -> Source:
    embeddings = source.embeddings
    return replace(
        source,
        manifest=source.manifest.select(rows),
        embeddings=None if embeddings is None else embeddings.select(rows),
    )
