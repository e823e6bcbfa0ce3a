"""What a study is: one typed, validated YAML file. Importing this needs neither torch nor faces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from evenface import recipes
from evenface.data.labels.scores import ABSTAIN, MAX_IMAGES
from evenface.data.overlap import IMAGE_THRESHOLD, PEOPLE_THRESHOLD
from evenface.data.shares import Starve
from evenface.errors import UsageError
from evenface.study.claim_settings import ClaimSettings

MAIN_BENCHMARK = "groups"
"""The benchmark of ``faces.test``."""
RANDOM_GROUPS = "random-groups"
"""The benchmark of the same people, dealt to groups at random."""
STUDY_TEACHER = "study"
"""The teacher of the package; see :mod:`evenface.teachers.study`."""

_PAIRS = {".bin", ".txt", ".csv", ".tsv"}
"""Suffixes of published verification sets."""
_OWN_DESCRIPTION = (
    "Does distillation raise accuracy in every group, lower unevenness and close the synthetic gap "
    "on these faces? Three training sets, each without distillation and with it."
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RenderedFaces(_Part):
    """Faces made by the generator (extra ``render``)."""

    kind: Literal["render"] = "render"
    look: str
    split: Literal["teacher", "train", "validation", "test"] = "train"
    identities_per_group: PositiveInt
    images_per_identity: PositiveInt
    first_identity: int = Field(default=0, ge=0)
    keep: dict[str, PositiveInt] = Field(default_factory=dict)
    """Group → identities that are used; all where none is given. For faces that are uneven, as
    published synthetic sets are."""

    @model_validator(mode="after")
    def _kept_are_rendered(self) -> Self:
        for group, identities in self.keep.items():
            if identities > self.identities_per_group:
                raise ValueError(
                    f"keep: {identities} identities of {group}, but {self.identities_per_group} "
                    "are rendered"
                )
        return self


class FolderFaces(_Part):
    """The user's own faces: a folder ``[<group>/]<identity>/<image>`` or a data set folder."""

    kind: Literal["folder"] = "folder"
    path: Path
    origin: Literal["real", "synthetic"]
    align: Literal["auto", "always", "never"] = "auto"
    max_bad_rate: float = Field(default=0.0, ge=0, le=1)


class HeldOutFaces(_Part):
    """A share of the real faces' identities, taken out of training."""

    kind: Literal["held-out"] = "held-out"
    fraction: float = Field(default=0.3, gt=0, lt=1)


class PublishedFaces(_Part):
    """A verification set with its own pairs and, where it has some, groups; or a data set of which
    pairs are drawn (``draw:DATASET``)."""

    kind: Literal["protocol"] = "protocol"
    spec: str
    """As ``evenface evaluate --protocol`` takes it: a ``.bin``, a bcolz array, a file of pairs,
    RFW's folder, a folder that ``evenface data verification-set`` wrote."""
    origin: Literal["real", "synthetic"] = "real"


Faces = Annotated[RenderedFaces | FolderFaces, Field(discriminator="kind")]
TestFaces = Annotated[
    RenderedFaces | FolderFaces | HeldOutFaces | PublishedFaces, Field(discriminator="kind")
]
AnyFaces = RenderedFaces | FolderFaces | HeldOutFaces | PublishedFaces


Target = Literal["1e-1", "3e-2", "1e-2", "3e-3", "1e-3", "3e-4", "1e-4", "1e-5"]
TestName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class SyntheticSource(_Part):
    """One of several synthetic sets. In a study file the keys of its faces stand beside these."""

    name: TestName
    """Enters the seed of every choice from it, and the names of its people (``name:person``)."""
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the synthetic identities, relative to the other sources'; None: in proportion to
    what each has."""
    faces: Faces

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or "faces" in content:
            return content
        own = {key: content[key] for key in ("name", "weight") if key in content}
        faces = {key: value for key, value in content.items() if key not in own}
        if "name" not in own and (path := faces.get("path")):
            own["name"] = plain_name(str(path))
        return own | {"faces": faces}


class SeveralFaces(_Part):
    """Synthetic faces of several sources; in a study file a list."""

    kind: Literal["sources"] = "sources"
    sources: tuple[SyntheticSource, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"names of sources are not all different: {', '.join(names)}")
        if len({source.weight is None for source in self.sources}) > 1:
            raise ValueError("give a weight to every source, or to none")
        return self


class ClassifierLabels(_Part):
    """Groups of synthetic identities by a classifier on a teacher's embeddings, which learns from
    the real training faces; see :func:`evenface.data.labels.label_dataset`."""

    kind: Literal["classifier"]
    teacher: str | None = None
    """One of the study's teachers, as results call it; None: the first."""
    abstain: float = Field(default=ABSTAIN, ge=0, le=1)
    """An identity whose best score is lower gets no label."""
    max_images: PositiveInt = MAX_IMAGES
    """Images of an identity to learn from at most."""


