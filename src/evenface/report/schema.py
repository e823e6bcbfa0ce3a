"""The part of ``results.json`` that the page reads, typed and validated.

Lenient where a study may have holes (a model without an evaluation, a measure without a value,
an unknown extra key), strict where the page could not be honest without the entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evenface.errors import DataError
from evenface.evaluate.results import containing
from evenface.files import read_json
from evenface.study.spec import MAIN_BENCHMARK

SCHEMA = 3
_READ = (2, SCHEMA)
"""Layouts that are read: what the third added is optional."""

Verdict = Literal["supported", "not supported", "undecided", "undefined"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(_Entry):
    """A number with its interval; None where undefined, then ``note`` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Self:
        return containing(self)


UNKNOWN = Estimate(note="not in the results")


class Accuracy(Estimate):
    """10-fold accuracy, a fraction, with its standard deviation over folds."""

    fold_std: float | None = None


class Roc(_Entry):
    """Corners of a ROC, ascending in FAR; fractions."""

    far: tuple[float, ...]
    tar: tuple[float, ...]


class GroupResult(_Entry):
    """One group of one evaluation. Rates are fractions in [0, 1]."""

    accuracy: Accuracy = Accuracy(note=UNKNOWN.note)
    eer: Estimate = UNKNOWN
    auc: Estimate = UNKNOWN
    dprime: Estimate = UNKNOWN
    tar_at_far: dict[str, Estimate] = {}
    genuine_pairs: int | None = None
    impostor_pairs: int | None = None
    identities: int | None = None
    images: int | None = None
    roc: Roc | None = None


class WorstGroup(_Entry):
    """The group of the lowest accuracy and how often each group was it in the resamples."""

    value: str | None = None
    share: dict[str, float] | None = None
    note: str | None = None


class Overall(_Entry):
    """Over groups, from their accuracies; fractions, SER a ratio ≥ 1, d′ and probit in deviations.

    ``std_expected`` is what sampling noise alone would give were the groups equal, and
    ``std_excess_p`` the share of such samples whose STD is at least the observed one.
    """

    accuracy: Estimate = UNKNOWN
    std_sample: Estimate = UNKNOWN
    std_population: Estimate = UNKNOWN
    std_expected: Estimate = UNKNOWN
    std_excess_p: float | None = None
    ser: Estimate = UNKNOWN
    gap: Estimate = UNKNOWN
    dprime_gap: Estimate = UNKNOWN
    probit_gap: Estimate = UNKNOWN
    worst_group: WorstGroup = WorstGroup(note=UNKNOWN.note)


class GlobalThreshold(_Entry):
    """Error rates of all groups at one threshold; fractions."""

    target_fmr: float
    fmr: dict[str, Estimate] = {}
    fnmr: dict[str, Estimate] = {}
    fnmr_ratio: Estimate = UNKNOWN
    fdr: Estimate = UNKNOWN
    garbe: Estimate = UNKNOWN
    note: str | None = None


class Bootstrap(_Entry):
    """How the intervals were made."""

    replicates: int = 0
    seed: int = 0
    level: float = 0.95


class SeedResult(_Entry):
    """Accuracy of the run of one seed, by group and as their mean; fractions."""

    seed: int
    accuracy: dict[str, float | None] = {}
    mean: float | None = None


class Evaluation(_Entry):
    """One arm on one benchmark: means over its seeds; see ``docs/evaluation.md``."""

    groups: dict[str, GroupResult] = {}
    overall: Overall = Overall()
    global_threshold: GlobalThreshold | None = None
    bootstrap: Bootstrap | None = None
    seeds: tuple[SeedResult, ...] = ()
    notes: tuple[str, ...] = ()


class Study(_Entry):
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
    spec: dict[str, Any] = {}
    factors: dict[str, tuple[str, ...]] = {}
    """Levels of each factor, the one that others are compared with first."""
    stand_ins: str | None = None
    """What stands in for what."""


class Teacher(_Entry):
    """One whom students were distilled from."""

    id: str
    name: str
    embedding_size: int | None = None
    fingerprint: str = ""
    origin: str | None = None
    licence: str | None = None
    note: str | None = None


class GroupSize(_Entry):
    """Size of one group of a training set."""

    images: int
    identities: int


