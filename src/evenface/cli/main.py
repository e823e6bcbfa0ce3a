"""Entry point: assembles the nouns and turns errors into one clear line and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import warnings
from contextlib import nullcontext
from typing import Annotated, NoReturn

import typer

from evenface.console import err, heartbeat
from evenface.errors import EvenfaceError
from evenface.signals import Raiser
from evenface.version import __version__

# Nouns in the order of the work; each module has `register`.
_NOUNS = (
    "study",
    "assets",
    "data",
    "teacher",
    "train",
    "evaluate",
    "evaluate_scores",
    "evaluate_identification",
    "compare",
    "prune",
    "export",
    "recognise",
    "gallery",
    "demo",
    "doctor",
)

_INTERRUPTED = 130
_SERVER = "demo-app"


def build_app() -> typer.Typer:
    """The whole command tree. Importing it loads neither torch nor any other extra."""
    app = typer.Typer(
        name="evenface",
        help="Fair face recognition with little or no real data.\n\n"
        "Start with: evenface study run quick",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        version: Annotated[
            bool,
            typer.Option(
                "--version",
                help="Print the version and exit.",
                is_eager=True,
                callback=_print_version,
            ),
        ] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    ) -> None:
        """Options that stand before the noun; main() has read --debug already."""

    for noun in _NOUNS:
        module = importlib.import_module(f"evenface.cli.{noun}")
        module.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on failure, 2 on wrong usage, 130 on Ctrl-C."""
    own = arguments is None
    arguments = sys.argv[1:] if arguments is None else arguments
    # Accepted anywhere on the line: whoever needs it has just typed the rest.
    debug = "--debug" in arguments
    if own and not debug:
        warnings.filterwarnings("ignore", category=RuntimeWarning)  # NumPy's are for programmers
    arguments = [a for a in arguments if a != "--debug"]
    # A polite kill is an interruption too: stages leave their folders in order.
    interruption = Raiser()
    signal.signal(signal.SIGTERM, interruption)
    try:
        with nullcontext() if _serves(arguments) else heartbeat("evenface"):
            code = build_app()(args=arguments, standalone_mode=False)
        if code == _INTERRUPTED:  # Typer turns Ctrl-C inside a command into this code
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except typer.TyperException as error:
        _say_usage(error)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        if interruption.raised:
            _interrupted()
        _say(_explain(error))
        sys.exit(error.exit_code if isinstance(error, EvenfaceError) else 1)


def _serves(arguments: list[str]) -> bool:
    """Whether the command waits for others, and may be silent."""
    return arguments[:1] == [_SERVER] or "--watch" in arguments


def _interrupted() -> NoReturn:
    _say("Interrupted. Rerun the same command to continue from what was saved.")
    sys.exit(_INTERRUPTED)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evenface {__version__}")
        raise typer.Exit()


def _explain(error: Exception) -> str:
    if isinstance(error, EvenfaceError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return (
            f"error: the disk is full{where}. Free some space and run the same command again; "
            "finished work is kept."
        )
    if isinstance(error, OSError) and error.filename:
        # Of a rename, the second name is the one that the user gave.
        return f"error: {error.filename2 or error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "error: a file would be larger than allowed here. Raise the limit (see ulimit -f)."
    if isinstance(error, MemoryError):
        return "error: out of memory. Use smaller batches or fewer workers."
    name = type(error).__name__
    return f"internal error: {name}: {error}\nRun again with --debug for the traceback."


def _say_usage(error: typer.TyperException) -> None:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if message:  # a noun without a command has printed its help by now
        _say(f"error: {message}")
        command = context.command_path if context else "evenface"
        err().print(f"Try '{command} --help'.", highlight=False)


def _say(message: str) -> None:
    err().print(message, style="red", markup=False, highlight=False)


if __name__ == "__main__":
    main()