class PredictionsFile(_Part):
    """Groups of synthetic identities by the scores of an outside classifier."""

    kind: Literal["predictions"]
    path: Path
    """CSV as ``evenface data label --predictions`` takes it."""
    abstain: float = Field(default=ABSTAIN, ge=0, le=1)


class OverlapRules(_Part):
    """How training people who are in a test set too are found. They are left out of training; see
    :func:`evenface.data.overlap.find_overlap`."""

    by: Literal["names", "embeddings", "both"] = "both"
    teacher: str | None = None
    """Whose embeddings are compared: any teacher that is there before the study trains; None: the
    first of the study's that is."""
    threshold: float = Field(default=PEOPLE_THRESHOLD, gt=0, le=1)
    """Cosine of two people's mean embeddings from which they are one person."""
    image_threshold: float = Field(default=IMAGE_THRESHOLD, gt=0, le=1)
    """Cosine of two images from which the one is a copy of the other."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        """A name gives the rules of that name, a list of both names both."""
        if isinstance(content, list | tuple) and sorted(content) == ["embeddings", "names"]:
            content = "both"
        if isinstance(content, list | tuple) and len(content) == 1:
            content = content[0]
        return {"by": content} if isinstance(content, str) else content


class FacesSpec(_Part):
    """Where the faces come from. ``real`` may be a rendered stand-in: its rows still say so."""

    real: Faces | None = None
    """None only in a study that trains nothing; so of ``synthetic``."""
    synthetic: Annotated[
        RenderedFaces | FolderFaces | SeveralFaces | None, Field(discriminator="kind")
    ] = None
    """One set, or a list of several with names and weights."""
    test: TestFaces
    more_tests: dict[TestName, RenderedFaces | FolderFaces | PublishedFaces] = Field(
        default_factory=dict
    )
    """Further test faces with groups, by name: a held-out look, another data set."""
    group_by: str | None = None
    """None: the attribute that the real faces declare first."""
    exclude_overlap: OverlapRules | None = None
    """Training people who are in a test set too are left out, found by "names", by "embeddings" or
    by "both"; None: shared names are a warning."""
    synthetic_labels: Annotated[
        ClassifierLabels | PredictionsFile | None, Field(discriminator="kind")
    ] = None
    """How groups of synthetic identities that declare none are predicted; None: not at all."""

    def by_role(self) -> dict[str, AnyFaces]:
        """All of them, by the name that the study's folder and messages give them."""
        real = {} if self.real is None else {"real": self.real}
        return {**real, **self.synthetic_parts(), "test": self.test, **self.more_tests}

    def synthetic_parts(self) -> dict[str, RenderedFaces | FolderFaces]:
        """Those of the synthetic faces."""
        if self.synthetic is None:
            return {}
        if not isinstance(self.synthetic, SeveralFaces):
            return {"synthetic": self.synthetic}
        return {f"synthetic-{source.name}": source.faces for source in self.synthetic.sources}

    @field_validator("synthetic", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return {"kind": "sources", "sources": value} if isinstance(value, list | tuple) else value


class MixSpec(_Part):
    """The ethnicity-aware mix; see :func:`evenface.data.mix.mix_sources`."""

    real_fraction: float = Field(default=0.7, ge=0, le=1)
    balance: Literal["identities", "images", "none"] = "identities"


Share = Annotated[float, Field(gt=0, le=1)]
SetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Pretrained(_Part):
    """A first part of the training, on another of the study's training sets; see
    :class:`evenface.train.recipe.PretrainRecipe`. Both parts together take the student's steps."""

    set: SetName
    overrides: dict[str, Any] = Field(default_factory=dict)
    """What differs in the student's recipe (dotted keys): ``pretrain.share``,
    ``optimizer.backbone_rate``, ``head.start``, …"""


class GroupShares(_Part):
    """Even groups but for some that get less; see :mod:`evenface.data.shares`."""

    identities: PositiveInt | None = None
    """How many of all groups together; None: all, or no more than the real faces for a mix."""
    images: PositiveInt | None = None
    """Of each identity, where ``groups`` are given; None: all."""
    groups: dict[str, Share] | None = None
    """Group → share of its even part that it keeps; the others fill up the rest. {}: even groups.
    Sets with this key are nested: those of a smaller share are among those of a larger one. None:
    groups as they come."""
    starve: Starve = "identities"
    """What a group with a share below 1 has less of."""
    pretrained: Pretrained | None = None
    """Students of this set are first trained on another one."""

    @model_validator(mode="after")
    def _shares_of_a_known_number(self) -> Self:
        if self.groups is None:
            if self.images is not None or self.starve != "identities":
                raise ValueError("images and starve need groups, which may be {}")
            return self
        if self.identities is None:
            raise ValueError("groups: give identities, the size that the set keeps")
        if self.starve == "images" and self.images is None:
            raise ValueError("starve: images needs images, the number of each identity")
        return self


class WholeSet(GroupShares):
    """The real faces, or the synthetic ones; without ``groups`` drawn at random from all."""

    kind: Literal["real", "synthetic"]

    @property
    def real_fraction(self) -> float:
        """1 or 0."""
        return float(self.kind == "real")


class MixedSet(MixSpec, GroupShares):
    """Real and synthetic faces; no larger than the real ones alone if no number is given.

    ``identities`` are the most that are fewer where images are balanced.
    """

    kind: Literal["mix"] = "mix"
    wrong_labels: float = Field(default=0.0, ge=0, le=1)
    """Share of the synthetic identities that is drawn by a wrong group label, chosen at random: how
    much does the mix depend on the labels? In a study file also a list: one mix with each."""

    @model_validator(mode="after")
    def _shares_of_identities(self) -> Self:
        if self.groups is not None and (self.balance != "identities" or self.wrong_labels):
            raise ValueError("groups: only with balance identities, and without wrong_labels")
        return self


TrainingSet = Annotated[WholeSet | MixedSet, Field(discriminator="kind")]


LevelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.+-]*$")]
FactorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
_BUILT_IN = ("set", "teacher")
"""Factors that every study has."""
NO_TEACHER = "none"
"""Level of the factor "teacher" without distillation."""


