"""What the study's models are tested on, and the testing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, Protocol, evaluate_model, protocol_from_manifest
from evenface.files import fingerprint
from evenface.study.faces import StudyFaces
from evenface.study.spec import StudySpec
from evenface.study.stages import StageLog
from evenface.study.students import StudyModel


@dataclass(frozen=True)
class Benchmark:
    """A verification set with what a reader must know about it."""

    id: str
    title: str
    statement: str
    real_people: bool
    manifest: Manifest
    protocol: Protocol

    def describe(self) -> dict[str, Any]:
        """The benchmark as ``results.json`` has it."""
        return {
            "id": self.id,
            "title": self.title,
            "statement": self.statement,
            "simulated": self.protocol.simulated,
            "real_people": self.real_people,
            "group_by": " × ".join(self.protocol.group_by) or None,
            "groups": list(self.protocol.groups),
            "images": len(self.manifest),
            "identities": len(self.manifest.identities()),
            "notes": list(self.protocol.notes),
        }


_PEOPLE = {
    "orl": (
        "ORL, 40 real people",
        "400 grey photographs of 40 real people, frontal and evenly lit, without group labels: a "
        "check on real faces, not a fairness benchmark. Photographs are never shown.",
        True,
    ),
    "openpeople": (
        "openpeople, 10 generated people",
        "Photo-like images of ten people made by another generator: out of domain for all "
        "students. Ten people decide little; see the intervals.",
        False,
    ),
}


def draw_benchmarks(spec: StudySpec, faces: StudyFaces) -> list[Benchmark]:
    """The held-out faces per group ("groups"), then the sets of other people as a whole."""
    rendered = set(faces.test.column("origin")) == {"synthetic"}
    title = "held-out rendered identities" if rendered else "held-out identities"
    statement = (
        "Identities that no model was trained on. Groups are the labels the data declare"
        + (": here the generator's phenotype axes, not people's ethnicities." if rendered else ".")
    )
    benchmarks = [_draw(spec, "groups", title, statement, not rendered, faces.test, faces.group_by)]
    for name, manifest in faces.real_people.items():
        title, statement, real = _PEOPLE[name]
        benchmarks.append(_draw(spec, name, title, statement, real, manifest, None))
    return benchmarks


def evaluate_models(
    spec: StudySpec, models: list[StudyModel], benchmarks: list[Benchmark], log: StageLog
) -> dict[str, dict[str, Evaluation]]:
    """Model id → benchmark id → evaluation. Resamples are shared, so differences are paired."""
    protocols = fingerprint([benchmark.protocol.fingerprint for benchmark in benchmarks])
    evaluations = {}
    for model in models:

        def build(folder: Path, model: StudyModel = model) -> None:
            for benchmark in benchmarks:
                evaluation = evaluate_model(
                    model.model,
                    benchmark.manifest,
                    benchmark.protocol,
                    replicates=spec.evaluation.replicates,
                    seed=spec.seed,
                )
                evaluation.write(folder / benchmark.id)

        inputs = {
            "model": model.model.fingerprint,
            "protocols": protocols,
            "replicates": spec.evaluation.replicates,
            "seed": spec.seed,
        }
        folder = log.run(f"evaluate: {model.id}", inputs, build, at=f"evaluations/{model.id}")
        evaluations[model.id] = {b.id: Evaluation.read(folder / b.id) for b in benchmarks}
    return evaluations


def _draw(
    spec: StudySpec,
    identifier: str,
    title: str,
    statement: str,
    real_people: bool,
    manifest: Manifest,
    group_by: str | None,
) -> Benchmark:
    protocol = protocol_from_manifest(
        manifest,
        group_by=(group_by,) if group_by else (),
        folds=spec.evaluation.folds,
        pairs_per_group=spec.evaluation.pairs_per_group,
        seed=spec.seed,
        name=identifier,
    )
    return Benchmark(identifier, title, statement, real_people, manifest, protocol)
