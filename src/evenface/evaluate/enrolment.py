"""Failures to enrol by group: images of a data set of which its import could take no face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import ValidationError

from evenface.data.import_report import REPORT_NAME, ImportReport, Problem
from evenface.data.manifest import ALL, Manifest
from evenface.data.prepare import NO_FACE
from evenface.data.store import ImageStore
from evenface.errors import DataError
from evenface.evaluate.rates import count_rate
from evenface.evaluate.results import Enrolment
from evenface.files import read_json


def failures_to_enrol(
    manifest: Manifest, group_by: Sequence[str], *, level: float = 0.95
) -> dict[str, Enrolment] | None:
    """Failure-to-enrol and face-finding rates by group, images of one person as dependent.

    Images offered are those of the manifest and those that the import reports of its stores name as
    unusable, with the groups that their source declared (ISO/IEC 19795-1 counts a failure to enrol
    for each transaction; here an image is one).

    Args:
        manifest: the data set.
        group_by: attributes that define the groups, crossed; none: one group, "all".
        level: coverage of the intervals.

    Returns:
        Group → rates; None where that is not known: a store has no report, its failures name no
        groups, or the manifest is a part of what was imported.
    """
    if any(name not in manifest.attributes for name in group_by):
        return None
    reports = [_report(store) for store in manifest.stores.values()]
    known = [report for report in reports if report is not None]
    problems = [problem for report in known for problem in report.problems]
    whole = len(known) == len(reports) and sum(of.images for of in known) == len(manifest)
    if not whole or not all(_declares(problem, group_by) for problem in problems):
        return None
    names = manifest.identities()
    groups, people = manifest.groups(tuple(group_by)), manifest.labels()
    rows = [(str(g), names[label], "") for g, label in zip(groups, people, strict=True)]
    rows += [(_group(p, group_by), p.identity, p.problem) for p in problems]
    group, person, problem = (np.array(column, dtype=np.str_) for column in zip(*rows, strict=True))
    return {
        str(name): _enrolment(person[group == name], problem[group == name], level)
        for name in np.unique(group)
    }


def _report(store: ImageStore) -> ImportReport | None:
    path = store.path / REPORT_NAME
    try:
        return ImportReport.model_validate(read_json(path)) if path.exists() else None
    except (ValidationError, DataError):  # a report is no part of the data
        return None


def _declares(problem: Problem, group_by: Sequence[str]) -> bool:
    return bool(problem.identity) and all(name in problem.attributes for name in group_by)


def _group(problem: Problem, group_by: Sequence[str]) -> str:
    return " × ".join(problem.attributes[name] for name in group_by) or ALL


def _enrolment(person: np.ndarray, problem: np.ndarray, level: float) -> Enrolment:
    codes = np.unique(person, return_inverse=True)[1]
    failed = problem != ""
    no_face = problem == NO_FACE
    readable = ~failed | no_face
    kinds = Counter(problem[failed].tolist())
    found = count_rate(~no_face[readable], codes[readable])
    return Enrolment(
        images=len(problem),
        no_face=kinds[NO_FACE],
        unreadable=int(failed.sum()) - kinds[NO_FACE],
        failure_to_enrol=count_rate(failed, codes).estimate(level, nothing="no images"),
        face_found=found.estimate(level, nothing="no readable images"),
    )
