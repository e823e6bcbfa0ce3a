"""Registries name what they know."""

from __future__ import annotations

import pytest

from evenface.registry import Registry


def test_register_look_up_and_list():
    registry: Registry[int] = Registry("thing")
    registry.register("b")(2)
    registry.register("a")(1)
    assert registry["a"] == 1
    assert registry.names() == list(registry) == ["a", "b"]
    assert "a" in registry
    assert "c" not in registry


def test_unknown_names_list_the_known():
    registry: Registry[int] = Registry("thing")
    registry.register("a")(1)
    with pytest.raises(ValueError, match="unknown thing 'x'; known: a"):
        registry["x"]


@pytest.mark.parametrize("name", ["a", "", "Upper"])
def test_bad_names_are_refused(name):
    registry: Registry[int] = Registry("thing")
    registry.register("a")(1)
    with pytest.raises(ValueError):
        registry.register(name)(2)
