"""What a study is: one typed, validated YAML file. Importing this needs neither torch nor faces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from evenface import recipes

MAIN_BENCHMARK = "groups"
"""The benchmark of ``faces.test``."""
STUDY_TEACHER = "study"
"""The teacher of the package; see :mod:`evenface.teachers.study`."""


_OWN_DESCRIPTION = (
    "Does distillation raise accuracy in every group, lower unevenness and close the synthetic gap "
    "on these faces? Three training sets, each without distillation and with it."
)


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
    group_by: str | None = None
    """None: the attribute that the real faces declare first."""

    def by_role(self) -> dict[str, RenderedFaces | FolderFaces | HeldOutFaces]:
        """All of them, by the name that the study's folder and messages give them."""
        main = {"real": self.real, "synthetic": self.synthetic, "test": self.test}
        return main | self.more_tests


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
    training_sets: tuple[Literal["real", "synthetic", "mix"], ...] = Field(
        default=("real", "synthetic", "mix"), min_length=1
    )
    mix: MixSpec = MixSpec()
    teachers: tuple[str, ...] = Field(default=("sface",), min_length=1)
    """What students are distilled from, each in turn: names, ONNX files, run folders."""
    distillation_weight: float = Field(default=39.06, gt=0)
    student: StudentSpec
    evaluation: EvaluationSpec = EvaluationSpec()
    workers: PositiveInt | None = None
    """Processes at once; None: one a core, or one where there is a GPU."""

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        several: dict[str, Sequence[object]] = {
            "training_seeds": self.training_seeds,
            "training_sets": self.training_sets,
            "teachers": [teacher_id(teacher) for teacher in self.teachers],
            "real_people": self.evaluation.real_people,
        }
        for what, values in several.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{what}: {', '.join(map(str, values))} are not all different")
        if STUDY_TEACHER in self.teachers and any(
            part.kind == "render" and part.split == "teacher"
            for part in self.faces.by_role().values()
        ):
            raise ValueError("faces of the split 'teacher' are those the study teacher learnt from")
        names = {"real", "synthetic", "test", MAIN_BENCHMARK, *self.evaluation.real_people}
        taken = names & set(self.faces.more_tests)
        if taken:
            raise ValueError(f"more_tests: the name {', '.join(sorted(taken))} is taken")
        return self

    @property
    def simulated(self) -> bool:
        """Whether any group result comes from rendered faces."""
        return any(part.kind == "render" for part in self.faces.by_role().values())


def own_faces(
    real: Path | None = None, synthetic: Path | None = None, test: Path | None = None
) -> dict[str, Any]:
    """Overrides for :func:`load_study` that put the user's folders in place of a study's faces.

    Where ``real`` is given and ``test`` is not, a share of the real identities is held out for the
    tests. Further overrides may follow and win, e.g. ``faces.test.fraction``.
    """
    overrides: dict[str, Any] = {}
    if real is not None or test is not None:
        overrides["faces.test"] = {"kind": "held-out"}
        overrides["faces.more_tests"] = {}
        overrides["faces.group_by"] = None
    for role, path in (("real", real), ("synthetic", synthetic), ("test", test)):
        if path is not None:
            origin = "synthetic" if role == "synthetic" else "real"
            folder = {"kind": "folder", "path": str(path.resolve()), "origin": origin}
            overrides[f"faces.{role}"] = folder
    if overrides:
        overrides["description"] = _OWN_DESCRIPTION
    return overrides


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
