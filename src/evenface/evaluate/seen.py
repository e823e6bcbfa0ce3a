"""Whether a model was trained on the faces, or the people, that it is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from evenface.console import warn
from evenface.data.manifest import Manifest
from evenface.data.overlap import find_overlap
from evenface.errors import DataError
from evenface.evaluate.faces import Faces
from evenface.evaluate.identification import IdentificationResult
from evenface.evaluate.results import SEEN, Evaluation
from evenface.files import read_json
from evenface.run_folder import RECIPE_NAME, RUN_NAME

R = TypeVar("R", bound=Evaluation | IdentificationResult)

_CONSEQUENCE = (
    "error rates on other people are higher; evaluate on people that the model has not seen"
)


@dataclass(frozen=True)
class TrainingSet:
    """What is known of the faces that a model was trained on.

    Attributes:
        fingerprint: of the manifest.
        folder: where it was; None where that is not recorded.
    """

    fingerprint: str
    folder: Path | None = None

    def people(self) -> Manifest | None:
        """The manifest, where it is still what the model was trained on."""
        if self.folder is None:
            return None
        try:
            manifest = Manifest.read(self.folder)
        except (DataError, OSError):
            return None
        return manifest if manifest.fingerprint == self.fingerprint else None


def training_set(source: object) -> TrainingSet | None:
    """The training set of a model, or of a run's folder; None where nothing is known of it.

    Args:
        source: a teacher with a ``path`` inside a run folder, one with a ``record``
            (:class:`evenface.teachers.record.ModelRecord`), or a run folder.
    """
    if (record := getattr(source, "record", None)) is not None:
        return _described(record.training)
    path = source if isinstance(source, Path) else getattr(source, "path", None)
    if path is None:
        return None
    folder = path if path.is_dir() else path.parent
    if not (folder / RUN_NAME).is_file():
        return None
    try:
        described = read_json(folder / RUN_NAME)
    except DataError:
        return None
    try:
        recipe = yaml.safe_load((folder / RECIPE_NAME).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        recipe = None
    data = recipe.get("data") if isinstance(recipe, dict) else None
    return _described(described, Path(data) if isinstance(data, str) else None)


def _described(training: Mapping[str, Any], folder: Path | None = None) -> TrainingSet | None:
    found = training.get("data_fingerprint")
    return TrainingSet(found, folder) if isinstance(found, str) else None


def seen_in_training(training: TrainingSet | None, faces: Faces) -> str:
    """A note where a model was trained on ``faces``, or on people of them by name; else "".

    Names are compared as by :func:`evenface.data.overlap.find_overlap`, and only where the training
    set is still at its place.
    """
    if training is None or not isinstance(faces, Manifest):
        return ""
    if faces.fingerprint == training.fingerprint:
        return f"{SEEN}: this is the model's training set; {_CONSEQUENCE}"
    trained_on = training.people()
    if trained_on is None:
        return ""
    shared = {found.test_identity for found in find_overlap(trained_on, faces).names}
    if not shared:
        return ""
    count = len(faces.identities())
    return (
        f"{SEEN}: {len(shared):,} of {count:,} identities are in the model's training set by name, "
        f"the first is {min(shared)!r}; {_CONSEQUENCE}"
    )


def with_note(result: R, note: str) -> R:
    """The result with the note first, and a warning in the terminal; as it is for ""."""
    if not note or note in result.notes:
        return result
    warn(f"{result.model or 'model'}: {note}")
    return cast("R", result.model_copy(update={"notes": [note, *result.notes]}))
