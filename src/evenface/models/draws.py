"""Random numbers that belong to samples, so that they do not depend on who draws them.

A generator gives the n-th number to the n-th sample of a call: two processes that share a batch
would have to know each other's place in it. A number keyed by (seed, row) is the same wherever,
in whatever company and in which order it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenface.seeds import hash_bits


@dataclass(frozen=True)
class RowDraws:
    """A source of one random number for each sample of a batch.

    Attributes:
        seed: of the step.
        rows: what the samples are called, int (B,) on the host: the manifest's rows. Equal rows
            get equal numbers, so a process that holds a part of the batch gives the rows of its
            part, one that holds the gathered batch those of all.
    """

    seed: int
    rows: np.ndarray

    def normal(self) -> np.ndarray:
        """Standard normal numbers, float32 (B,): Box and Muller (1958) from hashed bits."""
        radius, angle = (_uniform(hash_bits(self.seed, self.rows, part)) for part in (0, 1))
        return (np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)).astype(np.float32)


Randomness = torch.Generator | RowDraws | None
"""Where random numbers come from; None: torch's global generator."""


def standard_normal(source: Randomness, like: Tensor) -> Tensor:
    """Standard normal numbers (B,), one for each value of ``like`` (B,), of its type and device.

    Raises:
        ValueError: the source is keyed by another number of rows.
    """
    if isinstance(source, RowDraws):
        if source.rows.shape != tuple(like.shape):
            raise ValueError(
                f"random numbers of {source.rows.shape} rows for a batch of {tuple(like.shape)}"
            )
        return torch.from_numpy(source.normal()).to(like, non_blocking=True)
    # Drawn where the generator lives, so that a CPU generator serves a GPU run.
    device = like.device if source is None else source.device
    noise = torch.randn(like.shape, generator=source, device=device, dtype=torch.float32)
    return noise.to(like)


def _uniform(bits: np.ndarray) -> np.ndarray:
    """53 of the bits as float64 in (0, 1)."""
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
