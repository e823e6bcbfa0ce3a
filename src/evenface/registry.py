"""Name → factory tables. Adding an item touches the item's own file and one registry line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps lower-case names to items of one kind (``kind`` is used in messages)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: register an item under ``name``. Raises ValueError when the name is taken."""
        if name != name.lower() or not name:
            raise ValueError(f"{self.kind} name must be lower case and not empty, got {name!r}")

        def add(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} {name!r} is registered already")
            self._items[name] = item
            return item

        return add

    def __getitem__(self, name: str) -> T:
        """The item called ``name``; ValueError lists the known names."""
        try:
            return self._items[name]
        except KeyError:
            known = ", ".join(self.names())
            raise ValueError(f"unknown {self.kind} {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._items)


def typed_options(
    what: str,
    factory: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    given: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The options, if the factory has them and their types are those that its signature names.

    A whole number may be written as a float, as it is read from a recipe.

    Args:
        what: whose options, for the message.
        factory: a class or function with keyword-only parameters.
        options: as a user wrote them.
        given: parameters that the program sets; not told among the known ones.

    Raises:
        TypeError: an unknown option (the known are listed), or one of another type.
    """
    signature = inspect.signature(factory).parameters
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    typed = {}
    for name, value in options.items():
        if name not in signature:
            known = ", ".join(key for key in signature if key not in given) or "none"
            raise TypeError(f"{what} has no option '{name}'; it has: {known}")
        if hints[name] is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        config = ConfigDict(strict=True, arbitrary_types_allowed=True)
        try:
            TypeAdapter(hints[name], config=config).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise TypeError(f"{what}: option {name} is {value!r}: {problem}") from None
        typed[name] = value
    return typed
