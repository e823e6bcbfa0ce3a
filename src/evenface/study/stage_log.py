"""Stages of a study: done once, timed, continued after an interruption."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenface.console import heartbeat, note, warn
from evenface.errors import EvenfaceError, UsageError
from evenface.files import fingerprint, read_json, write_json
from evenface.lock import lock_holder
from evenface.study.executors import Call, Executor, LocalExecutor
from evenface.study.record import StageTime
from evenface.study.shelf import Shelf
from evenface.study.stage import LOCK_NAME, Mark, Stage, carry_out

STAGES_NAME = "stages.json"


@dataclass(frozen=True)
class StageFailure:
    """A stage that failed for good in this call; the next call of the study tries it again.

    Attributes:
        error: what went wrong, in one line.
        attempts: how often it was tried.
    """

    stage: Stage
    error: str
    attempts: int


@dataclass(frozen=True)
class Together:
    """What became of stages that were built together.

    Attributes:
        folders: of all of them, in their order; those that failed are not finished.
        failures: the stages that failed.
    """

    folders: list[Path]
    failures: list[StageFailure]

    def all_finished(self) -> list[Path]:
        """The folders; EvenfaceError says which stages failed, if any did."""
        if not self.failures:
            return self.folders
        listed = "".join(f"\n  {f.stage.name}: {f.error}" for f in self.failures)
        raise EvenfaceError(
            f"{len(self.failures)} of {len(self.folders)} stages failed; the others are kept, and "
            f"the same command tries these again:{listed}"
        )


class StageLog:
    """Remembers in ``<folder>/stages.json`` which stages are finished, from which inputs.

    A stage is a folder built from declared inputs. With the same inputs a finished stage is not
    repeated and an unfinished one is handed to its builder to continue. A finished folder of other
    inputs is set aside in ``<folder>/superseded``, and taken back once they return; an unfinished
    one is removed. Seconds add up over interrupted attempts.

    Args:
        folder: the study's.
        executor: where stages are built that are built together; None: processes of this machine.
        reuse: folders of other studies, whose finished portable stages of the same place and inputs
            are copied instead of being built again.
        embeddings_later: teacher embeddings are begun only, for jobs to fill.
    """

    def __init__(
        self,
        folder: Path,
        *,
        executor: Executor | None = None,
        reuse: Sequence[Path] = (),
        embeddings_later: bool = False,
    ) -> None:
        self.embeddings_later = embeddings_later
        self.folder = folder.absolute()  # processes elsewhere have another current folder
        self._executor = executor
        self._shelf = Shelf(self.folder, reuse)
        self._file = self.folder / STAGES_NAME
        self._records: dict[str, dict[str, Any]] = (
            read_json(self._file) if self._file.exists() else {}
        )
        self._order: list[str] = []

    def run(self, stage: Stage) -> Path:
        """Bring the stage's folder up to date and return it."""
        name, target = stage.name, self.folder / stage.folder
        if name in self._order and self._records[name]["key"] == stage.key:
            return target  # brought up to date in this call
        record = self._settle(stage)
        if record["finished"]:
            note(f"{name}: finished before, kept")
        else:
            with self._timed(name, record), heartbeat(name):
                stage.build(target, *stage.arguments)
                record["finished"] = True
            Mark(record["key"], finished=True, seconds=record["seconds"]).write(target)
        self._order.append(name)
        return target

    def made(self, stage: Stage) -> Path:
        """The folder of a stage that was built together with others."""
        return self.folder / stage.folder

    def run_together(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        workers: int | None = None,
        watch: Callable[[], None] = lambda: None,
        executor: Executor | None = None,
    ) -> Together:
        """Bring the folders of several stages up to date, several of them at a time.

        In the summary they are one entry; its seconds are those on the clock. A stage that fails,
        or whose process dies, is tried once more and then recorded as failed while the others go
        on.

        Args:
            name: of all together, in the report.
            stages: what there is to do.
            workers: processes on this machine at once, where no executor is given; None: as many
                as fit.
            watch: called about once a second while stages are under way.
            executor: where they are built; None: the log's own.
        """
        records = [self._settle(stage) for stage in stages]
        key = fingerprint([record["key"] for record in records])
        whole = self._records.get(name)
        if whole is None or whole["key"] != key:
            whole = self._records[name] = {"key": key, "seconds": 0.0, "finished": False}
        todo = [index for index, record in enumerate(records) if not record["finished"]]
        kept = len(stages) - len(todo)
        if kept:
            note(f"{name}: {kept} of {len(stages)} finished before, kept")
        failures: list[StageFailure] = []

        def finished(number: int, seconds: float) -> None:
            records[todo[number]] |= {"finished": True, "seconds": seconds}
            write_json(self._file, self._records)

        def failed(number: int, error: str, attempts: int) -> None:
            index = todo[number]
            warn(f"{stages[index].name}: failed; continuing with the others ({error})")
            failures.append(StageFailure(stages[index], error, attempts))
            records[index]["failed"] = {"error": error, "attempts": attempts}
            write_json(self._file, self._records)

        if todo:
            executor = executor or self.executor(workers)
            calls = [_call(stages[i], self.folder / stages[i].folder) for i in todo]
            with self._timed(name, whole):
                executor.run(
                    calls, folder=self.folder, finished=finished, failed=failed, watch=watch
                )
                whole["finished"] = not failures
        whole["reused"] = not todo
        self._order.append(name)
        return Together([self.folder / stage.folder for stage in stages], failures)

    def executor(self, workers: int | None) -> Executor:
        """Where stages are built that are built together."""
        return self._executor or LocalExecutor(workers)

    def prepare(self, stages: Sequence[Stage]) -> None:
        """Leave the stages' folders so that jobs can build them by themselves, or go on."""
        for stage in stages:
            self._settle(stage)
        write_json(self._file, self._records)

    def finished(self, stages: Sequence[Stage]) -> int:
        """How many of the stages are finished."""
        return sum(bool(self._records.get(s.name, {}).get("finished")) for s in stages)

    def summary(self) -> list[StageTime]:
        """The stages of this study in order."""
        return [
            StageTime(
                name=name,
                seconds=self._records[name]["seconds"],
                reused=self._records[name]["reused"],
            )
            for name in self._order
        ]

    def _settle(self, stage: Stage) -> dict[str, Any]:
        """The stage's record; its folder holds what was built from these inputs, or nothing."""
        name, key, at = stage.name, stage.key, stage.folder
        target = self.folder / at
        found = self._found(name, target)
        if found is not None and found.key != key:
            if lock_holder(target, name=LOCK_NAME):
                raise UsageError(
                    f"{target}: a process is at work there, on other inputs than are wanted now. "
                    "Wait for it, or stop it"
                )
            if found.finished:
                self._shelf.set_aside(at, found)
            else:
                shutil.rmtree(target)
            found = None
        if found is None:
            kept = self._shelf.take_back(stage)
            found = kept or Mark(key)
        target.mkdir(parents=True, exist_ok=True)
        record = {"key": key, "seconds": found.seconds, "finished": found.finished}
        record["reused"] = found.finished
        self._records[name] = record
        return record

    def _found(self, name: str, target: Path) -> Mark | None:
        """What the folder holds: as its mark says, or else the record of its name."""
        if not target.exists():
            return None
        if mark := Mark.read(target):
            return mark
        record = self._records.get(name)
        if record is None:
            shutil.rmtree(target)
            return None
        return Mark(record["key"], record["finished"], record["seconds"])

    @contextmanager
    def _timed(self, name: str, record: dict[str, Any]) -> Iterator[None]:
        note(f"{name} …")
        self._records[name] = self._records.pop(name)  # last: what is under way
        write_json(self._file, self._records)
        start = time.monotonic()
        try:
            yield
        finally:
            record["seconds"] = round(record["seconds"] + time.monotonic() - start, 2)
            write_json(self._file, self._records)


def _call(stage: Stage, folder: Path) -> Call:
    return Call(stage.name, carry_out, (folder, stage.key, stage.build, stage.arguments))
