"""Changes modules at random, one place at a time, and names the changes that no test notices.

    python tools/mutate.py [--count 20] [--seed 0] [--minutes M] [--timeout 600] [TARGET …]

A target is a name of ``TARGETS``; all by default. A mutation swaps an operator or a comparison, or
changes a number; docstrings, annotations and messages are left alone. Each is tested in a copy of
the repository's ``src`` and ``tests``, so the working tree is never touched. A survivor is a test
to write, or a change that makes no difference. Ends with status 1 where there are survivors.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "distill": ("distill", ("distill",)),
    "models": ("models", ("models",)),
    "fairness": ("evaluate/fairness.py", ("evaluate",)),
    "bootstrap": ("evaluate/bootstrap.py", ("evaluate",)),
    "mix": ("data/mix", ("data/mix",)),
    "recordio": ("data/formats/recordio.py", ("data/formats",)),
    "schedule": ("train/schedule.py", ("train/test_schedule.py",)),
}
"""Name → module or folder in ``src/evenface``, and its tests in ``tests``."""

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_UNTOUCHED = (ast.JoinedStr, ast.Raise)


class Mutation(NamedTuple):
    """One change of a module.

    Attributes:
        path: the module, relative to the repository.
        line: where, from 1.
        before: the expression as it is; after: as it becomes.
        source: the whole module, changed.
    """

    path: Path
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} → {self.after}"


def mutations(path: Path) -> list[Mutation]:
    """All changes of a module, in its order."""
    text = (ROOT / path).read_text("utf-8")
    found = []
    for place, _ in enumerate(_sites(ast.parse(text))):
        tree = ast.parse(text)
        shown, node, slot, replacement = list(_sites(tree))[place]
        before = ast.unparse(shown)
        if isinstance(slot, tuple):
            getattr(node, slot[0])[slot[1]] = replacement
        else:
            setattr(node, slot, replacement)
        found.append(
            Mutation(path, shown.lineno, before, ast.unparse(shown), ast.unparse(tree) + "\n")
        )
    return found


_Slot = str | tuple[str, int]


def _sites(node: ast.AST) -> Iterator[tuple[ast.expr, ast.AST, _Slot, object]]:
    """(expression, node to change, its field or (field, index), new value) of all changes."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and (swap := _SWAPS.get(type(node.op))):
        yield node, node, "op", swap()
    elif isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if swap := _SWAPS.get(type(operator)):
                yield node, node, ("ops", index), swap()
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield node, node, "value", not node.value
        elif isinstance(node.value, int):
            yield node, node, "value", node.value + 1
        elif isinstance(node.value, float):
            yield node, node, "value", node.value * 2 + 1
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, _UNTOUCHED):
                yield from _sites(child)


def main() -> None:
    """Draw mutations, run the tests of each, print the survivors."""
    parser = argparse.ArgumentParser(description="Which random changes do no tests notice?")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--count", type=int, default=20, help="mutations to draw (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    parser.add_argument("--minutes", type=float, help="stop when so much time has passed")
    parser.add_argument("--timeout", type=float, default=600, help="seconds a run of tests (600)")
    parser.add_argument("--list", action="store_true", help="print the drawn mutations alone")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
    possible = [
        (mutation, TARGETS[name][1])
        for name in arguments.targets or TARGETS
        for path in _modules(TARGETS[name][0])
        for mutation in mutations(path)
    ]
    rng = random.Random(arguments.seed)
    drawn = rng.sample(possible, min(arguments.count, len(possible)))
    if arguments.list:
        print("\n".join(str(mutation) for mutation, _ in drawn))
        return
    survivors, tried, start = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(Path(folder))
        for tests in sorted({tests for _, tests in drawn}):
            if not _fails(copy, tests, arguments.timeout):
                continue
            sys.exit(f"{', '.join(tests)}: the tests fail without any mutation, or take too long")
        for mutation, tests in drawn:
            if arguments.minutes and time.monotonic() - start > 60 * arguments.minutes:
                break
            changed = copy / mutation.path
            changed.write_text(mutation.source, "utf-8")
            noticed = _fails(copy, tests, arguments.timeout)
            shutil.copyfile(ROOT / mutation.path, changed)
            tried += 1
            print("noticed " if noticed else "SURVIVED", mutation, flush=True)
            survivors += [] if noticed else [mutation]
    print(f"{tried} of {len(possible):,} mutations tried, {len(survivors)} survived")
    sys.exit(bool(survivors))


def _modules(target: str) -> list[Path]:
    path = ROOT / "src" / "evenface" / target
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [module.relative_to(ROOT) for module in modules]


def _copy(folder: Path) -> Path:
    """``src`` and ``tests`` in ``folder``, with what they read beside them."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _fails(copy: Path, tests: tuple[str, ...], timeout: float) -> bool:
    """Whether a test fails; a run that takes too long counts as failing."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    paths = [str(copy / "tests" / name) for name in tests]
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *paths],
            cwd=copy,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


if __name__ == "__main__":
    main()
