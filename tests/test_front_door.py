"""What evenface offers from Python: every name, twice, whatever was imported before."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import evenface
from test_base_install import FORBID

NAMES = [name for name in evenface.__all__ if name != "__version__"]
FOLDER = Path(evenface.__file__).parent


def test_the_names_are_the_public_ones_and_none_is_a_module() -> None:
    assert dir(evenface) == sorted(evenface.__all__)
    modules = {module.name for module in pkgutil.iter_modules([str(FOLDER)])}
    assert not modules & set(NAMES)
    listed = [name for names in evenface._HOMES.values() for name in names]
    assert sorted(listed) == sorted(NAMES)


def test_type_checkers_see_what_there_is() -> None:
    tree = ast.parse(Path(evenface.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(module, name) for module, names in evenface._HOMES.items() for name in names}


EACH_NAME_TWICE = f"""
import importlib, pkgutil, evenface
for turn in range(2):
    for name in {NAMES!r}:
        first, second = getattr(evenface, name), getattr(evenface, name)
        assert first is second and callable(first), name
    if turn == 0:
        for module in pkgutil.walk_packages(evenface.__path__, "evenface."):
            if not module.name.endswith("__main__"):
                try:
                    importlib.import_module(module.name)
                except ModuleNotFoundError as error:
                    assert not str(error.name).startswith("evenface"), error
assert dir(evenface) == sorted(evenface.__all__)
"""


@pytest.mark.slow
def test_each_name_twice_and_again_after_every_module_was_imported() -> None:
    subprocess.run([sys.executable, "-c", EACH_NAME_TWICE], check=True)


def test_names_and_docstrings_are_there_without_any_extra() -> None:
    code = f"{FORBID}import evenface; [getattr(evenface, name) for name in {NAMES!r}]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_evenface_imports_nothing_else_of_weight() -> None:
    code = (
        "import sys; before = set(sys.modules); import evenface; dir(evenface);"
        "print(sorted(m for m in set(sys.modules) - before if '.' not in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "torch", "pyarrow", "pydantic", "onnxruntime", "cv2", "PIL", "matplotlib"}
    assert not heavy & set(ast.literal_eval(done.stdout))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_says_what_it_does_with_an_example(name: str) -> None:
    offered = getattr(evenface, name)
    text = inspect.getdoc(offered) or ""
    assert len(text.splitlines()[0]) > 20
    if name not in ("load_dataset", "EvenfaceError", "Protocol"):
        assert ">>> " in text or "```python" in text


MODULES = [
    "evenface.data.from_arrays",
    "evenface.data.importing",
    "evenface.data.manifest",
    "evenface.data.mix",
    "evenface.evaluate.from_arrays",
    "evenface.evaluate.protocols",
    "evenface.evaluate.results",
    "evenface.recogniser",
    "evenface.study.from_python",
    "evenface.train.from_python",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(
        importlib.import_module(module), optionflags=doctest.ELLIPSIS, raise_on_error=False
    )
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("call", "extra"),
    [
        ("evenface.train_model('student-mini', 'faces', out='run')", "train"),
        ("evenface.distill_student('small', 'faces', out='run')", "train"),
        ("evenface.run_study('smoke')", "train,report,render"),
        ("evenface.audit([1., 2, 0, 0], [1, 1, 0, 0], replicates=0).plot()", "report"),
        ("evenface.audit([1., 2, 0, 0], [1, 1, 0, 0], replicates=0).report('audit')", "report"),
    ],
)
def test_what_needs_an_extra_names_it_and_writes_nothing(
    call: str, extra: str, tmp_path: Path
) -> None:
    code = f"""{FORBID}
import evenface
try:
    {call}
except evenface.EvenfaceError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert f'pip install "evenface[{extra}]"' in done.stdout
    assert list(tmp_path.iterdir()) == []
