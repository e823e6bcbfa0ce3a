"""Where a run computes, and the global settings of torch that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from evenface.errors import UsageError


def choose_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is the first GPU where there is one, else the CPU.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"unknown device '{name}'; give auto, cpu, cuda or cuda:N")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UsageError(f"device '{name}' was asked for, but {gpus} usable GPUs are there")
    return device


def slow_precision(precision: str, device: torch.device) -> str | None:
    """A remark where ``device`` emulates ``precision``, None where it has units for it.

    PyTorch computes bf16 on any CPU; without AMX, AVX-512 BF16 or Arm's BF16 instructions it
    converts to fp32 and back, which is slower than fp32 itself.
    """
    if precision != "bf16" or device.type != "cpu":
        return None
    capabilities = torch.cpu.get_capabilities()
    if any(has for name, has in capabilities.items() if name.endswith("bf16")):
        return None
    return (
        "precision: bf16, but this processor has no bf16 units and emulates it, slower than fp32. "
        "Set precision=fp32 (in a study student.overrides.precision=fp32)"
    )


@contextmanager
def torch_settings(device: torch.device, threads: int | None) -> Iterator[None]:
    """Threads, repeatable convolutions and own random numbers; put back on leaving."""
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(threads or before[0])
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.backends.cudnn.deterministic = before[1]


def to_device(array: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """An array or tensor as a tensor on ``device``, copied without waiting."""
    tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
    if tensor.device.type != "cpu" or device.type == "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
