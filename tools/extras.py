"""Install each extra alone in a fresh environment, and import all that it has the packages for.

    python tools/extras.py [EXTRA ...]

Without names: the base install ("base") and every extra. ``PIP_OPTIONS`` holds options of pip.
Exits with 1 if one fails.

The functions above ``main`` read which packages each module of evenface imports, without importing
it. ``tests/test_extras.py`` compares that with ``pyproject.toml``.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from evenface.doctor import module_of

ROOT = Path(__file__).parents[1]
BASE = "base"
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"

USES: dict[str, tuple[str, ...]] = {
    "evenface.models": ("train",),
    "evenface.distill": ("train",),
    "evenface.train": ("train",),
    "evenface.models.timm": ("timm",),
    "evenface.train.sinks.tensorboard": ("tensorboard",),
    "evenface.train.sinks.wandb": ("wandb",),
    "evenface.teachers.checkpoint": ("train",),
    "evenface.teachers.study": ("train",),
    "evenface.teachers.torchscript": ("train",),
    "evenface.teachers.openvino": ("openvino",),
    "evenface.teachers.onnx": ("openvino", "export"),
    "evenface.teachers.relax": ("export",),
    "evenface.export": ("export",),
    "evenface.export.prune": ("prune",),
    "evenface.render": ("render",),
    "evenface.data.formats.verification_bcolz": ("bcolz",),
    "evenface.data.labels.classifier": ("label",),
    "evenface.evaluate.calibration": ("calibrate",),
    "evenface.report": ("report",),
    "evenface.study": ("train", "render", "report"),
    "evenface.study.executors.ray": ("ray",),
    "evenface.demo": ("demo",),
    "evenface.cli.train": ("train",),
    "evenface.cli.study": ("train", "render", "report"),
    "evenface.cli.export": ("export",),
    "evenface.cli.prune": ("prune",),
    "evenface.cli.teacher": ("train",),
    "evenface.cli.demo": ("demo",),
    "evenface.doctor": ("train",),
}
"""Module or package → the extras that its commands ask for; the longest name that fits counts.

A module may import what the base or one of its extras brings, lazily or not, and other modules of
evenface that need no more than that. All modules that are not listed run in the base install."""


class Import(NamedTuple):
    """One import in a module.

    Attributes:
        name: dotted name of what is imported: ``torch.nn``, ``evenface.files``.
        lazy: inside a function, so that importing the module does not do it.
    """

    name: str
    lazy: bool


@cache
def modules() -> dict[str, tuple[Import, ...]]:
    """Every module of evenface with its imports, those for type checkers left out."""
    found = {}
    for path in sorted((ROOT / "src" / "evenface").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = tuple(imports_of(ast.parse(path.read_text("utf-8"))))
    return found


def imports_of(node: ast.AST, *, lazy: bool = False) -> Iterator[Import]:
    """Imports in a piece of code, those for type checkers left out."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(alias.name, lazy) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield Import(module, lazy)
                # `from package import module` imports the module too.
                yield from (Import(f"{module}.{alias.name}", lazy) for alias in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                for statement in otherwise:
                    yield from imports_of(statement, lazy=lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports_of(child, lazy=True)
            case _:
                yield from imports_of(child, lazy=lazy)


@cache
def needs(name: str) -> frozenset[str]:
    """Third-party modules that ``import name`` imports: top-level names, as ``torch``, ``cv2``."""
    if name.partition(".")[0] != "evenface":
        return _outside(name)
    pending, reached, found = [name], set[str](), set[str]()
    while pending:
        module = pending.pop()
        if module in reached or module not in modules():
            continue
        reached.add(module)
        pending.append(module.rpartition(".")[0])  # the package that holds it
        for item in modules()[module]:
            if item.lazy:
                continue
            if item.name.partition(".")[0] == "evenface":
                pending.append(item.name)
            else:
                found |= _outside(item.name)
    return frozenset(found)


def _outside(name: str) -> frozenset[str]:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return frozenset()
    # The one place where a package imports another that its metadata does not ask for.
    return frozenset({top, "tensorboard"} if name == "torch.utils.tensorboard" else {top})


@cache
def declared(extra: str) -> frozenset[str]:
    """Modules that an install with ``extra`` is sure to have, the base's included."""
    brought = {
        module_of(requirement) for requirement in (*requirements(BASE), *requirements(extra))
    }
    return frozenset(brought - {""})


def requirements(extra: str) -> list[Requirement]:
    """What an extra asks for, :data:`BASE` for what every install has; extras in it spelt out."""
    lines = (
        _project()["dependencies"] if extra == BASE else _project()["optional-dependencies"][extra]
    )
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == "evenface":
            found += [item for other in requirement.extras for item in requirements(other)]
        else:
            found.append(requirement)
    return found


def extras() -> list[str]:
    """Names of all extras, in the order of pyproject.toml."""
    return list(_project()["optional-dependencies"])


@cache
def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def extras_of(module: str) -> tuple[str, ...]:
    """What :data:`USES` says of a module, () for one of the base install."""
    while module not in USES and module:
        module = module.rpartition(".")[0]
    return USES.get(module, ())


def check(extra: str, folder: Path) -> str:
    """Install an extra into a new environment and import what it is for.

    Args:
        extra: name of the extra, or :data:`BASE`.
        folder: where the environment is made.

    Returns:
        What was found, in words.

    Raises:
        CheckError: a command failed, or the doctor is not content.
    """
    python = folder / "bin" / "python"
    options = shlex.split(os.environ.get("PIP_OPTIONS", ""))
    _run(sys.executable, "-m", "venv", folder)
    target = str(ROOT) if extra == BASE else f"{ROOT}[{extra}]"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options)
    _run(python, *pip, "-c", ROOT / "constraints.txt", target)
    findings = json.loads(_run(folder / "bin" / "evenface", "doctor", "--json"))["findings"]
    for finding in findings:
        of_extra = finding["topic"] == "extra" and finding["name"] == extra
        if (of_extra or finding["topic"] == "base") and finding["status"] != "ok":
            raise CheckError(f"evenface doctor: {finding['name']}: {finding['detail']}")
    names = [name for name in modules() if needs(name) <= declared(extra)]
    _run(python, "-P", "-c", _IMPORT, *names)
    return f"{len(names)} of {len(modules())} modules import"


class CheckError(Exception):
    """An extra does not hold what it is for; the message says what was tried and what came out."""


def _run(*command: str | Path) -> str:
    """Standard output of a command. It sees neither this process's PYTHONPATH nor its folder."""
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            list(map(str, command)),
            cwd=elsewhere,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        shown = shlex.join(map(str, command))[:200]
        raise CheckError(f"{shown}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Check the extras one after the other and exit with 1 if any of them fails."""
    parser = argparse.ArgumentParser(description="Install and import each extra on its own.")
    known = [BASE, *extras()]
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"some of: {', '.join(known)}")
    chosen = parser.parse_args().extras or known
    if unknown := [extra for extra in chosen if extra not in known]:
        parser.error(f"no such extra: {', '.join(unknown)}; there are: {', '.join(known)}")
    failed = []
    for number, extra in enumerate(chosen, 1):
        began = time.monotonic()
        print(f"[{number}/{len(chosen)}] {extra}: installing and importing …", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"evenface-{extra}-") as folder:
            try:
                found = check(extra, Path(folder))
            except CheckError as error:
                failed.append(extra)
                found = f"FAILED: {error}"
        print(f"{extra}: {found} ({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
