"""A study's results, typed: what ``results.json`` holds, written and read through these classes.

What was measured is recorded as :mod:`evenface.evaluate.results` has it. Shares and accuracies are
fractions; nothing is NaN or infinite. A study may have holes (a model without an evaluation, a
group that an evaluation lacks): they are entries that are not there, or None.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, field_validator

from evenface.data.inspect import Count
from evenface.data.labels.classifier import HeldOut
from evenface.errors import DataError
from evenface.evaluate.arms import ArmEvaluation
from evenface.files import read_json
from evenface.record import Estimate, Record
from evenface.study import layout
from evenface.study.arm import Kind
from evenface.study.face_counts import RealShare
from evenface.study.left_out import LeftOut
from evenface.study.spec import MAIN_BENCHMARK
from evenface.study.variance import Found

SCHEMA = 4
_EARLIER = (2, 3)
"""Layouts that :func:`_upgraded` brings up to date."""

Verdict = Literal["supported", "not supported", "undecided", "undefined"]
Unit = Literal["points", "ratio", "share"]
"""Of a figure behind a verdict: percentage points, a ratio or index, or %; the first and the last
are recorded as fractions."""
Swept = Literal["real faces", "right labels"]
"""What a sweep's shares are of."""
Levels = dict[str, str]
"""Factor → level: a slice of the grid, empty for all of it."""


UNKNOWN = Estimate(note="not in the results")
"""In place of one that is not there."""


class Study(Record):
    """What was run. ``seed`` drew faces, pairs and resamples, ``seeds`` started the trainings."""

    name: str
    description: str = ""
    simulated: bool
    statement: str
    command: str
    finished_at: str
    seed: int
    seeds: tuple[int, ...]
    evenface: str
    factors: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Levels of each factor, the one that others are compared with first."""
    stand_ins: str | None = None
    """What replaces what, such as renders for photographs."""
    spec: dict[str, JsonValue] = Field(default_factory=dict)
    """The study file, with defaults filled in."""


class Teacher(Record):
    """A model that students were distilled from."""

    id: str
    name: str
    embedding_size: int | None = None
    fingerprint: str = ""
    origin: str | None = None
    licence: str | None = None
    note: str | None = None


class TrainingSet(Record):
    """What a student learned from."""

    name: str
    key: str = Field(default="", exclude=True)
    """Its name in the study's settings, where pages have another for it."""
    title: str
    images: int
    identities: int
    groups: dict[str, Count] = Field(default_factory=dict)
    origins: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)
    """"declared" or "predicted" → images whose group is so."""
    kind: Kind | None = None
    real_fraction: float | None = None
    """As asked for: of identities, or of images where a mix balances images."""
    real_share: RealShare | None = None
    """As counted; older results have none."""
    fingerprint: str = ""


UNLABELLED = ("uncertain", "without_scores", "unmatched")


class PredictedLabels(Record):
    """How groups of synthetic identities were predicted, with counts of the unlabelled ones."""

    attribute: str
    method: Literal["classifier", "predictions"]
    inputs: dict[str, str] = Field(default_factory=dict)
    """Fingerprints of what the labels come from."""
    classes: tuple[str, ...]
    abstain: float
    """Least score that gives a label."""
    seed: int = 0
    predicted: dict[str, Count]
    declared_identities: int = 0
    held_out: HeldOut | None = None
    uncertain: int = 0
    """Identities with a best score that is too low."""
    without_scores: int = 0
    unmatched: int = 0


class Run(Record):
    """The training of a model with one seed; ``run`` is its folder in the study's."""

    seed: int
    run: str
    fingerprint: str | None = None
    seconds: float | None = None
    images_seen: int | None = None
    final: dict[str, JsonValue] | None = None
    environment: dict[str, JsonValue] | None = None


class Given(Record):
    """A model that the user brought, in place of a training of one seed."""

    seed: int
    name: str
    fingerprint: str
    details: dict[str, str] = Field(default_factory=dict)
    """Its file and how it is run, for the reader."""


