"""A recogniser in use: photographs in, embeddings and decisions out. Needs no torch for ONNX files.

```python
from evenface import Recogniser

recogniser = Recogniser.load()  # SFace where it has been fetched, else the package's own
print(recogniser.about)
found = recogniser.verify("a.jpg", "b.jpg")
print(found.score, found.match)
```
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenface.assets.cache import state
from evenface.data.detect import FaceDetector
from evenface.data.prepare import MANY_FACES, SMALL, Align, Preparer
from evenface.errors import DataError
from evenface.evaluate.embeddings import combine_views, unit_length
from evenface.teachers import load_teacher
from evenface.teachers.base import check_images
from evenface.teachers.on_photographs import MeasuredModel, Point, on_photographs
from evenface.thresholds import DEFAULT_FMR, Threshold, choose_threshold

if TYPE_CHECKING:
    from evenface.export.record import AuditedThreshold
    from evenface.teachers.base import LoadedTeacher

BEST = "sface"
"""The recogniser of least error on photographs that evenface offers; it has to be fetched."""
BUILT_IN = "small"
"""The recogniser that comes with the package."""

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


@dataclass(frozen=True)
class About:
    """What to know of a recogniser before believing it; ``str`` gives it in a line.

    Attributes:
        name: of the model.
        title: who made it, in short; "" where evenface does not know it.
        fingerprint: SHA-256 (hex) over weights and preprocessing.
        views: what is embedded and summed: the image, or the image and its mirror image ("flip").
        photographs: error rates on photographs; None where they were not measured.
        source: where these were measured.
        better: command or option that brings fewer errors; "" where there is none.
        audit: the set of real people on which its threshold was audited; "" without one.
    """

    name: str
    title: str
    fingerprint: str
    views: tuple[str, ...]
    photographs: Point | None
    source: str
    better: str
    audit: str

    def __str__(self) -> str:
        line = f"model: {self.name}" + (f" ({self.title}). " if self.title else ". ")
        if self.photographs is not None:
            accepted = f"1 in {round(1 / self.photographs.fmr):,} impostor pairs accepted"
            rejected = f"{100 * self.photographs.fnmr:.2g} % of genuine pairs rejected"
            at = "" if self.photographs.threshold else ", at a threshold set on them"
            line += f"On photographs: {accepted}, {rejected}{at} ({self.source})."
        elif self.audit:
            line += f"Audited on {self.audit}."
        else:
            line += "Error on photographs: not measured."
        return line + (f" More accurate: {self.better}" if self.better else "")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        point = self.photographs.model_dump(mode="json") if self.photographs else None
        return {**asdict(self), "views": list(self.views), "photographs": point}


def default_model() -> str:
    """``"sface"`` where it has been fetched and is intact, else ``"small"``. Fetches nothing."""
    return BEST if state(BEST) == "present" else BUILT_IN


class Recogniser:
    """A model that embeds faces, with detection and alignment before it.

    Safe to use from several threads.

    ```python
    recogniser = Recogniser.load("sface", fmr=1e-4)
    found = recogniser.verify("a.jpg", "b.jpg")  # score, threshold, match, remarks
    vectors = recogniser.embed(aligned)  # uint8 (N, 112, 112, 3) → float32 (N, D)
    ```

    Args:
        model: what embeds aligned faces.
        threshold: what to decide by; None to give scores only.
        views: what is embedded and summed: ``("original",)`` or ``("original", "flip")``.
        measured: the model's error rates on photographs; None where they are not known.
    """

    def __init__(
        self,
        model: LoadedTeacher,
        *,
        threshold: Threshold | None = None,
        views: Sequence[str] = ("original",),
        measured: MeasuredModel | None = None,
    ) -> None:
        self.model = model
        self.decides_by = threshold
        self.views = tuple(views)
        self.measured = measured
        self._of_thread = threading.local()

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        audit: str | Path | None = None,
    ) -> Recogniser:
        """Load a model, its views and its threshold.

        Args:
            path: an ONNX file, a run folder (extra ``train``), ``"small"``, ``"small-int8"``,
                ``"sface"`` or ``"study"``; None for :func:`default_model`.
            fmr, threshold, audit: what to decide by; see
                :func:`evenface.thresholds.choose_threshold` (``threshold`` is its ``value``).

        Raises:
            UsageError, DataError, MissingAssetError: see :func:`evenface.teachers.load_teacher`
                and :func:`evenface.thresholds.choose_threshold`.
        """
        model = load_teacher(default_model() if path is None else path)
        measured = on_photographs().of(model.fingerprint)
        views = measured.views if measured else ("original",)
        chosen = choose_threshold(model, measured, views, fmr=fmr, value=threshold, audit=audit)
        return cls(model, threshold=chosen, views=views, measured=measured)

    @property
    def threshold(self) -> float | None:
        """Cosine at or above which two faces count as one person; None where none is known."""
        return self.decides_by.value if self.decides_by else None

    @property
    def operating_point(self) -> AuditedThreshold | None:
        """The audit that set the threshold, with error rates of each group; None without one."""
        return self.decides_by.audit if self.decides_by else None

    @property
    def about(self) -> About:
        """The model's name, its error on photographs, and how to get a better one."""
        measured, photographs, better = self.measured, None, ""
        audit = self.operating_point
        if measured:
            fmr = self.decides_by.fmr if self.decides_by else None
            photographs = measured.at(fmr or DEFAULT_FMR) or measured.at(DEFAULT_FMR)
        if measured and measured != on_photographs().models[BEST]:
            fetched = state(BEST) == "present"
            better = f"--model {BEST}" if fetched else f"evenface assets get {BEST}"
        return About(
            name=self.model.name,
            title=measured.title if measured else "",
            fingerprint=self.model.fingerprint,
            views=self.views,
            photographs=photographs,
            source=on_photographs().source if photographs else "",
            better=better,
            audit=audit.protocol if audit and not audit.simulated else "",
        )

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Unit-length embeddings, float32 (N, D), of aligned RGB faces, uint8 (N, 112, 112, 3).

        Of :attr:`views`: with "flip", the sum of the embeddings of image and mirror image.

        Raises:
            ValueError: images of another shape or type.
            DataError: the model gives embeddings that are zero, NaN or infinite.
        """
        check_images(images)
        embeddings = self.model.embed(images)
        if "flip" in self.views:
            mirrored = np.ascontiguousarray(images[:, :, ::-1])
            return combine_views(embeddings, self.model.embed(mirrored))
        return unit_length(embeddings).astype(np.float32)

    def face(self, photograph: str | Path | bytes, *, align: Align = "auto") -> AlignedFace:
        """The (largest) face of a photograph, aligned.

        Args:
            photograph: a file, or its bytes. JPEG, PNG, WebP, BMP, TIFF, GIF, PPM or JPEG 2000;
                EXIF orientation is applied; CMYK, 16-bit and transparent images are converted.
            align: "auto" takes a 112×112 image as aligned, "always" finds the face in any.

        Raises:
            DataError: no such file, not a readable image, too large, or no face in it.
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
            preparers[align] = Preparer(align, FaceDetector)
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