def _one_or_several(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {k: (str(v),) if isinstance(v, str | int | float) else v for k, v in value.items()}


Levels = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_one_or_several)]
"""Factor → one or several levels, of "set" and of "teacher" ("none" without distillation) too."""


class _When(_Part):
    when: Levels = Field(default_factory=dict)
    """Which arms; all of them by default."""

    def applies(self, levels: Mapping[str, str]) -> bool:
        """Whether an arm of these levels matches ``when``."""
        return all(levels.get(factor) in of for factor, of in self.when.items())


class Constraint(_When):
    """Arms that match ``when`` must match ``require``, or are left out."""

    require: Levels

    def allows(self, levels: Mapping[str, str]) -> bool:
        """Whether an arm of these levels may be; a factor it has no level of matches anything."""
        required = all(levels.get(f) in (None, *of) for f, of in self.require.items())
        return required or not self.applies(levels)


class ArmNote(_When):
    """What plan and results say of arms that match ``when``; the first note that matches counts."""

    note: str


class StudentSpec(_Part):
    """A named training recipe and what differs from it (dotted keys)."""

    recipe: str
    """ "{variant}" in it stands for the study's variant."""
    overrides: dict[str, Any] = Field(default_factory=dict)


class TrainedTeacher(_Part):
    """A teacher that the study trains first, on one of its training sets."""

    name: TestName = "teacher"
    recipe: str
    """As the student's."""
    set: SetName
    seed: NonNegativeInt = 0
    each_seed: bool = False
    """Train a network of it for each training seed of the students, which is added to ``seed``:
    what the seeds show then includes the chance in the teacher's training."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    processes: PositiveInt | Literal["auto"] = "auto"
    """That train it together on one machine; "auto": one on each visible GPU, or one on CPUs."""


class GivenModel(_Part):
    """A model that the user has already: it is an arm of the grid and is not trained.

    Models that differ in the seed alone are one arm.
    """

    name: TestName
    path: str | None = None
    """Of an ONNX or TorchScript file, weights or a run folder; see
    :func:`evenface.teachers.load_teacher`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For it: mean, std, order, layout, fit, output, backbone, embedding_size; for scores: cosine,
    distance."""
    embeddings: dict[TestName, Path] = Field(default_factory=dict)
    """In place of a model, test → file of embeddings of its images, as ``evenface evaluate``
    takes it."""
    scores: dict[TestName, Path] = Field(default_factory=dict)
    """In place of a model, test → file of scores of its pairs; see
    :mod:`evenface.evaluate.pair_score_files`."""
    set: SetName
    """What it was trained on."""
    kind: Literal["real", "synthetic", "mix"] | None = None
    """What that set is made of, where the study does not define it; None: by its name."""
    teacher: str | None = None
    """Id of the teacher that it was distilled from; None, or "none", without distillation."""
    levels: dict[FactorName, LevelName] = Field(default_factory=dict)
    seed: NonNegativeInt = 0
    """Of its training. Models are compared seed by seed."""

    @field_validator("teacher")
    @classmethod
    def _no_teacher(cls, value: str | None) -> str | None:
        return None if value == NO_TEACHER else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(map(bool, (self.path, self.embeddings, self.scores))) != 1:
            raise ValueError("give exactly one of path, embeddings and scores")
        if self.embeddings and self.options:
            raise ValueError("options are for a model or scores, not for embeddings")
        if self.scores and (unknown := sorted(set(self.options) - {"cosine", "distance"})):
            raise ValueError(f"options of scores are cosine and distance, not {unknown[0]}")
        if self.scores and list(self.options.values()) not in ([], [True], [False]):
            raise ValueError("scores have one of the options cosine and distance: true or false")
        return self

    @property
    def files(self) -> dict[str, Path]:
        """Test → file of what stands in place of a model."""
        return self.embeddings or self.scores

    @property
    def place(self) -> tuple[object, ...]:
        """Where its arm stands in the grid."""
        return self.set, self.teacher, frozenset(self.levels.items())


class ShuffledTeacher(_Part):
    """A control: another teacher's embeddings, dealt to the wrong images at random."""

    name: TestName
    shuffle: str
    """The other teacher, named before this one."""


