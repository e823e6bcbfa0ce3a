"""The study's faces: rendered or imported, then split and mixed. Manifests in, manifests out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface.console import note, warn
from evenface.data.formats.verification_bcolz import flags_path, is_carray
from evenface.data.labels import LabelReport
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.mix import MixReport, MixRules, Source, mix_sources
from evenface.data.shares import draw_shares
from evenface.data.splits import split_by_identity
from evenface.errors import DataError, UsageError
from evenface.evaluate.protocol_specs import DRAW, kept_pairs, spec_path
from evenface.files import write_json
from evenface.study import layout
from evenface.study.face_counts import (
    MIX_REPORT_NAME,
    Size,
    faces_size,
    is_dataset,
    share,
    shares_of,
    shortfalls,
    total,
)
from evenface.study.left_out import LeftOut
from evenface.study.spec import (
    AnyFaces,
    FolderFaces,
    HeldOutFaces,
    MixedSet,
    PublishedFaces,
    RenderedFaces,
    SeveralFaces,
    StudySpec,
    WholeSet,
)
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog

_KEPT_VERSION = 3
"""Of how a verification set is kept: 3 tells people without names from those called by numbers."""


@dataclass(frozen=True)
class StudyFaces:
    """Faces to learn from and to be tested on; no identity is in ``real`` and in ``test``."""

    real: Manifest
    synthetic: Manifest
    test: Manifest
    more_tests: dict[str, Manifest]
    group_by: str | None
    real_people: dict[str, Manifest]
    labels: LabelReport | None = None
    """How groups of synthetic identities were predicted."""
    left_out: LeftOut | None = None
    """Whom of the training faces a test has, see :mod:`evenface.study.overlap`."""
    whole: Mapping[str, Manifest] = field(default_factory=dict)
    """"real" and "synthetic" with the people who were left out of them; {} without a search."""
    kept: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """The rows of ``whole`` that stayed."""

    def to_embed(self) -> dict[str, Manifest]:
        """The training faces that teachers embed: once, before people of the tests are left out."""
        return {"real": self.real, "synthetic": self.synthetic, **self.whole}


@dataclass(frozen=True)
class TestSets:
    """Faces to be tested on, where nothing is trained."""

    test: Manifest
    more_tests: dict[str, Manifest]
    group_by: str | None
    real_people: dict[str, Manifest]


def prepare_tests(spec: StudySpec, log: StageLog) -> TestSets:
    """The test faces of a study that trains nothing.

    Raises:
        UsageError: folders that are not there.
    """
    check_inputs(spec)
    tests = {
        role: obtain(part, role, spec, log)
        for role, part in spec.faces.by_role().items()
        if not isinstance(part, HeldOutFaces)
    }
    test = tests.pop("test")
    group_by = spec.faces.group_by or next(iter(test.attributes), None)
    people: dict[str, Manifest] = {
        name: real_people(name, log) for name in spec.evaluation.real_people
    }
    return TestSets(test, tests, group_by, people)


def prepare_faces(spec: StudySpec, log: StageLog) -> StudyFaces:
    """Render or import what the study file names. Finished parts are kept.

    Raises:
        UsageError: before anything is imported: folders that are not there, and training sets that
            ask for more identities than their sources have.
    """

    def of_role(role: str) -> Manifest:
        part = spec.faces.by_role()[role]
        assert not isinstance(part, HeldOutFaces)
        return obtain(part, role, spec, log)

    return assemble_faces(spec, of_role, lambda name: real_people(name, log))


def assemble_faces(
    spec: StudySpec, faces: Callable[[str], Manifest], people: Callable[[str], Manifest]
) -> StudyFaces:
    """The study's faces, split and joined as it says.

    Args:
        spec: the study.
        faces: gives those of a role.
        people: gives one of the small sets of other people.

    Raises:
        UsageError: see :func:`prepare_faces`.
    """
    check_inputs(spec)
    real = faces("real")
    sources = {role: faces(role) for role in spec.faces.synthetic_parts()}
    group_by = spec.faces.group_by or next(iter(real.attributes), None)
    if isinstance(spec.faces.test, HeldOutFaces):
        real, test = hold_out(real, spec.faces.test, spec.seed, group_by)
    else:
        test = faces("test")
    more_tests = {name: faces(name) for name in spec.faces.more_tests}
    _keep_apart(spec, {"real": real, **sources}, {"test": test, **more_tests})
    synthetic = join_sources(spec, sources)
    others: dict[str, Manifest] = {name: people(name) for name in spec.evaluation.real_people}
    return StudyFaces(real, synthetic, test, more_tests, group_by, others)


def check_inputs(spec: StudySpec) -> None:
    """Refuse what is not there, and what is too little, all at once.

    Raises:
        UsageError: lists it.
    """
    parts = spec.faces.by_role()
    lacking = [
        f"{path}: no such file or folder (given as the {role} faces)"
        for role, part in parts.items()
        if (path := path_of(part)) is not None and not path.exists()
    ]
    if not lacking and spec.training_sets:
        roles = ("real", *spec.faces.synthetic_parts())
        lacking = shortfalls(spec, source_sizes(spec, {r: faces_size(parts[r]) for r in roles}))
    if lacking:
        raise UsageError("\n".join(lacking))


def source_sizes(spec: StudySpec, sizes: Mapping[str, Size]) -> dict[str, Size]:
    """Sizes with those of all synthetic sources together, and without the real faces held out.

    Args:
        spec: the study.
        sizes: of the faces of each role.
    """
    found = {**sizes, "synthetic": total(sizes[role] for role in spec.faces.synthetic_parts())}
    if isinstance(spec.faces.test, HeldOutFaces):
        found["real"] = share(sizes["real"], 1 - spec.faces.test.fraction)
    return found


def path_of(part: AnyFaces) -> Path | None:
    """Where faces lie that are not made by the study."""
    if isinstance(part, FolderFaces):
        return part.path
    return spec_path(part.spec) if isinstance(part, PublishedFaces) else None


def join_sources(spec: StudySpec, sources: Mapping[str, Manifest]) -> Manifest:
    """The synthetic faces of all sources, people of several under ``<source>:<name>``."""
    if not isinstance(spec.faces.synthetic, SeveralFaces):
        return sources["synthetic"]
    parts = []
    for source in spec.faces.synthetic.sources:
        manifest = sources[f"synthetic-{source.name}"]
        names = [f"{source.name}:{name}" for name in manifest.identities()]
        parts.append(
            manifest.with_column("identity", np.array(names, dtype=object)[manifest.labels()])
        )
    return Manifest.concat(parts)


def _synthetic_sources(spec: StudySpec, synthetic: Manifest) -> list[Source]:
    """The synthetic faces as sources of a mix."""
    given = spec.faces.synthetic
    if not isinstance(given, SeveralFaces):
        return [Source("synthetic", "synthetic", synthetic)]
    owners = np.array([name.partition(":")[0] for name in synthetic.identities()], dtype=object)
    rows = owners[synthetic.labels()]
    return [
        Source(
            source.name,
            "synthetic",
            synthetic.select(np.flatnonzero(rows == source.name)),
            source.weight,
        )
        for source in given.sources
    ]


def hold_out(
    real: Manifest, part: HeldOutFaces, seed: int, group_by: str | None
) -> tuple[Manifest, Manifest]:
    """The real faces without the share that is held out, and that share."""
    shares = {"train": round(1 - part.fraction, 9), "test": round(part.fraction, 9)}
    split = split_by_identity(real, shares, seed=seed, group_by=group_by)
    return split.where(split="train"), split.where(split="test")


def _keep_apart(spec: StudySpec, training: dict[str, Manifest], tests: dict[str, Manifest]) -> None:
    """Nobody may be in two parts, but for the same people in several tests.

    Names of rendered people are theirs alone. Those in folders may be shared by chance, so equal
    names of people that were not rendered are only told.
    """
    rules = spec.faces.exclude_overlap
    people = {role: set(manifest.identities()) for role, manifest in {**training, **tests}.items()}
    rendered = {role for role, part in spec.faces.by_role().items() if part.kind == "render"}
    sources = [role for role in training if role != "real"]
    pairs = [("real", source) for source in sources]
    pairs += [(part, test) for test in tests for part in training]
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
        if second in training:
            warn(f"{example}: if they are the same people, a mix counts them twice")
        elif rules is None or rules.by == "embeddings":
            warn(
                f"{example}: if they are the same people, the results are worthless; "
                "faces.exclude_overlap=names leaves them out of training"
            )


def training_sets(spec: StudySpec, faces: StudyFaces, log: StageLog) -> dict[str, Manifest]:
    """The training sets by name. A mix of no given size is as large as ``real`` alone.

    Raises:
        UsageError: see :func:`check_groups`.
    """
    check_groups(spec, faces)
    return {
        name: Manifest.read(log.run(set_stage(spec, name, lambda: faces)))
        for name in spec.training_sets
    }


def set_stage(spec: StudySpec, name: str, faces: Callable[[], StudyFaces]) -> Stage:
    """Draws a training set from the faces."""

    @cache
    def wanted() -> WholeSet | MixedSet:
        return of_those_left(name, spec.training_sets[name], faces())

    def inputs() -> dict[str, Any]:
        return {
            "set": _as_input(wanted()),
            "sources": [faces().real.fingerprint, faces().synthetic.fingerprint],
            **_weights(spec),
            "group_by": faces().group_by,
            "seed": spec.seed,
        }

    def build(folder: Path) -> None:
        try:
            manifest, report = draw_set(wanted(), faces(), spec)
        except UsageError as error:
            raise UsageError(f"training set {name}: {error}") from None
        if report is not None:
            write_json(folder / MIX_REPORT_NAME, report.model_dump())
        manifest.write(folder / MANIFEST_NAME)

    return Stage(f"training set: {name}", inputs, layout.training_set(name), build, kind="set")


def of_those_left(name: str, wanted: WholeSet | MixedSet, faces: StudyFaces) -> WholeSet | MixedSet:
    """The set; one of all people left where it asks for more than are left."""
    if isinstance(wanted, MixedSet) or wanted.identities is None or faces.left_out is None:
        return wanted
    of = faces.left_out.faces[wanted.kind]
    there = of.identities - len(of.people)
    if not there < wanted.identities <= of.identities:
        return wanted
    note(f"training set {name}: all {there:,} identities who are left of the {wanted.kind} faces")
    return wanted.model_copy(update={"identities": None})


def _weights(spec: StudySpec) -> dict[str, Any]:
    """What a set depends on where there are several synthetic sources."""
    given = spec.faces.synthetic
    if not isinstance(given, SeveralFaces):
        return {}
    return {"weights": {source.name: source.weight for source in given.sources}}


def _as_input(wanted: WholeSet | MixedSet) -> dict[str, Any]:
    """The set's settings without those that are newer than finished studies, where not used."""
    unused = {"pretrained"}  # the rows are the same
    if wanted.groups is None:
        unused |= {"groups", "images", "starve"}
    if isinstance(wanted, MixedSet) and not wanted.wrong_labels:
        unused.add("wrong_labels")
    return wanted.model_dump(mode="json", exclude=unused)


