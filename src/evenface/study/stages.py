"""Stages of a study: done once, timed, continued after an interruption."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenface.console import note
from evenface.files import fingerprint, read_json, write_json
from evenface.parallel import run_all


@dataclass(frozen=True)
class Stage:
    """One of several stages that do not depend on each other.

    Attributes:
        name, inputs, at: as for :meth:`StageLog.run`.
        build: function of a module, called as ``build(folder, *arguments)`` in another process.
        arguments: picklable.
    """

    name: str
    inputs: dict[str, Any]
    at: str
    build: Callable[..., Any]
    arguments: tuple[Any, ...]


class StageLog:
    """Remembers in ``<folder>/stages.json`` which stages are finished, from which inputs.

    A stage is a folder built from declared inputs. With the same inputs a finished stage is not
    repeated and an unfinished one is handed to its builder to continue; a folder built from other
    inputs is removed first. Seconds add up over interrupted attempts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "stages.json"
        self._records: dict[str, dict[str, Any]] = (
            read_json(self._file) if self._file.exists() else {}
        )
        self._order: list[str] = []

    def run(
        self, name: str, inputs: dict[str, Any], build: Callable[[Path], None], *, at: str
    ) -> Path:
        """Bring the stage's folder up to date and return it.

        Args:
            name: the stage's name in the report.
            inputs: everything the result depends on (JSON-able): parameters and fingerprints.
            build: called with the folder when there is work; must continue what it finds there.
            at: the stage's folder, relative to the study's.
        """
        target = self.folder / at
        record = self._settle(name, inputs, target)
        if record["finished"]:
            note(f"{name}: finished before, kept")
        else:
            with self._timed(name, record):
                build(target)
                record["finished"] = True
        self._order.append(name)
        return target

    def run_together(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        workers: int,
        watch: Callable[[], None] = lambda: None,
    ) -> list[Path]:
        """Bring the folders of several stages up to date, ``workers`` of them at a time.

        In the summary they are one entry; its seconds are those on the clock.

        Args:
            name: of all together, in the report.
            stages: what there is to do.
            workers: processes.
            watch: called about once a second while stages are under way.

        Raises:
            EvenfaceError: a stage failed. Stages that are finished are kept.
        """
        folders = [self.folder / stage.at for stage in stages]
        records = [
            self._settle(stage.name, stage.inputs, folder)
            for stage, folder in zip(stages, folders, strict=True)
        ]
        key = fingerprint([record["key"] for record in records])
        whole = self._records.get(name)
        if whole is None or whole["key"] != key:
            whole = self._records[name] = {"key": key, "seconds": 0.0, "finished": False}
        todo = [index for index, record in enumerate(records) if not record["finished"]]
        kept = len(stages) - len(todo)
        if kept:
            note(f"{name}: {kept} of {len(stages)} finished before, kept")

        def finished(number: int, seconds: float) -> None:
            records[todo[number]] |= {"finished": True, "seconds": seconds}
            write_json(self._file, self._records)

        if todo:
            calls = [(_build, (stages[i].build, folders[i], stages[i].arguments)) for i in todo]
            with self._timed(name, whole):
                run_all(calls, workers=workers, what=name, finished=finished, watch=watch)
                whole["finished"] = True
        whole["reused"] = not todo
        self._order.append(name)
        return folders

    def finished(self, stages: Sequence[Stage]) -> int:
        """How many of the stages are finished."""
        return sum(bool(self._records.get(s.name, {}).get("finished")) for s in stages)

    def summary(self) -> list[dict[str, Any]]:
        """The stages of this study in order: name, seconds, whether kept from an earlier call."""
        return [
            {
                "name": name,
                "seconds": self._records[name]["seconds"],
                "reused": self._records[name]["reused"],
            }
            for name in self._order
        ]

    def _settle(self, name: str, inputs: dict[str, Any], target: Path) -> dict[str, Any]:
        """The stage's record; a folder of other inputs is removed."""
        key = fingerprint(inputs)
        record = self._records.get(name)
        if record is None or record["key"] != key or not target.exists():
            shutil.rmtree(target, ignore_errors=True)
            record = self._records[name] = {"key": key, "seconds": 0.0, "finished": False}
        record["reused"] = record["finished"]
        target.mkdir(parents=True, exist_ok=True)
        return record

    @contextmanager
    def _timed(self, name: str, record: dict[str, Any]) -> Iterator[None]:
        note(f"{name} …")
        write_json(self._file, self._records)
        start = time.monotonic()
        try:
            yield
        finally:
            record["seconds"] = round(record["seconds"] + time.monotonic() - start, 2)
            write_json(self._file, self._records)


def _build(build: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]) -> float:
    """Seconds that building took, in the process that it is done in."""
    start = time.monotonic()
    build(folder, *arguments)
    return round(time.monotonic() - start, 2)