GivenTeacher = str | TrainedTeacher | ShuffledTeacher
"""A known name or a path, or what the study makes itself."""


class EvaluationSpec(_Part):
    """Protocol and interval settings; see :mod:`evenface.evaluate`."""

    folds: int = Field(default=10, ge=2)
    pairs_per_group: PositiveInt | None = None
    replicates: int = Field(default=1000, ge=100)
    real_people: tuple[Literal["orl", "openpeople"], ...] = ("orl", "openpeople")
    score_pairs: PositiveInt | None = None
    """Most genuine and most impostor pairs a group behind EER, TAR, FMR and FNMR; None: 100,000."""
    targets: tuple[Target, ...] = ()
    """FMRs at which one threshold for all groups, and one for each, is set on other people: keys
    of :data:`evenface.evaluate.operating.TARGETS`."""
    flip: bool = True
    """Whether embeddings are the sum of those of the image and its mirror image."""

    random_groups: bool = False
    """Whether the declared contrasts are asked once more with the people of ``faces.test`` dealt to
    groups at random: nothing may come of it."""

    @property
    def options(self) -> dict[str, Any]:
        """How models are evaluated, where it is not as usual."""
        found: dict[str, Any] = {} if self.flip else {"views": ("original",)}
        return found | ({"targets": self.targets} if self.targets else {})

    @model_validator(mode="after")
    def _enough_pairs(self) -> Self:
        if self.pairs_per_group is not None and self.pairs_per_group < 2 * self.folds:
            raise ValueError(
                f"pairs_per_group must be at least two a fold, {2 * self.folds}; got "
                f"{self.pairs_per_group}"
            )
        return self