def without_groups(spec: StudySpec, synthetic: Manifest, attribute: str) -> list[Manifest]:
    """The synthetic sources of which nobody has a value of an attribute."""
    return [
        source.manifest
        for source in _synthetic_sources(spec, synthetic)
        if attribute not in source.manifest.attributes
        or (source.manifest.codes(attribute)[1] < 0).all()
    ]


def check_groups(spec: StudySpec, faces: StudyFaces) -> None:
    """Refuse mixes that balance groups which the synthetic faces do not declare.

    Raises:
        UsageError: names the training sets, the faces, the attribute and the remedy.
    """
    attribute = faces.group_by
    if attribute is None or not (lacking := without_groups(spec, faces.synthetic, attribute)):
        return
    sets = sorted({name for manifest in lacking for name in manifest.codes("dataset")[0]})
    balanced = [
        name
        for name, wanted in spec.training_sets.items()
        if isinstance(wanted, MixedSet) and (wanted.balance != "none" or wanted.wrong_labels)
    ]
    if balanced and faces.labels is not None:
        raise UsageError(
            f"training sets {', '.join(balanced)} balance '{attribute}', but no identity of the "
            f"synthetic faces ({', '.join(sets)}) is labelled with a score of at least "
            f"{faces.labels.abstain:g}. Lower faces.synthetic_labels.abstain, or choose a teacher "
            "that tells people apart"
        )
    if balanced:
        raise UsageError(
            f"training sets {', '.join(balanced)} balance '{attribute}', but the synthetic faces "
            f"({', '.join(sets)}) declare no '{attribute}'. Let the study predict it with "
            "faces.synthetic_labels={kind: classifier} (or {kind: predictions, path: SCORES.csv}), "
            "label the faces with 'evenface data label', or mix without groups (training_sets."
            f"{balanced[0]}.balance=none)"
        )


