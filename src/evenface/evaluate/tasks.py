"""What a model can be evaluated on: a name, the images it needs, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.evaluate.crossings import scan_protocol
from evenface.evaluate.enrolment import failures_to_enrol
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.faces import Faces
from evenface.evaluate.identification import (
    IdentificationResult,
    IdentificationSet,
    evaluate_identification,
)
from evenface.evaluate.model import FLIP_SUM
from evenface.evaluate.pair_lists import VerificationSet
from evenface.evaluate.pairs import Rows
from evenface.evaluate.protocols import PROTOCOL_NAME, Protocol
from evenface.evaluate.results import Enrolment, Evaluation
from evenface.evaluate.templates import TemplateSet

Result = Evaluation | IdentificationResult


@dataclass(frozen=True)
class Settings:
    """How results are made; equal settings and fingerprints give equal results."""

    replicates: int = 1000
    seed: int = 0
    level: float = 0.95
    views: tuple[str, ...] = FLIP_SUM
    scan: tuple[str, ...] = ()
    """Attributes whose crossings are scanned; ``("all",)`` for all that are declared."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        of = {**vars(self), "views": list(self.views), "scan": list(self.scan)}
        return of if self.scan else {name: value for name, value in of.items() if name != "scan"}


@dataclass(frozen=True, eq=False)
class Task:
    """One protocol with its images."""

    name: str
    fingerprint: str
    faces: Faces
    rows: Rows
    """Sorted rows of ``faces`` that are needed."""
    order: Rows
    """(M,) row of each image in the set's own order, repeats included."""
    names: tuple[str, ...] | None
    """(N,) of the rows' images."""
    measure: Callable[[NDArray[Any], Settings, str], Result]
    """From embeddings (N, D), settings and the model's name."""
    read: Callable[[Path], Result]
    protocol: Protocol | None = None
    """Of verification."""

    def write(self, folder: Path) -> None:
        """Write which pairs are compared, where it is pairs."""
        if self.protocol is not None:
            self.protocol.write(folder / PROTOCOL_NAME)


def verification_task(given: VerificationSet) -> Task:
    """Pairs of images."""

    @cache
    def enrolment(level: float) -> dict[str, Enrolment] | None:
        """Of the images, whatever the model."""
        if not isinstance(given.faces, Manifest):
            return None
        return failures_to_enrol(given.faces, given.protocol.group_by, level=level)

    def measure(embeddings: NDArray[Any], settings: Settings, model: str) -> Result:
        evaluation = _verify(embeddings, given.protocol, settings, model)
        return _by_attributes(evaluation, embeddings, given, settings, enrolment)

    return Task(
        given.protocol.name,
        given.protocol.fingerprint,
        given.faces,
        given.protocol.rows,
        given.order,
        given.names,
        measure,
        Evaluation.read,
        given.protocol,
    )


def template_task(given: TemplateSet) -> Task:
    """Pairs of templates."""

    def measure(embeddings: NDArray[Any], settings: Settings, model: str) -> Result:
        return _verify(given.pool(embeddings), given.protocol, settings, model)

    every = np.arange(len(given.faces), dtype=np.int64)
    return Task(
        given.protocol.name,
        given.protocol.fingerprint,
        given.faces,
        every,
        every,
        given.names,
        measure,
        Evaluation.read,
        given.protocol,
    )


def identification_task(given: IdentificationSet) -> Task:
    """Probes in a gallery."""

    def measure(embeddings: NDArray[Any], settings: Settings, model: str) -> Result:
        return evaluate_identification(
            embeddings,
            given,
            replicates=settings.replicates,
            seed=settings.seed,
            level=settings.level,
            model=model,
        )

    return Task(
        given.name,
        given.fingerprint,
        given.manifest,
        np.sort(np.concatenate([given.gallery, given.probe])),
        np.arange(len(given.manifest), dtype=np.int64),
        None,
        measure,
        IdentificationResult.read,
    )


def _verify(
    embeddings: NDArray[Any], protocol: Protocol, settings: Settings, model: str
) -> Evaluation:
    return evaluate_embeddings(
        embeddings,
        protocol,
        replicates=settings.replicates,
        seed=settings.seed,
        level=settings.level,
        model=model,
    )


def _by_attributes(
    evaluation: Evaluation,
    embeddings: NDArray[Any],
    given: VerificationSet,
    settings: Settings,
    enrolment: Callable[[float], dict[str, Enrolment] | None],
) -> Evaluation:
    """The evaluation with what the faces' data set declares: failures to enrol, and crossings."""
    found: dict[str, Any] = {"enrolment": enrolment(settings.level)}
    if settings.scan:
        if not isinstance(given.faces, Manifest):
            raise UsageError(f"{given.protocol.name}: a scan needs a data set with attributes")
        found["crossings"] = scan_protocol(
            embeddings, given.protocol, given.faces, evaluation, settings.scan
        )
    return evaluation.model_copy(update=found)
