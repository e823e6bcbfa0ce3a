"""What may be declared of a study's claims beforehand. Importing this needs neither torch nor
faces."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ClaimSettings(BaseModel):
    """Numbers that the rules of the claims use; declared before results are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float = Field(default=0.01, gt=0, lt=1)
    """Loss of mean accuracy, as a fraction, below which a mix counts as equal to real faces."""
    epsilon: float = Field(default=0.01, gt=0, lt=1)
    """Loss of worst-group accuracy, as a fraction, that a smaller real fraction may cost."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """Coverage of intervals, which the evaluations must have; α of the tests is 1 − level."""
    seeds: int = Field(default=3, ge=3)
    """Training seeds below which every verdict is undecided."""