def draw_set(
    wanted: WholeSet | MixedSet, faces: StudyFaces, spec: StudySpec
) -> tuple[Manifest, MixReport | None]:
    """The rows of a training set, and the report where some were drawn.

    Raises:
        UsageError: the faces are too few for what is asked.
    """
    if wanted.groups is not None:
        both, shares = (faces.real, faces.synthetic), shares_of(wanted, spec.seed)
        try:
            return draw_shares(both, shares, group_by=faces.group_by), None
        except (ValueError, DataError) as error:
            raise UsageError(str(error)) from None
    if isinstance(wanted, WholeSet) and wanted.identities is None:
        return faces.real if wanted.kind == "real" else faces.synthetic, None
    shared = faces.group_by is not None and faces.group_by in faces.synthetic.attributes
    # None would group by another attribute, or fail.
    group_by = (faces.group_by,) if shared and faces.group_by else ()
    real, synthetic = faces.real, faces.synthetic
    if isinstance(wanted, MixedSet) and wanted.wrong_labels and group_by:
        from evenface.study.labels import mislabelled

        (name,) = group_by
        group_by = (f"{name}_drawn",)  # the labels themselves stay as they are
        drawn, _ = mislabelled(synthetic, name, wanted.wrong_labels, seed=spec.seed)
        synthetic = synthetic.with_attribute(group_by[0], drawn, source="predicted")
        real = real.with_attribute(
            group_by[0], real.column(name), source=real.column(f"{name}_source")
        )
    rules = MixRules(
        real_fraction=wanted.real_fraction,
        balance=wanted.balance if isinstance(wanted, MixedSet) else "none",
        group_by=group_by,
        seed=spec.seed,
        total=wanted.identities,
        total_of="identities" if wanted.identities else None,
        min_cell=0,
    )
    sources = [Source("real", "real", real), *_synthetic_sources(spec, synthetic)]
    mixed, report = mix_sources(sources, rules)
    if wanted.identities is not None:
        return mixed, report
    # No larger than what it replaces: a gain must come from the mix, not from more faces.
    size = len(faces.real) if rules.balance == "images" else len(faces.real.identities())
    if report.total > size:
        mixed, report = mix_sources(sources, rules.model_copy(update={"total": size}))
    return mixed, report


