"""What a study found, as :mod:`evenface.study.record` has it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from evenface.assets import ASSETS
from evenface.data.inspect import Count
from evenface.data.labels import LabelReport
from evenface.data.manifest import Manifest
from evenface.data.preview import contact_sheet
from evenface.errors import UsageError
from evenface.evaluate import Evaluation
from evenface.files import atomic_path, read_json
from evenface.machine import describe_machine
from evenface.run_folder import RUN_NAME
from evenface.study import layout, record
from evenface.study.answers import summarise
from evenface.study.benchmarks import Benchmark
from evenface.study.cells import cells
from evenface.study.executors.local import visible_gpus
from evenface.study.face_counts import counted_real_share
from evenface.study.given import arm_of, kinds_of_given, levels_of_given
from evenface.study.left_out import LeftOut
from evenface.study.model_costs import Cost, count_macs, count_parameters, energy_wh, power
from evenface.study.rules import check_rules
from evenface.study.spec import (
    RANDOM_GROUPS,
    STUDY_TEACHER,
    AnyFaces,
    FolderFaces,
    MixedSet,
    RenderedFaces,
    SeveralFaces,
    ShuffledTeacher,
    StudySpec,
    TrainedTeacher,
    WholeSet,
    teacher_id,
)
from evenface.study.stage_log import StageLog
from evenface.study.strategies import ALONE, FINE_TUNED, MIXED, Placed
from evenface.study.students import StudyArm, StudyTeacher
from evenface.study.wording import listed
from evenface.version import __version__


@dataclass(frozen=True)
class Findings:
    """Everything that a finished study hands to its results."""

    spec: StudySpec
    command: str
    teachers: list[StudyTeacher]
    group_by: str | None
    sets: dict[str, Manifest]
    arms: list[StudyArm]
    benchmarks: list[Benchmark]
    evaluations: dict[str, dict[str, list[Evaluation]]]
    failures: list[record.Failure]
    log: StageLog
    labels: LabelReport | None = None
    left_out: LeftOut | None = None


def check_claims(spec: StudySpec) -> None:
    """UsageError naming a claim, or an arm of a declared contrast, that there is not."""
    try:
        check_rules(spec.claims or ())
    except ValueError as error:
        raise UsageError(f"{spec.name}: claims: {error}") from None
    arms = [cell.id for cell in cells(spec)] if spec.training_sets else []
    arms += [arm_of(model)[0] for model in spec.models]
    arms += [f"teacher-{teacher_id(teacher)}" for teacher in spec.teachers]
    for name in spec.claim_settings.unknown_arms(arms):
        near = difflib.get_close_matches(name, arms, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UsageError(
            f"{spec.name}: claim_settings.contrasts: no arm is called {name}; {hint}'evenface "
            "study plan' lists them"
        )


def collect_results(findings: Findings) -> record.Results:
    """Everything that a finished study found."""
    spec, log = findings.spec, findings.log
    students = [arm for arm in findings.arms if arm.kind == "student" and arm.runs]
    device, threads = _trained_on(students)
    factors = levels_of_given(spec)
    models = {arm.id: arm.describe() for arm in findings.arms}
    costs = {name: _cost(of, device, threads) for name, of in models.items()}
    placed = _strategies(spec, findings.sets)
    most = max((of.people for of in placed.values()), default=0)
    # A curve over shares of real faces is one of mixes and of all real faces.
    aside = {
        name
        for name, of in placed.items()
        if of.strategy == FINE_TUNED or (of.strategy == ALONE and of.people < most)
    }
    answers = summarise(
        findings.arms,
        findings.evaluations,
        others=spec.evaluation.real_people,
        kinds={
            **{name: wanted.kind for name, wanted in spec.training_sets.items()},
            **kinds_of_given(spec),
        },
        real_fractions={
            name: of.real_fraction
            for name, of in spec.training_sets.items()
            if not (isinstance(of, MixedSet) and of.wrong_labels) and name not in aside
        },
        strategies=placed,
        right_labels=_right_labels(spec),
        factors=factors,
        costs=costs,
        rules=spec.claims,
        settings=spec.claim_settings,
    )
    return record.Results(
        study=record.Study(
            name=spec.name,
            description=spec.description,
            simulated=spec.simulated,
            statement=" ".join(
                filter(
                    None,
                    [
                        statement(spec),
                        _given_said(findings),
                        _labels_said(findings),
                        findings.left_out.sentence if findings.left_out else None,
                        _sizes(findings.sets),
                    ],
                )
            ),
            command=findings.command,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=spec.seed,
            seeds=_seeds(findings),
            evenface=__version__,
            factors={name: tuple(levels) for name, levels in factors.items()},
            stand_ins=spec.stand_ins,
            spec=spec.model_dump(mode="json"),
        ),
        machine=describe_machine(device) | {"threads a student": threads},
        teachers=tuple(_describe_teacher(spec, teacher) for teacher in findings.teachers),
        sets=tuple(_describe_set(findings, name, m) for name, m in findings.sets.items()),
        labels=None if findings.labels is None else _describe_labels(findings.labels),
        left_out=findings.left_out,
        models=tuple(
            model.model_copy(
                update={
                    "parameters": costs[name].parameters,
                    "macs": costs[name].macs,
                    "energy_wh": costs[name].energy_wh,
                }
            )
            for name, model in models.items()
        ),
        benchmarks=tuple(b.describe() for b in findings.benchmarks if b.id != RANDOM_GROUPS),
        failures=tuple(findings.failures),
        curves={arm.id: arm.curves() for arm in students},
        stages=tuple(log.summary()),
        samples=_samples(findings),
        **dict(answers),
    )


def _trained_on(students: Sequence[StudyArm]) -> tuple[str, int | None]:
    """Device and threads of the first training; where nothing was trained, this machine's."""
    if students:
        run = read_json(next(iter(students[0].runs.values())) / RUN_NAME)
        return run["device"], run["threads"]
    return ("cuda" if visible_gpus() else "cpu"), None