class Model(Record):
    """An arm (training set, levels, teacher or none) over its seeds, a teacher, or an untrained
    network.

    ``macs`` are multiply–adds an image, ``energy_wh`` an estimate for one run, ``recipe`` that of
    the first seed; ``seconds`` is the mean over seeds.
    """

    id: str
    title: str
    kind: Literal["student", "teacher", "untrained"]
    set: str | None = None
    kd: bool | None = None
    teacher: str | None = None
    seeds: tuple[int, ...] = ()
    backbone: str | None = None
    parameters: int | None = None
    embedding_size: int | None = None
    steps: int | None = None
    seconds: float | None = None
    levels: Levels = Field(default_factory=dict)
    head: str | None = None
    macs: int | None = None
    energy_wh: float | None = None
    runs: tuple[Run, ...] = ()
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    given: tuple[Given, ...] = ()
    note: str = ""
    """What the study file says of the arm."""


class Benchmark(Record):
    """What the models were tested on."""

    id: str
    title: str
    statement: str = ""
    simulated: bool
    real_people: bool
    pairs: Literal["published", "drawn"] | None = None
    pairs_per_group: int | None = None
    """Most fold pairs of a group that were drawn; None for published ones."""
    group_by: str | None = None
    groups: tuple[str, ...]
    images: int | None = None
    identities: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def by_group(self) -> bool:
        """Whether groups are told apart in it."""
        return self.group_by is not None or len(self.groups) > 1

    @property
    def short(self) -> str:
        """The last part of the title: "camera look"."""
        return self.title.rpartition(", ")[2]


class Difference(Estimate):
    """With KD minus without, paired on the same resamples of seeds and identities.

    A fraction, a ratio or standard deviations, as ``metric`` is; ``levels`` are those of the model
    with KD.
    """

    set: str
    levels: Levels = Field(default_factory=dict)
    benchmark: str
    teacher: str | None = None
    group: str
    """:data:`evenface.study.wording.OVER_GROUPS` for all of them."""
    metric: str
    p_value: float | None = None
    p_holm: float | None = None

    def decided(self, level: float) -> bool:
        """Whether the interval excludes zero, and Holm's p (where there is one) agrees."""
        excludes = (
            self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)
        )
        return excludes and (self.p_holm is None or self.p_holm <= 1 - level)


class Evidence(Estimate):
    """One figure behind a verdict."""

    label: str
    p_value: float | None = None
    p_holm: float | None = None
    unit: Unit = "points"


class Claim(Record):
    """A question, the rule that decides it, and the answer.

    ``id`` begins with the rule's name; where the question is put more than once, a colon and what
    it is put about follow. ``levels`` is the slice that is asked about.
    """

    id: str
    question: str
    benchmark: str | None = None
    teacher: str | None = None
    verdict: Verdict
    statement: str
    rule: str = ""
    tests: tuple[Evidence, ...] = ()
    levels: Levels = Field(default_factory=dict)


class CurvePoint(Record):
    """One logged step of training."""

    step: int
    loss: float | None = None
    classification: float | None = None
    distillation: float | None = None


class StageTime(Record):
    """A stage of the study; ``reused``: finished by an earlier call, which took so long."""

    name: str
    seconds: float
    reused: bool = False


class Failure(Record):
    """A run that failed for good: a hole in the results. ``model`` is the id of its arm."""

    model: str
    seed: int | None = None
    stage: str = ""
    error: str
    attempts: int | None = None


class SweepPoint(Record):
    """Accuracies of one model of a sweep, at a share in [0, 1]."""

    fraction: float
    set: str = ""
    model: str = ""
    mean: Estimate
    worst: Estimate
    groups: dict[str, Estimate]


class Smallest(Record):
    """The smallest fraction that is enough, None if none is known to be."""

    fraction: float | None = None
    change: Estimate | None = None
    """Of the worst group's accuracy at that fraction, against all-real training."""
    statement: str = ""


class Sweep(Record):
    """Accuracy over the share of real faces, or of right labels, without KD (no teacher) or with
    it."""

    benchmark: str
    of: Swept = "real faces"
    levels: Levels = Field(default_factory=dict)
    teacher: str | None = None
    epsilon: float | None = None
    """Loss of accuracy in the worst group, a fraction, that counts as none."""
    points: tuple[SweepPoint, ...]
    smallest: Smallest
    """Against the whole, with the same teacher or none."""
    smallest_against_plain: Smallest | None = None
    """With KD: against all-real training without it."""


class StrategyPoint(Record):
    """Accuracies of a model that was trained with so many real people in one way."""

    people: int
    strategy: str
    set: str
    model: str
    mean: Estimate
    worst: Estimate


class StrategyChoice(Record):
    """The way with the most accurate worst group at a number of real people."""

    people: int
    best: str
    shown: bool
    """Whether it is above every other way by more than chance."""
    gains: dict[str, Estimate]
    """Other way → accuracy of the worst group by the best one, minus that by the other."""


