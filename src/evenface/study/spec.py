"""What a study is: one typed, validated YAML file. Importing this needs neither torch nor faces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from evenface import recipes

MAIN_BENCHMARK = "groups"
"""The benchmark of ``faces.test``."""
STUDY_TEACHER = "study"
"""The teacher of the package; see :mod:`evenface.teachers.study`."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RenderedFaces(_Part):
    """Faces made by the generator (extra ``render``)."""

    kind: Literal["render"] = "render"
    look: str
    split: Literal["teacher", "train", "validation", "test"] = "train"
    identities_per_group: PositiveInt
    images_per_identity: PositiveInt
    first_identity: int = Field(default=0, ge=0)


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


Faces = Annotated[RenderedFaces | FolderFaces, Field(discriminator="kind")]
TestFaces = Annotated[RenderedFaces | FolderFaces | HeldOutFaces, Field(discriminator="kind")]


TestName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class FacesSpec(_Part):
    """Where the faces come from. ``real`` may be a rendered stand-in: its rows still say so."""

    real: Faces
    synthetic: Faces
    test: TestFaces
    more_tests: dict[TestName, RenderedFaces | FolderFaces] = Field(default_factory=dict)
    """Further test faces with groups, by name: a held-out look, another data set."""
    group_by: str | None = None  # None: the attribute that the real faces declare first


class MixSpec(_Part):
    """The ethnicity-aware mix; see :func:`evenface.data.mix.mix`."""

    real_fraction: float = Field(default=0.7, ge=0, le=1)
    balance: Literal["identities", "images", "none"] = "identities"


class StudentSpec(_Part):
    """A named training recipe and what differs from it (dotted keys)."""

    recipe: str
    overrides: dict[str, Any] = Field(default_factory=dict)


class EvaluationSpec(_Part):
    """Protocol and interval settings; see :mod:`evenface.evaluate`."""

    folds: int = Field(default=10, ge=2)
    pairs_per_group: PositiveInt | None = None
    replicates: int = Field(default=1000, ge=100)
    real_people: tuple[Literal["orl", "openpeople"], ...] = ("orl", "openpeople")


class StudySpec(_Part):
    """One study. The resolved form is saved beside its results."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    seed: int = Field(default=0, ge=0)
    """Of faces, mix, pairs and resampling."""
    training_seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    """Every student is trained once with each of them."""
    faces: FacesSpec
    training_sets: tuple[Literal["real", "synthetic", "mix"], ...] = ("real", "synthetic", "mix")
    mix: MixSpec = MixSpec()
    teachers: tuple[str, ...] = Field(default=("sface",), min_length=1)
    """What students are distilled from, each in turn: names, ONNX files, run folders."""
    distillation_weight: float = Field(default=39.06, gt=0)
    student: StudentSpec
    evaluation: EvaluationSpec = EvaluationSpec()
    workers: PositiveInt | None = None
    """Students trained at once; None: one a core, or one where there is a GPU."""

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        for what, values in (
            ("training_seeds", self.training_seeds),
            ("teachers", [teacher_id(teacher) for teacher in self.teachers]),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"{what}: {', '.join(map(str, values))} are not all different")
        taken = {MAIN_BENCHMARK, *self.evaluation.real_people} & set(self.faces.more_tests)
        if taken:
            raise ValueError(f"more_tests: the name {', '.join(sorted(taken))} is taken")
        return self

    @property
    def simulated(self) -> bool:
        """Whether any group result comes from rendered faces."""
        faces = self.faces
        parts = (faces.real, faces.synthetic, faces.test, *faces.more_tests.values())
        return any(part.kind == "render" for part in parts)

    def with_own_faces(self, real: Path | None, synthetic: Path | None) -> StudySpec:
        """The same study on the user's folders; a given ``real`` also supplies the test faces."""
        changes: dict[str, Any] = {}
        if real is not None:
            changes["real"] = FolderFaces(path=real.resolve(), origin="real")
            changes["test"] = HeldOutFaces()
            changes["more_tests"] = {}
            changes["group_by"] = None
        if synthetic is not None:
            changes["synthetic"] = FolderFaces(path=synthetic.resolve(), origin="synthetic")
        if not changes:
            return self
        return self.model_copy(update={"faces": self.faces.model_copy(update=changes)})


def teacher_id(teacher: str) -> str:
    """How results call a teacher: its name, or the stem of its file or folder."""
    return re.sub(r"[^a-z0-9]+", "-", Path(teacher).stem.lower()).strip("-") or "teacher"


def list_studies() -> list[str]:
    """Names of the studies that come with the package."""
    return recipes.list_named("study")


def load_study(source: str, overrides: Mapping[str, Any] | None = None) -> StudySpec:
    """Read a study by name (see :func:`list_studies`) or from a YAML file.

    Raises UsageError naming the key at fault, what was got and what was expected.
    """
    return recipes.load("study", source, StudySpec, overrides)
