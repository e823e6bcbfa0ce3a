"""Contact sheets: the right faces in the right places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from evenface.data.manifest import Manifest
from evenface.data.preview import contact_sheet

Describe = Callable[..., Manifest]


def test_a_row_is_one_identity(describe: Describe) -> None:
    manifest = describe("real", [("a", "north", 2), ("b", "south", 5)])
    preview = contact_sheet(manifest, identities=8, images=3)
    assert preview.rows == [("north", "a", 2), ("south", "b", 3)]
    assert preview.sheet.shape == (2 * 116 + 4, 3 * 116 + 4, 3)
    images = manifest.images()
    for row, last, own in ((0, 2, range(2)), (1, 3, range(2, 7))):
        for column in range(last):
            top, left = 4 + row * 116, 4 + column * 116
            cell = preview.sheet[top : top + 112, left : left + 112]
            assert any((cell == images[i]).all() for i in own)
    assert (preview.sheet[4:116, 4 + 2 * 116 : -4] == 255).all()  # "a" has no third image


def test_every_group_is_seen(describe: Describe) -> None:
    people = [(f"n{i}", "north", 1) for i in range(20)] + [("s", "south", 1), ("w", "west", 1)]
    preview = contact_sheet(describe("real", people), identities=5, images=1)
    assert Counter(group for group, *_ in preview.rows) == {"north": 3, "south": 1, "west": 1}


def test_seed_and_row_order(describe: Describe) -> None:
    manifest = describe("real", [(f"p{i}", "north", 3) for i in range(20)])
    first, same, other = (contact_sheet(manifest, identities=4, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.sheet, same.sheet)
    assert first.rows != other.rows


def test_real_people_are_pointed_out(describe: Describe) -> None:
    assert contact_sheet(describe("real", [("a", "north", 1)])).shows_real_people
    assert not contact_sheet(describe("synthetic", [("a", "north", 1)])).shows_real_people


def test_an_empty_sheet(describe: Describe) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        contact_sheet(describe("real", [("a", "north", 1)]), images=0)
