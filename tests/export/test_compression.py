"""What compression did to each group: verdicts on evaluations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.evaluate import evaluate_embeddings, protocol_from_manifest
from evenface.export.compression import compare_precisions
from untrained_run import GROUPS


@pytest.fixture(scope="module")
def people():
    """Embeddings of 120 people, equally many of two groups, and their protocol."""
    from labelled_rows import LabelledRows

    random = np.random.default_rng(0)
    rows = LabelledRows(6, [GROUPS[i % 2] for i in range(120)])
    centres = random.normal(size=(120, 16))
    embeddings = centres[rows.labels()] + 0.5 * random.normal(size=(720, 16))
    return embeddings, rows.groups(None), protocol_from_manifest(rows)


def evaluate(embeddings, protocol):
    return evaluate_embeddings(embeddings, protocol, replicates=400, seed=0)


def test_the_same_network_is_not_distinguishable(people):
    embeddings, _, protocol = people
    found = compare_precisions(evaluate(embeddings, protocol), evaluate(embeddings, protocol))
    assert found.largest_loss == 0.0
    assert found.losers == []
    assert "No group's accuracy is distinguishable" in found.verdict
    assert all(change.p_holm == 1.0 for change in found.groups.values())


def test_a_group_that_suffers_is_named_and_the_gap_is_wider(people):
    embeddings, groups, protocol = people
    worse = embeddings.copy()
    noise = np.random.default_rng(1).normal(size=embeddings.shape)
    worse[groups == "south"] += 2.0 * noise[groups == "south"]
    found = compare_precisions(evaluate(embeddings, protocol), evaluate(worse, protocol))
    assert found.groups["south"].change.direction == -1
    assert found.groups["north"].change.value == 0.0
    assert found.largest_loss == -found.groups["south"].change.value
    assert found.largest_loss > 0.05
    assert found.losers == [f"south {100 * found.largest_loss:.2f}"]
    assert "Accuracy fell in south." in found.verdict
    assert "widened the gap" in found.verdict
