"""Named recipes and studies (YAML files of this folder), and how such files are read."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from evenface.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)


def list_named(kind: str) -> list[str]:
    """Names of the files ``<kind>-<name>.yaml`` that come with the package."""
    names = (entry.name for entry in resources.files(__name__).iterdir())
    return sorted(
        name.removeprefix(f"{kind}-").removesuffix(".yaml")
        for name in names
        if name.startswith(f"{kind}-") and name.endswith(".yaml")
    )


def read(kind: str, source: str) -> dict[str, Any]:
    """The content of a file by name or path, not validated.

    Raises:
        UsageError: no such name or file, or not a YAML mapping.
    """
    if source in list_named(kind):
        text = (resources.files(__name__) / f"{kind}-{source}.yaml").read_bytes()
    elif Path(source).is_file():
        text = Path(source).read_bytes()
    else:
        known = ", ".join(list_named(kind))
        raise UsageError(f"no {kind} recipe or file called '{source}'; at hand: {known}")
    try:
        content = parse_yaml(text.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: not valid YAML: {error}") from None
    except RecursionError:
        raise UsageError(f"{source}: not valid YAML: too deeply nested") from None
    if not isinstance(content, dict):
        raise UsageError(f"{source}: expected a mapping of keys to values")
    return content


def parse_yaml(text: str) -> Any:
    """The content of a YAML document of plain values.

    Raises:
        yaml.YAMLError: not YAML, or a key that is repeated within a mapping.
        RecursionError: too deeply nested.
    """
    return yaml.load(text, _UniqueKeys)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a repeated key, of which YAML's own loaders take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is repeated", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(
    kind: str,
    source: str | Path | Mapping[str, Any] | Model,
    model: type[Model],
    overrides: Mapping[str, Any] | None = None,
) -> Model:
    """Read a file by name or path, apply overrides with dotted keys, validate.

    Args:
        kind: "train", "study" or "mix".
        source: one of :func:`list_named`, or the path of a YAML file; or its content, or what this
            returned before.
        model: what the content must be.
        overrides: dotted key → value, e.g. ``{"head.options.m": 0.4}``.

    Raises:
        UsageError: no such name or file, not YAML, an unknown key (with the nearest known one),
            or a value that does not fit.
    """
    where, content = content_of(kind, source)
    override(content, overrides or {})
    return validate(where, content, model)


def content_of(
    kind: str, source: str | Path | Mapping[str, Any] | BaseModel
) -> tuple[str, dict[str, Any]]:
    """What messages call a source, and a copy of its content; errors as :func:`read`."""
    if isinstance(source, BaseModel):
        return kind, source.model_dump(mode="json")
    if isinstance(source, Mapping):
        return kind, deepcopy(dict(source))
    return str(source), read(kind, str(source))


def override(content: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set dotted keys of ``content``, in place; a later key may change a part of an earlier one."""
    for key, value in overrides.items():
        _set(content, key, deepcopy(value))


def validate(where: str, content: Mapping[str, Any], model: type[Model]) -> Model:
    """``content`` as a ``model``; UsageError names ``where`` and each key that does not fit."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(_explain(item, model) for item in error.errors())
        raise UsageError(f"{where}: {problems}") from None


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """``["a.b=1", …]`` as given to ``--set`` → dotted key → value (parsed as YAML).

    Raises UsageError for an assignment without "=" or with a value that is not YAML.
    """
    overrides = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes key=value, got '{assignment}'")
        try:
            overrides[key.strip()] = parse_yaml(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {assignment}: the value is not YAML ({error})") from None
        except RecursionError:
            raise UsageError(f"--set {key}: the value is too deeply nested") from None
    return overrides


def _set(content: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        if not isinstance(content.get(key), dict):
            content[key] = {}
        content = content[key]
    content[last] = value


def _explain(item: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if not where:  # of several keys together; the message names them
        return str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"{where}: missing"
    if item["type"] != "extra_forbidden":
        problem = item["msg"].removeprefix("Value error, ")
        return f"{where}: {problem} (got {_shortly(item['input'])})"
    known = sorted(
        {key for level in _levels(item["loc"][:-1], model) for key in level.model_fields}
    )
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
    return f"{where}: no such key; " + (
        f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
    )


def _shortly(value: Any) -> str:
    """A few lines at most, whatever a file holds."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 200, 200
    return short.repr(value)


def _levels(path: tuple[str | int, ...], model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may stand at a place of ``model``, several where it has alternatives."""
    levels = [model]
    for part in path:
        # A part that is no field is the name of an alternative or a position in a list.
        fields = [level.model_fields[part] for level in levels if part in level.model_fields]
        if fields:
            levels = [found for field in fields for found in models_in(field.annotation)]
    return levels


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