class StudySpec(_Part):
    """One study. The resolved form is saved beside its results."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    seed: int = Field(default=0, ge=0)
    """Of faces, mix, pairs and resampling."""
    training_seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    """Every student is trained once with each of them."""
    faces: FacesSpec
    mix: MixSpec = MixSpec()
    """Of the training set "mix", where it is named without a definition."""
    training_sets: dict[SetName, TrainingSet]
    """By name; or names out of "real", "synthetic" and "mix". None in a study of given models."""
    models: tuple[GivenModel, ...] = ()
    """That the user has already."""
    teachers: tuple[GivenTeacher, ...] = ("sface",)
    """What students are distilled from, each in turn: names, ONNX files, run folders, a recipe and
    a training set, or another teacher to be shuffled."""
    distillation_weight: float = Field(default=39.0625, gt=0)
    student: StudentSpec
    factors: dict[FactorName, dict[LevelName, dict[str, Any]]] = Field(default_factory=dict)
    """Factor → level → what it changes in the student's recipe (dotted keys). A factor whose levels
    change keys of "distill" only is one of distilled students. The first level of a factor is the
    one that others are compared with."""
    constraints: tuple[Constraint, ...] = ()
    arm_notes: tuple[ArmNote, ...] = ()
    """Where arms come from, for instance: what plan and results say of them."""
    epochs_of: Literal["real", "set"] = "real"
    """What an epoch of a student's schedule is. "real": the real faces for every set, so that all
    arms take the same steps; "set": its own training set, as published code has it."""
    variant: LevelName | None = None
    """Of recipes named with "{variant}", and of what the study file's ``variants`` change; see
    ``docs/faithful.md``."""
    stand_ins: str | None = None
    """What stands in for what, for the report."""
    evaluation: EvaluationSpec = EvaluationSpec()
    claims: tuple[str, ...] | None = None
    """Names of the claims that are tested; None: all that apply. See ``docs/study-claims.md``."""
    claim_settings: ClaimSettings = ClaimSettings()
    workers: PositiveInt | None = None
    """Processes at once; None: one a core, or one where there is a GPU."""

    @model_validator(mode="before")
    @classmethod
    def _named_sets(cls, content: Any) -> Any:
        """Names of training sets stand for their definitions."""
        if not isinstance(content, Mapping):
            return content
        faces = content.get("faces")
        real = faces.get("real") if isinstance(faces, Mapping) else getattr(faces, "real", None)
        if content.get("models") and real is None:  # nothing is trained
            unused = {"training_sets": {}, "teachers": [], "student": {"recipe": "student-mini"}}
            return {**unused, **content}
        sets = content.get("training_sets", ["real", "synthetic", "mix"])
        if isinstance(sets, Mapping):
            return {**content, "training_sets": _by_wrong_labels(sets)}
        if isinstance(sets, str) or not isinstance(sets, Sequence):
            return content
        if len(set(map(str, sets))) < len(sets):
            listed = ", ".join(map(str, sets))
            raise ValueError(f"training_sets: {listed} are not all different")
        mix = content.get("mix", {})
        mixed = {**(mix.model_dump() if isinstance(mix, MixSpec) else mix), "kind": "mix"}
        return {**content, "training_sets": {n: mixed if n == "mix" else {"kind": n} for n in sets}}

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        several: dict[str, Sequence[object]] = {
            "training_seeds": self.training_seeds,
            "teachers": [teacher_id(teacher) for teacher in self.teachers],
            "real_people": self.evaluation.real_people,
            "models": [model.name for model in self.models],
        }
        for model in self.models:
            several[f"models: seeds of {model.set}"] = [
                of.seed for of in self.models if of.place == model.place
            ]
        for what, values in several.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{what}: {', '.join(map(str, values))} are not all different")
        if STUDY_TEACHER in self.teachers and any(
            part.kind == "render" and part.split == "teacher"
            for part in self.faces.by_role().values()
        ):
            raise ValueError("faces of the split 'teacher' are those the study teacher learnt from")
        if not self.training_sets and not self.models:
            raise ValueError("training_sets: none are given, and no models")
        if self.training_sets:
            if self.faces.real is None or self.faces.synthetic is None:
                raise ValueError("faces: real and synthetic are needed to train on")
            if not self.teachers:
                raise ValueError("teachers: at least one is needed")
        elif isinstance(self.faces.test, HeldOutFaces):
            raise ValueError("faces.test: nothing can be held out where nothing is trained")
        names = {
            "real",
            "synthetic",
            "test",
            MAIN_BENCHMARK,
            RANDOM_GROUPS,
            *self.evaluation.real_people,
        }
        taken = (names | set(self.faces.synthetic_parts())) & set(self.faces.more_tests)
        if taken:
            raise ValueError(f"more_tests: the name {', '.join(sorted(taken))} is taken")
        return self

    @model_validator(mode="after")
    def _known_levels(self) -> Self:
        known = {
            "set": set(self.training_sets),
            "teacher": {NO_TEACHER, *map(teacher_id, self.teachers)},
        }
        for factor, levels in self.factors.items():
            if factor in _BUILT_IN:
                raise ValueError(f"factors: {factor} is one already; see training_sets, teachers")
            if not levels:
                raise ValueError(f"factors: {factor} has no level")
            known[factor] = set(levels)
        named = [("constraints", of) for c in self.constraints for of in (c.when, c.require)]
        named += [("arm_notes", note.when) for note in self.arm_notes]
        for key, levels_ in named:
            for factor, of in levels_.items():
                if factor not in known:
                    raise ValueError(f"{key}: no factor '{factor}'; there are {', '.join(known)}")
                if unknown := set(of) - known[factor]:
                    raise ValueError(
                        f"{key}: {factor} has no level {', '.join(sorted(unknown))}; it has "
                        f"{', '.join(sorted(known[factor]))}. Change {key} too, or keep the levels"
                    )
        for teacher in self.teachers:
            if isinstance(teacher, TrainedTeacher) and teacher.set not in self.training_sets:
                raise ValueError(
                    f"teachers: {teacher.name} learns from '{teacher.set}', which is no training "
                    f"set; there are {', '.join(self.training_sets)}"
                )
        self._check_pretrained()
        self._check_shuffled()
        self._check_labels()
        self._check_endpoints()
        self._check_overlap()
        recipes_ = [
            self.student.recipe,
            *(t.recipe for t in self.teachers if isinstance(t, TrainedTeacher)),
        ]
        if self.variant is None and any("{variant}" in recipe for recipe in recipes_):
            raise ValueError("variant: a recipe is named with {variant}, so it must be given")
        return self

    def _check_pretrained(self) -> None:
        """Pretraining is on a set that has none of its own."""
        for name, of in self.training_sets.items():
            if of.pretrained is None:
                continue
            first = self.training_sets.get(of.pretrained.set)
            if first is None or first.pretrained is not None:
                raise ValueError(
                    f"training_sets.{name}.pretrained.set: '{of.pretrained.set}' is no training "
                    "set without a pretraining of its own; there are "
                    + ", ".join(n for n, s in self.training_sets.items() if s.pretrained is None)
                )

    def _check_shuffled(self) -> None:
        """What is shuffled has to be there, and one network."""
        for place, teacher in enumerate(self.teachers):
            if not isinstance(teacher, ShuffledTeacher):
                continue
            before = {teacher_id(t): t for t in self.teachers[:place]}
            other = before.get(teacher.shuffle)
            if other is None or isinstance(other, ShuffledTeacher):
                raise ValueError(
                    f"teachers: {teacher.name} shuffles '{teacher.shuffle}', which is no teacher "
                    f"named before it; there are {', '.join(before) or 'none'}"
                )
            if len(self.networks(other)) > 1:
                raise ValueError(f"teachers: {teacher.shuffle} is several networks; shuffle one")

    def networks(self, teacher: GivenTeacher) -> dict[str, GivenTeacher]:
        """The networks of a teacher by id, one but where each training seed has its own."""
        if not isinstance(teacher, TrainedTeacher) or not teacher.each_seed:
            return {teacher_id(teacher): teacher}
        single = [
            teacher.model_copy(
                update={
                    "name": f"{teacher.name}-s{seed}",
                    "seed": teacher.seed + seed,
                    "each_seed": False,
                }
            )
            for seed in self.training_seeds
        ]
        return {of.name: of for of in single}

    def network(self, teacher: str, seed: int) -> str:
        """Id of the network that the students of a training seed learn from."""
        given = next(of for of in self.teachers if teacher_id(of) == teacher)
        networks = list(self.networks(given))
        return networks[0 if len(networks) == 1 else self.training_seeds.index(seed)]

    def _check_endpoints(self) -> None:
        """What is measured at a threshold has to be asked for."""
        for name, endpoint in self.claim_settings.endpoints.items():
            _, _, target = endpoint.measure.partition("@")
            if target and target not in self.evaluation.targets:
                raise ValueError(
                    f"claim_settings.endpoints.{name}: {endpoint.measure} needs '{target}' in "
                    "evaluation.targets"
                )

    def _check_labels(self) -> None:
        """The teacher of the labels has to be there before any mix."""
        labels = self.faces.synthetic_labels
        if not isinstance(labels, ClassifierLabels):
            return
        ids = [teacher_id(teacher) for teacher in self.teachers]
        name = labels.teacher or ids[0]
        if name not in ids:
            raise ValueError(
                f"faces.synthetic_labels.teacher: no teacher '{name}'; there are {', '.join(ids)}"
            )
        teacher = self.teachers[ids.index(name)]
        if isinstance(teacher, ShuffledTeacher) or len(self.networks(teacher)) > 1:
            raise ValueError(f"faces.synthetic_labels: the teacher '{name}' is not one network")
        if isinstance(teacher, TrainedTeacher):
            learnt = self.training_sets[teacher.set]
            if learnt.kind != "real":
                raise ValueError(
                    f"faces.synthetic_labels: the teacher '{name}' learns from '{teacher.set}', "
                    "which may need the labels first. Choose a teacher of real faces"
                )

    def _check_overlap(self) -> None:
        """The teacher of the search has to be there before any training."""
        rules = self.faces.exclude_overlap
        if rules is None or rules.by == "names":
            return
        trained = [t.name for t in self.teachers if isinstance(t, TrainedTeacher)]
        if rules.teacher in trained or not (rules.teacher or self._teachers_at_hand()):
            raise ValueError(
                f"faces.exclude_overlap: the study trains its teacher ({', '.join(trained)}), on "
                "faces that the search has to clean first. Name one that is there, as in "
                "faces.exclude_overlap.teacher=sface, or compare names only"
            )

    def overlap_teacher(self) -> str:
        """What ``faces.exclude_overlap`` compares embeddings of: a teacher's id, name or path."""
        rules = self.faces.exclude_overlap
        given = rules.teacher if rules else None
        return given or self._teachers_at_hand()[0]

    def _teachers_at_hand(self) -> list[str]:
        return [teacher for teacher in self.teachers if isinstance(teacher, str)]

    def recipe_name(self, given: str) -> str:
        """A recipe's name with the study's variant put in."""
        return given.replace("{variant}", self.variant or "")

    @property
    def simulated(self) -> bool:
        """Whether any group result comes from rendered faces."""
        return any(part.kind == "render" for part in self.faces.by_role().values())