def _seeds(findings: Findings) -> tuple[int, ...]:
    """Of trainings: the study's, and those of given models."""
    trained = findings.spec.training_seeds if findings.spec.training_sets else ()
    return tuple(dict.fromkeys((*trained, *(model.seed for model in findings.spec.models))))


def _given_said(findings: Findings) -> str:
    """A sentence where the user brought models; else nothing."""
    given = len(findings.spec.models)
    if not given:
        return ""
    students = [arm for arm in findings.arms if arm.kind == "student"]
    trainings = sum(len(arm.seeds) for arm in students)
    return (
        f"Of {trainings} student models, {given} were brought by the user and not trained by this "
        "study. Their training sets, teachers and seeds are as the user declares; whether they "
        "differ in anything else is unknown."
    )


def _strategies(spec: StudySpec, sets: Mapping[str, Manifest]) -> dict[str, Placed]:
    """Training set → how it uses its real people; {} where no set has a pretraining."""
    people = {
        name: round(of.real_fraction * len(sets[name].identities()))
        for name, of in spec.training_sets.items()
    }
    if not any(of.pretrained for of in spec.training_sets.values()):
        return {}
    found = {}
    for name, of in spec.training_sets.items():
        if of.pretrained is not None:
            found[name] = Placed(FINE_TUNED, people[name] + people[of.pretrained.set])
        elif people[name]:
            found[name] = Placed(ALONE if of.kind == "real" else MIXED, people[name])
    return found


def _right_labels(spec: StudySpec) -> list[dict[str, float]]:
    """Of mixes that differ in their labels only, set → share of right labels."""
    families: dict[str, dict[str, float]] = {}
    for name, of in spec.training_sets.items():
        if isinstance(of, MixedSet):
            family = families.setdefault(of.model_dump_json(exclude={"wrong_labels"}), {})
            family[name] = round(1 - of.wrong_labels, 9)
    return [family for family in families.values() if len(set(family.values())) > 1]


