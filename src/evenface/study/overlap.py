"""People of the tests are left out of the training faces, before groups are predicted and mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evenface.console import note, warn
from evenface.data.embedded import EmbeddedRows
from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.data.overlap import bare_name, find_overlap, rows_without
from evenface.errors import UsageError
from evenface.files import read_json, write_json
from evenface.study import layout
from evenface.study.faces import StudyFaces
from evenface.study.left_out import LEFT_OUT, LeftOut, LeftOutOf, LeftOutPerson, Likeness, Reason
from evenface.study.spec import OverlapRules, StudySpec, plain_name, teacher_id
from evenface.study.stage import Stage
from evenface.study.stage_log import StageLog
from evenface.study.students import StudyTeacher, embed_sources
from evenface.teachers import load_teacher
from evenface.teachers.cache import cached_embeddings

STAGE = "people of the tests"
_CLOSEST = 5


def leave_out_people(spec: StudySpec, faces: StudyFaces, log: StageLog) -> StudyFaces:
    """The faces without training people who are in a test, as ``faces.exclude_overlap`` says.

    Training and test faces are embedded once, by a teacher that is there before any training;
    where it is one of the study's, its students learn from the same embeddings.

    Raises:
        UsageError: nobody is left, or the teacher is not recognised.
    """
    rules = spec.faces.exclude_overlap
    if rules is None:
        return faces
    tests = _tests(faces)
    if rules.by == "names" and _numbered(faces.real) and not all(map(_numbered, tests.values())):
        warn(
            "the real faces have numbers for names (a .rec file without its .lst?), which are "
            "nobody's names in the tests. Compare embeddings: faces.exclude_overlap.teacher=sface, "
            "or any teacher that is there before training"
        )
    embedded: dict[str, EmbeddedRows] = {}
    if (teacher := comparing_teacher(spec)) is not None:
        embedded = embed_to_compare(spec, teacher, {**_training(faces), **tests}, log)
    folder = log.run(overlap_stage(spec, lambda: faces, lambda: teacher, lambda: embedded))
    found = LeftOut.model_validate(read_json(folder / LEFT_OUT.name))
    note(found.sentence)
    return without_people(faces, found)


def overlap_stage(
    spec: StudySpec,
    faces: Callable[[], StudyFaces],
    teacher: Callable[[], StudyTeacher | None],
    embedded: Callable[[], Mapping[str, EmbeddedRows]],
) -> Stage:
    """Finds training people who are in a test."""
    rules = spec.faces.exclude_overlap
    assert rules is not None

    def inputs() -> dict[str, Any]:
        found, compares = faces(), teacher()
        return {
            "training": {role: of.fingerprint for role, of in _training(found).items()},
            "tests": {name: of.fingerprint for name, of in _tests(found).items()},
            "rules": rules.model_dump(mode="json", exclude={"teacher"}),
            "group_by": found.group_by,
            "teacher": compares.model.fingerprint if compares else None,
        }

    def build(folder: Path) -> None:
        of = faces()
        found = find_people(_training(of), _tests(of), rules, of.group_by, teacher(), embedded())
        write_json(folder / LEFT_OUT.name, found.model_dump(mode="json"))

    return Stage(STAGE, inputs, layout.OVERLAP, build, kind="overlap")


def _training(faces: StudyFaces) -> dict[str, Manifest]:
    return {"real": faces.real, "synthetic": faces.synthetic}


def _tests(faces: StudyFaces) -> dict[str, Manifest]:
    return {"test": faces.test, **faces.more_tests}


def find_people(
    training: Mapping[str, Manifest],
    tests: Mapping[str, Manifest],
    rules: OverlapRules,
    group_by: str | None,
    teacher: StudyTeacher | None = None,
    embedded: Mapping[str, EmbeddedRows] | None = None,
) -> LeftOut:
    """Training people who are in a test, by the rules.

    Args:
        training: by role, "real" and "synthetic"; nobody was left out yet.
        tests: by name.
        rules: by "names" without embeddings.
        group_by: attribute of the groups that they are counted by.
        teacher: whose embeddings they are.
        embedded: of all training and test faces, by role and name.
    """
    return LeftOut(
        by=rules.by,
        teacher=teacher.id if teacher else None,
        teacher_fingerprint=teacher.model.fingerprint if teacher else None,
        threshold=rules.threshold,
        image_threshold=rules.image_threshold,
        faces={
            role: _search(role, manifest, tests, embedded or {}, rules, group_by)
            for role, manifest in training.items()
        },
    )


def without_people(faces: StudyFaces, found: LeftOut) -> StudyFaces:
    """The faces without those who were found.

    Raises:
        UsageError: nobody is left.
    """
    training = _training(faces)
    kept = {
        role: rows_without(manifest, {person.identity for person in found.faces[role].people})
        for role, manifest in training.items()
    }
    for role, rows in kept.items():
        if not len(rows):
            raise UsageError(
                f"faces.exclude_overlap: all people of the {role} faces are in a test. Check "
                "faces.exclude_overlap.threshold, or compare names only"
            )
    return replace(
        faces,
        real=faces.real.select(kept["real"]),
        synthetic=faces.synthetic.select(kept["synthetic"]),
        left_out=found,
        whole=training,
        kept=kept,
    )


def _numbered(manifest: Manifest) -> bool:
    """Whether all names of people are numbers."""
    return all(bare_name(name).isdecimal() for name in manifest.identities())


def comparing_teacher(spec: StudySpec) -> StudyTeacher | None:
    """The teacher whose embeddings are compared; None where names are."""
    rules = spec.faces.exclude_overlap
    if rules is None or rules.by == "names":
        return None
    given = spec.overlap_teacher()
    own = {teacher_id(teacher): teacher for teacher in spec.teachers if isinstance(teacher, str)}
    source = own.get(given, given)
    name = plain_name(source) or "teacher"
    return StudyTeacher(name, source, {name: load_teacher(source)}, {name: source})


def embed_to_compare(
    spec: StudySpec, teacher: StudyTeacher, manifests: dict[str, Manifest], log: StageLog
) -> dict[str, EmbeddedRows]:
    """The faces' embeddings, beside those that students learn from where the teacher is theirs."""
    if teacher.given in spec.teachers:
        caches = [cache for _, cache in embed_sources(teacher, manifests, log)]
    else:
        stages = [
            comparison_stage(
                teacher.id, role, lambda: teacher, partial(manifests.__getitem__, role)
            )
            for role in manifests
        ]
        caches = [EmbeddingCache.open(log.run(stage)) for stage in stages]
    return {
        name: EmbeddedRows(cache.view(), np.arange(len(cache)), cache.record.teacher_fingerprint)
        for name, cache in zip(manifests, caches, strict=True)
    }


