"""Notebooks as pages. They hold no outputs: each is run when the site is built, so none is stale.

    python tools/site/notebooks.py docs/notebooks/*.ipynb

runs them and prints the pages. No kernel is needed: cells share one namespace, as in Jupyter.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, cast


class Cell(NamedTuple):
    """A cell and, of code, what it printed and showed as Markdown."""

    kind: str
    source: str
    outputs: tuple[str, ...] = ()


class CellError(Exception):
    """A cell failed; the message names it."""


def run(path: Path) -> Iterator[Cell]:
    """The cells of a notebook, run in its folder one after the other.

    Raises:
        CellError: a cell raised an exception, which is the cause.
    """
    names: dict[str, Any] = {"__name__": "__notebook__"}
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            yield Cell("markdown", source)
            continue
        with chdir(path.parent):
            try:
                outputs = tuple(_outputs(source, f"{path.name}[{number}]", names))
            except Exception as error:
                raise CellError(f"{path}: cell {number} fails: {error}") from error
        yield Cell("code", source, outputs)


def page(path: Path) -> str:
    """A notebook as Markdown, with what its cells show."""
    parts = []
    for cell in run(path):
        if cell.kind == "markdown":
            parts.append(cell.source)
        else:
            parts += [f"```python\n{cell.source}\n```", *cell.outputs]
    link = f"[Download this notebook]({path.name}). Its outputs were made when this site was built."
    return "\n\n".join([*parts, link]) + "\n"


def _outputs(source: str, name: str, names: dict[str, Any]) -> Iterator[str]:
    """Text that a cell prints, the value of its last expression, and figures, as Markdown."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, shown = io.StringIO(), cast(Any, None)
    with redirect_stdout(printed), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), name, "eval"), names)
    figures = list(_figures())
    if text := printed.getvalue().strip("\n"):
        yield f"```text\n{text}\n```"
    if hasattr(shown, "_repr_html_"):
        yield shown._repr_html_()
    elif shown is not None and not figures:
        yield f"```text\n{shown!r}\n```"
    yield from figures


def _figures() -> Iterator[str]:
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return
    for number in plt.get_fignums():
        figure, stream = plt.figure(number), io.BytesIO()
        figure.savefig(stream, format="png", dpi=100)
        said = "; ".join(
            filter(None, (f"{ax.get_title(loc='left')} {ax.get_xlabel()}" for ax in figure.axes))
        )
        data = base64.b64encode(stream.getvalue()).decode()
        yield f'<img alt="{escape(said.strip())}" src="data:image/png;base64,{data}">'
    plt.close("all")


def main(paths: list[str]) -> None:
    """Run notebooks, print their pages, and say how long each took."""
    import matplotlib

    matplotlib.use("Agg")
    for path in map(Path, paths):
        begun = time.process_time()
        print(page(path))
        print(f"{path}: {time.process_time() - begun:.0f} s of CPU time", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