def _by_wrong_labels(sets: Mapping[str, Any]) -> dict[str, Any]:
    """Training sets, a mix with a list of ``wrong_labels`` once with each: ``mix-wrong-05``, …"""
    found: dict[str, Any] = {}
    for name, of in sets.items():
        shares = of.get("wrong_labels") if isinstance(of, Mapping) else None
        if not isinstance(shares, list | tuple):
            found[name] = of
            continue
        for share in dict.fromkeys(shares):
            percent = f"{100 * share:02.0f}" if isinstance(share, int | float) else str(share)
            found[f"{name}-wrong-{percent}" if share else name] = {**of, "wrong_labels": share}
    return found


def own_faces(
    real: Path | None = None,
    synthetic: Path | Mapping[str, Path] | None = None,
    test: Path | None = None,
    *,
    published: bool = False,
) -> dict[str, Any]:
    """Overrides for :func:`load_study` that put the user's faces in place of a study's.

    Where ``real`` is given and ``test`` is not, a share of the real identities is held out for the
    tests. Further overrides may follow and win, e.g. ``faces.test.fraction``.

    Args:
        real, synthetic: folders of faces; of several synthetic sets, by name.
        test: a folder of faces, or a published verification set.
        published: whether the study's own tests are published sets, which stay.
    """
    overrides: dict[str, Any] = {}
    if published:
        if test is not None:
            overrides["faces.test"] = _test_faces(test)
    elif real is not None or test is not None:
        overrides["faces.test"] = {"kind": "held-out"} if test is None else _test_faces(test)
        overrides["faces.more_tests"] = {}
        overrides["faces.group_by"] = None
    if overrides or real is not None or synthetic is not None:
        overrides |= {} if published else {"description": _OWN_DESCRIPTION}
    if real is not None:
        overrides["faces.real"] = _folder(real, "real")
    if isinstance(synthetic, Mapping):
        overrides["faces.synthetic"] = [
            {"name": name, **_folder(path, "synthetic")} for name, path in synthetic.items()
        ]
    elif synthetic is not None:
        overrides["faces.synthetic"] = _folder(synthetic, "synthetic")
    return overrides


