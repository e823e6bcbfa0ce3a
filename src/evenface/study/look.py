"""A look at a study's folder by the rules of its stages: nothing is built, moved or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evenface.files import fingerprint
from evenface.study.shelf import SUPERSEDED_NAME
from evenface.study.stage import Mark
from evenface.study.stages import StageLog


class NotBuilt(Exception):
    """A stage has to be built first; for whoever looks, not for users."""


class LookLog(StageLog):
    """Takes the place of a :class:`~evenface.study.stages.StageLog` for whoever only looks.

    Attributes:
        seconds: spent on the finished stages that were looked at, by name.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seconds: dict[str, float] = {}

    def run(
        self,
        name: str,
        inputs: dict[str, Any],
        build: Callable[[Path], None],
        *,
        at: str,
        portable: bool = False,
    ) -> Path:
        """The stage's folder; NotBuilt where it is not finished from these inputs."""
        found = self.find(name, fingerprint(inputs), at)
        if found is None or not found[1].finished:
            raise NotBuilt(name)
        self.seconds[name] = found[1].seconds
        return found[0]

    def find(self, name: str, key: str, at: str) -> tuple[Path, Mark] | None:
        """Where the stage was built, or begun, from inputs of this fingerprint, and how far."""
        mark = self.mark(name, at)
        if mark is not None and mark.key == key:
            return self.folder / at, mark
        aside = self.folder / SUPERSEDED_NAME / at / key
        mark = Mark.read(aside)
        return (aside, mark) if mark is not None and mark.key == key else None

    def mark(self, name: str, at: str) -> Mark | None:
        """What the stage's folder holds, from whatever inputs; None: nothing that is known."""
        target = self.folder / at
        if (mark := Mark.read(target)) is not None or not target.exists():
            return mark
        record = self._records.get(name)  # of a study older than marks
        return Mark(record["key"], record["finished"], record["seconds"]) if record else None
