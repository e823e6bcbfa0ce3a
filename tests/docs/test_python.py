"""Python on the pages compiles, imports what there is, and calls it with arguments it takes."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import Snippet, blocks

from evenface.data.manifest import Manifest
from evenface.distill.registry import DISTILLATIONS
from evenface.teachers.cache import cached_embeddings
from pattern_people import PatternTeacher, write_people

PYTHON = list(blocks("python"))
WORKED_EXAMPLE = [block for block in PYTHON if block.page == "docs/extending.md"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_names_exist_and_calls_fit(block: Snippet) -> None:
    tree = ast.parse(block.text)
    compile(tree, str(block), "exec")
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            names |= {
                alias.asname or alias.name: getattr(module, alias.name) for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {
                alias.name: importlib.import_module(alias.name)
                for alias in node.names
                if alias.name == "evenface"
            }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function: Any = None
        if isinstance(call.func, ast.Name):
            function = names.get(call.func.id)
        elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            owner = names.get(call.func.value.id)  # such as Manifest.read
            function = getattr(owner, call.func.attr) if owner is not None else None
        if inspect.isroutine(function) or inspect.isclass(function):
            keywords = {item.arg: None for item in call.keywords if item.arg}
            inspect.signature(function).bind(*call.args, **keywords)


def test_the_audits_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    audits = [b for b in PYTHON if b.page == "docs/python.md" and "jpg" not in b.text][:4]
    assert sum("evenface.audit(" in block.text for block in audits) == 3
    for block in audits:
        exec(compile(block.text, str(block), "exec"), {})
    assert "value=0.0" in capsys.readouterr().out


def test_the_worked_example_of_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loss, tests, training = (block.text for block in WORKED_EXAMPLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(DISTILLATIONS, "_items", dict(DISTILLATIONS._items))
    monkeypatch.delitem(sys.modules, "contrast", raising=False)
    Path("contrast.py").write_text(loss, encoding="utf-8")

    names: dict[str, Any] = {}
    exec(compile(tests, "test_contrast.py", "exec"), names)
    checks = [check for name, check in names.items() if name.startswith("test_")]
    assert len(checks) == 2
    for check in checks:
        check()

    people = [(f"person-{i}", "north", 4) for i in range(8)]
    write_people(Path("faces"), people)
    cached_embeddings(PatternTeacher(), Manifest.read("faces"), "cache")
    exec(compile(training, "train_contrast.py", "exec"), {})
    assert "'distillation':" in capsys.readouterr().out
    assert Path("runs/contrast/weights.safetensors").exists()
