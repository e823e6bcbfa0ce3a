"""Errors whose message is meant for the person at the keyboard.

Raise :class:`EvenfaceError` when what went wrong lies in the input or the surroundings (a bad
file, a missing asset, a full disk). The message says what is wrong, where, and what to do; the
command line prints it without a traceback. Programming mistakes stay plain exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EvenfaceError(Exception):
    """A problem the user can act on. The command line prints it and exits with 1."""

    exit_code = 1


class UsageError(EvenfaceError):
    """The request itself makes no sense (bad option, impossible combination). Exits with 2."""

    exit_code = 2


class MissingDependencyError(EvenfaceError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. "
            f'Install the extra: pip install "evenface[{extra}]"'
        )


class DataError(EvenfaceError):
    """A file or record cannot be used; the message names it."""


class MissingAssetError(EvenfaceError):
    """An asset (model or data set) is not in the cache; the message names the command to get it."""


class TrainingDivergedError(EvenfaceError):
    """The loss became NaN or infinite."""


@contextmanager
def asking_for(extra: str, purpose: str) -> Iterator[None]:
    """Raise MissingDependencyError, which names the extra, where an import inside lacks a package.

    Args:
        extra: name of the extra.
        purpose: what needs it, for the message.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "evenface").partition(".")[0]
        if package == "evenface":
            raise
        raise MissingDependencyError(package, extra, purpose) from None
