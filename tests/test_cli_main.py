import contextlib
import errno
import os
import signal
import subprocess
import sys

import pytest
import typer

from evenface import __version__
from evenface.cli import main as main_module
from evenface.cli.main import main
from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.study.spec import list_studies


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


def failing_app(raised):
    """Builds a command line with one command, ``fail``, that raises ``raised[0]``."""

    def build_app():
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.callback()
        def options():
            """Options before the command."""

        @app.command()
        def fail():
            raise raised[0]

        return app

    return build_app


@pytest.fixture
def failing(monkeypatch):
    """What the command ``fail`` raises: its first element."""
    raised = []
    monkeypatch.setattr(main_module, "build_app", failing_app(raised))
    return raised


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"evenface {__version__}\n", "")


def test_the_command_that_serves_may_be_silent():
    assert main_module._SERVER in typer.main.get_command(main_module.build_app()).commands
    assert main_module._serves(["demo-app", "--port", "0"])
    assert not main_module._serves(["study", "status", "quick"])


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_nouns(capsys, option):
    code, out, _ = run(capsys, option)
    assert code == 0
    for noun in ("assets", "teacher", "compare", "verify", "demo-app", "doctor", "study run quick"):
        assert noun in out


def test_help_of_study_run_lists_the_studies(capsys):
    code, out, _ = run(capsys, "study", "run", "--help")
    assert code == 0
    for name in list_studies():
        assert f"{name}: " in out
    assert "sweep: How much real data is needed?" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["assets", "nonsense"], "nonsense"),
        (["assets", "list", "--nonsense"], "--nonsense"),
        (["teacher", "info"], "TEACHER"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_word(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "--help" in err


@pytest.mark.parametrize("arguments", [[], ["assets"]])
def test_a_noun_without_a_command_shows_its_help(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert "list" in out or "assets" in out
    assert "error: \n" not in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("a.bin: truncated"), 1, "error: a.bin: truncated\n"),
        (UsageError("no such group"), 2, "error: no such group\n"),
        (
            MissingDependencyError("torch", "train", "training"),
            1,
            "error: training needs the package 'torch', which is not installed. "
            'Install the extra: pip install "evenface[train]"\n',
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "error: the disk is full. "),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/images.bin"),
            1,
            "error: the disk is full while writing /data/images.bin. ",
        ),
        (PermissionError(13, "Permission denied", "/data"), 1, "error: /data: Permission denied\n"),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", ".out.tmp", None, "out"),
            1,
            "error: out: Is a directory\n",
        ),
        (OSError(errno.EFBIG, "File too large"), 1, "error: a file would be larger than allowed"),
        (MemoryError(), 1, "error: out of memory. "),
        (KeyError("x"), 1, "internal error: KeyError: 'x'\nRun again with --debug"),
    ],
)
def test_errors_become_one_message_and_an_exit_code(capsys, failing, error, code, message):
    failing.append(error)
    found, out, err = run(capsys, "fail")
    assert found == code
    assert out == ""
    assert err.startswith(message)
    assert "Traceback" not in err


@pytest.mark.parametrize("place", [0, 1])
def test_debug_raises_wherever_it_stands(failing, place):
    failing.append(DataError("a.bin: truncated"))
    arguments = ["fail"]
    arguments.insert(place, "--debug")
    with pytest.raises(DataError, match=r"a\.bin: truncated"):
        main(arguments)


class Swallowed:
    """Raises a signal's exception where it is lost, then another error, as imports may."""

    def __getitem__(self, index):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        return AttributeError("half imported")


def test_an_error_that_a_signal_ended_as_is_an_interruption(capsys, monkeypatch):
    monkeypatch.setattr(main_module, "build_app", failing_app(Swallowed()))
    code, _, err = run(capsys, "fail")
    assert code == 130
    assert "Interrupted. Rerun the same command to continue" in err
    assert "half imported" not in err


def test_a_signal_within_executed_text_exits_with_130_too():
    code = (
        "import signal\n"
        "from evenface.cli import main\n"
        "main.build_app = lambda: exec('signal.raise_signal(signal.SIGTERM)')\n"
        "main.main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr


def test_interruption_exits_with_130(capsys, failing):
    failing.append(KeyboardInterrupt())
    code, _, err = run(capsys, "fail")
    assert code == 130
    assert err.startswith("Interrupted. Rerun the same command to continue")
    assert "Traceback" not in err