def _folder(path: Path, origin: str) -> dict[str, str]:
    return {"kind": "folder", "path": str(path.resolve()), "origin": origin}


def _test_faces(path: Path) -> dict[str, Any]:
    """A folder of faces, or a verification set: a file of pairs, a bcolz array, a folder with
    RFW's files, with ``.bin`` files or with ``protocol.parquet``; or a data set after ``draw:``."""
    from evenface.data.formats.verification_bcolz import is_carray
    from evenface.evaluate.protocol_specs import DRAW, kept_pairs, spec_path

    if str(path).startswith(DRAW):
        return {"kind": "protocol", "spec": f"{DRAW}{spec_path(str(path)).resolve()}"}
    published = path.suffix in _PAIRS or (path / "txts").is_dir() or any(path.glob("*_test.bin"))
    if published or is_carray(path) or kept_pairs(path):
        return {"kind": "protocol", "spec": str(path.resolve())}
    return _folder(path, "real")


def teacher_id(teacher: GivenTeacher) -> str:
    """How results call a teacher: its name, or the stem of its file or folder."""
    return plain_name(teacher) or "teacher" if isinstance(teacher, str) else teacher.name


def plain_name(path: str) -> str:
    """The stem of a path in lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", Path(path).stem.lower()).strip("-")


def list_studies() -> list[str]:
    """Names of the studies that come with the package."""
    return recipes.list_named("study")


def load_study(
    source: str | Path | Mapping[str, Any] | StudySpec,
    overrides: Mapping[str, Any] | None = None,
) -> StudySpec:
    """Read a study by name (see :func:`list_studies`), from a YAML file, or from its content.

    The file's ``variants`` map the values of ``variant`` to keys (dotted) that each changes;
    ``overrides`` come on top. The result has its variant's keys and no ``variants``.

    Raises UsageError naming the key at fault, what was got and what was expected.
    """
    where, content = recipes.content_of("study", source)
    overrides = overrides or {}
    variants = content.pop("variants", {})
    if variants:
        variant = overrides.get("variant", content.get("variant"))
        recipes.override(content, _of_variant(where, variants, variant))
    recipes.override(content, overrides)
    return recipes.validate(where, content, StudySpec)


def _of_variant(source: str, variants: Any, variant: Any) -> Mapping[str, Any]:
    """What a variant changes; UsageError if ``variants`` is malformed or has no such one."""
    if not isinstance(variants, Mapping) or not all(
        isinstance(changes, Mapping) for changes in variants.values()
    ):
        raise UsageError(f"{source}: variants: expected, by name, the keys that each changes")
    for name, changes in variants.items():
        if unknown := {str(key).split(".")[0] for key in changes} - set(StudySpec.model_fields):
            listed = ", ".join(sorted(unknown))
            raise UsageError(f"{source}: variants.{name}: a study has no key {listed}")
    if not isinstance(variant, str) or variant not in variants:
        raise UsageError(
            f"{source}: variant: no '{variant}'; there are {', '.join(map(str, variants))}"
        )
    found: Mapping[str, Any] = variants[variant]
    return found
