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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from evenface.assets.cache import state
from evenface.data.decode import ImageError, pixels_of
from evenface.data.detect import FaceDetector
from evenface.data.prepare import MANY_FACES, NOT_LARGEST, SMALL, TURNED, Align, Preparer
from evenface.errors import DataError
from evenface.evaluate.embeddings import combine_views, unit_length
from evenface.teachers import load_teacher, teacher_names
from evenface.teachers.base import check_images
from evenface.teachers.on_photographs import MeasuredModel, Point, on_photographs
from evenface.thresholds import DEFAULT_FMR, Threshold, choose_threshold

if TYPE_CHECKING:
    from evenface.teachers.base import LoadedTeacher
    from evenface.teachers.record import AuditedThreshold

Photograph: TypeAlias = str | Path | bytes | np.ndarray | Image.Image
"""A file, its bytes, uint8 (H, W, 3) RGB pixels, or a Pillow image."""

BEST = "sface"
"""The recogniser of least error on photographs that evenface offers; it has to be fetched."""
BUILT_IN = "small"
"""The recogniser that comes with the package."""

_BATCH = 64
_LARGEST_FILE = 200 * 2**20
_REMARKS = {
    MANY_FACES: "several faces; the largest is taken",
    TURNED: "the photograph lies on its side or upside down; the face was turned upright",
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
        path: str | Path | Callable[..., Any] | None = None,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        audit: str | Path | None = None,
        **options: Any,
    ) -> Recogniser:
        """Load a model, its views and its threshold.

        Args:
            path: an ONNX file, a hub folder, a run folder (extra ``train``), ``"small"``,
                ``"small-int8"``, ``"sface"``, ``"study"``, or anything else that
                :func:`evenface.teachers.load_teacher` takes; None for :func:`default_model`.
            fmr, threshold, audit: what to decide by; see
                :func:`evenface.thresholds.choose_threshold` (``threshold`` is its ``value``).
            options: of :func:`evenface.teachers.load_teacher`: ``mean``, ``std``, ``order``, …

        Raises:
            UsageError, DataError, MissingAssetError: see :func:`evenface.teachers.load_teacher`
                and :func:`evenface.thresholds.choose_threshold`.
        """
        model = load_teacher(default_model() if path is None else path, **options)
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

    def embed(
        self, images: np.ndarray | Photograph | Iterable[Photograph], *, align: Align = "auto"
    ) -> np.ndarray:
        """Unit-length embeddings, float32, of aligned faces or of photographs.

        Of :attr:`views`: with "flip", the sum of the embeddings of image and mirror image.

        Args:
            images: aligned RGB faces, uint8 (N, 112, 112, 3); or one photograph, or several, whose
                (largest) faces are found and aligned as in :meth:`face`.
            align: for photographs, as in :meth:`face`.

        Returns:
            (N, D); (D,) for one photograph that stands alone.

        Raises:
            ValueError: an array of another shape or type.
            DataError: as :meth:`face`; or the model gives embeddings that are zero, NaN or
                infinite.
        """
        if isinstance(images, np.ndarray) and images.dtype.kind in "buif" and images.ndim != 3:
            return self._embed(images)
        if isinstance(images, str | Path | bytes | Image.Image) or (
            isinstance(images, np.ndarray) and images.ndim == 3
        ):
            return self._embed(self.face(images, align=align).pixels[None])[0]
        faces = (self.face(one, align=align).pixels for one in images)
        parts = [np.empty((0, self.model.embedding_size), dtype=np.float32)]
        while some := list(islice(faces, _BATCH)):
            parts.append(self._embed(np.stack(some)))
        return np.concatenate(parts)

    def _embed(self, faces: np.ndarray) -> np.ndarray:
        check_images(faces)
        embeddings = self.model.embed(faces)
        if "flip" in self.views:
            mirrored = np.ascontiguousarray(faces[:, :, ::-1])
            return combine_views(embeddings, self.model.embed(mirrored))
        return unit_length(embeddings).astype(np.float32)

    def face(self, photograph: Photograph, *, align: Align = "auto") -> AlignedFace:
        """The (largest) face of a photograph, aligned.

        Args:
            photograph: a file, or its bytes: JPEG, PNG, WebP, BMP, TIFF, GIF, PPM or JPEG 2000;
                EXIF orientation is applied; CMYK, 16-bit and transparent images are converted. Or
                a Pillow image, or pixels, uint8 (H, W, 3) RGB.
            align: "auto" takes a 112×112 image as aligned, "always" finds the face in any.

        Raises:
            DataError: no such file, not a readable image, too large, or no face in it.
        """
        content, name = _read(photograph)
        prepared = self._preparer(align)(content)
        if prepared.problem:
            raise DataError(f"{name}: {prepared.problem}")
        noticed = prepared.notes[0].split("; ") if prepared.notes[0] else []
        return AlignedFace(
            prepared.images[0], tuple(_REMARKS.get(n, n) for n in noticed if n != NOT_LARGEST)
        )

    def verify(
        self, first: Photograph, second: Photograph, *, align: Align = "auto"
    ) -> Verification:
        """Compare two photographs; arguments and errors as of :meth:`face`."""
        return self.compare(self.face(first, align=align), self.face(second, align=align))

    def compare(self, first: AlignedFace, second: AlignedFace) -> Verification:
        """Compare two faces of :meth:`face`."""
        faces = (first, second)
        a, b = self._embed(np.stack([face.pixels for face in faces]))
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


