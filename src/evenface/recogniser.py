"""A recogniser in use: photographs in, embeddings and decisions out. Needs no torch for ONNX files.

```python
from evenface import Recogniser

recogniser = Recogniser.load("student-int8.onnx")
print(recogniser.verify("a.jpg", "b.jpg"))
```
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenface.assets import asset_path
from evenface.data.detect import FaceDetector
from evenface.data.prepare import MANY_FACES, SMALL, Align, Preparer
from evenface.errors import DataError, UsageError
from evenface.teachers import load_teacher
from evenface.teachers.base import check_images

if TYPE_CHECKING:
    from evenface.export.record import AuditedThreshold, ModelRecord
    from evenface.teachers.base import LoadedTeacher

_LARGEST_FILE = 200 * 2**20
_REMARKS = {
    MANY_FACES: "several faces; the largest is taken",
    SMALL: "the face is tiny (fewer than 40 pixels): its embedding is unreliable",
}


@dataclass(frozen=True)
class AlignedFace:
    """One face of a photograph.

    Attributes:
        pixels: uint8 (112, 112, 3) RGB, aligned.
        remarks: what a person should know about it.
    """

    pixels: np.ndarray
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """Whether two photographs show one person, as far as the model can tell.

    Attributes:
        score: cosine of the two embeddings, in [−1, 1].
        threshold: cosine at or above which it is a match; None where none is known.
        match: the decision; None without a threshold.
        remarks: what was noticed about the photographs.
    """

    score: float
    threshold: float | None
    match: bool | None
    remarks: tuple[str, ...]


class Recogniser:
    """A model that embeds faces, with detection and alignment before it.

    Safe to use from several threads.

    Args:
        model: what embeds aligned faces.
        record: what the model says of itself, None where nothing is known.
        threshold: to decide by; None for that of the record's operating point.
        detector: YuNet's ONNX file; None for the asset.
    """

    def __init__(
        self,
        model: LoadedTeacher,
        *,
        record: ModelRecord | None = None,
        threshold: float | None = None,
        detector: str | Path | None = None,
    ) -> None:
        if threshold is not None and not -1 <= threshold <= 1:
            raise UsageError(f"a threshold is a cosine between −1 and 1, got {threshold}")
        self.model = model
        self.record = record
        self._threshold = threshold
        self._detector = detector
        self._of_thread = threading.local()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        threshold: float | None = None,
        detector: str | Path | None = None,
    ) -> Recogniser:
        """Load a model.

        Args:
            path: an ONNX file, a run folder (extra ``train``), ``"small"``, ``"small-int8"``,
                ``"sface"`` or ``"study"``.
            threshold, detector: as of the class.

        Raises:
            UsageError, DataError, MissingAssetError: see :func:`evenface.teachers.load_teacher`.
        """
        model = load_teacher(path)
        record = getattr(model, "record", None)
        return cls(model, record=record, threshold=threshold, detector=detector)

    @property
    def operating_point(self) -> AuditedThreshold | None:
        """The audited threshold with its error rates; None where there is none."""
        return self.record.operating_point if self.record else None

    @property
    def threshold(self) -> float | None:
        """Cosine at or above which two faces count as one person; None where none is known."""
        if self._threshold is not None:
            return self._threshold
        return self.operating_point.threshold if self.operating_point else None

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Unit-length embeddings, float32 (N, D), of aligned RGB faces, uint8 (N, 112, 112, 3).

        Raises:
            ValueError: images of another shape or type.
            DataError: the model gives embeddings that are zero, NaN or infinite.
        """
        check_images(images)
        embeddings = self.model.embed(images)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not (norms > 0).all():
            raise DataError(f"{self.model.name}: gives embeddings of length zero")
        return embeddings / norms

    def face(self, photograph: str | Path | bytes, *, align: Align = "auto") -> AlignedFace:
        """The (largest) face of a photograph, aligned.

        Args:
            photograph: a file, or its bytes. JPEG, PNG, WebP, BMP, TIFF, GIF, PPM or JPEG 2000;
                EXIF orientation is applied; CMYK, 16-bit and transparent images are converted.
            align: "auto" takes a 112×112 image as aligned, "always" finds the face in any.

        Raises:
            DataError: no such file, not a readable image, too large, or no face in it.
            MissingAssetError: a face must be found and YuNet is not there.
        """
        content, name = _read(photograph)
        prepared = self._preparer(align)(content)
        if prepared.problem:
            raise DataError(f"{name}: {prepared.problem}")
        noticed = prepared.notes[0].split("; ") if prepared.notes[0] else []
        return AlignedFace(prepared.images[0], tuple(_REMARKS.get(n, n) for n in noticed))

    def verify(
        self, first: str | Path | bytes, second: str | Path | bytes, *, align: Align = "auto"
    ) -> Verification:
        """Compare two photographs; arguments and errors as of :meth:`face`."""
        return self.compare(self.face(first, align=align), self.face(second, align=align))

    def compare(self, first: AlignedFace, second: AlignedFace) -> Verification:
        """Compare two faces of :meth:`face`."""
        faces = (first, second)
        a, b = self.embed(np.stack([face.pixels for face in faces]))
        score = float(np.clip(np.dot(a, b), -1.0, 1.0))
        remarks = tuple(
            f"{place}: {remark}"
            for place, face in zip(("first", "second"), faces, strict=True)
            for remark in face.remarks
        )
        match = None if self.threshold is None else score >= self.threshold
        return Verification(score, self.threshold, match, remarks)

    def _preparer(self, align: Align) -> Preparer:
        """One of this thread, because a detector must not be shared."""
        preparers = self._of_thread.__dict__.setdefault("preparers", {})
        if align not in preparers:
            preparers[align] = Preparer(
                align, lambda: FaceDetector(self._detector or asset_path("yunet"))
            )
        return preparers[align]


def _read(photograph: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(photograph, bytes):
        return photograph, "image"
    path = Path(photograph)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > _LARGEST_FILE:
        raise DataError(f"{path}: larger than {_LARGEST_FILE // 2**20} MiB; is this a photograph?")
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
