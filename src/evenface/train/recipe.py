"""A recipe: one typed, validated configuration = one model. Importing this needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PlainValidator,
    PositiveInt,
    model_validator,
)

from evenface import recipes
from evenface.files import fingerprint, sha256_file
from evenface.teachers.base import Engine
from evenface.train.run import start_weights


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneRecipe(_Part):
    """See :func:`evenface.models.create_backbone`."""

    name: str
    embedding_size: PositiveInt | None = None
    """None: the teacher's, or 512 without a teacher."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | Literal["published"] = 0.0
    """Before the embedding layer. "published": 0.4 for IResNet-50 and 0 for others, as published
    code has it."""
    start: Path | None = None
    """Run whose weights to begin with, and whose widths where it is pruned; or a file of weights,
    as published. None: new weights."""
    frozen: tuple[str, ...] = ()
    """Names of modules (``stem``, ``layer1``, ``blocks.0``) whose weights and statistics stay as
    they are."""

    @property
    def dropout_rate(self) -> float:
        """The probability."""
        if self.dropout == "published":
            return _PUBLISHED_DROPOUT.get(self.name, 0.0)
        return self.dropout


DEFAULT_EMBEDDING_SIZE = 512
"""Of recipes that declare none and have no teacher."""

_PUBLISHED_DROPOUT = {"iresnet50": 0.4}


