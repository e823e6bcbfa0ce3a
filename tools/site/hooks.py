"""Pages of the site that are not written by hand, and links that lead out of docs/."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe
import matplotlib
import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

from evenface.cli.main import build_app
from evenface.recipes import models_in

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
notebooks = import_module("notebooks")

OUTSIDE = {
    "CONTRIBUTING.md": "reference/contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
    "src/evenface/teachers/study_teacher/README.md": "reference/study-teacher.md",
    "src/evenface/teachers/small_student/README.md": "reference/small-student.md",
}
"""File of the repository → page that shows it."""

RECIPES = {
    "A training recipe": "evenface.train.recipe.TrainRecipe",
    "A mix": "evenface.data.mix.recipe.MixRecipe",
    "A study": "evenface.study.spec.StudySpec",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from code and from files outside docs/."""
    pages = {page: (ROOT / source).read_text("utf-8") for source, page in OUTSIDE.items()}
    pages["reference/commands.md"] = commands_page()
    pages["reference/recipe-keys.md"] = recipe_keys_page()
    matplotlib.use("Agg")
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{notebook.stem}.md"] = notebooks.page(notebook)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of docs/, and to notebooks, lead to the page that shows the file."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in OUTSIDE.items():
        markdown = markdown.replace(f"](../{up}{source})", f"]({up}{target})")
    return re.sub(r"\]\(((?:\.\./)*notebooks/[\w-]+)\.ipynb\)", r"](\1.md)", markdown)


def commands_page() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    lines = ["# Commands", "", "What `evenface … --help` says, on one page.", ""]
    for path, command in _commands(typer.main.get_command(build_app()), "evenface"):
        context = command.context_class(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## {path}", "", f"`{path} {usage}`", "", _plain(command.help or ""), ""]
        rows = [
            (", ".join(param.opts), _cell(param, context))
            for param in command.get_params(context)
            if param.name != "help"
        ]
        if rows:
            lines += ["| argument, option | |", "|---|---|"]
            lines += [f"| `{_escape(names)}` | {_escape(text)} |" for names, text in rows]
            lines += [""]
    return "\n".join(lines)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Path and command of every leaf of the tree."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _commands(inner, f"{path} {name}")
    else:
        yield path, command


def _cell(param: Any, context: Any) -> str:
    text = getattr(param, "help", None) or ""
    default = param.get_default(context, call=False)
    shown = default if isinstance(default, str | int | float) else None
    if shown is None or isinstance(shown, bool) or shown == "":
        return str(text)
    return f"{text} (default: `{shown}`)"


def recipe_keys_page() -> str:
    """All keys of training, mix and study files, from the models that validate them."""
    lines = [
        "# Recipe keys",
        "",
        "Every key of the YAML files, with what it may be and its default, from the code that "
        "checks them. A dotted key is set by `--set`, for example `--set optimizer.lr=0.05`. "
        "What [training](../training.md), [mixing](../mixing.md) and [study](../study.md) explain "
        "is not repeated here. A part that may stand at several keys is told at the first of them: "
        "what `faces.real` may be, `faces.synthetic` may be too.",
        "",
    ]
    for title, where in RECIPES.items():
        module, name = where.rsplit(".", 1)
        lines += [f"## {title}", ""]
        for key, model in _sections("", getattr(import_module(module), name), set()):
            lines += [f"### `{key}`", ""] if key else []
            lines += [
                _sentence(model.__doc__),
                "",
                "| key | value | default | |",
                "|---|---|---|---|",
            ]
            lines += [
                _row(f"{key}.{field}" if key else field, model, field)
                for field in model.model_fields
            ]
            lines += [""]
    return "\n".join(lines)


def _sections(
    key: str, model: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and those of its fields, each once, with the dotted key at which it stands."""
    if model in seen:
        return
    seen.add(model)
    yield key, model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from _sections(f"{key}.{name}" if key else name, inner, seen)


def _row(key: str, model: type[BaseModel], field: str) -> str:
    info = model.model_fields[field]
    schema = model.model_json_schema()
    value = _value(schema["properties"][field], schema.get("$defs", {}))
    if info.is_required():
        default = "must be given"
    else:
        given = info.get_default(call_default_factory=True)
        plain = given.model_dump(mode="json") if isinstance(given, BaseModel) else given
        default = "see below" if isinstance(given, BaseModel) else f"`{json.dumps(plain)}`"
    text = _docstring(model, field)
    return "| " + " | ".join((f"`{key}`", _escape(value), default, _escape(text))) + " |"


def _docstring(model: type[BaseModel], field: str) -> str:
    owner = next(cls for cls in model.__mro__ if field in inspect.get_annotations(cls))
    docstring = _parsed(owner.__module__)[owner.__name__].members[field].docstring
    text = _sentence(docstring.value if docstring else "")
    return re.sub(r"\bNone\b", "`null`", text)  # as the files write it


@cache
def _parsed(module: str) -> griffe.Module:
    path = Path(str(import_module(module).__file__))
    return griffe.visit(module, path, path.read_text("utf-8"))


def _sentence(text: str | None) -> str:
    """One line of Markdown: references to code as code."""
    line = " ".join((text or "").split())
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", line).replace("``", "`")


def _value(schema: dict[str, Any], parts: dict[str, Any]) -> str:
    """What a key may hold, in words, from its JSON Schema."""
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return " or ".join(dict.fromkeys(_value(item, parts) for item in alternatives))
    if "$ref" in schema:
        return "keys below"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_value(schema.get('items', {}), parts)}"
    if kind == "object":
        values = schema.get("additionalProperties")
        values = next(iter(schema.get("patternProperties", {}).values()), values)
        return f"name → {_value(values if isinstance(values, dict) else {}, parts)}"
    words = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    words |= {"string": "path" if schema.get("format") == "path" else "text", "null": "`null`"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    return " ".join([words.get(kind or "", "any value"), ", ".join(limits)]).strip()


def _plain(text: str) -> str:
    """What looks like a tag is text; code is left alone."""
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", text)


def _escape(text: str) -> str:
    """One cell of a table."""
    return _plain(" ".join(text.split())).replace("|", r"\|")
