"""Name → factory tables. Adding an item touches the item's own file and one registry line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps lower-case names to items of one kind (``kind`` is used in messages)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, **description: Any) -> Callable[[T], T]:
        """Decorator: register an item under ``name``. Raises ValueError when the name is taken.

        ``description``: title, formula and works for reports, written out as literals:
        :func:`descriptions` reads them from the source.
        """
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


@dataclass(frozen=True)
class Description:
    """What a registered class or function is in the words of a paper.

    Attributes:
        title: in a sentence.
        formula: in symbols; "" for a network.
        works: what to cite, by keys of ``report/references.bib``.
        defaults: keyword → default value, as its signature has them.
    """

    title: str
    formula: str = ""
    works: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> float | None:
        """Of a distillation loss where a recipe gives none."""
        return self.defaults.get("weight")

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options in use: the given ones over the defaults."""
        known = {name: of for name, of in self.defaults.items() if name != "weight"}
        return {**known, **given}


@cache
def descriptions(folder: str, registry: str) -> dict[str, Description]:
    """Name → description of a registry's items, read from the source: nothing is imported.

    Args:
        folder: below ``evenface``, whose modules hold the items.
        registry: what the modules call the registry, "HEADS".
    """
    found = {}
    for file in (resources.files("evenface") / folder).iterdir():
        if not file.name.endswith(".py"):
            continue
        tree = ast.parse(file.read_text("utf-8"))
        constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == f"{registry}.register":
                    words = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                    name = ast.literal_eval(call.args[0])
                    defaults = _defaults(node, constants)
                    found[name] = Description(**{"title": name, **words}, defaults=defaults)
    return found


def _defaults(
    item: ast.ClassDef | ast.FunctionDef, constants: Mapping[str, ast.expr]
) -> dict[str, Any]:
    """Keyword → default, None left out, of a function or of a class's own ``__init__``."""
    functions = [item] if isinstance(item, ast.FunctionDef) else item.body
    made = next(
        f
        for f in functions
        if isinstance(f, ast.FunctionDef) and (f is item or f.name == "__init__")
    )
    found = {
        argument.arg: ast.literal_eval(
            constants[value.id] if isinstance(value, ast.Name) else value
        )
        for argument, value in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True)
        if value is not None
    }
    return {name: value for name, value in found.items() if value is not None}


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
