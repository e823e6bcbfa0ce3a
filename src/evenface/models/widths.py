"""Channel counts of a pruned network: their record, and the network rebuilt from it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

Channels = Mapping[str, tuple[int, int]]
"""Module → (inputs, outputs), for the modules that are narrower than the backbone has them."""


def channels_of(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every module that has channels."""
    counts = {name: _counts(module) for name, module in network.named_modules()}
    return {name: both for name, both in counts.items() if both is not None}


def narrow(network: nn.Module, channels: Channels) -> None:
    """Put freshly initialised modules of fewer channels in the place of those named.

    Raises:
        ValueError: a module that the network does not have, or a count that it cannot have.
    """
    present = channels_of(network)
    modules = dict(network.named_modules())
    for name, (inputs, outputs) in channels.items():
        if name not in present:
            raise ValueError(f"there is no module '{name}' with channels")
        most_inputs, most_outputs = present[name]
        if not (1 <= inputs <= most_inputs and 1 <= outputs <= most_outputs):
            raise ValueError(
                f"'{name}' has {most_inputs} inputs and {most_outputs} outputs, of which "
                f"{inputs} and {outputs} cannot be kept"
            )
        parent, _, leaf = name.rpartition(".")
        narrowed = _narrowed(modules[name], inputs, outputs).train(modules[name].training)
        setattr(network.get_submodule(parent), leaf, narrowed)


def _counts(module: nn.Module) -> tuple[int, int] | None:
    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return module.num_features, module.num_features
    if isinstance(module, nn.PReLU):
        return module.num_parameters, module.num_parameters
    return None


def _narrowed(module: nn.Module, inputs: int, outputs: int) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return nn.Conv2d(
            inputs,
            outputs,
            module.kernel_size,  # type: ignore[arg-type]
            stride=module.stride,  # type: ignore[arg-type]
            padding=module.padding,  # type: ignore[arg-type]
            dilation=module.dilation,  # type: ignore[arg-type]
            groups=1 if module.groups == 1 else inputs,
            bias=module.bias is not None,
        )
    if isinstance(module, nn.Linear):
        return nn.Linear(inputs, outputs, bias=module.bias is not None)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return type(module)(outputs, eps=module.eps, momentum=module.momentum, affine=module.affine)
    return nn.PReLU(outputs)
