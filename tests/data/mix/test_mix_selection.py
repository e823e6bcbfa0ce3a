"""Who is taken first: by confidence, by diversity (against a naive k-centre)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.data.embedded import EmbeddedRows
from evenface.data.manifest import Manifest
from evenface.data.mix import MixRules, Source, mix_sources
from evenface.data.mix.selection import k_centre, order_by
from evenface.errors import DataError, UsageError

Describe = Callable[..., Manifest]


def naive_k_centre(points: np.ndarray, k: int) -> list[int]:
    """From the definition, with Euclidean distances, one comparison at a time.

    Two points are equally near to their mean: three at least.
    """
    mean = points.mean(axis=0)
    chosen = [min(range(len(points)), key=lambda i: (-float(points[i] @ mean), i))]
    while len(chosen) < min(k, len(points)):
        distance = {
            i: min(float(np.linalg.norm(points[i] - points[c])) for c in chosen)
            for i in range(len(points))
            if i not in chosen
        }
        chosen.append(max(distance, key=lambda i: (distance[i], -i)))
    return chosen


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 12), st.integers(1, 14), st.integers(0, 999))
def test_k_centre_against_the_definition(n: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert k_centre(points, k).tolist() == naive_k_centre(points, k)


def test_k_centre_by_hand() -> None:
    angles = np.deg2rad([0, 10, 20, 90, 180])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # The mean points to 38°, 20° is nearest; then 180°, 90° (70° off), 0° (20° off), 10°.
    assert k_centre(points, 3).tolist() == [2, 4, 3]
    assert k_centre(points, 9).tolist() == [2, 4, 3, 0, 1]
    assert k_centre(points[:0], 3).tolist() == []
    same = np.ones((4, 1))
    assert k_centre(same, 4).tolist() == [0, 1, 2, 3]


def embedded(manifest: Manifest, vectors: dict[str, list[float]]) -> EmbeddedRows:
    values = np.array([vectors[name] for name in manifest.column("identity")], dtype=np.float32)
    return EmbeddedRows(values, np.arange(len(manifest)), "teacher")


def test_diversity_takes_the_far_ones(describe: Describe) -> None:
    manifest = describe("real", [(name, "north", 2) for name in "abcdef"])
    vectors = {"a": [1, 0], "b": [1, 0.01], "c": [1, 0.02], "d": [0, 1], "e": [-1, 0], "f": [1, 0]}
    source = Source("real", "real", manifest, embeddings=embedded(manifest, vectors))
    rules = MixRules(real_fraction=1, total=3, select="diversity", seed=3)
    mixed, _ = mix_sources([source], rules)
    assert {"d", "e"} < set(mixed.identities())
    # The order of rows does not matter, and a larger mix contains the smaller.
    turn = np.random.default_rng(0).permutation(len(manifest))
    turned = Source(
        "real", "real", manifest.select(turn), embeddings=source.embeddings.select(turn)
    )
    assert mix_sources([turned], rules)[0].table.equals(mixed.table)
    more, _ = mix_sources([source], rules.model_copy(update={"total": 4}))
    assert set(mixed.identities()) < set(more.identities())
    images = rules.model_copy(update={"balance": "images", "total": 5})
    assert {"d", "e"} < set(mix_sources([source], images)[0].identities())


def test_diversity_needs_embeddings(describe: Describe) -> None:
    manifest = describe("real", [(name, "north", 2) for name in "ab"])
    rules = MixRules(real_fraction=1, select="diversity")
    with pytest.raises(UsageError, match="'real' has no teacher embeddings"):
        mix_sources([Source("real", "real", manifest)], rules)
    zero = EmbeddedRows(np.zeros((4, 2)), np.arange(4), "teacher")
    with pytest.raises(DataError, match="length zero"):
        mix_sources([Source("real", "real", manifest, embeddings=zero)], rules)


def test_confidence_drops_the_least_certain_of_the_group_that_is_ahead(describe: Describe) -> None:
    manifest = describe(
        "real", [("a", "north", 1), ("b", "north", 2), ("c", "north", 1), ("d", "south", 1)]
    )
    sure = {"a": 0.6, "b": 0.9, "c": 0.7, "d": 0.5}
    labelled = manifest.with_attribute(
        "ethnicity",
        manifest.column("ethnicity"),
        source="predicted",
        confidence=[sure[name] for name in manifest.column("identity")],
    )
    rules = MixRules(real_fraction=1, select="confidence")
    mixed, _ = mix_sources([Source("real", "real", labelled)], rules)
    assert mixed.identities() == ["b", "d"]
    # What is declared is certain.
    sources = np.where(manifest.column("identity") == "a", "declared", "predicted")
    partly = manifest.with_attribute(
        "ethnicity",
        manifest.column("ethnicity"),
        source=sources,
        confidence=[sure[name] for name in manifest.column("identity")],
    )
    mixed, _ = mix_sources([Source("real", "real", partly)], rules)
    assert mixed.identities() == ["a", "d"]
    unsure = manifest.with_attribute("ethnicity", manifest.column("ethnicity"), source="predicted")
    with pytest.raises(UsageError, match="nothing is known of the confidence"):
        mix_sources([Source("real", "real", unsure)], rules)
    with pytest.raises(UsageError, match="needs groups"):
        mix_sources(
            [Source("real", "real", labelled)], MixRules(**rules.model_dump() | {"group_by": ()})
        )


def test_other_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="select is one of random, confidence, diversity"):
        order_by("beauty")  # type: ignore[arg-type]
