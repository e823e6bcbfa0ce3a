"""Optimisers by name; see :mod:`evenface.train.optimizers.registry`. Every module is imported."""

from importlib import import_module
from pkgutil import iter_modules

from evenface.train.optimizers.registry import (
    OPTIMIZERS,
    create_optimizer,
    parameter_groups,
    state_tensors,
)

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["OPTIMIZERS", "create_optimizer", "parameter_groups", "state_tensors"]
