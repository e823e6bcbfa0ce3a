"""A few faces of every part of a study, and a table of all of them: what a rehearsal works on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenface.data.formats import open_source
from evenface.data.formats.base import Record, Source
from evenface.data.formats.columns import Texts
from evenface.data.importing import import_source
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.errors import UsageError
from evenface.evaluate.protocols import PROTOCOL_NAME, Protocol
from evenface.files import fingerprint, read_json, write_json
from evenface.seeds import generator
from evenface.study import layout
from evenface.study.face_counts import Size, faces_size, is_dataset
from evenface.study.faces import check_folder, import_options, listing, obtain, path_of
from evenface.study.published import keep_verification_set
from evenface.study.spec import (
    AnyFaces,
    FolderFaces,
    HeldOutFaces,
    PublishedFaces,
    RenderedFaces,
    StudySpec,
)
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog

IMAGES = 4
"""Of a sampled person at most."""
_FACTS_NAME = "sample.json"
_PLACEHOLDER = "placeholder: drawn for the rehearsal"


@dataclass(frozen=True)
class Sample:
    """A few faces of one part of a study.

    Attributes:
        part: the sample, as a study's file names faces.
        size: of the whole part.
        whole: a row for each image of the whole part, whose images need not be there; None where
            nothing lists them (rendered faces, published pairs).
        image_seconds: that importing an image took; None where nothing has to be imported.
        tests: the whole protocol of published pairs.
    """

    part: AnyFaces
    size: Size
    whole: Manifest | None = None
    image_seconds: float | None = None
    tests: Protocol | None = None


def sample(part: AnyFaces, role: str, spec: StudySpec, log: StageLog, *, identities: int) -> Sample:
    """Take a few faces of a part; images of the user's folders are imported, all others named.

    Args:
        part: the part.
        role: its name in the study.
        spec: the study.
        log: of the rehearsal; a sample of the same faces is kept.
        identities: to take of each group.

    Raises:
        EvenfaceError: the faces are not there, or cannot be used.
    """
    if isinstance(part, HeldOutFaces):
        return Sample(part, Size())
    if isinstance(part, RenderedFaces):
        few = {
            "identities_per_group": min(identities, part.identities_per_group),
            "images_per_identity": min(IMAGES, part.images_per_identity),
            "keep": {},
        }
        return Sample(part.model_copy(update=few), faces_size(part))
    if isinstance(part, PublishedFaces):
        return _few_pairs(part, role, spec, log)
    return _few_people(part, role, spec, log, identities)


def with_placeholder_groups(
    found: Sample, attribute: str, groups: list[str], folder: Path
) -> Sample:
    """The sample with its people dealt to groups, where they declare none.

    A mix that balances groups can so be rehearsed before anything predicts them.

    Args:
        found: of imported or prepared faces.
        attribute: what the real faces declare.
        groups: its values.
        folder: where the manifest is written.
    """
    if not isinstance(found.part, FolderFaces):
        return found
    manifest = Manifest.read(found.part.path)
    if attribute in manifest.attributes and (manifest.codes(attribute)[1] >= 0).any():
        return found
    values = np.array(groups, dtype=object)[manifest.labels() % len(groups)]
    dealt = manifest.with_attribute(attribute, values, source="predicted")
    dealt.with_column("notes", _PLACEHOLDER).write(folder / MANIFEST_NAME)
    return Sample(
        found.part.model_copy(update={"path": folder}), found.size, found.whole, found.image_seconds
    )


def _few_pairs(part: PublishedFaces, role: str, spec: StudySpec, log: StageLog) -> Sample:
    path = path_of(part)
    assert path is not None
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder (given as the {role} faces)")
    whole: list[Protocol] = []

    def build(folder: Path) -> None:
        protocol = keep_verification_set(
            part.spec,
            role,
            folder,
            simulated=part.origin == "synthetic",
            folds=spec.evaluation.folds,
            seed=spec.seed,
            few=True,
        )
        protocol.write(folder / f"whole-{PROTOCOL_NAME}")
        whole.append(protocol)

    inputs = {"part": part.model_dump(mode="json"), "files": listing(path), "seed": spec.seed}
    inputs["folds"] = spec.evaluation.folds
    folder = log.run(Stage(f"sample: {role}", inputs, layout.sample(role), build))
    protocol = whole[0] if whole else Protocol.read(folder / f"whole-{PROTOCOL_NAME}")
    size = Size(None, len(protocol.rows), exact=True)
    return Sample(part.model_copy(update={"spec": str(folder)}), size, tests=protocol)


def _few_people(
    part: FolderFaces, role: str, spec: StudySpec, log: StageLog, identities: int
) -> Sample:
    source: Source | None = None
    if is_dataset(part.path) or not part.path.exists():
        whole = obtain(part, role, spec, log)  # nothing is imported: it is there, or an error
    else:
        check_folder(part, role, spec)
        source = open_source(part.path)
        whole = _table(source, part, log.folder / layout.sample(role))
    rows = _some_rows(whole, spec.faces.group_by, identities, spec.seed)

    def build(folder: Path) -> None:
        if source is None:
            whole.select(rows).write(folder / MANIFEST_NAME)
            return
        begun = time.perf_counter()
        import_source(
            _Some(source, rows),
            folder,
            **import_options(part),
        )
        spent = time.perf_counter() - begun
        write_json(folder / _FACTS_NAME, {"image_seconds": spent / len(rows)})

    inputs: dict[str, Any] = {"part": part.model_dump(mode="json"), "rows": rows.tolist()}
    inputs["faces"] = whole.image_fingerprint if source is None else source.description
    folder = log.run(Stage(f"sample: {role}", inputs, layout.sample(role), build))
    seconds = None if source is None else read_json(folder / _FACTS_NAME)["image_seconds"]
    size = Size(len(whole.codes("identity")[0]), len(whole), exact=True)
    return Sample(part.model_copy(update={"path": folder}), size, whole, seconds)


def _table(source: Source, part: FolderFaces, folder: Path) -> Manifest:
    """A row for each image file of a source, before anything is imported."""
    identities = Texts()
    values: Mapping[str, Texts] = {name: Texts() for name in source.attributes}
    for number in range(len(source)):
        record = source.record(number)
        identities.append(record.identity)
        for column, value in zip(values.values(), record.attributes, strict=True):
            column.append(value)
    return Manifest.from_columns(
        folder,
        index=np.arange(len(source)),
        identity=identities.to_arrow(),
        origin=part.origin,
        dataset=part.path.name,
        licence="as declared by its owner",
        attributes={name: column.to_arrow() for name, column in values.items()},
    )


def _some_rows(manifest: Manifest, group_by: str | None, identities: int, seed: int) -> np.ndarray:
    """Sorted rows of some people of each group, of those with several images where there are."""
    labels = manifest.labels()
    by = (group_by,) if group_by in manifest.attributes else None
    groups, code = manifest.group_codes(by)
    held = np.bincount(labels)
    group_of = np.zeros(len(held), dtype=np.int64)
    group_of[labels] = code
    first = np.concatenate([[0], np.cumsum(held)])
    order = np.argsort(labels, kind="stable")
    chosen = []
    for number, group in enumerate(groups):
        people = generator(seed, "sample", group).permutation(np.flatnonzero(group_of == number))
        people = people[np.argsort(held[people] < 2, kind="stable")][:identities]
        chosen += [order[first[i] : first[i + 1]][:IMAGES] for i in people]
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class _Some:
    """Some records of a source."""

    source: Source
    rows: np.ndarray

    @property
    def description(self) -> dict[str, Any]:
        return {**self.source.description, "records": fingerprint(self.rows.tolist())}

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.source.attributes

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.source.remarks

    def __len__(self) -> int:
        return len(self.rows)

    def record(self, number: int) -> Record:
        return self.source.record(int(self.rows[number]))

    def read(self, number: int) -> bytes:
        return self.source.read(int(self.rows[number]))
