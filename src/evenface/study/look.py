"""A look at a study's folder by the rules of its stages: nothing is built, moved or written."""

from __future__ import annotations

from pathlib import Path

from evenface.study.stage import Mark, NotBuilt, Stage
from evenface.study.stage_log import StageLog


class LookLog(StageLog):
    """Takes the place of a :class:`~evenface.study.stage_log.StageLog` in code that only looks."""

    def run(self, stage: Stage) -> Path:
        """The stage's folder; NotBuilt where it is not finished from these inputs."""
        found = self.find(stage)
        if found is None or not found[1].finished:
            raise NotBuilt(stage.name)
        return found[0]

    def made(self, stage: Stage) -> Path:
        """As :meth:`run`."""
        return self.run(stage)

    def find(self, stage: Stage) -> tuple[Path, Mark] | None:
        """Where the stage was built, or begun, from its inputs, and how far.

        Raises:
            NotBuilt: there are candidates, and its inputs are not known yet.
        """
        mark = self.mark(stage)
        if mark is not None and mark.key == stage.key:
            return self.folder / stage.folder, mark
        return self._shelf.find(stage)

    def mark(self, stage: Stage) -> Mark | None:
        """What the stage's folder holds, from any inputs; None: nothing that is known."""
        target = self.folder / stage.folder
        if (mark := Mark.read(target)) is not None or not target.exists():
            return mark
        record = self._records.get(stage.name)  # of a study older than marks
        return Mark(record["key"], record["finished"], record["seconds"]) if record else None
