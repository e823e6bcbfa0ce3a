"""What modules import is what pyproject.toml declares for them: the base, or an extra."""

from __future__ import annotations

import ast
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from evenface.doctor import module_of
from evenface.teachers.loading import _KINDS
from scripts import load_script

ROOT = Path(__file__).parents[1]
DEVELOPMENT = ("docs", "dev")


tool = load_script(ROOT / "tools" / "extras.py")
BASE = tool.declared(tool.BASE)


def allowed(module: str) -> frozenset[str]:
    return BASE.union(*map(tool.declared, tool.extras_of(module)))


@pytest.mark.parametrize("module", tool.modules())
def test_a_module_imports_what_its_extras_bring(module):
    for item in tool.modules()[module]:
        lacking = sorted(tool.needs(item.name) - allowed(module))
        asked = ", ".join(tool.extras_of(module)) or "the base install"
        assert not lacking, f"{module} imports {item.name}: {lacking} are not in {asked}"


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in tool.modules()
        if name in ("evenface", "evenface.recogniser", "evenface.__main__")
        or name.startswith(("evenface.cli", "evenface.study", "evenface.report"))
    ],
)
def test_commands_and_what_they_look_at_first_import_in_the_base(module):
    assert tool.needs(module) <= BASE


def test_the_table_names_modules_and_extras_that_there_are():
    assert set(tool.USES) <= set(tool.modules())
    used = {extra for extras in tool.USES.values() for extra in extras}
    assert used == set(tool.extras()) - set(DEVELOPMENT)


@pytest.mark.parametrize("extra", sorted(set(tool.extras()) - set(DEVELOPMENT)))
def test_an_extra_brings_nothing_that_is_not_imported(extra):
    imported = {
        package
        for module in tool.modules()
        for item in tool.modules()[module]
        for package in tool.needs(item.name)
    }
    # torch.onnx.export imports onnxscript.
    assert tool.declared(extra) - imported <= {"onnxscript"}


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.description)
def test_a_kind_of_teacher_names_the_extra_that_it_needs(kind):
    assert tool.needs(kind.module) <= tool.declared(kind.extra or tool.BASE)


def _asked_for() -> list[tuple[str, str, str]]:
    """Module, package and extra of each error that names both as text."""
    found = []
    for module in tool.modules():
        path = ROOT / "src" / Path(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="MissingDependencyError"),
                    args=[ast.Constant(str(package)), ast.Constant(str(extra)), _],
                ):
                    found.append((module, package, extra))
    return found


def test_errors_name_an_extra_that_brings_the_package():
    asked = _asked_for()
    assert len(asked) > 5
    for module, package, extra in asked:
        assert module_of(Requirement(package)) in tool.declared(extra) - BASE, module


def test_imports_are_found_wherever_they_are():
    code = """
from typing import TYPE_CHECKING
import numpy as np
try:
    from torch import nn
except ImportError:
    nn = None
if TYPE_CHECKING:
    import hints
def call():
    with open("x"):
        import lazy.part
class Model:
    import inner
"""
    found = {item.name: item.lazy for item in tool.imports_of(ast.parse(code))}
    assert found == {
        "typing": False,
        "typing.TYPE_CHECKING": False,
        "numpy": False,
        "torch": False,
        "torch.nn": False,
        "lazy.part": True,
        "inner": False,
    }


def test_needs_follow_imports_that_are_not_lazy():
    assert tool.needs("evenface.train.loop") >= {"torch", "safetensors", "numpy"}
    assert "torch" not in tool.needs("evenface.teachers.loading")
    assert tool.needs("torch.utils.tensorboard") == {"torch", "tensorboard"}
    assert tool.needs("json") == set()


def test_names_of_modules_are_those_that_distributions_install():
    installed = metadata.packages_distributions()
    modules = {
        item.name: module
        for extra in (tool.BASE, *tool.extras())
        for item in tool.requirements(extra)
        if (module := module_of(item))
    }
    for name, module in modules.items():
        owners = {owner.lower().replace("_", "-") for owner in installed.get(module, ())}
        with suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            assert name.lower() in owners, module
