"""Quotas: how many identities or images each source gives to each stratum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evenface.data.mix.pools import ROLES, Pool, Role, Unit
from evenface.data.mix.recipe import MixRules
from evenface.data.quotas import apportion, exact
from evenface.errors import UsageError

Quotas = dict[str, dict[str, int]]
"""Stratum → source → how many."""
Split = dict[Role, int]


class InfeasibleMixError(UsageError):
    """A mix that cannot be had.

    ``nearest`` holds the changes of the rules that give the nearest one, or is empty.
    """

    def __init__(self, message: str, nearest: dict[str, float | int]) -> None:
        super().__init__(message)
        self.nearest = nearest


@dataclass(frozen=True)
class Planner:
    """Quotas for given rules.

    A stratum of size T is split between the roles by the real fraction: where the fraction counts
    what is balanced, by largest remainder (a half goes to real); where it counts the other unit,
    at the place where the share that is taken comes closest to it (of two equally close, the one
    with more real). A role's part is divided among its sources by largest remainder, in proportion
    to their weights or else to what each has in the stratum.
    """

    rules: MixRules
    pools: Sequence[Pool]
    strata: Sequence[str]

    def quotas(self) -> Quotas:
        """Raises InfeasibleMixError where a stratum lacks what it is asked for."""
        least = self._least
        most = _largest(least - 1, self._bound, self._fits)
        sizes = self._sizes(least, most)
        splits = {
            stratum: self._split(stratum, size)
            for stratum, size in zip(self.strata, sizes, strict=True)
        }
        if min(sizes) < least or not all(
            self._has(stratum, split) for stratum, split in splits.items()
        ):
            raise self._infeasible(splits, self._possible(least, most))
        total = self.rules.total
        if total is not None and self._counts_other:
            taken = self._count(sizes[0])
            if taken > total or (taken < total and sizes[0] >= most):
                raise self._infeasible(splits, self._possible(least, most))
        return {stratum: self._shared_out(stratum, splits[stratum]) for stratum in self.strata}

    # --- sizes of the strata -------------------------------------------------------------------

    def _sizes(self, least: int, most: int) -> list[int]:
        total = self.rules.total
        if total is None:
            return [max(most, least)] * len(self.strata)
        if self._counts_other:
            low = _largest(least - 1, most, lambda size: self._count(size) <= total)
            return [max(low, least)] * len(self.strata)
        return apportion(max(total, 0), [Fraction(1, len(self.strata))] * len(self.strata))

    @property
    def _counts_other(self) -> bool:
        """Whether the total counts another unit than the quotas."""
        return self.rules.total_of not in (None, self.rules.unit)

    def _count(self, size: int) -> int:
        """What the total counts, in a mix whose strata have this size."""
        other: Unit = "images" if self.rules.unit == "identities" else "identities"
        return sum(
            self._taken(stratum, self._split(stratum, size), other) for stratum in self.strata
        )

    def _taken(self, stratum: str, split: Split, unit: Unit, roles: Iterable[Role] = ROLES) -> int:
        quotas = self._shared_out(stratum, split)
        return sum(
            pool.counts(stratum, quotas[pool.name], self.rules.unit)[unit]
            for role in roles
            for pool in self._of(role)
        )

    @property
    def _bound(self) -> int:
        """No stratum can be larger."""
        return min(self._stock_of(stratum, ROLES) for stratum in self.strata)

    @property
    def _least(self) -> int:
        """The smallest size of a stratum in which every role that has a share has a member."""
        if self._crosses:
            return sum(share > 0 for share in self._shares)
        shares = self._shares
        size = math.ceil(1 / (2 * min(share for share in shares if share)))
        parts = apportion(size, shares)
        whole = all(part or not share for part, share in zip(parts, shares, strict=True))
        return size if whole else size + 1

    def _fits(self, size: int) -> bool:
        return all(self._has(stratum, self._split(stratum, size)) for stratum in self.strata)

    # --- real and synthetic --------------------------------------------------------------------

    @property
    def _shares(self) -> tuple[Fraction, Fraction]:
        real = exact(self.rules.real_fraction)
        return real, 1 - real

    @property
    def _crosses(self) -> bool:
        """Whether the fraction counts another unit than the quotas."""
        return self.rules.real_fraction_of not in (None, self.rules.unit) and all(self._shares)

    def _split(self, stratum: str, size: int) -> Split:
        """How many each role gives to a stratum, whether or not it has them."""
        if not self._crosses or size < len(ROLES):
            return dict(zip(ROLES, apportion(size, self._shares), strict=True))
        counted = self.rules.real_fraction_of
        assert counted is not None
        wanted = self._shares[0]

        def share(real: int) -> Fraction:
            split: Split = {"real": real, "synthetic": size - real}
            of_real = self._taken(stratum, split, counted, ("real",))
            return Fraction(of_real, self._taken(stratum, split, counted))

        # Only what the stock allows can be counted.
        low = max(1, size - self._capacity(stratum, "synthetic"))
        high = min(size - 1, self._capacity(stratum, "real"))
        if low > high:
            return dict(zip(ROLES, apportion(size, self._shares), strict=True))
        below = _largest(low - 1, high, lambda real: share(real) < wanted)
        near = [real for real in (below, below + 1) if low <= real <= high]
        best = min(near, key=lambda real: (abs(share(real) - wanted), -real))
        # At an end that the stock sets, the share would be met beyond it.
        if best == high < size - 1 and share(high) < wanted:
            best += 1
        elif best == low > 1 and share(low) > wanted:
            best -= 1
        return {"real": best, "synthetic": size - best}

    # --- sources of a role ---------------------------------------------------------------------

    def _of(self, role: Role) -> list[Pool]:
        return [pool for pool in self.pools if pool.source.role == role]

    def _stock_of(self, stratum: str, roles: Iterable[Role]) -> int:
        pools = (pool for role in roles for pool in self._of(role))
        return sum(pool.available(stratum, self.rules.unit) for pool in pools)

    def _capacity(self, stratum: str, role: Role) -> int:
        """The largest quota of a role that its sources can fill."""
        stock = self._stock_of(stratum, (role,))
        if all(pool.source.weight is None for pool in self._of(role)):
            return stock
        return _largest(0, stock, lambda quota: self._fills(stratum, role, quota))

    def _has(self, stratum: str, split: Split) -> bool:
        return all(self._fills(stratum, role, split[role]) for role in ROLES)

    def _fills(self, stratum: str, role: Role, quota: int) -> bool:
        pools = self._of(role)
        if not pools:
            return quota == 0
        given = self._divided(stratum, pools, quota)
        return all(
            count <= pool.available(stratum, self.rules.unit)
            for pool, count in zip(pools, given, strict=True)
        )

    def _divided(self, stratum: str, pools: Sequence[Pool], quota: int) -> list[int]:
        weights = [
            Fraction(pool.available(stratum, self.rules.unit))
            if pool.source.weight is None
            else exact(pool.source.weight)
            for pool in pools
        ]
        whole = sum(weights)
        if not whole:  # nothing there: the first source is asked, and lacks it
            return [quota] + [0] * (len(pools) - 1)
        return apportion(quota, [weight / whole for weight in weights])

    def _shared_out(self, stratum: str, split: Split) -> dict[str, int]:
        return {
            pool.name: count
            for role in ROLES
            if (pools := self._of(role))
            for pool, count in zip(pools, self._divided(stratum, pools, split[role]), strict=True)
        }

    # --- what cannot be had --------------------------------------------------------------------

    def _possible(self, least: int, most: int) -> range:
        """Totals that can be had with this real fraction."""
        if most < least:
            return range(0)
        if self._counts_other:
            return range(self._count(least), self._count(most) + 1)
        return range(least * len(self.strata), most * len(self.strata) + 1)

    def _infeasible(self, splits: dict[str, Split], possible: range) -> InfeasibleMixError:
        unit, total = self.rules.unit, self.rules.total
        asked = "a mix"
        if total is not None:
            asked = f"a mix of {total:,} {self.rules.total_of or unit}"
        lines = []
        for stratum, split in splits.items():
            needed = self._shared_out(stratum, split)
            parts = [
                f"{pool.name} {needed[pool.name]:,} of {pool.available(stratum, unit):,}"
                for pool in self.pools
            ]
            parts += [f"no {role} source" for role in ROLES if split[role] and not self._of(role)]
            lines.append(f"  {stratum}: " + ", ".join(parts))
        nearest: dict[str, float | int] = {}
        if possible:
            remedy = (
                f"With this real fraction {possible.start:,} to {possible.stop - 1:,} "
                f"{self.rules.total_of or unit} are possible: change --total (without it, as many "
                "as possible are taken) or --real-fraction"
            )
            nearest["total"] = min(max(total or 0, possible.start), possible.stop - 1)
        else:
            remedy = (
                "A group that one part lacks makes any mix impossible: add such faces, group by "
                "another attribute, or use balance none"
            )
            nearest |= self._other_fraction()
        if nearest:
            changes = ", ".join(f"{name.replace('_', ' ')} {v:,}" for name, v in nearest.items())
            remedy += f". The nearest mix: {changes}; --nearest takes it"
        return InfeasibleMixError(
            f"{asked} over {len(splits)} groups cannot be had; {unit} needed of those available:\n"
            + "\n".join(lines)
            + f"\n{remedy}",
            nearest,
        )

    def _other_fraction(self) -> dict[str, float | int]:
        """The real fraction nearest to the one asked for with which some mix can be had."""
        size = self._bound
        if not size or self._crosses:
            return {}
        stock = [{role: self._capacity(stratum, role) for role in ROLES} for stratum in self.strata]
        low = max(Fraction(max(0, size - s["synthetic"]), size) for s in stock)
        high = min(Fraction(min(size, s["real"]), size) for s in stock)
        if low > high:
            return {}
        fraction = round(float(min(max(exact(self.rules.real_fraction), low), high)), 6)
        if fraction == self.rules.real_fraction:
            return {}
        changed: dict[str, float | int] = {"real_fraction": fraction}
        other = Planner(self.rules.model_copy(update=changed), self.pools, self.strata)
        try:
            other.quotas()
        except InfeasibleMixError as error:
            return changed | error.nearest if "total" in error.nearest else {}
        return changed


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The largest number in (low, high] that fits, by bisection; ``low`` where none is found.

    ``fits`` is true up to some number and false beyond it.
    """
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
