"""Groups of synthetic identities that declare none, predicted before the mixes are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evenface.console import note
from evenface.data.embedded import EmbeddedRows
from evenface.data.labels import LabelReport, label_manifest
from evenface.data.labels.dataset import REPORT_NAME
from evenface.data.manifest import Manifest
from evenface.errors import UsageError
from evenface.files import read_json, sha256_file
from evenface.seeds import derive_seed, generator
from evenface.study import layout
from evenface.study.faces import StudyFaces, training_sets, without_groups
from evenface.study.spec import PredictionsFile, StudySpec, TrainedTeacher, teacher_id
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog
from evenface.study.students import embed_sources, open_teachers


def label_synthetic(spec: StudySpec, faces: StudyFaces, log: StageLog) -> StudyFaces:
    """The faces with groups predicted for the synthetic identities, as the study declares it.

    A classifier learns from the real training faces, on the embeddings of one of the study's
    teachers; a teacher that the study trains is trained first. Nothing is predicted where every
    synthetic source has the groups.

    Raises:
        UsageError: the real faces declare no attribute; see
            :func:`evenface.data.labels.label_manifest`.
        DataError: a file of predictions that cannot be read.
    """
    wanted = spec.faces.synthetic_labels
    if wanted is None:
        return faces
    attribute = faces.group_by
    if attribute is None:
        raise UsageError(
            "faces.synthetic_labels: the real faces declare no attribute that could be predicted. "
            "Import them with groups, or set faces.group_by"
        )
    if not without_groups(spec, faces.synthetic, attribute):
        note(f"the synthetic faces have '{attribute}' already: nothing is predicted")
        return faces
    if isinstance(wanted, PredictionsFile):
        if not wanted.path.is_file():
            raise UsageError(f"{wanted.path}: no such file (given as faces.synthetic_labels.path)")
        rows: list[EmbeddedRows] = []
    else:
        rows = [of for _, of in embedded_rows(spec, wanted.teacher, faces, log)]
    folder = log.run(label_stage(spec, lambda: faces, lambda: rows))
    report = LabelReport.model_validate(read_json(folder / REPORT_NAME))
    return replace(faces, synthetic=Manifest.read(folder), labels=report)


def label_stage(
    spec: StudySpec, faces: Callable[[], StudyFaces], embedded: Callable[[], list[EmbeddedRows]]
) -> Stage:
    """Predicts the groups of the synthetic faces.

    Args:
        spec: the study.
        faces: without the predicted groups.
        embedded: of the real and the synthetic ones, by the classifier's teacher.
    """
    wanted = spec.faces.synthetic_labels
    assert wanted is not None

    def inputs() -> dict[str, Any]:
        found = faces()
        common = {
            "synthetic": found.synthetic.fingerprint,
            "attribute": found.group_by,
            "abstain": wanted.abstain,
        }
        if isinstance(wanted, PredictionsFile):
            return {**common, "predictions": sha256_file(wanted.path)}
        return {
            **common,
            "max_images": wanted.max_images,
            "seed": spec.seed,
            "real": found.real.fingerprint,
            "teacher": embedded()[0].teacher,
        }

    def build(folder: Path) -> None:
        found = faces()
        settings: dict[str, Any] = {"attribute": found.group_by, "abstain": wanted.abstain}
        if isinstance(wanted, PredictionsFile):
            settings["predictions"] = wanted.path
        else:
            real, synthetic = embedded()
            settings |= {"max_images": wanted.max_images, "seed": spec.seed}
            settings |= {"labelled": (found.real, real), "embeddings": synthetic}
        label_manifest(found.synthetic, **settings).write(folder)

    return Stage("label: synthetic", inputs, layout.LABELS, build, kind="labels")


def embedded_rows(
    spec: StudySpec, name: str | None, faces: StudyFaces, log: StageLog
) -> list[tuple[Manifest, EmbeddedRows]]:
    """Real and synthetic faces with the embeddings of one teacher."""
    given = next(t for t in spec.teachers if name in (None, teacher_id(t)))
    alone = spec.model_copy(update={"teachers": (given,)})
    sets: dict[str, Manifest] = {}
    if isinstance(given, TrainedTeacher):
        only = {given.set: spec.training_sets[given.set]}
        sets = training_sets(spec.model_copy(update={"training_sets": only}), faces, log)
    (teacher,) = open_teachers(alone, sets, log)
    sources = faces.to_embed()
    caches = [cache for _, cache in embed_sources(teacher, sources, log)]
    return [
        (
            manifest,
            EmbeddedRows(
                cache.view(),
                faces.kept.get(role, np.arange(len(cache))),
                cache.record.teacher_fingerprint,
            ),
        )
        for role, manifest, cache in zip(
            sources, (faces.real, faces.synthetic), caches, strict=True
        )
    ]


def mislabelled(
    manifest: Manifest, attribute: str, share: float, *, seed: int
) -> tuple[np.ndarray, Sequence[str]]:
    """Labels of which a share is wrong, and who got a wrong one.

    A seeded order of the labelled identities decides: those of a smaller share are among those of
    a larger one, with the same wrong label. It is any of the other labels, each as likely.

    Args:
        manifest: with ``attribute``; an identity has one label or none.
        attribute: the labels.
        share: of the labelled identities, in [0, 1]; rounded to the nearest whole number.
        seed: decides who, and which label.

    Returns:
        (N,) objects, the label of each row or None, and the identities' names.

    Raises:
        UsageError: fewer than two labels.
    """
    values, codes = manifest.codes(attribute)
    if len(values) < 2:
        raise UsageError(f"wrong labels need two values of '{attribute}'; there are {len(values)}")
    names, labels = manifest.identities(), manifest.labels()
    label_of = np.full(len(names), -1)
    label_of[labels[codes >= 0]] = codes[codes >= 0]
    known = sorted(np.flatnonzero(label_of >= 0), key=lambda i: names[i])
    order = generator(seed, "wrong-labels").permutation(len(known))
    chosen = [known[place] for place in order[: round(share * len(known))]]
    ordered = sorted(values)
    wrong = {}
    for i in chosen:
        others = [value for value in ordered if value != values[label_of[i]]]
        wrong[i] = others[derive_seed(seed, "wrong-label", names[i]) % len(others)]
    found = np.array([*values, None], dtype=object)[label_of]
    for i, value in wrong.items():
        found[i] = value
    drawn = np.full(len(manifest), None, dtype=object)
    drawn[codes >= 0] = found[labels[codes >= 0]]
    return drawn, [names[i] for i in chosen]
