"""What stored records are made of: a strict base, and a number with its interval."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """Strict and immutable; NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Record):
    """A number with its interval: Wilson's for rates, else percentiles of the bootstrap.

    An interval that misses its number is widened to it: resamples of a ratio of extremes are biased
    upwards, so all of their percentiles may be above it.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str | None = None
    """Why there is no number or bound, or what else to know."""

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Self:
        if self.value is not None:
            for name, outer in (("low", min), ("high", max)):
                bound = getattr(self, name)
                if bound is not None:
                    object.__setattr__(self, name, outer(bound, self.value))
        return self

    @property
    def plain(self) -> Estimate:
        """The number with its interval alone."""
        return Estimate(value=self.value, low=self.low, high=self.high)
