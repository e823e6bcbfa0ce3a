"""Finished stages that a study does not need now, and those of other studies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path

from evenface import lock
from evenface.console import note
from evenface.files import atomic_folder
from evenface.study.stage import LOCK_NAME, Mark, Stage

SUPERSEDED_NAME = "superseded"


class Shelf:
    """Finished folders, found by their place in a study and the fingerprint of their inputs.

    Args:
        folder: the study's.
        others: folders of other studies.
    """

    def __init__(self, folder: Path, others: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._others = tuple(others)

    def set_aside(self, at: str, mark: Mark) -> None:
        """Move the finished folder at ``at`` to ``superseded/<at>/<key>``."""
        target, aside = self._folder / at, _aside(self._folder, at, mark.key)
        if aside.exists():
            shutil.rmtree(target)  # built from the same inputs
            return
        mark.write(target)  # it may be older than marks
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(target, aside)
        note(f"{at}: built from other inputs, set aside in {aside.relative_to(self._folder)}")

    def take_back(self, stage: Stage) -> Mark | None:
        """Put a finished folder of the stage's inputs in place, if one is at hand; its mark."""
        at, key = stage.folder, stage.key
        target, aside = self._folder / at, _aside(self._folder, at, key)
        if mark := _finished(aside, key):
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside, target)
            note(f"{at}: these inputs were used before, taken back")
            return mark
        if found := self.find(stage):
            source, mark = found
            with atomic_folder(target) as temporary:
                copy_linked(source, temporary)
            note(f"{at}: the same as {source}, taken from there")
            return mark
        return None

    def find(self, stage: Stage) -> tuple[Path, Mark] | None:
        """A finished folder of the stage's inputs, in this study or in one of the others."""
        for study in (self._folder, *(self._others if stage.portable else ())):
            for source in _places(study, stage):
                if (mark := Mark.read(source)) and mark.finished and mark.key == stage.key:
                    return source, mark
        return None


def _places(study: Path, stage: Stage) -> Iterator[Path]:
    """The folders of a study that may hold the stage, built from any inputs."""
    at = Path(stage.folder)
    yield study / at
    name = "*" if stage.nameless else escape(at.name)
    yield from sorted((study / at.parent).glob(name))
    yield from sorted((study / SUPERSEDED_NAME / at.parent).glob(f"{name}/*"))


def _aside(study: Path, at: str, key: str) -> Path:
    return study / SUPERSEDED_NAME / at / key


def _finished(folder: Path, key: str) -> Mark | None:
    mark = Mark.read(folder)
    return mark if mark and mark.finished and mark.key == key else None


def copy_linked(source: Path, target: Path) -> None:
    """Copy a folder's content by hard links, or as files where links cannot be.

    Logs are copied: they are appended to in place. Everything else is replaced as a whole when it
    is written, so that a link is as good as a copy.
    """
    ignored = shutil.ignore_patterns(LOCK_NAME, lock.LOCK_NAME)
    shutil.copytree(source, target, copy_function=_link, ignore=ignored, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    if source.endswith(".jsonl"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