class TrainingSet(_Entry):
    """What a student learned from."""

    name: str
    key: str = ""
    """Its name in the study's settings, where pages have another for it."""
    title: str
    images: int
    identities: int
    groups: dict[str, GroupSize] = {}
    origins: dict[str, int] = {}
    real_fraction: float | None = None
    kind: Literal["real", "synthetic", "mix"] | None = None
    fingerprint: str = ""
    labels: dict[str, int] = {}
    """"declared" or "predicted" → images whose group is so."""


class HeldOutLabels(_Entry):
    """How a classifier of groups does on labelled people that it has not seen."""

    columns: tuple[str, ...]
    """Classes, and "abstained"."""
    confusion: dict[str, tuple[int, ...]]
    """Declared class → identities by what they were taken for."""


class PredictedLabels(_Entry):
    """How groups of synthetic identities were predicted."""

    attribute: str
    method: Literal["classifier", "predictions"]
    classes: tuple[str, ...]
    abstain: float
    predicted: dict[str, GroupSize]
    declared_identities: int = 0
    uncertain: int = 0
    """Identities with a best score that is too low."""
    without_scores: int = 0
    held_out: HeldOutLabels | None = None


class Run(_Entry):
    """The training of a model with one seed; ``run`` is its folder in the study's."""

    seed: int
    run: str
    fingerprint: str | None = None
    seconds: float | None = None
    images_seen: int | None = None


class Given(_Entry):
    """A model that the user brought, in place of a training of one seed."""

    seed: int
    name: str
    fingerprint: str
    details: dict[str, str] = {}


class Model(_Entry):
    """An arm (training set, levels, teacher or none) over its seeds, a teacher, or an untrained
    network.

    ``macs`` are multiply–adds an image, ``energy_wh`` an estimate for one run, ``recipe`` that of
    the first seed.
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
    levels: dict[str, str] = {}
    head: str | None = None
    macs: int | None = None
    energy_wh: float | None = None
    runs: tuple[Run, ...] = ()
    recipe: dict[str, Any] | None = None
    given: tuple[Given, ...] = ()


class Benchmark(_Entry):
    """What the models were tested on."""

    id: str
    title: str
    simulated: bool
    real_people: bool
    group_by: str | None = None
    groups: tuple[str, ...]
    images: int | None = None
    identities: int | None = None
    notes: tuple[str, ...] = ()
    statement: str = ""
    pairs: Literal["published", "drawn"] | None = None

    @property
    def by_group(self) -> bool:
        """Whether groups are told apart in it."""
        return self.group_by is not None or len(self.groups) > 1

    @property
    def short(self) -> str:
        """The last part of the title: "camera look"."""
        return self.title.rpartition(", ")[2]


class Difference(Estimate):
    """With KD minus without, paired on the same resamples of seeds and identities."""

    set: str
    levels: dict[str, str] = {}
    """Of the model with KD."""
    benchmark: str
    teacher: str | None = None
    group: str
    metric: str
    p_value: float | None = None
    p_holm: float | None = None

    def decided(self, level: float) -> bool:
        """Whether the interval excludes zero, and Holm's p (where there is one) agrees."""
        excludes = (
            self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)
        )
        return excludes and (self.p_holm is None or self.p_holm <= 1 - level)


class ClaimTest(Estimate):
    """One test behind a claim's verdict."""

    label: str
    p_value: float | None = None
    p_holm: float | None = None
    unit: str = ""


class Claim(_Entry):
    """A question, with what the numbers say to it by a stated rule.

    ``id`` starts with the rule's name and, where it is put more than once, a colon and what it is
    put about; ``levels`` is the slice of the grid that it speaks of.
    """

    id: str
    levels: dict[str, str] = {}
    question: str
    benchmark: str | None = None
    teacher: str | None = None
    verdict: Verdict
    statement: str
    rule: str = ""
    tests: tuple[ClaimTest, ...] = ()


class CurvePoint(_Entry):
    """One logged step of training."""

    step: int
    loss: float | None = None
    classification: float | None = None
    distillation: float | None = None


class Stage(_Entry):
    """One stage of the study."""

    name: str
    seconds: float
    reused: bool = False


