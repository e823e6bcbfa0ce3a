"""What a study found: the layout of ``results.json``, and the tables printed at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from evenface import __version__
from evenface.assets import ASSETS
from evenface.data.manifest import Manifest
from evenface.data.preview import contact_sheet
from evenface.evaluate import Evaluation
from evenface.files import atomic_path
from evenface.study.benchmarks import Benchmark
from evenface.study.machine import describe_machine
from evenface.study.spec import FolderFaces, StudySpec
from evenface.study.stages import StageLog
from evenface.study.students import StudyModel
from evenface.teachers.base import LoadedTeacher

SCHEMA = 1
_GROUP_METRICS = ("accuracy", "eer")
_OVERALL_METRICS = {
    "accuracy": "overall.accuracy",
    "std_sample": "overall.std_sample",
    "ser": "overall.ser",
}


@dataclass(frozen=True)
class Findings:
    """Everything that a finished study hands to its results."""

    spec: StudySpec
    command: str
    teacher: LoadedTeacher
    sets: dict[str, Manifest]
    models: list[StudyModel]
    benchmarks: list[Benchmark]
    evaluations: dict[str, dict[str, Evaluation]]
    log: StageLog


def collect_results(findings: Findings) -> dict[str, Any]:
    """The content of ``results.json``."""
    spec, log = findings.spec, findings.log
    students = [model for model in findings.models if model.kind == "student"]
    return {
        "schema": SCHEMA,
        "study": {
            "name": spec.name,
            "description": spec.description,
            "simulated": spec.simulated,
            "statement": statement(spec),
            "command": findings.command,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": spec.seed,
            "evenface": __version__,
            "spec": spec.model_dump(mode="json"),
        },
        "machine": describe_machine(students[0].facts["device"])
        | {"threads": students[0].facts["threads"]},
        "teacher": _describe_teacher(findings.teacher),
        "sets": [_describe_set(spec, name, m) for name, m in findings.sets.items()],
        "models": [model.describe() for model in findings.models],
        "benchmarks": [benchmark.describe() for benchmark in findings.benchmarks],
        "evaluations": {
            model: {name: evaluation.to_dict() for name, evaluation in of_model.items()}
            for model, of_model in findings.evaluations.items()
        },
        "differences": kd_differences(findings.evaluations, list(findings.sets)),
        "curves": {model.id: model.curve for model in students},
        "stages": log.summary(),
        "samples": _samples(findings),
    }


def statement(spec: StudySpec) -> str:
    """What was simulated, in plain words."""
    if not spec.simulated:
        return (
            "Nothing was simulated by this program: all faces are the user's own. Groups are the "
            "labels that the data sets declare."
        )
    parts = {
        "training faces called real": spec.faces.real,
        "synthetic training faces": spec.faces.synthetic,
        "test faces": spec.faces.test,
    }
    rendered = [name for name, part in parts.items() if part.kind == "render"]
    return (
        f"Simulated: {_listed(rendered)} are computer renders of a parametric head model"
        + (
            "; renders passed through a camera model stand in for photographs"
            if spec.faces.real.kind == "render"
            else ""
        )
        + ". Groups are the generator's phenotype axes, not people's ethnicities. No claim about "
        "fairness towards real people follows from these numbers."
    )


def _describe_teacher(teacher: LoadedTeacher) -> dict[str, Any]:
    asset = ASSETS.get(teacher.name)
    return {
        "name": teacher.name,
        "embedding_size": teacher.embedding_size,
        "fingerprint": teacher.fingerprint,
        "origin": asset.origin if asset else teacher.details.get("file", ""),
        "licence": asset.licence if asset else "as declared by its owner",
        "note": (
            "Pretrained on photographs of real people. Which people, and with what consent, "
            "cannot be verified by this program."
            if asset
            else "Given by the user; its training data are not known to this program."
        ),
    }


def _describe_set(spec: StudySpec, name: str, manifest: Manifest) -> dict[str, Any]:
    identity = manifest.column("identity")
    groups = manifest.groups(manifest.attributes[:1])
    return {
        "name": name,
        "title": _set_title(spec, name),
        "images": len(manifest),
        "identities": len(manifest.identities()),
        "groups": {
            group: {
                "images": int(np.sum(groups == group)),
                "identities": len(set(identity[groups == group])),
            }
            for group in sorted(set(groups))
        },
        "origins": dict(Counter(manifest.column("origin").tolist())),
        "real_fraction": spec.mix.real_fraction if name == "mix" else None,
        "fingerprint": manifest.fingerprint,
    }


def _set_title(spec: StudySpec, name: str) -> str:
    if name == "mix":
        share = round(100 * spec.mix.real_fraction)
        return f"mix of {share} % real and {100 - share} % synthetic, by {spec.mix.balance}"
    part = spec.faces.real if name == "real" else spec.faces.synthetic
    if isinstance(part, FolderFaces):
        return f"{name}: {part.path.name}"
    stand_in = " (rendered stand-in for photographs)" if name == "real" else " (rendered)"
    return f"{name}: {part.look} look{stand_in}"


def _samples(findings: Findings) -> dict[str, str]:
    """Contact sheets of rendered faces only: a real person's photograph is in no report."""
    samples = {}
    for name, manifest in findings.sets.items():
        datasets = set(manifest.column("dataset"))
        if not all(dataset.startswith("evenface-render") for dataset in datasets):
            continue
        path = findings.log.folder / "samples" / f"{name}.png"
        preview = contact_sheet(manifest, identities=6, images=6, seed=findings.spec.seed)
        with atomic_path(path) as temporary:
            Image.fromarray(preview.sheet).save(temporary)
        samples[name] = path.relative_to(findings.log.folder).as_posix()
    return samples


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def kd_differences(
    evaluations: dict[str, dict[str, Evaluation]], training_sets: list[str]
) -> list[dict[str, Any]]:
    """With KD minus without, for each training set, benchmark, group and metric.

    Args:
        evaluations: model id → benchmark id → evaluation; students are ``<set>-plain`` and
            ``<set>-kd``.
        training_sets: their names.
    """
    rows = []
    for name in training_sets:
        plain, distilled = evaluations[f"{name}-plain"], evaluations[f"{name}-kd"]
        for benchmark, without in plain.items():
            with_kd = distilled[benchmark]
            measures: list[tuple[str, str, str, str | None]] = [
                (group, metric, metric, group)
                for group in without.groups
                for metric in _GROUP_METRICS
            ]
            if len(without.groups) > 1:
                measures += [("mean", m, key, None) for m, key in _OVERALL_METRICS.items()]
            for label, metric, key, group in measures:
                difference = without.compare(with_kd, key, group=group)
                rows.append(
                    {
                        "set": name,
                        "benchmark": benchmark,
                        "group": label,
                        "metric": metric,
                        "value": difference.value,
                        "low": difference.low,
                        "high": difference.high,
                        "p_value": difference.p_value,
                    }
                )
    return rows


