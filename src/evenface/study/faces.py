"""The study's faces: rendered or imported, then split and mixed. Manifests in, manifests out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenface.console import note, warn
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.mix import mix
from evenface.data.splits import split_by_identity
from evenface.errors import UsageError
from evenface.files import write_json
from evenface.study.spec import Faces, FolderFaces, HeldOutFaces, RenderedFaces, StudySpec
from evenface.study.stages import StageLog


@dataclass(frozen=True)
class StudyFaces:
    """Faces to learn from and to be tested on; no identity is in ``real`` and in ``test``."""

    real: Manifest
    synthetic: Manifest
    test: Manifest
    more_tests: dict[str, Manifest]
    group_by: str | None
    real_people: dict[str, Manifest]


def prepare_faces(spec: StudySpec, log: StageLog) -> StudyFaces:
    """Render or import what the study file names. Finished parts are kept."""
    real = _obtain(spec.faces.real, "real", spec, log)
    synthetic = _obtain(spec.faces.synthetic, "synthetic", spec, log)
    group_by = spec.faces.group_by or next(iter(real.attributes), None)
    if isinstance(spec.faces.test, HeldOutFaces):
        fraction = spec.faces.test.fraction
        split = split_by_identity(
            real,
            {"train": round(1 - fraction, 9), "test": round(fraction, 9)},
            seed=spec.seed,
            group_by=group_by,
        )
        real, test = split.where(split="train"), split.where(split="test")
    else:
        test = _obtain(spec.faces.test, "test", spec, log)
    more_tests = {
        name: _obtain(part, name, spec, log) for name, part in spec.faces.more_tests.items()
    }
    _keep_apart(spec, real, synthetic, {"test": test, **more_tests})
    real_people: dict[str, Manifest] = {
        name: _real_people(name, log) for name in spec.evaluation.real_people
    }
    return StudyFaces(real, synthetic, test, more_tests, group_by, real_people)


def _keep_apart(
    spec: StudySpec, real: Manifest, synthetic: Manifest, tests: dict[str, Manifest]
) -> None:
    """Nobody may be in two parts, but for the same people in several tests.

    Names of rendered people are theirs alone. Those in folders may be shared by chance, so equal
    names of people that were not rendered are only told.
    """
    people = {
        role: set(manifest.identities())
        for role, manifest in {"real": real, "synthetic": synthetic, **tests}.items()
    }
    rendered = {role for role, part in spec.faces.by_role().items() if part.kind == "render"}
    pairs = [("real", "synthetic"), *((part, t) for t in tests for part in ("real", "synthetic"))]
    for first, second in pairs:
        shared = people[first] & people[second]
        if not shared:
            continue
        what = f"{len(shared):,} identities are both in the {first} and the {second} faces"
        example = f"{what} (such as {min(shared)})"
        if {first, second} <= rendered:
            raise UsageError(
                f"{example}: give one of them another split, or another first_identity"
            )
        warn(f"{example}: if they are the same people, the results are worthless")


def training_sets(spec: StudySpec, faces: StudyFaces, log: StageLog) -> dict[str, Manifest]:
    """The training sets by name. The mix has as many identities (or images) as ``real`` alone."""
    made = {"real": faces.real, "synthetic": faces.synthetic}
    sets: dict[str, Manifest] = {}
    for name in spec.training_sets:
        source = made.get(name)
        inputs = {
            "name": name,
            "sources": [m.fingerprint for m in made.values()],
            "group_by": faces.group_by,
            "mix": spec.mix.model_dump() if source is None else None,
            "seed": spec.seed,
        }

        def build(folder: Path, source: Manifest | None = source) -> None:
            manifest = source if source is not None else _mix(spec, faces, folder)
            manifest.write(folder / MANIFEST_NAME)

        folder = log.run(f"training set: {name}", inputs, build, at=f"sets/{name}")
        sets[name] = Manifest.read(folder)
    return sets


def _mix(spec: StudySpec, faces: StudyFaces, folder: Path) -> Manifest:
    shared = faces.group_by is not None and faces.group_by in faces.synthetic.attributes
    if faces.group_by is not None and not shared:
        note(
            f"the synthetic faces declare no '{faces.group_by}': the mix keeps its real share "
            "overall, but cannot balance it per group"
        )
    group_by = faces.group_by if shared else ()  # None would group by another attribute, or fail
    recipe: dict[str, Any] = {**spec.mix.model_dump(), "group_by": group_by, "seed": spec.seed}
    mixed, report = mix(faces.real, faces.synthetic, **recipe)
    # No larger than what it replaces: a gain must come from the mix, not from more faces.
    size = len(faces.real) if spec.mix.balance == "images" else len(faces.real.identities())
    if report.total > size:
        mixed, report = mix(faces.real, faces.synthetic, **recipe, total=size)
    write_json(folder / "mix-report.json", report.model_dump())
    return mixed


def _obtain(part: Faces, role: str, spec: StudySpec, log: StageLog) -> Manifest:
    if isinstance(part, RenderedFaces):
        return _render(part, role, spec.seed, spec.workers, log)
    return _import(part, role, log)


def _render(
    part: RenderedFaces, role: str, seed: int, workers: int | None, log: StageLog
) -> Manifest:
    def build(folder: Path) -> None:
        from evenface.data.render import render_dataset

        render_dataset(
            folder,
            look=part.look,
            split=part.split,
            identities_per_group=part.identities_per_group,
            images_per_identity=part.images_per_identity,
            first_identity=part.first_identity,
            seed=seed,
            workers=workers,
        )

    inputs = {"faces": part.model_dump(mode="json"), "seed": seed}
    return Manifest.read(log.run(f"render: {role} ({part.look})", inputs, build, at=f"data/{role}"))


def _import(part: FolderFaces, role: str, log: StageLog) -> Manifest:
    if not part.path.exists():
        raise UsageError(f"{part.path}: no such folder (given as the {role} faces)")
    if part.path.suffix == ".parquet" or (part.path / MANIFEST_NAME).is_file():
        return Manifest.read(part.path)

    def build(folder: Path) -> None:
        from evenface.data.importing import import_dataset

        import_dataset(
            part.path,
            folder,
            dataset=part.path.name,
            origin=part.origin,
            licence="as declared by its owner",
            align=part.align,
            max_bad_rate=part.max_bad_rate,
        )

    inputs = {"faces": part.model_dump(mode="json"), "files": _listing(part.path)}
    return Manifest.read(log.run(f"import: {role}", inputs, build, at=f"data/{role}"))


def _listing(folder: Path) -> str:
    """Digest of names, sizes and times: a changed folder or file is imported again."""
    digest = hashlib.sha256()
    for path in (folder, *sorted(folder.rglob("*"))):  # of a file: itself
        if path.is_file():
            status = path.stat()
            entry = f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(entry.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _real_people(name: str, log: StageLog) -> Manifest:
    def build(folder: Path) -> None:
        from evenface.data import sources

        importer: dict[str, Any] = {
            "orl": sources.import_orl,
            "openpeople": sources.import_openpeople,
        }
        importer[name](folder)

    return Manifest.read(log.run(f"import: {name}", {"asset": name}, build, at=f"data/{name}"))