class Failure(_Entry):
    """A run that failed after its retries."""

    model: str
    seed: int | None = None
    stage: str = ""
    error: str
    attempts: int | None = None


class SweepPoint(_Entry):
    """One model of a sweep: accuracies as fractions, at a share of real faces in [0, 1]."""

    fraction: float
    set: str = ""
    model: str = ""
    mean: Estimate = UNKNOWN
    worst: Estimate = UNKNOWN
    groups: dict[str, Estimate] = {}


class Smallest(_Entry):
    """The smallest real fraction that is enough, None if none is known to be."""

    fraction: float | None = None
    change: Estimate | None = None
    """Of the worst group's accuracy at that fraction, against all-real training."""
    statement: str = ""


class Sweep(_Entry):
    """Accuracy over the share of real faces, without KD (no teacher) or with it."""

    benchmark: str
    levels: dict[str, str] = {}
    teacher: str | None = None
    epsilon: float | None = None
    """Loss of accuracy in the worst group, a fraction, that counts as none."""
    points: tuple[SweepPoint, ...]
    smallest: Smallest = Smallest()
    """Against all-real training of the same kind."""
    smallest_against_plain: Smallest | None = None
    """With KD: against all-real training without it."""


class GroupErrors(_Entry):
    """Errors of one group, fractions: of the teacher and of students without and with KD."""

    teacher: float | None = None
    plain: float | None = None
    kd: float | None = None


class Correlation(_Entry):
    """Over groups, of a student's errors with the teacher's: without KD and with it."""

    plain: float | None = None
    kd: float | None = None


class Inheritance(_Entry):
    """Whether students have their teacher's bias; ``set`` is "all" for all cells together.

    ``change`` is the correlation with KD minus that without, ``p_permutation`` of the partial
    correlation over other orders of the groups.
    """

    benchmark: str
    levels: dict[str, str] = {}
    set: str
    teacher: str
    groups: dict[str, GroupErrors]
    correlation: Correlation = Correlation()
    change: Estimate = UNKNOWN
    p_permutation: float | None = None
    statement: str = ""


class Results(_Entry):
    """``results.json``."""

    version: Literal[2, 3] = Field(alias="schema")
    study: Study
    machine: dict[str, Any] = {}
    teachers: tuple[Teacher, ...] = ()
    sets: tuple[TrainingSet, ...] = ()
    labels: PredictedLabels | None = None
    models: tuple[Model, ...]
    benchmarks: tuple[Benchmark, ...]
    evaluations: dict[str, dict[str, Evaluation]] = {}
    differences: tuple[Difference, ...] = ()
    claims: tuple[Claim, ...] = ()
    curves: dict[str, tuple[tuple[CurvePoint, ...], ...]] = {}
    stages: tuple[Stage, ...] = ()
    samples: dict[str, str] = {}
    failures: tuple[Failure, ...] = ()
    sweep: tuple[Sweep, ...] = ()
    inheritance: tuple[Inheritance, ...] = ()

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
    def level(self) -> float:
        """Coverage of the intervals."""
        every = (e for by_benchmark in self.evaluations.values() for e in by_benchmark.values())
        return next((e.bootstrap.level for e in every if e.bootstrap), Bootstrap().level)

    def evaluation(self, model: str, benchmark: str) -> Evaluation | None:
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


def read_results(results: dict[str, Any] | Path) -> Results:
    """Validate results, given as such or as the path of a ``results.json``.

    Raises:
        DataError: the file is missing or not JSON, it is of another version of evenface, or an
            entry is missing or of the wrong type; the message names up to five of them.
    """
    source = str(results) if isinstance(results, Path) else "results"
    content = read_json(results) if isinstance(results, Path) else results
    again = "Run the study again with this version of evenface"
    version = content.get("schema") if isinstance(content, dict) else None
    if isinstance(version, int) and version not in _READ:
        raise DataError(
            f"{source}: layout {version} of another version of evenface, which this version "
            f"(layouts {' and '.join(map(str, _READ))}) does not read. {again}"
        )
    try:
        return Results.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'the whole'}: {item['msg']}"
            for item in error.errors()
        ]
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DataError(
            f"{source}: not the results of a study ({'; '.join(problems[:5])}{more}). {again}"
        ) from None