def obtain(
    part: RenderedFaces | FolderFaces | PublishedFaces, role: str, spec: StudySpec, log: StageLog
) -> Manifest:
    """Render or import the faces of one role, or find them finished.

    Raises:
        UsageError: there are none where the study says.
    """
    check_part(part, role, spec)
    stage = faces_stage(part, role, spec)
    return read_faces(part, role, None if stage is None else log.run(stage))


def check_part(
    part: RenderedFaces | FolderFaces | PublishedFaces, role: str, spec: StudySpec
) -> None:
    """Refuse faces that are not there, and test faces that have pairs of their own.

    Raises:
        UsageError: says what to do.
    """
    if isinstance(part, FolderFaces):
        check_folder(part, role, spec)
    elif isinstance(part, PublishedFaces) and not (path := spec_path(part.spec)).exists():
        raise UsageError(f"{path}: no such file or folder (given as the {role} faces)")


def faces_stage(part: AnyFaces, role: str, spec: StudySpec) -> Stage | None:
    """Renders or imports the faces of a role; None for those used where they are or held out."""
    if isinstance(part, RenderedFaces):
        return _render_stage(part, role, spec.seed, spec.workers)
    if isinstance(part, PublishedFaces):
        return _verification_set_stage(part, role, spec)
    if isinstance(part, FolderFaces) and not is_dataset(part.path):
        return _import_stage(part, role, spec)
    return None


def read_faces(
    part: RenderedFaces | FolderFaces | PublishedFaces, role: str, folder: Path | None
) -> Manifest:
    """The faces of a role, from the folder of their stage; None for those used where they are."""
    if folder is None:
        assert isinstance(part, FolderFaces)
        return Manifest.read(part.path)
    manifest = Manifest.read(folder)
    return _kept(manifest, part.keep, role) if isinstance(part, RenderedFaces) else manifest


