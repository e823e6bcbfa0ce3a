"""What optimisers share: names, options, and groups of parameters.

To add one, write a function under :func:`optimizer` in a module of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from evenface.errors import UsageError
from evenface.registry import Registry, typed_options
from evenface.train.recipe import OptimizerRecipe

Groups = list[dict[str, Any]]


@dataclass(frozen=True)
class Optimizer:
    """One entry of the registry.

    Attributes:
        make: ``(groups, *, lr, weight_decay, fused, **options)`` to the optimiser.
        tensors: that it keeps of each parameter, of the parameter's size.
    """

    make: Callable[..., torch.optim.Optimizer]
    tensors: int


OPTIMIZERS: Registry[Optimizer] = Registry("optimiser")

_GIVEN = frozenset({"groups", "lr", "weight_decay", "fused"})


def optimizer(name: str, *, tensors: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: register a function under ``name``; see :class:`Optimizer`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        OPTIMIZERS.register(name)(Optimizer(function, tensors))
        return function

    return add


def create_optimizer(
    recipe: OptimizerRecipe, groups: Groups, *, fused: bool | None
) -> torch.optim.Optimizer:
    """The optimiser of a recipe.

    Args:
        recipe: its part on the optimiser.
        groups: of :func:`parameter_groups`.
        fused: one kernel for all parameters.

    Raises:
        UsageError: an unknown name or option, or an option of another type.
    """
    options: dict[str, Any] = dict(recipe.options)
    if recipe.name == "sgd":
        options |= {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    try:
        make = OPTIMIZERS[recipe.name].make
        options = typed_options(f"optimiser '{recipe.name}'", make, options, given=_GIVEN)
        return make(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused, **options)
    except (ValueError, TypeError) as error:
        raise UsageError(f"optimizer: {error}") from None


def state_tensors(recipe: OptimizerRecipe) -> int:
    """Tensors of a parameter's size that the optimiser keeps of it."""
    if recipe.name == "sgd" and not recipe.momentum:
        return 0
    return OPTIMIZERS[recipe.name].tensors


def parameter_groups(parts: Sequence[tuple[nn.Module, float]], recipe: OptimizerRecipe) -> Groups:
    """The parameters that learn, with what differs between them.

    Args:
        parts: modules, each with the factor on its rate, which is the group's "factor".
        recipe: whether parameters of one dimension (norms, biases, slopes of activations) decay.

    Returns:
        Groups in the order of ``parts``; one of all of them where nothing differs.
    """
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for module, factor in parts:
        for parameter in module.parameters():
            if parameter.requires_grad:
                decays = recipe.decay_norms or parameter.ndim > 1
                found.setdefault((factor, decays), []).append(parameter)
    return [
        {"params": parameters, "factor": factor} | ({} if decays else {"weight_decay": 0.0})
        for (factor, decays), parameters in found.items()
    ]