def _cost(model: record.Model, device: str, threads: int | None) -> Cost:
    """What a model costs; of models from elsewhere that is not known."""
    from evenface.models.registry import is_backbone

    backbone, size = model.backbone, model.embedding_size
    spent = Cost(seconds=model.seconds, energy_wh=energy_wh(model.seconds, power(device, threads)))
    if backbone is None or size is None or not is_backbone(backbone):
        return spent
    counted = count_parameters(backbone, size), count_macs(backbone, size)
    return replace(spent, parameters=counted[0], macs=counted[1])


def statement(spec: StudySpec) -> str:
    """What was simulated, in plain words."""
    if not spec.simulated:
        return (
            "Nothing was simulated by this program: all faces are the user's own. Groups are the "
            "labels that the data sets declare."
        )
    parts: dict[str, AnyFaces] = {**_named_sources(spec), "test faces": spec.faces.test}
    if spec.faces.real is not None:
        parts = {"training faces called real": spec.faces.real, **parts}
    rendered = [name for name, part in parts.items() if part.kind == "render"]
    sentences = [
        f"Simulated: {listed(rendered)} are computer renders of a parametric head model"
        + (
            "; renders passed through a camera model stand in for photographs."
            if isinstance(spec.faces.real, RenderedFaces)
            else "."
        ),
        "Groups are the generator's phenotype axes, not people's ethnicities. No claim about "
        "fairness towards real people follows from these numbers.",
    ]
    if STUDY_TEACHER in spec.teachers and spec.faces.test.kind == "render":
        sentences.append(
            "The study teacher, the training faces called real and the test faces come from one "
            "generator: distillation hands the student of synthetic faces what the teacher knows "
            "of the test's own domain, which no outside teacher could."
        )
        repeats = [
            *(f"on the held-out {name} look" for name in spec.faces.more_tests),
            *(
                f"with {teacher} as teacher"
                for teacher in map(teacher_id, spec.teachers)
                if teacher != STUDY_TEACHER
            ),
        ]
        if repeats:
            sentences.append(f"Therefore every contrast is repeated {listed(repeats)}.")
    return " ".join(sentences)


def _named_sources(spec: StudySpec) -> dict[str, AnyFaces]:
    parts = spec.faces.synthetic_parts()
    if len(parts) == 1:
        return {"synthetic training faces": next(iter(parts.values()))}
    return {
        f"synthetic training faces ({role.partition('-')[2]})": part for role, part in parts.items()
    }


def _describe_teacher(spec: StudySpec, teacher: StudyTeacher) -> record.Teacher:
    model = teacher.model
    given = teacher.given
    asset = ASSETS.get(given) if isinstance(given, str) else None
    origin, licence = model.details.get("file", ""), "as declared by its owner"
    remark = "Given by the user; its training data are not known to this program."
    if asset:
        origin, licence = asset.origin, asset.licence
        remark = (
            "Pretrained on photographs of real people. Which people, and with what consent, "
            "cannot be verified by this program."
        )
    elif isinstance(given, TrainedTeacher):
        origin = f"trained by this study on the training set “{given.set}”"
        changes = "".join(f", {key} = {value}" for key, value in given.overrides.items())
        licence = "as that of its training data"
        remark = f"Recipe {spec.recipe_name(given.recipe)}{changes}."
        if given.each_seed:
            remark += " One network for each training seed of the students."
    elif isinstance(given, ShuffledTeacher):
        origin, licence = f"the embeddings of {given.shuffle}, shuffled", "as theirs"
        remark = "Each image has the embeddings of another one: it teaches nothing about faces."
    elif given == STUDY_TEACHER:
        origin, licence = "made by `make teacher`, part of the package", "Apache-2.0"
        remark = (
            "Pretrained on rendered faces of the camera look, of people that nothing else uses. "
            "It has seen no real person."
        )
    return record.Teacher(
        id=teacher.id,
        name=model.name if isinstance(given, str) else given.name,
        embedding_size=model.embedding_size,
        fingerprint=model.fingerprint,
        origin=origin,
        licence=licence,
        note=remark,
    )


def _labels_said(findings: Findings) -> str:
    """A sentence where groups of synthetic faces are predicted; else nothing."""
    labels = findings.labels
    if labels is None:
        return ""
    by = "a classifier on teacher embeddings" if labels.held_out else "an outside classifier"
    return (
        f"The {labels.attribute} of synthetic faces is predicted by {by}, not declared: mixes are "
        "balanced for this classifier."
    )


