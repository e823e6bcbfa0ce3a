"""Scans of crossings: cells against counting by hand, false alarms against simulated equality."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from evenface.evaluate.crossings import CrossingScan, scan_crossings

IMAGES = 4


def _pairs(people: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """All genuine pairs and as many pairs of neighbours, as (2, P) images and whether genuine."""
    rows = np.arange(people * IMAGES).reshape(people, IMAGES)
    matched = [pair for images in rows for pair in combinations(images.tolist(), 2)]
    apart = [
        (int(rows[i, k]), int(rows[(i + step) % people, k]))
        for i in range(people)
        for step in (1, 2)
        for k in range(3)
    ]
    genuine = np.arange(len(matched) + len(apart)) < len(matched)
    return np.array([*matched, *apart]).T, genuine


def _scan(
    rng: np.random.Generator, people: int, harder: dict[str, str] | None = None, shift: float = 1.5
) -> CrossingScan:
    """People of random sex and age, with a random effect of each person; those of ``harder``
    have lower genuine scores."""
    images, genuine = _pairs(people)
    who = images // IMAGES
    of_person = {
        "sex": rng.choice(["f", "m"], people),
        "age": rng.choice(["young", "old"], people),
    }
    effect = rng.normal(0, 0.7, people)
    scores = rng.normal(0, 1, len(genuine)) + effect[who[0]] + 3.0 * genuine
    if harder is not None:
        hit = np.all([of_person[name] == value for name, value in harder.items()], axis=0)
        scores -= shift * (genuine & hit[who[0]])
    attributes = {name: values[who] for name, values in of_person.items()}
    return scan_crossings(scores, genuine, who, attributes, 1.2)


def test_cells_count_what_lies_in_them() -> None:
    scores = [0.9, 0.1, 0.8, 0.2, 0.9]
    genuine = [True, True, False, False, False]
    people = [[0, 1, 0, 2, 0], [0, 1, 1, 3, 2]]
    group = [["a", "a", "a", "b", "a"], ["a", "a", "a", "b", "b"]]
    scan = scan_crossings(scores, genuine, people, {"group": group}, 0.5, few_people=2)
    a, b = scan.cells
    assert (a.values, a.people, a.genuine_pairs, a.impostor_pairs) == (("a",), 2, 2, 1)
    assert (a.fnmr.value, a.fmr.value) == (0.5, 1.0)
    assert (b.people, b.genuine_pairs, b.fnmr.value, b.fmr.value) == (2, 0, None, 0.0)
    # No genuine pair in b, and the pair across is in no cell: one comparison is left.
    assert [(d.error, d.higher, d.ratio) for d in scan.differences] == [("fmr", ("a",), None)]


def test_equal_people_seldom_give_any_difference() -> None:
    rng = np.random.default_rng(1)
    false = sum(bool(_scan(rng, 80).decided()) for _ in range(150))
    assert false <= 14  # 5 % of 150 are 7.5; more than 14 has a chance of 1 %


def test_a_cell_that_no_single_attribute_shows_is_found() -> None:
    scan = _scan(np.random.default_rng(2), 600, {"sex": "f", "age": "old"})
    first = scan.decided("fnmr")[0]
    assert first.attributes == ("sex", "age")
    assert first.higher == ("f", "old")
    assert first.difference.low is not None
    assert first.difference.low > 0


def test_small_cells_are_named_and_not_compared() -> None:
    rng = np.random.default_rng(3)
    scan = _scan(rng, 60)
    assert {len(cell.attributes) for cell in scan.too_small} == {2}
    compared = {(d.attributes, side) for d in scan.differences for side in (d.higher, d.lower)}
    assert not compared & {(cell.attributes, cell.values) for cell in scan.too_small}


def test_no_value_is_in_no_cell() -> None:
    scan = scan_crossings([0.9], [True], [[0], [0]], {"sex": [[""], [""]]}, 0.5)
    assert scan.cells == []
    assert scan.differences == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"attributes": {}}, "at least one attribute"),
        ({"level": 1.0}, "level must be"),
        ({"people": [0, 0]}, r"people and attributes \(2, P\)"),
    ],
)
def test_arguments_that_do_not_fit(changed: dict[str, object], expected: str) -> None:
    given = {
        "scores": [0.1, 0.9],
        "genuine": [False, True],
        "people": [[0, 0], [1, 0]],
        "attributes": {"sex": [["f", "f"], ["f", "f"]]},
        "threshold": 0.5,
    }
    with pytest.raises(ValueError, match=expected):
        scan_crossings(**{**given, **changed})  # type: ignore[arg-type]
