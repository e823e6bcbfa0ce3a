"""Stages of a study: done once, timed, continued after an interruption."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evenface.console import note
from evenface.files import fingerprint, read_json, write_json


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
        key = fingerprint(inputs)
        record = self._records.get(name)
        if record is None or record["key"] != key or not target.exists():
            shutil.rmtree(target, ignore_errors=True)
            record = {"key": key, "seconds": 0.0, "finished": False}
            self._records[name] = record
        self._order.append(name)
        if record["finished"]:
            note(f"{name}: finished before, kept")
            record["reused"] = True
            return target
        note(f"{name} …")
        target.mkdir(parents=True, exist_ok=True)
        write_json(self._file, self._records)
        start = time.monotonic()
        try:
            build(target)
            record["finished"] = True
        finally:
            record["seconds"] = round(record["seconds"] + time.monotonic() - start, 2)
            record["reused"] = False
            write_json(self._file, self._records)
        return target

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
