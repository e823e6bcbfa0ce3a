"""Progress is told even where there is no terminal."""

from __future__ import annotations

from evenface.console import progress


def test_progress_without_a_terminal_says_every_tenth(capsys):
    with progress("render", 100, unit="images") as bar:
        for _ in range(100):
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("render: 10/100")
    assert lines[-1].startswith("render: 100/100")


def test_resumed_progress_starts_where_it_was(capsys):
    with progress("render", 100, unit="images", done=90) as bar:
        bar.advance(10)
    assert capsys.readouterr().err.splitlines()[-1].startswith("render: 100/100")


def test_unknown_total(capsys):
    with progress("count", None) as bar:
        bar.advance(3)
    assert capsys.readouterr().err == ""
