"""docs/losses.md tells what there is, with the defaults that the code has."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from evenface.distill.registry import DISTILLATIONS
from evenface.models.registry import HEADS
from evenface.train.parts import ARGUMENTS
from evenface.train.samplers import list_samplers

PAGE = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()


def row_of(name):
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    return row


@pytest.mark.parametrize("factories", [HEADS, DISTILLATIONS], ids=["heads", "losses"])
def test_every_option_has_its_default_in_the_table(factories):
    for name in factories:
        row = row_of(name)
        for option, parameter in inspect.signature(factories[name]).parameters.items():
            default = parameter.default
            if option in ARGUMENTS or (name.endswith("_plus") and option in "s m angle"):
                continue
            shown = str(default).lower() if isinstance(default, bool) else default
            shown = f"{shown:g}" if isinstance(shown, int | float) else shown
            wanted = f"`{option}`" if default is parameter.empty else f"`{option}` {shown}"
            assert wanted in row, (name, wanted)


def test_weights_needs_sources_and_samplers():
    for name in DISTILLATIONS:
        loss = DISTILLATIONS[name]
        _, _, _, options, needs, source, _ = (cell.strip() for cell in row_of(name).split("|"))
        weight = options.split(";")[0].replace(",", "")
        assert float(weight) == inspect.signature(loss).parameters["weight"].default
        assert set(needs.replace("–", "").split(", ")) - {""} == set(loss.needs)
        assert source == loss.source
    for name in list_samplers():
        assert f"`{name}`:" in PAGE
