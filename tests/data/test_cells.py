"""Cells that are too small."""

from __future__ import annotations

import pytest

from evenface.data.cells import TOO_SMALL, rate, shown


def test_rate() -> None:
    assert rate(3, 12, size=12, at_least=10) == 0.25
    assert rate(3, 9, size=9, at_least=10) == TOO_SMALL
    assert rate(90, 100, size=9, at_least=10) == TOO_SMALL  # many images of few people
    assert rate(0, 0, size=0, at_least=1) == TOO_SMALL
    assert rate(0, 0, size=0, at_least=0) == 0
    with pytest.raises(ValueError, match="4 of 3"):
        rate(4, 3, size=3, at_least=0)


def test_shown() -> None:
    assert shown(0.256) == "25.6%"
    assert shown(TOO_SMALL) == "too small"