def _verification_set_stage(part: PublishedFaces, role: str, spec: StudySpec) -> Stage:
    settings: dict[str, Any] = {"folds": spec.evaluation.folds, "seed": spec.seed}
    if part.spec.startswith(DRAW):
        settings["group_by"] = spec.faces.group_by
        settings["pairs_per_group"] = spec.evaluation.pairs_per_group

    def build(folder: Path) -> None:
        from evenface.study.published import keep_verification_set

        simulated = part.origin == "synthetic"
        keep_verification_set(part.spec, role, folder, simulated=simulated, **settings)

    def inputs() -> dict[str, Any]:
        path = spec_path(part.spec)
        flags = {"flags": listing(flags_path(path))} if is_carray(path) else {}
        return {
            "faces": part.model_dump(mode="json"),
            "files": listing(path),
            "version": _KEPT_VERSION,
            **flags,
            **settings,
        }

    return Stage(f"verification set: {role}", inputs, layout.faces(role), build, kind="faces")


def _render_stage(part: RenderedFaces, role: str, seed: int, workers: int | None) -> Stage:
    def build(folder: Path) -> None:
        from evenface.render import render_dataset

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

    inputs = {"faces": part.model_dump(mode="json", exclude={"keep"}), "seed": seed}
    name = f"render: {role} ({part.look})"
    return Stage(name, inputs, layout.faces(role), build, kind="faces", portable=True)


def _kept(manifest: Manifest, keep: dict[str, int], role: str) -> Manifest:
    """The first identities of each group, as many as are kept."""
    if not keep:
        return manifest
    groups, identity = manifest.groups(), manifest.column("identity")
    if unknown := set(keep) - set(groups):
        raise UsageError(
            f"faces.{role}.keep: no group {', '.join(sorted(unknown))}; there are "
            f"{', '.join(sorted(set(groups)))}"
        )
    chosen = np.ones(len(manifest), dtype=bool)
    for group, count in keep.items():
        of_group = groups == group
        first = sorted(set(identity[of_group]))[:count]
        chosen &= ~of_group | np.isin(identity, first)
    return manifest.select(chosen)


def _import_stage(part: FolderFaces, role: str, spec: StudySpec) -> Stage:
    def build(folder: Path) -> None:
        from evenface.data.importing import import_dataset

        import_dataset(
            part.path,
            folder,
            **import_options(part),
        )

    def inputs() -> dict[str, Any]:
        check_folder(part, role, spec)
        return {"faces": part.model_dump(mode="json"), "files": listing(part.path)}

    return Stage(f"import: {role}", inputs, layout.faces(role), build, kind="faces")


def check_folder(part: FolderFaces, role: str, spec: StudySpec) -> None:
    """Refuse a folder that is not there, and test faces that have pairs of their own.

    Raises:
        UsageError: says what to do.
    """
    if not part.path.exists():
        raise UsageError(f"{part.path}: no such folder (given as the {role} faces)")
    if role in ("test", *spec.faces.more_tests) and kept_pairs(part.path):
        raise UsageError(
            f"{part.path}: holds pairs of its own, and faces of kind 'folder' get drawn ones "
            f"(given as the {role} faces). Use its pairs with {{kind: protocol, spec: "
            f"{part.path}}}, or draw new ones with {{kind: protocol, spec: '{DRAW}{part.path}'}}"
        )


def listing(folder: Path) -> str:
    """Digest of names, sizes and times: a changed folder or file is imported again."""
    digest = hashlib.sha256()
    for path in _files(folder):
        status = path.stat()
        entry = f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(entry.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or all below a folder in the order of their names, one folder at a time."""
    if not path.is_dir():
        yield from [path] if path.is_file() else []
        return
    for below in sorted(path.iterdir()):
        if not (below.is_symlink() and below.is_dir()):
            yield from _files(below)


def real_people(name: str, log: StageLog) -> Manifest:
    """One of the small sets of other people."""
    return Manifest.read(log.run(real_people_stage(name)))


def real_people_stage(name: str) -> Stage:
    """Imports one of the small sets of other people."""

    def build(folder: Path) -> None:
        from evenface.data import sources

        importer: dict[str, Any] = {
            "orl": sources.import_orl,
            "openpeople": sources.import_openpeople,
        }
        importer[name](folder)

    return Stage(f"import: {name}", {"asset": name}, layout.faces(name), build, kind="faces")


def import_options(part: FolderFaces) -> dict[str, Any]:
    """How the user's own faces are imported, for :func:`evenface.data.importing.import_source`."""
    return {
        "dataset": part.path.name,
        "origin": part.origin,
        "licence": "as declared by its owner",
        "align": part.align,
        "max_bad_rate": part.max_bad_rate,
    }