def comparison_stage(
    identifier: str, role: str, teacher: Callable[[], StudyTeacher], faces: Callable[[], Manifest]
) -> Stage:
    """Embeds faces without the mirror images, which nobody learns from."""

    def inputs() -> dict[str, Any]:
        return {"teacher": teacher().model.fingerprint, "images": faces().image_fingerprint}

    def build(folder: Path) -> None:
        cached_embeddings(teacher().model, faces(), folder, views=("original",))

    return Stage(
        f"{identifier} embeds, to compare: {role}",
        inputs,
        layout.compared_embeddings(role),
        build,
        kind="embeddings",
        portable=True,
    )


def _search(
    role: str,
    manifest: Manifest,
    tests: Mapping[str, Manifest],
    embedded: Mapping[str, EmbeddedRows],
    rules: OverlapRules,
    group_by: str | None,
) -> LeftOutOf:
    identities, labels = manifest.identities(), manifest.labels()
    sizes = dict(zip(identities, np.bincount(labels).tolist(), strict=True))
    group_of = _groups(manifest, group_by)
    people: dict[str, LeftOutPerson] = {}
    closest: list[Likeness] = []
    for test, faces in tests.items():
        found = find_overlap(
            manifest,
            faces,
            embeddings=(embedded[role], embedded[test]) if embedded else None,
            names=rules.by != "embeddings",
            threshold=rules.threshold,
            image_threshold=rules.image_threshold,
        )
        alike = {item.identity: item for item in found.people}
        reasons: list[tuple[Reason, str, str, float | None]] = [
            *(
                (
                    "name",
                    n.identity,
                    n.test_identity,
                    getattr(alike.get(n.identity), "cosine", None),
                )
                for n in found.names
            ),
            *(("people alike", a.identity, a.test_identity, a.cosine) for a in found.people),
            *(("images alike", a.identity, a.test_identity, a.cosine) for a in found.images),
        ]
        for reason, name, other, cosine in reasons:
            people.setdefault(
                name,
                LeftOutPerson(
                    identity=name,
                    test=test,
                    test_identity=other,
                    cosine=cosine,
                    group=group_of.get(name),
                    images=sizes[name],
                    reason=reason,
                ),
            )
        closest += [
            Likeness(
                identity=of.identity, test=test, test_identity=of.test_identity, cosine=of.cosine
            )
            for of in found.closest_kept
        ]
    stay = [of for of in closest if of.identity not in people]
    return LeftOutOf(
        identities=len(identities),
        images=len(manifest),
        groups=_counted(group_of),
        people=[people[name] for name in sorted(people)],
        closest_kept=sorted(stay, key=lambda of: -(of.cosine or 0.0))[:_CLOSEST],
    )


def _groups(manifest: Manifest, group_by: str | None) -> dict[str, str]:
    """Identity → group, of those who have one."""
    if group_by is None or group_by not in manifest.attributes:
        return {}
    values, codes = manifest.codes(group_by)
    labels, names = manifest.labels(), manifest.identities()
    known = codes >= 0
    pairs = np.unique(np.stack([labels[known], codes[known]], axis=1), axis=0).tolist()
    return {names[person]: values[group] for person, group in pairs}


def _counted(group_of: Mapping[str, str]) -> dict[str, int]:
    groups = sorted(set(group_of.values()))
    return {group: sum(of == group for of in group_of.values()) for group in groups}