class Strategies(Record):
    """Ways to use few real people, without KD (no teacher) or with it: real faces alone, a mix, or
    pretraining followed by fine-tuning."""

    benchmark: str
    levels: Levels = Field(default_factory=dict)
    teacher: str | None = None
    points: tuple[StrategyPoint, ...]
    choices: tuple[StrategyChoice, ...]
    statement: str


class GroupErrors(Record):
    """Errors of one group, fractions: of the teacher and of students without and with KD."""

    teacher: float | None = None
    plain: float | None = None
    kd: float | None = None


class Correlation(Record):
    """Over groups, of a student's errors with the teacher's: without KD and with it."""

    plain: float | None = None
    kd: float | None = None


class Inheritance(Record):
    """Whether students have their teacher's bias; ``set`` is "all" for all cells together.

    ``change`` is the correlation with KD minus that without, ``p_permutation`` of the partial
    correlation over other orders of the groups.
    """

    benchmark: str
    levels: Levels = Field(default_factory=dict)
    set: str
    teacher: str
    groups: dict[str, GroupErrors]
    correlation: Correlation
    change: Estimate
    p_permutation: float | None = None
    statement: str = ""


class Pareto(Record):
    """The models on the front of mean accuracy and of every cost that is known of all students."""

    benchmark: str
    models: tuple[str, ...]
    axes: tuple[str, ...]
    """Names of what is compared, accuracy first."""


class Answers(Record):
    """What a study's evaluations say."""

    evaluations: dict[str, dict[str, ArmEvaluation]] = Field(default_factory=dict)
    """Model → benchmark → means over its seeds; see ``docs/evaluation.md``."""
    differences: tuple[Difference, ...] = ()
    claims: tuple[Claim, ...] = ()
    sweep: tuple[Sweep, ...] = ()
    strategies: tuple[Strategies, ...] = ()
    inheritance: tuple[Inheritance, ...] = ()
    pareto: tuple[Pareto, ...] = ()
    variance: dict[str, Found] = Field(default_factory=dict)
    """Benchmark → where the chance in its figures comes from, for planning; not in layouts 2, 3."""


