"""What a training minimises: classification, distillation, or both."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evenface.distill import FeatureDistillation, SampleDistillation, create_distillation
from evenface.distill.base import Distillation
from evenface.distill.groups import GroupWeighting
from evenface.distill.registry import DISTILLATIONS, LOSS_ARGUMENTS
from evenface.errors import UsageError
from evenface.models import MarginHead, RowDraws, create_backbone, create_head
from evenface.models.registry import HEAD_ARGUMENTS
from evenface.train.distributed import World
from evenface.train.online import OnlineTeacher, Tap
from evenface.train.recipe import DistillationLossRecipe, Options, TrainRecipe
from evenface.train.sharded_head import Shard, shard_head, sharded_cross_entropy
from evenface.train.supply import Supply


class Objective(nn.Module):
    """The losses of a recipe, with the parameters that they learn (the head's class centres, …).

    Args:
        head: classifier with a margin, None for none.
        classification: weight of its loss; 0: it is not computed.
        distillations: losses between student and teacher, by the name of their part.
        weightings: of groups in these losses, by the same names.
        projection: from the student's embedding to the teacher's size, for losses that compare
            the two.
        groups: int64 (N,): group of every row of the training set, where there are weightings.
        teacher: that embeds while the student trains; None where targets are given.
    """

    def __init__(
        self,
        head: MarginHead | None,
        *,
        classification: float = 1.0,
        distillations: dict[str, Distillation] | None = None,
        weightings: dict[str, GroupWeighting] | None = None,
        projection: nn.Linear | None = None,
        groups: np.ndarray | None = None,
        teacher: OnlineTeacher | None = None,
    ) -> None:
        super().__init__()
        self.head = head
        self.distillations = nn.ModuleDict(distillations or {})
        self.weightings = nn.ModuleDict(weightings or {})
        self.projection = projection
        self._classification = classification
        self._groups = groups
        self._teacher = teacher
        self._taps: dict[str, tuple[Tap, Tap]] = {}
        self.shard: Shard | None = None

    @classmethod
    def from_recipe(
        cls, recipe: TrainRecipe, num_identities: int, supply: Supply | None = None
    ) -> Objective:
        """The objective of a recipe, freshly initialised (torch's global generator).

        Args:
            recipe: its embedding size must be settled.
            num_identities: number of classes C.
            supply: of its teacher. Without it shapes are stood in for, to see whether the recipe
                can be made.

        Raises:
            ValueError: the recipe's embedding size is not settled.
            UsageError: the recipe names a part or an option that does not exist.
        """
        size = recipe.backbone.embedding_size
        if size is None:
            raise ValueError("the embedding size must be settled before training")
        supply = supply or Supply()
        teacher_size = supply.embedding_size or size
        try:
            head = None
            if recipe.head is not None:
                of_head = f"the head '{recipe.head.name}'"
                _check_no_arguments(of_head, recipe.head.options, HEAD_ARGUMENTS)
                head = create_head(
                    recipe.head.name,
                    embedding_size=size,
                    num_identities=num_identities,
                    **recipe.head.options,
                )
            classification = recipe.head.weight if recipe.head else 0.0
            if recipe.distill is None:
                return cls(head, classification=classification)
            losses, weightings = {}, {}
            for term in recipe.distill.terms:
                part = f"distillation_{term.name}" if recipe.distill.losses else "distillation"
                _check_no_arguments(f"the loss '{term.name}'", term.options, LOSS_ARGUMENTS)
                given = _given(term, recipe, num_identities, teacher_size, supply)
                losses[part] = create_distillation(term.name, **term.options, **given)
                if (groups := recipe.distill.groups) and supply.group_names:
                    factors = [groups.weights.get(name, 1.0) for name in supply.group_names]
                    weightings[part] = GroupWeighting(factors, step=groups.step)
        except (ValueError, TypeError) as error:
            raise UsageError(f"recipe '{recipe.name}': {error}") from None
        projection = None
        if recipe.distill.projection:
            projection = nn.Linear(size, teacher_size, bias=False)
        return cls(
            head,
            classification=classification,
            distillations=losses,
            weightings=weightings,
            projection=projection,
            groups=supply.groups,
            teacher=supply.online,
        )

    def share(self, world: World, *, sharded: bool, sample: float) -> None:
        """Get ready for several processes, or for a sample of the classes.

        Args:
            world: the processes.
            sharded: keep only this process's class centres.
            sample: share of the classes that a step uses.

        Raises:
            UsageError: a loss needs what a process does not have.
        """
        needs = {need for loss in self.distillations.values() for need in loss.needs}  # type: ignore[union-attr]
        if world.size > 1 and "maps" in needs:
            raise UsageError("distillation through feature maps works in one process only")
        if self.head is None or (sample == 1 and not (sharded and world.size > 1)):
            return
        if "classifier" in needs:
            raise UsageError(
                "a distillation loss needs a head that knows all classes: head.sharded=false, "
                "head.sample=1"
            )
        try:
            self.shard = shard_head(self.head, world, sample)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def targets(self, pixels: Tensor) -> Tensor | None:
        """An online teacher's embeddings (B, D_t) of uint8 (B, 112, 112, 3); None without one."""
        return None if self._teacher is None else self._teacher.embed(pixels)

    def watch(self, backbone: nn.Module) -> None:
        """See the feature maps of the student, for losses that compare them with the teacher's.

        Raises:
            UsageError: a layer that student or teacher does not have.
        """
        for part, loss in self.distillations.items():
            if isinstance(loss, FeatureDistillation) and self._teacher and self._teacher.network:
                student = Tap(backbone, loss.student_layer)
                self._taps[part] = student, Tap(self._teacher.network, loss.teacher_layer)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        targets: Tensor | None = None,
        *,
        rows: np.ndarray | None = None,
        seed: int = 0,
        pixels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Scalar losses by name, to be added: "classification"; "penalty" of heads that have one;
        "distillation", or "distillation_<name>" of each where there are several.

        Args:
            embeddings: float32 (B, D), not normalised.
            labels: int64 (B,).
            targets: teacher embeddings of the same views, float32 (B, D_t), or None.
            rows: of the training set, int (B,) on the host; random margins and groups follow them.
                None: margins from torch's global generator.
            seed: of the step, for random margins keyed by row.
            pixels: what the student saw, uint8 (B, 112, 112, 3), for a teacher that embeds them.
        """
        parts: dict[str, Tensor] = {}
        if self.head is not None and self._classification:
            draws = None if rows is None else RowDraws(seed, rows)
            if self.shard is None:
                loss = F.cross_entropy(self.head(embeddings, labels, generator=draws), labels)
            else:
                loss = sharded_cross_entropy(
                    self.head, self.shard, embeddings, labels, generator=draws, seed=seed
                )
            parts["classification"] = self._weighed(loss)
            if (penalty := self.head.penalty(embeddings)) is not None:
                parts["penalty"] = self._weighed(penalty)
        if self.distillations:
            parts |= self._distil(embeddings, labels, targets, rows, pixels)
        return parts

    def _weighed(self, loss: Tensor) -> Tensor:
        return loss if self._classification == 1 else self._classification * loss

    def _distil(
        self,
        embeddings: Tensor,
        labels: Tensor,
        targets: Tensor | None,
        rows: np.ndarray | None,
        pixels: Tensor | None,
    ) -> dict[str, Tensor]:
        if pixels is not None and self._teacher is not None:
            targets = self.targets(pixels)
        if targets is None:
            raise ValueError("distillation needs the teacher's embeddings of the batch")
        projected = embeddings if self.projection is None else self.projection(embeddings)
        parts = {}
        for part, loss in self.distillations.items():
            assert isinstance(loss, Distillation)
            student = projected if loss.same_size else embeddings
            extra: dict[str, Any] = {}
            if "labels" in loss.needs:
                extra["labels"] = labels
            if "classifier" in loss.needs and self.head is not None:
                extra["classifier"] = self.head(embeddings)
            if "maps" in loss.needs:
                extra["maps"] = tuple(tap.take() for tap in self._taps[part])
            if part in self.weightings:
                assert isinstance(loss, SampleDistillation)
                distances = loss.by_sample(student, targets, **extra)
                groups = self._groups_of(rows, embeddings.device)
                parts[part] = loss.weight * self.weightings[part](distances, groups)
            else:
                parts[part] = loss(student, targets, **extra)
        return parts

    def _groups_of(self, rows: np.ndarray | None, device: torch.device) -> Tensor:
        if self._groups is None or rows is None:
            raise ValueError("weights of groups need the rows of the batch")
        return torch.from_numpy(self._groups[rows]).to(device, non_blocking=True)


def _check_no_arguments(what: str, options: Options, arguments: frozenset[str]) -> None:
    """ValueError if one of the options is an argument that a recipe does not set."""
    if taken := sorted(arguments & options.keys()):
        raise ValueError(f"'{taken[0]}' is no option of {what}")


def _given(
    term: DistillationLossRecipe,
    recipe: TrainRecipe,
    num_identities: int,
    teacher_size: int,
    supply: Supply,
) -> dict[str, Any]:
    """What a loss is made from, besides its options."""
    takes = inspect.signature(DISTILLATIONS[term.name]).parameters
    given: dict[str, Any] = {} if term.weight is None else {"weight": term.weight}
    if "num_identities" in takes:
        given["num_identities"] = num_identities
    if "embedding_size" in takes:
        given["embedding_size"] = teacher_size
    if "centres" in takes and supply.centres is not None:
        given["centres"] = torch.from_numpy(supply.centres)
    elif "centres" in takes:
        given["centres"] = torch.ones(num_identities, teacher_size)
    if "channels" in takes:
        given["channels"] = _channels(term, recipe, supply)
    return given


def _channels(term: DistillationLossRecipe, recipe: TrainRecipe, supply: Supply) -> tuple[int, int]:
    """Channels of the student's and the teacher's feature map."""
    layer = str(term.options.get("student_layer", ""))
    with torch.device("meta"):  # sizes without memory
        backbone = create_backbone(
            recipe.backbone.name, embedding_size=recipe.backbone.embedding_size or 512
        )
    student = map_channels(backbone, layer)
    if supply.online is None or supply.online.network is None:
        return student, student
    network = supply.online.network
    return student, map_channels(network, str(term.options.get("teacher_layer", "")))


def map_channels(network: nn.Module, layer: str) -> int:
    """Channels of the feature map that a module of a backbone gives.

    Raises:
        UsageError: no such module, or its output is no feature map (B, channels, height, width).
    """
    probe = copy.deepcopy(network).to("meta").eval()
    tap = Tap(probe, layer)
    probe(torch.zeros(1, 3, 112, 112, device="meta"))
    shape = tap.take().shape
    if len(shape) != 4:
        raise UsageError(f"'{layer}' gives {tuple(shape)}, no feature map (B, C, H, W)")
    return int(shape[1])