def _option(value: Any) -> float | bool | str:
    """An option's value. Numbers become floats, as do texts that YAML fails to read as numbers."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return str(value)
    if not isinstance(value, int | float):
        raise ValueError("Input should be a number, a word, true or false")
    if not math.isfinite(value):
        raise ValueError("Input should be a finite number")
    return float(value)


Options = dict[str, Annotated[float | bool | str, PlainValidator(_option)]]


def _folders(value: Any) -> Any:
    """``value`` if it may be one, several or named folders."""
    if isinstance(value, str | Path | Mapping) or (isinstance(value, list | tuple) and value):
        return value
    raise ValueError("Input should be a folder, a list of folders, or folders by group")


Caches = Annotated[Path | tuple[Path, ...] | dict[str, Path], BeforeValidator(_folders)]


class HeadRecipe(_Part):
    """See :func:`evenface.models.create_head`; options by the papers' letters."""

    name: str
    options: Options = Field(default_factory=dict)
    weight: float = Field(default=1.0, ge=0)
    """Of the classification loss. 0: it is not computed; for distillation losses that need a head
    all the same."""
    sharded: bool = False
    """Spread the class centres over the processes, for more identities than a GPU holds."""
    sample: float = Field(default=1.0, gt=0, le=1)
    """Share of the classes that a step uses (Partial FC), those of the batch among them."""
    start: Literal["teacher", "own"] | None = None
    """Class centres to begin with: the mean embedding of each identity, of the teacher ("teacher",
    from ``distill.cache``) or of the backbone as it begins ("own"). None: random."""
    published: bool = False
    """Options that are not given are as published code has them, faults included
    (:data:`PUBLISHED_OPTIONS`), instead of the papers'."""

    @model_validator(mode="before")
    @classmethod
    def _published_options(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or content.get("published") is not True:
            return content
        published = PUBLISHED_OPTIONS.get(str(content.get("name")), {})
        return {**content, "options": {**published, **(content.get("options") or {})}}


PUBLISHED_OPTIONS: dict[str, dict[str, float | str]] = {
    "adaface": {"norms": "unit", "t_alpha": 1.0},
    "arcface": {"angle": "acos"},
    "cosface": {"m": 0.5},
    "elasticarcface": {"angle": "acos"},
    "elasticarcface_plus": {"angle": "acos", "assign": "published"},
    "elasticcosface_plus": {"assign": "published"},
}
"""Head → options by which published code differs from the papers; see docs/faithful.md."""


class DistillationLossRecipe(_Part):
    """One loss; see :func:`evenface.distill.create_distillation`."""

    name: str
    weight: float | None = Field(default=None, gt=0)
    """None: the loss's own."""
    options: Options = Field(default_factory=dict)


class TeacherRecipe(_Part):
    """A teacher that embeds every batch anew, from the very pixels that the student sees."""

    source: str
    """See :func:`evenface.teachers.load_teacher`."""
    backbone: str | None = None
    """Of bare weights."""
    embedding_size: PositiveInt | None = None
    """Of bare weights."""
    engine: Engine | None = None
    """What runs an ONNX file; None: onnxruntime."""


class GroupRecipe(_Part):
    """Weights of groups in the distillation. Experimental."""

    by: str | tuple[str, ...] | None = None
    """Attribute, or several to be crossed; None: the manifest's first."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Group → factor on its distances; 1 where none is given."""
    step: float | None = Field(default=None, gt=0)
    """η of the move towards the group with the largest distance; None: no move."""


class DistillationRecipe(_Part):
    """Distillation from a teacher: one loss (``name``, ``weight``, ``options``), or several."""

    cache: Caches | None = None
    """Folder made by ``evenface teacher embed`` from the very images of ``data``. Several: the
    mean of their normalised embeddings; by group: each group has its own teacher."""
    teacher: TeacherRecipe | None = None
    """Instead of a cache."""
    name: str | None = None
    weight: float | None = Field(default=None, gt=0)
    """Template: of (1 − cos), 39.0625 if not given, which is the paper's λ = 10,000 at 512
    dimensions. Others: None for the loss's own."""
    options: Options = Field(default_factory=dict)
    losses: tuple[DistillationLossRecipe, ...] = ()
    """Several losses, instead of ``name``, ``weight`` and ``options``."""
    projection: bool = False
    """Learn a linear map from the student's embedding to the teacher's number of dimensions, for
    losses that compare the two; needed where these differ."""
    centres: Literal["mean"] | Path | None = None
    """The teacher's class centres: "mean" for the mean teacher embedding of each identity, or a
    file (.safetensors, .pt) with one tensor (C, D), its rows by sorted identity."""
    groups: GroupRecipe | None = None
    during: Literal["both", "pretraining", "fine-tuning"] = "both"
    """Which part of a training with ``pretrain`` distils."""

    @model_validator(mode="before")
    @classmethod
    def _one_loss_by_default(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or content.get("losses"):
            return content
        name = content.get("name") or "template"
        weight = content.get("weight")
        if weight is None and name == "template":
            weight = 2 * 10_000 / 512
        return {**content, "name": name, "weight": weight}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.cache is None) == (self.teacher is None):
            raise ValueError(
                "give cache (embeddings computed before) or teacher (computed while training), "
                "and not both"
            )
        if self.cache == {}:
            raise ValueError("cache names no folder")
        if self.losses and (self.name or self.weight or self.options):
            raise ValueError("give losses, or name, weight and options of the only one")
        names = [loss.name for loss in self.losses]
        if len(set(names)) < len(names):
            raise ValueError("the same loss is named twice")
        return self

    @property
    def terms(self) -> tuple[DistillationLossRecipe, ...]:
        """The losses, however they are written."""
        if self.losses:
            return self.losses
        one = DistillationLossRecipe(
            name=self.name or "template", weight=self.weight, options=self.options
        )
        return (one,)

    def content(self) -> dict[str, Any]:
        """What a result depends on, besides the teacher: without paths, and without what is at its
        default, so that fingerprints of recipes that know names and weights only stay."""
        content = self.model_dump(mode="json", exclude={"cache", "teacher"}, exclude_defaults=True)
        if isinstance(self.centres, Path):
            content["centres"] = "file"
        if self.teacher is not None:  # sees augmented pixels, which a cached teacher does not
            content["online"] = True
        return content


def _named(value: Any) -> Any:
    """A name stands for a part that has nothing else set."""
    return {"name": value} if isinstance(value, str) else value


class SamplerRecipe(_Part):
    """Which rows an epoch holds, and in which order; see :mod:`evenface.train.samplers`."""

    name: str = "uniform"
    by: str | tuple[str, ...] | None = None
    """Attribute that groups are read from, or several to be crossed; None: the first."""


class OptimizerRecipe(_Part):
    """See :mod:`evenface.train.optimizers`. The rate used is ``lr`` · batch_size / ``lr_batch``:
    linear scaling."""

    name: str = "sgd"
    lr: float = Field(default=0.1, gt=0)
    lr_batch: PositiveInt | None = 512
    """The batch size that ``lr`` is meant for; None: ``lr`` is the rate whatever the batch."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD."""
    nesterov: bool = False
    """Of SGD."""
    options: Options = Field(default_factory=dict)
    """Of other optimisers; adamw: beta1, beta2, eps."""
    decay_norms: bool = True
    """Whether parameters of one dimension (norms, biases, slopes of activations) decay."""
    weight_decay: float = Field(default=5e-4, ge=0)
    clip_norm: float = Field(default=5.0, gt=0)
    """Largest norm of the backbone's gradient."""
    backbone_rate: float = Field(default=1.0, gt=0)
    """Factor on the rate of the backbone."""
    head_rate: float = Field(default=1.0, gt=0)
    """Factor on the rate of the class centres and of what the losses learn."""

    @model_validator(mode="after")
    def _of_its_own(self) -> Self:
        if self.name != "sgd" and self.nesterov:
            raise ValueError(f"nesterov is for sgd, not for {self.name}: set it to false")
        return self


class ScheduleRecipe(_Part):
    """How long, and at which rate. Exactly one of ``epochs`` and ``steps``."""

    kind: Literal["step", "cosine", "polynomial", "constant"] = "step"
    """polynomial: the square of the share of steps that are left, as in arcface_torch."""
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    milestones: tuple[PositiveInt, ...] = ()
    """0-based epochs from which the rate is multiplied by ``gamma`` once more (kind "step")."""
    epoch_steps: PositiveInt | None = None
    """Steps that count as an epoch; None: those that the training set fills. Training sets of
    several sizes are so trained for the same steps."""
    stop_epoch: PositiveInt | None = None
    """Stop after this many of the ``epochs``, at the rates of the whole schedule; None: at its
    end."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    warmup_steps: NonNegativeInt = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, not both")
        if self.kind != "step" and self.milestones:
            raise ValueError("milestones belong to kind 'step'")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must increase")
        if self.stop_epoch is not None and self.stop_epoch > (self.epochs or 0):
            has = "no epochs" if self.epochs is None else f"{self.epochs} epochs"
            raise ValueError(f"stop_epoch {self.stop_epoch}: the schedule has {has}")
        return self

    def whole_steps(self, batches_per_epoch: int) -> int:
        """Steps of the whole schedule.

        Args:
            batches_per_epoch: of the training set.
        """
        return self.steps or (self.epochs or 0) * (self.epoch_steps or batches_per_epoch)

    def trained_steps(self, batches_per_epoch: int) -> int:
        """Steps that are taken: :meth:`whole_steps`, or fewer with ``stop_epoch``."""
        if self.stop_epoch is None:
            return self.whole_steps(batches_per_epoch)
        return self.stop_epoch * (self.epoch_steps or batches_per_epoch)


class AverageRecipe(_Part):
    """An exponential moving average of the backbone's weights."""

    decay: float = Field(default=0.9999, gt=0, lt=1)
    """Smaller in the first steps: (1 + t) / (10 + t) at step t."""
    evaluate: bool = True
    """Whether the average is the run's result, or the last step's weights; the other is saved
    beside it."""


class RecoveryRecipe(_Part):
    """What to do when a loss, gradient or weight becomes NaN or infinite: go back to the last
    checkpoint, take other images in place of those batches, and go on at a lower rate."""

    attempts: PositiveInt = 3
    """How often in a training; then it stops."""
    lower: float = Field(default=0.5, gt=0, le=1)
    """Factor on the learning rate from there on, for every attempt."""


class WatchRecipe(_Part):
    """Verification while training: accuracy and EER of each group, for the log, the progress line,
    sinks and pages. It chooses nothing: no checkpoint, rate or end of a training depends on it, and
    the weights have the same bits with and without it."""

    protocol: str
    """What ``evenface evaluate --protocol`` takes, pairs of images only."""
    every: PositiveInt
    """Steps between two verifications; the last step has one in any case."""
    pairs_per_group: PositiveInt | None = None
    """At most so many pairs of a group, the same every time; None: all pairs of the folds."""
    group_by: str | tuple[str, ...] | None = None
    """Of pairs that are drawn from a data set: its attribute, or several to be crossed; None: the
    first."""
    split: str | None = None
    """Of pairs that are drawn from a data set: the split that they are drawn from."""


class PretrainRecipe(_Part):
    """A first part of the training, on other images with other people.

    It trains the same backbone with a head of its own at the plain rates. The second part, on
    ``data``, begins with its backbone: ``optimizer.backbone_rate``, ``optimizer.head_rate``,
    ``backbone.frozen`` and ``head.start`` are for that one. Each part has the whole schedule,
    warm-up included, over its own steps.
    """

    data: Path
    """Manifest, or the folder of a data set."""
    cache: Caches | None = None
    """The teacher's embeddings of it, where it distils from a cache."""
    share: float = Field(default=0.75, gt=0, lt=1)
    """Of all steps."""


class TrainRecipe(_Part):
    """Everything that decides about one model."""

    name: str
    data: Path | None = None
    """Manifest, or the folder of a data set; None: the caller gives it."""
    num_identities: PositiveInt | None = None
    """How many the training set must have, refused otherwise; None: any number."""
    seed: NonNegativeInt = 0
    backbone: BackboneRecipe
    head: HeadRecipe | None
    """None: no classification, distillation alone."""
    distill: DistillationRecipe | None = None
    pretrain: PretrainRecipe | None = None
    """None: one part, on ``data``."""
    sampler: Annotated[SamplerRecipe, BeforeValidator(_named)] = SamplerRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    schedule: ScheduleRecipe
    batch_size: int = Field(default=128, ge=2)
    flip: bool | Literal["real"] = True
    """Mirror images at random; "real": only those of real origin, as published code does."""
    target_view: Literal["same", "original"] = "same"
    """View whose cached embedding is the target: the one that the student sees, or the image as it
    is, as in published code."""
    augment: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Name → options; see :mod:`evenface.train.augment`. A cached teacher's target stays that of
    the image as it was before."""
    micro_batches: PositiveInt = 1
    """Parts of a batch that are computed one after the other, for less memory and about a third
    more time. Head and losses see the whole batch, batch norm each part alone."""
    ema: AverageRecipe | None = None
    recovery: RecoveryRecipe | None = None
    """None: a training that diverges stops."""
    precision: Literal["fp32", "bf16", "fp16", "fp64"] = "fp32"
    """bf16 and fp16: autocast of the backbone, in fp16 with a scaled loss; head and losses stay
    in fp32. fp64: everything, for exact comparisons."""
    device: str = "auto"
    threads: PositiveInt | None = None
    """CPU threads; None: torch's choice. Results are bit-equal for equal thread counts only."""
    channels_last: bool | None = None
    """Memory layout of the weights; None: on GPUs. (Images always lie channels last.)"""
    compile: bool = False
    """Compile the backbone (``torch.compile``): slow to begin, then faster."""
    recompute: bool = False
    """Keep of every residual block its input only (activation checkpointing): far less memory for
    about a third more time, and the same result."""
    loader: Literal["auto", "stream", "resident"] = "auto"
    """Images are read as they are needed, or lie on the device; auto: on a GPU if they take at
    most half of its free memory."""
    loader_threads: PositiveInt = 1
    """Threads that read batches ahead."""
    log_every: PositiveInt = 20
    """Steps between two lines of the log."""
    log_to: tuple[str, ...] = ()
    """Where the log's values go as well: tensorboard, wandb (extras of these names); see
    :mod:`evenface.train.sinks`. ``tensorboard: true`` in older recipes means the first."""
    watch: WatchRecipe | None = None
    """None: no verification while training."""
    checkpoint_every: PositiveInt = 1000
    """Steps between two checkpoints."""
    keep_checkpoints: PositiveInt = 2
    """The newest ones; the others are deleted."""

    @model_validator(mode="before")
    @classmethod
    def _older_key(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or not isinstance(content.get("tensorboard"), bool):
            return content
        rest = {key: value for key, value in content.items() if key != "tensorboard"}
        log_to = rest.get("log_to", ())
        if content["tensorboard"] and isinstance(log_to, list | tuple):
            rest["log_to"] = tuple(dict.fromkeys((*log_to, "tensorboard")))
        return rest

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.distill is None and (self.head is None or not self.head.weight):
            raise ValueError("nothing to learn: neither a head with a weight nor distillation")
        if self.batch_size % self.micro_batches or self.batch_size < 2 * self.micro_batches:
            raise ValueError(
                f"a batch of {self.batch_size} images cannot be cut into {self.micro_batches} "
                "micro-batches of one size, at least 2"
            )
        if self.target_view == "original" and self.distill and self.distill.teacher:
            raise ValueError(
                "target_view 'original' needs distill.cache: an online teacher embeds the very "
                "pixels that the student sees"
            )
        start = self.backbone.start or self.pretrain
        if self.head is not None and self.head.start == "own" and start is None:
            raise ValueError(
                "head.start 'own' is the mean of embeddings of a trained backbone: give "
                "backbone.start or pretrain"
            )
        self._check_pretraining()
        if self.loader == "resident" and "jpeg" in self.augment:
            raise ValueError(
                "augment.jpeg needs images that pass the CPU: loader 'stream' or 'auto'"
            )
        return self

    def _check_pretraining(self) -> None:
        during = self.distill.during if self.distill else "both"
        if self.pretrain is None:
            if during != "both":
                raise ValueError(f"distill.during '{during}' is for trainings with pretrain")
            return
        schedule = self.schedule
        if (
            schedule.milestones
            or schedule.stop_epoch
            or not (schedule.steps or schedule.epoch_steps)
        ):
            raise ValueError(
                "pretrain divides the steps of a schedule: give schedule.steps, or epochs with "
                "epoch_steps, without milestones and stop_epoch"
            )
        if not 0 < self._pretraining_steps() < schedule.whole_steps(0):
            raise ValueError("pretrain.share leaves one of the two parts without a step")
        if during != "both" and (self.head is None or not self.head.weight):
            raise ValueError(f"distill.during '{during}': the other part has nothing to learn")
        cached = bool(self.distill and self.distill.cache) and during != "fine-tuning"
        if cached != (self.pretrain.cache is not None):
            raise ValueError(
                "pretrain.cache is needed: the teacher's embeddings of pretrain.data"
                if cached
                else "pretrain.cache is given, but the pretraining does not distil from a cache"
            )

    def _pretraining_steps(self) -> int:
        return round(self.schedule.whole_steps(0) * self.pretrain.share) if self.pretrain else 0

    def pretraining(self) -> Self | None:
        """The recipe of the first part; None where there is but one."""
        if self.pretrain is None:
            return None
        distill = self.distill
        if distill is not None and distill.during == "fine-tuning":
            distill = None
        elif distill is not None:
            update = {"cache": self.pretrain.cache, "during": "both"}
            distill = distill.model_copy(update=update)
        return self.model_copy(
            update={
                "name": f"{self.name}-pretraining",
                "data": self.pretrain.data,
                "num_identities": None,
                "pretrain": None,
                "distill": distill,
                "backbone": self.backbone.model_copy(update={"frozen": ()}),
                "head": self.head and self.head.model_copy(update={"start": None}),
                "optimizer": self.optimizer.model_copy(
                    update={"backbone_rate": 1.0, "head_rate": 1.0}
                ),
                "schedule": self.schedule.model_copy(
                    update={"steps": self._pretraining_steps(), "epochs": None}
                ),
            }
        )

    def fine_tuning(self, start: Path) -> Self:
        """The recipe of the second part.

        Args:
            start: run folder of the first.
        """
        steps = self.schedule.whole_steps(0) - self._pretraining_steps()
        distill = self.distill
        if distill is not None and distill.during == "pretraining":
            distill = None
        elif distill is not None:
            distill = distill.model_copy(update={"during": "both"})
        return self.model_copy(
            update={
                "pretrain": None,
                "distill": distill,
                "backbone": self.backbone.model_copy(update={"start": start}),
                "schedule": self.schedule.model_copy(update={"steps": steps, "epochs": None}),
            }
        )

    def with_embedding_size(self, teacher: int | None = None) -> Self:
        """The recipe with its embedding size settled: its own, else the teacher's, else 512.

        Args:
            teacher: dimensions of the teacher's embeddings; None without a teacher.
        """
        size = self.backbone.embedding_size or teacher or DEFAULT_EMBEDDING_SIZE
        backbone = self.backbone.model_copy(update={"embedding_size": size})
        return self.model_copy(update={"backbone": backbone})

    def steps(self, images: int) -> int:
        """Optimiser steps on a training set of this many images, in full batches.

        A set smaller than a batch makes the batch smaller.
        """
        return self.schedule.trained_steps(max(1, images // self.batch_size))

    def fingerprint(self, data: str, teacher: str | None, pretraining: str | None = None) -> str:
        """What the result depends on: the recipe without paths, and its inputs' fingerprints.

        Left out is how it is computed (device, threads, layout, what is kept in memory): a run may
        go on elsewhere, if not with the same bits.

        Args:
            data: the manifest's fingerprint.
            teacher: the teacher's fingerprint, or None.
            pretraining: the fingerprint of :meth:`pretraining`, where there is one.
        """
        content = self.model_dump(mode="json", exclude=_NOT_IN_THE_RESULT)
        for key in _LATER_KEYS:
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if getattr(self, key) == default:
                del content[key]
        if self.distill is not None:
            content["distill"] = self.distill.content()
        if content["head"] is not None:
            del content["head"]["published"]  # the options say it
            del content["head"]["sharded"]  # how it is computed
            if content["head"]["sample"] == 1:
                del content["head"]["sample"]
            if content["head"]["weight"] == 1:
                del content["head"]["weight"]
            if content["head"]["start"] is None:
                del content["head"]["start"]
        if self.pretrain is not None:
            content["pretrain"] = {"share": self.pretrain.share, "run": pretraining}
        for key, default in _LATER_OPTIMIZER_KEYS.items():
            if content["optimizer"][key] == default:
                del content["optimizer"][key]
        if not self.backbone.frozen:
            del content["backbone"]["frozen"]
        content["backbone"]["dropout"] = self.backbone.dropout_rate
        if self.backbone.start is None:  # as in recipes that do not know the key
            del content["backbone"]["start"]
        else:
            content["backbone"]["start"] = sha256_file(start_weights(self.backbone.start))
        for key in ("epoch_steps", "stop_epoch"):
            if content["schedule"][key] is None:  # as in recipes that do not know the key
                del content["schedule"][key]
        return fingerprint({"recipe": content, "data": data, "teacher": teacher})


_NOT_IN_THE_RESULT = {
    "name", "data", "num_identities", "device", "threads", "channels_last", "compile", "recompute",
    "loader", "loader_threads", "log_every", "log_to", "watch", "checkpoint_every",
    "keep_checkpoints",
}  # fmt: skip
"""Keys that say where things are and how they are computed."""

_LATER_OPTIMIZER_KEYS = {
    "name": "sgd", "options": {}, "decay_norms": True, "backbone_rate": 1.0, "head_rate": 1.0,
}  # fmt: skip
_LATER_KEYS = ("target_view", "sampler", "augment", "micro_batches", "ema", "recovery", "pretrain")
"""Younger than recorded fingerprints: left out at their defaults, so that those stay."""


def list_recipes() -> list[str]:
    """Names of the training recipes that come with the package."""
    return recipes.list_named("train")


def load_recipe(
    source: str | Path | Mapping[str, Any] | TrainRecipe,
    overrides: Mapping[str, Any] | None = None,
) -> TrainRecipe:
    """Read a training recipe by name (see :func:`list_recipes`) or from a YAML file.

    Args:
        source: name or path; or the file's content, or a recipe.
        overrides: dotted key → value; the named recipes leave ``data`` to the caller.

    Raises:
        UsageError: see :func:`evenface.recipes.load`.
    """
    return recipes.load("train", source, TrainRecipe, overrides)


def value_origins(source: str, overrides: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Dotted key → where its value comes from: the recipe ``source``, or ``--set``.

    A key stands for those below it; what has none is at its default.

    Raises:
        UsageError: as :func:`load_recipe`.
    """
    origins = dict.fromkeys(_leaves(recipes.read("train", source), ""), source)
    for key, value in (overrides or {}).items():
        leaves = _leaves(value, f"{key}.") if isinstance(value, dict) else [key]
        for leaf in leaves:  # what stood in its place is gone
            origins = {k: v for k, v in origins.items() if not leaf.startswith(f"{k}.")}
            origins[leaf] = "--set"
    return origins


def _leaves(content: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"
