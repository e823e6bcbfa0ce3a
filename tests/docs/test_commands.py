"""Every command on the pages is one that the program takes; those that are quick are run."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pages import ROOT, Snippet, blocks, commands, mentions

from evenface.cli.main import build_app
from evenface.data.mix.recipe import load_mix
from evenface.recipes import parse_overrides
from evenface.study.spec import list_studies, load_study
from evenface.train import list_recipes, load_recipe

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
APP: Any = typer.main.get_command(build_app())
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
SHOWN = list(commands())
MENTIONED = sorted({(snippet.page, snippet.text) for snippet in mentions()})


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after them."""
    command = APP
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    params = command.get_params(command.context_class(command))
    return {name for param in params for name in (*param.opts, *param.secondary_opts)}


def check(text: str, *, whole: bool) -> None:
    """Fail where a command is none. One that is not ``whole`` may lack arguments."""
    words = shlex.split(text, comments=True)
    program, arguments = words[0], words[1:]
    if program == "evenface":
        command, rest = leaf(arguments)
        flags = {word.split("=")[0] for word in rest if word.startswith("-") and len(word) > 1}
        assert flags <= options_of(command), flags - options_of(command)
        if whole:
            for path in rest[rest.index("--from") + 1 :] if "--from" in rest else []:
                Path(path).mkdir(parents=True, exist_ok=True)  # the parser asks whether it is there
            check_values(arguments[0], command.make_context(command.name, list(rest)).params)
    elif program == "make":
        assert {word for word in arguments if "=" not in word} <= TARGETS
    elif program == "python":
        script = (ROOT / arguments[0]).read_text("utf-8")
        for flag in (word for word in arguments if word.startswith("--")):
            assert f'"{flag}"' in script, flag
    elif program == "pip":
        for extra in re.findall(r"\[(.*?)\]", " ".join(arguments)):
            assert set(extra.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    elif program == "torchrun":
        module = arguments[arguments.index("-m") + 1 :]
        assert module[0] == "evenface"
        check(shlex.join(module), whole=whole)
    else:
        assert program == "pytest", program
        markers = [
            marker.split(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]
        ]
        assert "-m" not in arguments or arguments[arguments.index("-m") + 1] in markers
        assert all((ROOT / word).exists() for word in arguments if word.endswith(".py"))


def check_values(noun: str, params: dict[str, Any]) -> None:
    """Recipes exist, and have the keys that ``--set`` changes."""
    overrides = parse_overrides(params.get("assignments") or [])
    if noun == "train" and params["recipe"] in list_recipes():
        load_recipe(params["recipe"], overrides)
    elif noun == "train":
        assert params["recipe"] is None or params["recipe"].endswith(".yaml")
    elif noun == "study" and params.get("name") in list_studies():
        load_study(params["name"], overrides)
    elif noun == "study":
        assert params.get("name", ".yaml").endswith(".yaml")
    elif noun == "data" and len(params.get("places", ())) == 2:
        assert params["places"][0].endswith(".yaml") or load_mix(params["places"][0])


@pytest.mark.parametrize("snippet", SHOWN, ids=str)
def test_a_shown_command_is_one(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check(snippet.text, whole=True)


@pytest.mark.parametrize(("page", "text"), MENTIONED)
def test_a_mentioned_command_is_one(page: str, text: str) -> None:
    check(text, whole=False)


def test_commands_stand_in_console_blocks() -> None:
    for language in ("", "bash", "sh", "shell"):
        for block in blocks(language):
            for line in block.text.splitlines():
                command = re.match(r"(\$|evenface|make|pip|python|torchrun) ", line)
                assert command is None, (str(block), line)


def test_the_list_of_recipes_is_what_the_command_prints() -> None:
    printed = [
        block.text.split("$ evenface train --list\n")[1].split("\n$")[0].splitlines()
        for block in blocks("console")
        if "$ evenface train --list\n" in block.text
    ]
    assert printed == [list_recipes()]


def test_recipes_on_the_pages_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    checked = 0
    for block in blocks("yaml"):
        content = yaml.safe_load(block.text)
        for load, key in ((load_recipe, "backbone"), (load_study, "faces"), (load_mix, "real")):
            if key in content:
                path.write_text(block.text, encoding="utf-8")
                load(str(path))
                checked += 1
    assert checked >= 3
