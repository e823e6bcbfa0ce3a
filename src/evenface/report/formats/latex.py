"""A table as LaTeX, for the package booktabs."""

from __future__ import annotations

from evenface.report.table import Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "]": "{]}",
    "−": r"\ensuremath{-}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "×": r"\ensuremath{\times}",
    "′": r"\ensuremath{'}",
    "·": r"\textperiodcentered{}",
    "–": "--",
}
"""Brackets too: one at the beginning of a row would be an argument of the row before."""
_WIDE = 10
"""Columns above which a table is set small, to fit a page."""


def to_latex(table: Table) -> str:
    """A ``table`` environment; needs booktabs and an engine that reads UTF-8."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(_caption(table))}}}",
        *([r"  \scriptsize\setlength{\tabcolsep}{3pt}"] if len(table.columns) > _WIDE else []),
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        _line([column.text for column in table.columns]),
    ]
    for section in table.sections:
        lines.append(r"    \midrule")
        for row in section:
            # A header above may stand for this row.
            header = " ".join(filter(None, (row.header, row.detail))) if row.span else ""
            lines.append(_joined([escape(header), *map(_cell, row.cells)]))
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    remarks = [*table.remarks, *(f"({i}) {note}" for i, note in enumerate(table.notes, 1))]
    if remarks:
        lines.append(r"  \par\smallskip\footnotesize")
        lines += [f"  {escape(remark)}" + r"\par" for remark in remarks]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """Text without meaning to LaTeX, on one line."""
    printable = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return "".join(_SPECIAL.get(character, character) for character in printable)


def _caption(table: Table) -> str:
    return f"Simulated faces. {table.caption}" if table.simulated else table.caption


def _cell(cell: Cell) -> str:
    note = "" if cell.note is None else f" ({cell.note})"
    text = escape(" ".join([cell.text, *cell.details]) + note)
    return rf"\textbf{{{text}}}" if cell.strong else text


def _line(cells: list[str]) -> str:
    return _joined([escape(cell) for cell in cells])


def _joined(cells: list[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"
