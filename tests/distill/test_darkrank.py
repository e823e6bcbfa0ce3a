"""DarkRank against the likelihood of a ranking, drawn without replacement."""

from __future__ import annotations

import numpy as np
import pytest
from embedded_batches import embeddings, unit

from evenface.distill import create_distillation


def by_hand(student, teacher, length):
    scores = [-3 * np.array([[np.linalg.norm(a - b) for b in f] for a in f]) ** 3
              for f in (unit(student), unit(teacher))]  # fmt: skip
    losses = []
    for anchor in range(len(student)):
        others = [j for j in range(len(student)) if j != anchor]
        ranking = sorted(others, key=lambda j: -scores[1][anchor, j])[:length]
        likelihood, left = 1.0, list(ranking)
        for chosen in ranking:
            worths = np.exp([scores[0][anchor, j] for j in left])
            likelihood *= np.exp(scores[0][anchor, chosen]) / worths.sum()
            left.remove(chosen)
        losses.append(-np.log(likelihood))
    return np.mean(losses)


@pytest.mark.parametrize("length", [3, 4])
def test_equals_the_likelihood_of_the_teachers_ranking(length):
    student, teacher = embeddings(teacher_size=8)
    loss = create_distillation("darkrank", length=length)(student, teacher)
    assert float(loss) == pytest.approx(by_hand(student, teacher, length))
    assert create_distillation("darkrank").length == 4


def test_images_that_are_the_same_are_others_all_the_same():
    student, teacher = embeddings()
    teacher[1] = teacher[0]  # as near as the anchor itself
    loss = create_distillation("darkrank", length=3)(student, teacher)
    assert float(loss) == pytest.approx(by_hand(student, teacher, 3))


def test_small_batches_have_shorter_lists():
    student, teacher = embeddings(batch=3)
    found = create_distillation("darkrank", length=4)(student, teacher)
    assert float(found) == pytest.approx(by_hand(student, teacher, 2))


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="length at least 2"):
        create_distillation("darkrank", length=1)