class Results(Answers):
    """``results.json``."""

    version: int = Field(default=SCHEMA, alias="schema", ge=SCHEMA, le=SCHEMA)
    study: Study
    machine: dict[str, JsonValue] = Field(default_factory=dict)
    teachers: tuple[Teacher, ...] = ()
    sets: tuple[TrainingSet, ...] = ()
    labels: PredictedLabels | None = None
    left_out: LeftOut | None = None
    """Whom of the training faces a test has."""
    models: tuple[Model, ...]
    benchmarks: tuple[Benchmark, ...]
    failures: tuple[Failure, ...] = ()
    curves: dict[str, tuple[tuple[CurvePoint, ...], ...]] = Field(default_factory=dict)
    """Student → for each seed, what was logged."""
    stages: tuple[StageTime, ...] = ()
    samples: dict[str, str] = Field(default_factory=dict)
    """Training set → its sheet of faces, relative to the study's folder."""

    @field_validator("left_out", mode="before")
    @classmethod
    def _no_search(cls, value: Any) -> Any:
        return value or None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, ready for JSON."""
        content = self.model_dump(mode="json", by_alias=True)
        # What was run comes before what it says.
        return dict(sorted(content.items(), key=lambda item: item[0] in Answers.model_fields))

    @classmethod
    def parse(cls, content: Any, source: str = "results") -> Self:
        """Results from the content of a ``results.json`` of this layout or an earlier one.

        Raises:
            DataError: of ``source``: it is of another version of evenface, or an entry is missing
                or of the wrong type; the message names up to five of them.
        """
        again = "Run the study again with this version of evenface"
        version = content.get("schema") if isinstance(content, dict) else None
        if isinstance(version, int) and version not in (*_EARLIER, SCHEMA):
            known = ", ".join(map(str, (*_EARLIER, SCHEMA)))
            raise DataError(
                f"{source}: layout {version} of another version of evenface; this version reads "
                f"layouts {known}. {again}"
            )
        try:
            return cls.model_validate(_upgraded(content) if version in _EARLIER else content)
        except ValidationError as error:
            problems = [
                f"{'.'.join(str(part) for part in item['loc']) or 'the whole'}: {item['msg']}"
                for item in error.errors()
            ]
            more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise DataError(
                f"{source}: not the results of a study ({'; '.join(problems[:5])}{more}). {again}"
            ) from None

    @property
    def main(self) -> Benchmark | None:
        """The benchmark of the group comparison: "groups", else the first."""
        named = (b for b in self.benchmarks if b.id == MAIN_BENCHMARK)
        return next(named, next(iter(self.benchmarks), None))

    @property
    def repeats(self) -> tuple[Benchmark, ...]:
        """The further benchmarks by group, such as a look held out from training."""
        return tuple(b for b in self.benchmarks if b is not self.main and b.by_group)

    @property
    def others(self) -> tuple[Benchmark, ...]:
        """The further benchmarks without groups, such as real people."""
        return tuple(b for b in self.benchmarks if b is not self.main and not b.by_group)

    @property
    def students(self) -> tuple[Model, ...]:
        """The trained arms, in the study's order."""
        return tuple(m for m in self.models if m.kind == "student")

    @property
    def references(self) -> tuple[Model, ...]:
        """Teachers and untrained network."""
        return tuple(m for m in self.models if m.kind != "student")

    @property
    def training_sets(self) -> tuple[str, ...]:
        """Names of the sets that students were trained on, in the students' order."""
        return tuple(dict.fromkeys(m.set for m in self.students if m.set is not None))

    @property
    def distillers(self) -> tuple[str, ...]:
        """Ids of the teachers that students have, the main teacher first."""
        used = {m.teacher for m in self.students if m.kd and m.teacher}
        known = [t.id for t in self.teachers if t.id in used]
        return (*known, *sorted(used.difference(known)))

    @property
    def every_evaluation(self) -> tuple[ArmEvaluation, ...]:
        """Of all models on all benchmarks."""
        return tuple(e for of_model in self.evaluations.values() for e in of_model.values())

    @property
    def level(self) -> float:
        """Coverage of the intervals."""
        return next((e.bootstrap.level for e in self.every_evaluation), 0.95)

    def evaluation(self, model: str, benchmark: str) -> ArmEvaluation | None:
        """The evaluation of a model on a benchmark, or None where there is none."""
        return self.evaluations.get(model, {}).get(benchmark)

    def eer(self, model: str, benchmark: Benchmark) -> Estimate | None:
        """The EER of a model on a benchmark without groups, or None where there is none."""
        evaluation = self.evaluation(model, benchmark.id)
        result = next(iter(evaluation.groups.values()), None) if evaluation else None
        return result.eer if result else None

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Levels of each factor that students have, in the study's order."""
        found: dict[str, dict[str, None]] = {}
        for model in self.students:
            for factor, level in model.levels.items():
                found.setdefault(factor, {})[level] = None
        declared = self.study.factors
        order = [*(f for f in declared if f in found), *(f for f in found if f not in declared)]
        return {
            factor: (
                *(level for level in declared.get(factor, ()) if level in found[factor]),
                *(level for level in found[factor] if level not in declared.get(factor, ())),
            )
            for factor in order
        }

    @property
    def distillation_factors(self) -> frozenset[str]:
        """Factors that only students with KD have."""
        of_plain = {factor for m in self.students if not m.kd for factor in m.levels}
        return frozenset(set(self.factors) - of_plain)

    def failed(self, model: str) -> tuple[Failure, ...]:
        """The runs of a model that failed."""
        return tuple(failure for failure in self.failures if failure.model == model)

    def teacher_name(self, identifier: str | None) -> str:
        """Name of a teacher by its id."""
        return next((t.name for t in self.teachers if t.id == identifier), identifier or "")


def read_results(path: Path) -> Results:
    """Read a ``results.json`` of this layout or an earlier one; see :meth:`Results.parse`."""
    return Results.parse(read_json(path), str(path))


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Layout 2 or 3 as layout 4, whose evaluations have more measures."""
    kept = {key: value for key, value in content.items() if key != "files"}
    if isinstance(models := content.get("models"), list):
        kept["models"] = [_named_runs(model) for model in models]
    return {**kept, "schema": SCHEMA}


def _named_runs(model: Any) -> Any:
    """A student with the runs that layout 2 does not name, by the study's way of naming."""
    if not isinstance(model, dict) or model.get("kind") != "student" or model.get("runs"):
        return model
    seeds = model.get("seeds") or ()
    return {
        **model,
        "runs": [{"seed": s, "run": layout.run(f"{model.get('id')}-s{s}")} for s in seeds],
    }
