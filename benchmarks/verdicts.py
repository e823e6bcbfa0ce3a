"""How often a study's rules decide where there is no effect.

python benchmarks/verdicts.py [--studies 2000] [--minutes 30] [--out verdicts.json]

The scenarios are those of ``tests/study/test_verdicts_simulated.py``: each rule is put where
erring is most likely, the effect that it asks about absent or exactly at the margin. Three kinds of
chance: in people alone, in people and training alike, nearly in training alone. Arms have three
training seeds and three groups of 60 people. What a verdict may err at is its nominal rate: 2.5 %
on either side, 5 % where a rule tests one-sided at 5 %.

Counts are written to --out, ten studies of each scenario in turn, and are not done again. At last
a table is printed: the rates in % of "supported" and "not supported", the nominal ones, and in bold
what exceeds its nominal rate by more than chance (binomial, one-sided 1 %, Bonferroni over the
table). In brackets: a verdict that would be right.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from scipy import stats

from evenface.files import write_json

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "study")]

from test_verdicts_simulated import (  # type: ignore[import-not-found]  # noqa: E402
    REGIMES,
    SCENARIOS,
    rates,
)

BATCH = 10
VERDICTS = ("supported", "not supported")
_NAMES = {scenario.__name__: scenario for scenario in SCENARIOS}


def simulate(path: Path, studies: int, minutes: float) -> dict[str, dict[str, int]]:
    """Counts of verdicts by "<chance> <scenario>", with "studies"."""
    found: dict[str, dict[str, int]] = json.loads(path.read_text()) if path.exists() else {}
    start = time.monotonic()
    for first in range(0, studies, BATCH):
        for regime, chance in REGIMES.items():
            for name, scenario in _NAMES.items():
                counts = found.setdefault(f"{regime} {name}", {"studies": 0})
                if counts["studies"] > first:
                    continue
                if time.monotonic() - start > 60 * minutes:
                    return found
                more = Counter(counts)
                more.update(rates(scenario, chance, range(first, first + BATCH)))
                more["studies"] += BATCH
                found[f"{regime} {name}"] = dict(more)
        write_json(path, found)
    return found


def table(found: dict[str, dict[str, int]]) -> str:
    """Rates by scenario and kind of chance, as Markdown."""
    lines = [
        f"| scenario | nominal | {' | '.join(REGIMES)} | studies |",
        "|---|---|" + "---|" * (len(REGIMES) + 1),
    ]
    tests = len(VERDICTS) * len(REGIMES) * len(SCENARIOS)
    for name, scenario in _NAMES.items():
        nominal = SCENARIOS[scenario]
        row = []
        studies = [found.get(f"{regime} {name}", {}).get("studies", 0) for regime in REGIMES]
        for regime, n in zip(REGIMES, studies, strict=True):
            cells = []
            for verdict, most in zip(VERDICTS, nominal, strict=True):
                count = found.get(f"{regime} {name}", {}).get(verdict, 0)
                cell = f"{100 * count / n:.1f}" if n else "–"
                if most is not None and n and stats.binom.sf(count - 1, n, most) < 0.01 / tests:
                    cell = f"**{cell}**"
                cells.append(cell if most is not None else f"({cell})")
            row.append(" / ".join(cells))
        rate = " / ".join("–" if most is None else f"{100 * most:g}" for most in nominal)
        lines.append(f"| {name} | {rate} | {' | '.join(row)} | {min(studies):,} |")
    return "\n".join(lines)


def main() -> None:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after so many")
    parser.add_argument("--out", type=Path, default=Path("verdicts.json"))
    arguments = parser.parse_args()
    print(table(simulate(arguments.out, arguments.studies, arguments.minutes)))


if __name__ == "__main__":
    main()
