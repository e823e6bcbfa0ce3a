"""Quantisation that gradients pass: what int8 will round to, while weights are still floats."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FakeQuantizer(nn.Module):
    """QuantizeLinear and DequantizeLinear of ONNX in one, with a scale that is learned.

    x → s · (clamp(round(x / s) + z, lowest, highest) − z), rounded half to even. Rounding passes
    the gradient as it is (straight-through estimator, Bengio et al., arXiv 1308.3432), clamping
    stops it, and the gradient of s follows from the same formula, as in learned step sizes (LSQ,
    Esser et al., ICLR 2020, equation 3), damped as there (section 2.2) by √(values a scale ·
    highest). What is learned is the logarithm of s over its calibrated value, so that s stays
    positive and a step means the same for scales of any size (Jain et al., "Trained Quantization
    Thresholds", MLSys 2020, section 3.3).

    Args:
        scale: the calibrated one, positive; () for all values or (C,) for each index of an axis.
        zero_point: whole numbers as float, of the shape of ``scale``.
        bounds: lowest and highest integer.
    """

    calibrated: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor, bounds: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("calibrated", scale)
        self.register_buffer("zero_point", zero_point)
        self.logarithm = nn.Parameter(torch.zeros_like(scale))
        self._bounds = bounds

    @property
    def scale(self) -> Tensor:
        """The present scale, of the shape of the calibrated one."""
        return self.calibrated * self.logarithm.exp()

    def forward(self, values: Tensor, axis: int = 1) -> Tensor:
        """``values`` as int8 holds them; ``axis`` is the one that scales belong to."""
        damping = 1 / math.sqrt(values.numel() / self.scale.numel() * self._bounds[1])
        scale = _along(_damped(self.scale, damping), values, axis)
        zero_point = _along(self.zero_point, values, axis)
        integers = torch.clamp(round_through(values / scale) + zero_point, *self._bounds)
        return (integers - zero_point) * scale

    @torch.no_grad()
    def integers(self, values: Tensor, axis: int = 1) -> Tensor:
        """What QuantizeLinear gives, as float."""
        scaled = (values / _along(self.scale, values, axis)).round()
        return torch.clamp(scaled + _along(self.zero_point, values, axis), *self._bounds)


def _along(numbers: Tensor, values: Tensor, axis: int) -> Tensor:
    """One number for all ``values``, or one for each index of ``axis``, ready to be combined."""
    if not numbers.ndim:
        return numbers
    return numbers.reshape([-1 if number == axis else 1 for number in range(values.ndim)])


def round_through(values: Tensor) -> Tensor:
    """Rounded; the gradient is that of the identity."""
    return values + (values.round() - values).detach()


def _damped(value: Tensor, factor: float) -> Tensor:
    """``value``, whose gradient is multiplied by ``factor``."""
    return value.detach() + factor * (value - value.detach())
