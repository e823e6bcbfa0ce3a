"""Progress is told even where there is no terminal."""

from __future__ import annotations

import time

import pytest

from evenface import console
from evenface.console import duration, heartbeat, note, progress


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (31, "0:31"), (59.6, "1:00"), (1546, "25:46"), (3723, "1:02:03")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(console, "SILENCE_SECONDS", 0.05)


def wait_for(capsys, beginning):
    """The next line on standard error that begins so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in capsys.readouterr().err.splitlines():
            if line.startswith(beginning):
                return line
        time.sleep(0.01)
    raise AssertionError(f"no line begins with {beginning!r}")


def test_the_innermost_work_is_named_after_each_silence(capsys, impatient):
    with heartbeat("study"):
        assert wait_for(capsys, "study") == "study: still running, 0:00"
        with progress("count", None, unit="images") as bar:
            bar.advance(1_234)
            assert wait_for(capsys, "count: 1,234 images").endswith("0:00 so far")
        with progress("render", 100, unit="images") as bar:
            bar.advance(3)
            bar.say("lr 0.1")
            assert wait_for(capsys, "render: 3/100").endswith("lr 0.1")
        wait_for(capsys, "study")
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_lines_postpone_the_next_one(capsys, monkeypatch):
    monkeypatch.setattr(console, "SILENCE_SECONDS", 1.0)
    with heartbeat("study"):
        for _ in range(12):
            note("a line")
            time.sleep(0.1)
    assert "still running" not in capsys.readouterr().err


def test_estimates_read_as_minutes_and_seconds(capsys, monkeypatch):
    with progress("render", 100, unit="images") as bar:
        monkeypatch.setattr(console.Task, "time_remaining", 1546.2)
        bar.advance(10)
    assert ", ETA 25:46" in capsys.readouterr().err