def group_table(results: dict[str, Any]) -> Table:
    """The result in the terminal: models × groups, accuracy in % with its interval."""
    benchmark = next(b for b in results["benchmarks"] if b["id"] == "groups")
    table = Table(title=f"Accuracy in %, {benchmark['title']}", title_justify="left")
    table.add_column("model")
    for group in benchmark["groups"]:
        table.add_column(group, justify="right")
    for heading in ("mean", "STD", "SER"):
        table.add_column(heading, justify="right")
    for model in results["models"]:
        evaluation = results["evaluations"][model["id"]]["groups"]
        cells = [_percent(evaluation["groups"][g]["accuracy"]) for g in benchmark["groups"]]
        overall = evaluation["overall"]
        cells += [
            _percent(overall["accuracy"]),
            _number(overall["std_sample"]["value"], 100),
            _number(overall["ser"]["value"], 1),
        ]
        table.add_row(model["title"], *cells, end_section=model["kd"] is True)
    return table


def real_people_table(results: dict[str, Any]) -> Table | None:
    """Equal error rates on people that were not rendered, or None where none were asked for."""
    benchmarks = [b for b in results["benchmarks"] if b["id"] != "groups"]
    if not benchmarks:
        return None
    table = Table(title="Equal error rate in % (lower is better)", title_justify="left")
    table.add_column("model")
    for benchmark in benchmarks:
        table.add_column(benchmark["title"], justify="right")
    for model in results["models"]:
        evaluations = results["evaluations"][model["id"]]
        cells = []
        for benchmark in benchmarks:
            # These benchmarks are of one group.
            group = next(iter(evaluations[benchmark["id"]]["groups"].values()))
            cells.append(_percent(group["eer"]))
        table.add_row(model["title"], *cells, end_section=model["kd"] is True)
    return table


def _percent(estimate: dict[str, Any]) -> str:
    value = _number(estimate["value"], 100)
    if estimate["low"] is None or estimate["high"] is None:
        return value
    return f"{value} [{_number(estimate['low'], 100)}, {_number(estimate['high'], 100)}]"


def _number(value: float | None, scale: float) -> str:
    return "–" if value is None else f"{scale * value:.2f}"
