"""Teachers from ONNX files, run by onnxruntime or, where asked for, by OpenVINO.

How a model is run was chosen by measurement (``benchmarks/embed.py``). On CPUs several threads
that push small batches through one single-threaded session beat one session that spreads each
image over all cores; on GPUs one thread runs large batches. A batch size fixed in the file is
lifted where that changes nothing (:mod:`evenface.teachers.relax`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evenface.assets import asset_path
from evenface.errors import DataError, MissingDependencyError, UsageError
from evenface.files import fingerprint, sha256_file
from evenface.parallel import usable_cores
from evenface.seeds import generator
from evenface.teachers.base import ALIKE, IMAGE_SHAPE, Engine, check_images
from evenface.teachers.onnx_graph import OnnxGraph
from evenface.teachers.preprocessing import Fit, Layout, Order, Preprocessing, Size, declared
from evenface.teachers.record import check_digest, read_record
from evenface.teachers.relax import can_relax, relax
from evenface.teachers.session import OnnxRuntime, Runner, open_session, read_contract

_AS_IT_IS = Preprocessing(mean=0.0, std=1.0)
"""For files that scale pixels in their graph, as SFace does."""

_OUTPUT = "output"
"""Under which a file beside the model may name the output."""
_MAX_COSINE_CHANGE = 1e-4
_MAX_BF16_COSINE_CHANGE = 1e-2


class OnnxTeacher:
    """A face recogniser in an ONNX file.

    It must have one input, N×3×H×W or N×H×W×3, or one channel for grey (N symbolic or fixed;
    float32, float16, or uint8 where the graph does the preprocessing), and an output N×D or
    N×D×1×1.

    Args:
        path: the ONNX file.
        name: None for the file's stem.
        mean, std, order: preprocessing (:class:`Preprocessing`); None for what a file beside the
            model or its metadata declares (:func:`declared`), else for none where the graph scales
            pixels itself (:class:`evenface.teachers.onnx_graph.Scaling`), else for the field's
            convention.
        layout, size: None for what is declared, else what the shape of the model's input says.
        fit: how faces get the input's size where it is not 112×112; None for what is declared.
        output: name or index of the embedding among several outputs; None for what is declared
            ("output"), else for the only one that can be one.
        threads: blocks in work at once on the CPU; None for the usable cores.
        relax_batch: lift a fixed batch size where the package ``onnx`` is installed and the
            embeddings stay the same.
        engine: what computes; openvino (extra ``openvino``) is faster on x86 processors, and
            openvino-bf16 faster still on those that have bfloat16, with cosines that differ by
            about 0.0005. Checked against onnxruntime when the teacher is loaded.

    Raises:
        DataError: the file is missing, no ONNX model, not a recogniser of aligned faces, or one
            that OpenVINO computes otherwise than onnxruntime.
        MissingDependencyError: OpenVINO is asked for and not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        mean: float | tuple[float, float, float] | None = None,
        std: float | tuple[float, float, float] | None = None,
        order: Order | None = None,
        layout: Layout | None = None,
        size: Size | None = None,
        fit: Fit | None = None,
        output: str | int | None = None,
        threads: int | None = None,
        relax_batch: bool = True,
        engine: Engine = "onnxruntime",
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file")
        graph = OnnxGraph(self.path)
        weights = _weights_fingerprint(self.path, graph)
        self._threads = threads or usable_cores()
        session = open_session(self.path, self.path)
        said = declared(self.path, session.get_modelmeta().custom_metadata_map, more=(_OUTPUT,))
        chosen = said.pop(_OUTPUT, None)
        self._contract = read_contract(
            session,
            self.path,
            layout=layout or said.pop("layout", None),
            size=size or said.pop("size", None),
            output=chosen if output is None else output,
        )
        scales = graph.scaling is not None and graph.scaling.of_pixels
        default = _AS_IT_IS if self._takes_pixels or scales else Preprocessing()
        grey: dict[str, Any] = {"order": "grey"} if self._contract.channels == 1 else {}
        given = {"mean": mean, "std": std, "order": order, "fit": fit}
        wanted = {"mean": default.mean, "std": default.std} | grey | said
        wanted |= {name: value for name, value in given.items() if value is not None}
        wanted |= {"layout": self._contract.layout, "size": self._contract.size}
        try:
            self.preprocessing = Preprocessing(**wanted)
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}") from None
        if self.preprocessing.channels != self._contract.channels:
            raise UsageError(
                f"{self.path}: its input has {self._contract.channels} channel(s), so the order "
                f"cannot be {self.preprocessing.order}"
            )
        if self._takes_pixels and (self.preprocessing.mean, self.preprocessing.std) != (0.0, 1.0):
            raise UsageError(
                f"{self.path}: takes whole numbers 0 to 255 and scales them itself; leave mean and "
                "std out"
            )
        self.record = read_record(session, self.path)
        if self.record is not None:
            check_digest(self.path)
        self.name = name or self.path.stem
        self._scaling = graph.scaling
        identity: dict[str, Any] = {
            "weights": weights,
            "preprocessing": self.preprocessing.as_dict(),
        }
        if len(self._contract.outputs) > 1:
            identity["output"] = self._contract.output
        if engine == "openvino-bf16":
            identity["precision"] = "bf16"
        self.fingerprint = fingerprint(identity)
        probe = self._inputs(_probe_images())
        self._runner: Runner = OnnxRuntime(session, self._contract, self.path)
        reference = self._runner(probe)
        self._check_probe(reference, len(probe))
        self.embedding_size: int = reference.shape[1]
        self._lifted = "there is none"
        if engine != "onnxruntime":
            self._runner = self._compile(engine, probe, reference)
            if self._contract.batch is not None:
                self._lifted = f"yes, by {engine}"
        elif self._contract.batch is not None:
            self._lifted = self._relax(probe, reference) if relax_batch else "no, not wanted"

    @property
    def details(self) -> dict[str, str]:
        """File, preprocessing, provider and way of running, for the reader."""
        scaling = {"scaled in the graph": str(self._scaling)} if self._scaling else {}
        output = {"output": self._contract.output} if len(self._contract.outputs) > 1 else {}
        return {
            "file": str(self.path),
            "preprocessing": str(self.preprocessing),
            **scaling,
            **output,
            "provider": self._runner.provider,
            "threads × batch": f"{self._workers} × {self._runner.batch}",
            "fixed batch lifted": self._lifted,
        }

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, DataError for outputs that are
        NaN or infinite.
        """
        check_images(images)
        embeddings = np.empty((len(images), self.embedding_size), dtype=np.float32)
        batch = self._runner.batch

        def embed_from(start: int) -> None:
            block = slice(start, start + batch)
            embeddings[block] = self._runner(self._inputs(images[block]))

        with ThreadPoolExecutor(self._workers) as pool:
            for _ in pool.map(embed_from, range(0, len(images), batch)):
                pass
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.path}: the embeddings of {len(bad)} of {len(images)} images are NaN or "
                f"infinite, the first is image {bad[0]}. Check the model and the declared "
                f"preprocessing ({self.preprocessing})"
            )
        return embeddings

    @property
    def _takes_pixels(self) -> bool:
        return self._contract.dtype is np.uint8

    @property
    def _workers(self) -> int:
        return self._threads if self._runner.several else 1

    def _inputs(self, images: np.ndarray) -> np.ndarray:
        inputs: np.ndarray = self.preprocessing(images).astype(self._contract.dtype, copy=False)
        return inputs

    def _compile(self, engine: Engine, probe: np.ndarray, reference: np.ndarray) -> Runner:
        """The model in OpenVINO; DataError unless its embeddings are those of onnxruntime."""
        try:
            from evenface.teachers.openvino import OpenVinoModel
        except ModuleNotFoundError as error:
            raise MissingDependencyError("openvino", "openvino", f"engine {engine}") from error
        model = OpenVinoModel(self.path, self._contract, engine=engine, threads=self._threads)
        change = _cosine_change(model(probe), reference)
        allowed = _MAX_BF16_COSINE_CHANGE if engine == "openvino-bf16" else _MAX_COSINE_CHANGE
        if not change < allowed:
            raise DataError(
                f"{self.path}: {engine} gives embeddings whose cosine to onnxruntime's is "
                f"off by {change:.1e} (allowed: {allowed:.0e}); use the engine onnxruntime"
            )
        return model

    def _check_probe(self, output: np.ndarray, count: int) -> None:
        if output.ndim != 2 or len(output) != count or output.shape[1] < 2:
            raise DataError(
                f"{self.path}: for {count} images the output '{self._contract.output}' must "
                f"have the shape ({count}, D) or ({count}, D, 1, 1) with D > 1, it has "
                f"{output.shape}"
            )
        if not np.isfinite(output).all():
            raise DataError(
                f"{self.path}: the model gives NaN or infinite embeddings for test images. "
                f"Check the model and the declared preprocessing ({self.preprocessing})"
            )
        if np.ptp(output, axis=0).max() <= ALIKE * np.abs(output).max():
            raise DataError(
                f"{self.path}: the model gives one embedding for {count} different test images, so "
                f"it recognises nobody. Check the model and the declared preprocessing "
                f"({self.preprocessing})"
            )

    def _relax(self, probe: np.ndarray, reference: np.ndarray) -> str:
        """Swap in the relaxed model if its embeddings are the same; say what came of it."""
        if not can_relax():
            return "no, this needs the package 'onnx' (extra: export)"
        try:
            session = open_session(relax(self.path), self.path)
            runner = OnnxRuntime(session, replace(self._contract, batch=None), self.path)
            relaxed = runner(probe)
        # Whatever the runtime dislikes about the rewritten model (a batch size inside a reshape,
        # say) costs only speed: the original stays in use.
        except Exception as error:
            return f"no, {type(error).__name__}: {str(error).splitlines()[0]}"
        if relaxed.shape != reference.shape:
            return f"no, the output has the shape {relaxed.shape} instead of {reference.shape}"
        change = _cosine_change(relaxed, reference)
        if not change < _MAX_COSINE_CHANGE:
            return f"no, embeddings differ by {change:.1e} in cosine"
        self._runner = runner
        return f"yes, embeddings differ by {change:.0e} in cosine"


def load_sface(
    name: str, *, threads: int | None = None, engine: Engine = "onnxruntime"
) -> OnnxTeacher:
    """SFace (Zhong et al., IEEE TIP 2021), 128-d, from the asset of the same name.

    Raises MissingAssetError, naming the command that fetches it.
    """
    return OnnxTeacher(asset_path(name), name=name, threads=threads, engine=engine)


def _weights_fingerprint(path: Path, graph: OnnxGraph) -> str:
    """SHA-256 (hex) over the file and those that hold weights for it.

    Raises:
        DataError: one of these is missing.
    """
    own = sha256_file(path)
    if not graph.external:
        return own
    parts = {}
    for location in graph.external:
        at = path.parent / location
        if not at.is_file():
            raise DataError(
                f"{path}: its weights are in {at}, which is not there; keep both together"
            )
        parts[location] = sha256_file(at)
    return fingerprint({"model": own, "external": parts})


def _probe_images() -> np.ndarray:
    """Four random images, uint8, of different coarseness."""
    random = generator("teacher probe")
    images = []
    for cell in (1, 4, 14, 56):
        shape = (IMAGE_SHAPE[0] // cell, IMAGE_SHAPE[1] // cell, IMAGE_SHAPE[2])
        coarse = random.integers(0, 256, size=shape, dtype=np.uint8)
        images.append(coarse.repeat(cell, axis=0).repeat(cell, axis=1))
    return np.stack(images)


def _cosine_change(embeddings: np.ndarray, reference: np.ndarray) -> float:
    """Largest |1 − cos| between the two embeddings of an image."""
    first, second = embeddings.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.max(np.abs(1 - np.sum(first * second, axis=1) / norms)))