def _describe_labels(labels: LabelReport) -> record.PredictedLabels:
    """The prediction with counts in place of lists of people."""
    counts = {name: len(getattr(labels, name)) for name in record.UNLABELLED}
    return record.PredictedLabels.model_validate(labels.model_dump() | counts)


def _sizes(sets: dict[str, Manifest]) -> str:
    """A sentence where training sets differ by more than a tenth in images; else nothing."""
    images = {name: len(manifest) for name, manifest in sets.items()}
    if not images or max(images.values()) <= 1.1 * min(images.values()):
        return ""
    each = listed([f"{name} {count:,}" for name, count in images.items()])
    return (
        f"The training sets differ in size ({each} images): what is different between them is "
        "owed to size as well."
    )


def _describe_set(findings: Findings, name: str, manifest: Manifest) -> record.TrainingSet:
    spec, group_by = findings.spec, findings.group_by
    wanted = spec.training_sets[name]
    identity = manifest.column("identity")
    groups = manifest.groups((group_by,) if group_by in manifest.attributes else ())
    return record.TrainingSet(
        name=name,
        title=_set_title(spec, name),
        images=len(manifest),
        identities=len(manifest.identities()),
        groups={
            group: Count(
                images=int(np.sum(groups == group)),
                identities=len(set(identity[groups == group])),
            )
            for group in sorted(set(groups))
        },
        origins=dict(Counter(manifest.column("origin").tolist())),
        labels=_label_sources(manifest, group_by),
        kind=wanted.kind,
        real_fraction=wanted.real_fraction,
        real_share=counted_real_share(wanted, findings.log.folder / layout.training_set(name)),
        fingerprint=manifest.fingerprint,
    )


def _label_sources(manifest: Manifest, group_by: str | None) -> dict[str, int]:
    """Images whose group is "declared", and those whose group is "predicted"."""
    if group_by is None or group_by not in manifest.attributes:
        return {}
    sources, codes = manifest.codes(f"{group_by}_source")
    return {source: int((codes == place).sum()) for place, source in enumerate(sources) if source}


def _set_title(spec: StudySpec, name: str) -> str:
    wanted = spec.training_sets[name]
    predicted = spec.faces.synthetic_labels is not None and wanted.kind != "real"
    return _title(spec, name) + (", synthetic groups predicted" if predicted else "")


def _title(spec: StudySpec, name: str) -> str:
    wanted = spec.training_sets[name]
    first = f", after pretraining on {wanted.pretrained.set}" if wanted.pretrained else ""
    return _whole_title(spec, name) + _shares_said(wanted) + first


def _shares_said(wanted: WholeSet | MixedSet) -> str:
    """What groups have less than an even part; "" where nothing says."""
    if wanted.groups is None:
        return ""
    what = "images of each identity" if wanted.starve == "images" else "identities"
    less = [f"{100 * s:g} % of the {what} of {g}" for g, s in wanted.groups.items() if s < 1]
    return f", {listed(less) or 'even groups'}"


def _whole_title(spec: StudySpec, name: str) -> str:
    wanted = spec.training_sets[name]
    if isinstance(wanted, MixedSet):
        share = round(100 * wanted.real_fraction)
        balance = f", by {wanted.balance}" if wanted.balance != "none" else ", groups as they come"
        wrong = f", {100 * wanted.wrong_labels:g} % of labels wrong" if wanted.wrong_labels else ""
        return f"mix of {share} % real and {100 - share} % synthetic{balance}{wrong}"
    part = spec.faces.real if wanted.kind == "real" else spec.faces.synthetic
    if isinstance(part, SeveralFaces):
        return f"{name}: {listed([source.name for source in part.sources])}"
    if isinstance(part, FolderFaces):
        return f"{name}: {part.path.name}"
    assert part is not None  # the study trains
    stand_in = " (rendered stand-in for photographs)" if wanted.kind == "real" else " (rendered)"
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