def load_model(source: str | Path | Callable[..., Any] | None = None, **options: Any) -> Recogniser:
    """A model in use: embeds faces and compares photographs. ONNX files need no torch.

    >>> import numpy as np, evenface
    >>> model = evenface.load_model("small")  # comes with the package
    >>> model.embed(np.zeros((2, 112, 112, 3), np.uint8)).shape
    (2, 128)

    Args:
        source: ``"small"``, ``"small-int8"``, ``"sface"`` (``evenface assets get sface`` fetches
            it), ``"study"``; the path of an ONNX or TorchScript file, of a run or hub folder, or
            of weights; a function from uint8 (N, 112, 112, 3) to (N, D). None for ``"sface"`` where
            it has been fetched, else ``"small"``.
        options: as of :meth:`Recogniser.load`: ``fmr``, ``threshold``, ``audit`` to decide by, and
            those of the model.

    Raises:
        UsageError, DataError, MissingAssetError: see :meth:`Recogniser.load`.
        MissingDependencyError: weights and run folders need the extra ``train``.
    """
    return Recogniser.load(source, **options)


def embed(
    images: np.ndarray | Photograph | Iterable[Photograph],
    model: Recogniser | str | Path | None = None,
    *,
    align: Align = "auto",
) -> np.ndarray:
    """Unit-length embeddings, float32: (N, D), or (D,) of one photograph that stands alone.

    >>> import evenface
    >>> from PIL import Image
    >>> face = Image.new("RGB", (112, 112))  # taken as aligned, by its size
    >>> evenface.embed([face, face], "small").shape
    (2, 128)

    Args:
        images: as in :meth:`Recogniser.embed`: paths, Pillow images, uint8 arrays (H, W, 3), or
            aligned faces (N, 112, 112, 3).
        model: a :class:`Recogniser`, or what :func:`load_model` takes. To embed often, load once.
        align: as in :meth:`Recogniser.face`.

    Raises:
        ValueError, UsageError, DataError, MissingAssetError: see :meth:`Recogniser.embed` and
            :func:`load_model`.
    """
    return _in_use(model).embed(images, align=align)


def verify(
    first: Photograph,
    second: Photograph,
    model: Recogniser | str | Path | None = None,
    *,
    align: Align = "auto",
) -> Verification:
    """Whether two photographs show one person, as far as a model can tell.

    >>> import evenface
    >>> from PIL import Image
    >>> face = Image.new("RGB", (112, 112), "tan")
    >>> round(evenface.verify(face, face, "small").score, 6)
    1.0

    Args:
        first, second: paths, bytes, Pillow images, or uint8 arrays (H, W, 3).
        model, align: as in :func:`embed`.

    Raises:
        UsageError, DataError, MissingAssetError: see :meth:`Recogniser.face` and
            :func:`load_model`.
    """
    return _in_use(model).verify(first, second, align=align)


def _in_use(model: Recogniser | str | Path | None) -> Recogniser:
    if isinstance(model, Recogniser):
        return model
    name = default_model() if model is None else model
    return _named(str(name)) if name in teacher_names() else load_model(name)


@cache
def _named(name: str) -> Recogniser:
    """A model of the package, loaded once."""
    return load_model(name)


def _read(photograph: Photograph) -> tuple[bytes | np.ndarray, str]:
    """Content and name of a photograph, a file's unread pixels as bytes."""
    if isinstance(photograph, bytes):
        return photograph, "image"
    if isinstance(photograph, Image.Image):
        try:
            return pixels_of(photograph), "image"
        except ImageError as error:
            raise DataError(f"image: {error}") from None
    if isinstance(photograph, np.ndarray):
        shape = photograph.shape
        if photograph.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise DataError(
                f"image: expected uint8 pixels (H, W, 3), RGB, got {photograph.dtype} of shape "
                f"{shape}"
            )
        return np.ascontiguousarray(photograph), "image"
    if not isinstance(photograph, str | Path):
        raise DataError(
            f"image: expected a path, bytes, an array or a Pillow image, got a "
            f"{type(photograph).__name__}"
        )
    path = Path(photograph)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > _LARGEST_FILE:
        raise DataError(f"{path}: larger than {_LARGEST_FILE // 2**20} MiB; is this a photograph?")
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
