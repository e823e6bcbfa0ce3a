"""A folder as model hubs hold it: card, configuration, weights, ONNX. Contacts nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from evenface.errors import DataError
from evenface.evaluate import Evaluation
from evenface.export.card import model_card
from evenface.export.ship import ExportReport
from evenface.files import atomic_folder, read_json, write_json, write_text
from evenface.lock import FolderLock
from evenface.run_folder import RECIPE_NAME, RUN_NAME, WEIGHTS_NAME
from evenface.teachers.hub import CONFIG_NAME, LIBRARY

CARD_NAME = "README.md"


def read_exports(folder: Path) -> list[ExportReport]:
    """Reports of what was exported into ``folder``, by precision.

    Raises:
        DataError: nothing was exported there, or a report is damaged.
    """
    paths = sorted(folder.glob("export-*.json"))
    if not paths:
        raise DataError(f"{folder}: nothing was exported here yet. Run --format onnx first")
    try:
        return [ExportReport.model_validate(read_json(path)) for path in paths]
    except ValueError as error:
        raise DataError(f"{folder}: an export report is damaged ({error})") from None


def write_card(run: Path, exported: Path, target: Path) -> None:
    """Write the model card of a run from what was exported of it."""
    reports = read_exports(exported)
    audited = next((r for r in reports if r.audit), None)
    first = audited or reports[0]
    evaluation = Evaluation.read(exported / first.audit) if first.audit else None
    write_text(
        target,
        model_card(first.record, recipe=_recipe(run), evaluation=evaluation, exports=reports),
    )


def write_hub(run: Path, exported: Path, target: Path) -> None:
    """Write a repository folder: README.md, config.json, weights and recipe, ONNX files.

    Raises:
        DataError: nothing was exported, or ``target`` exists.
    """
    if target.exists():
        raise DataError(f"{target}: exists already; choose a new folder")
    reports = read_exports(exported)
    described = read_json(run / RUN_NAME)
    with (
        FolderLock(target, doing="is writing it. Wait for it", beside=True),
        atomic_folder(target) as folder,
    ):
        write_card(run, exported, folder / CARD_NAME)
        config = {
            "library": LIBRARY,
            "backbone": described["backbone"],
            "embedding_size": described["embedding_size"],
            "input": "aligned faces, RGB, 112×112, (x − 127.5) / 127.5",
            "record": reports[0].record.model_dump(mode="json"),
            "files": {report.file: report.sha256 for report in reports},
        }
        write_json(folder / CONFIG_NAME, config)
        for name in (WEIGHTS_NAME, RECIPE_NAME, RUN_NAME):
            if (run / name).is_file():
                shutil.copyfile(run / name, folder / name)
        for report in reports:
            shutil.copyfile(exported / report.file, folder / report.file)


def _recipe(run: Path) -> str:
    path = run / RECIPE_NAME
    return path.read_text(encoding="utf-8") if path.is_file() else "# not kept with the run"
