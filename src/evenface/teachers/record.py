"""What a shipped model says of itself. Stored inside the ONNX file; reading it needs no extra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import onnxruntime
from pydantic import ValidationError

from evenface.errors import DataError
from evenface.files import sha256_file
from evenface.record import Estimate, Record

METADATA_KEY = "evenface"
"""Key of the record among the metadata of an ONNX file."""

Precision = Literal["fp32", "fp16", "int8"]
Input = Literal["uint8", "float"]
"""uint8 (N, 112, 112, 3) RGB, or float32 (N, 3, 112, 112) RGB that the caller has scaled."""


class AuditedThreshold(Record):
    """A threshold to decide by, with the error rates that it had in the audit."""

    threshold: float
    """Cosine at or above which two faces count as one person."""
    target_fmr: float
    fmr: dict[str, Estimate]
    """Group → false match rate between people of that group, on people who did not set it."""
    fnmr: dict[str, Estimate]
    chosen_on: str
    protocol: str
    simulated: bool
    """Audited on synthetic faces: the rates say nothing about real people."""
    notes: list[str]


class ModelRecord(Record):
    """Where a shipped model comes from, what it takes and gives, and its operating point."""

    version: int = 1
    name: str
    evenface: str
    """Version of evenface that exported it."""
    backbone: str
    embedding_size: int
    parameters: int
    precision: Precision
    input: Input = "uint8"
    run: str
    """Fingerprint of the training run."""
    weights: str
    """SHA-256 of the run's weights."""
    training: dict[str, Any]
    """Images, identities and what is known of the data and the teacher."""
    operating_point: AuditedThreshold | None = None


def read_record(session: onnxruntime.InferenceSession, path: Path) -> ModelRecord | None:
    """The record in an ONNX file; None in files that evenface did not export.

    Raises:
        DataError: the record is damaged or of a later version.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        return None
    try:
        return ModelRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: its record of itself is not readable ({where}: {first['msg']}). It is "
            "damaged or was written by a later version of evenface"
        ) from None


def check_digest(path: Path) -> None:
    """Compare an exported file with the SHA-256 that its export report, or the hub folder's
    configuration, records beside it; nothing happens where neither does.

    Raises:
        DataError: the file is another one.
    """
    for beside in (*sorted(path.parent.glob("export-*.json")), path.parent / "config.json"):
        try:
            content = json.loads(beside.read_text(encoding="utf-8"))
            files = content.get("files") or {content.get("file"): content.get("sha256")}
            expected = files.get(path.name)
        except (OSError, ValueError, AttributeError):
            continue  # another program's
        if expected is not None and expected != sha256_file(path):
            raise DataError(
                f"{path}: not the file that {beside.name} records (SHA-256); it was changed or "
                "damaged. Copy it anew, or export it again"
            )
