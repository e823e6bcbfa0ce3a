"""What is computed stays what it was; see loss_traces.py for how to record a wanted change."""

from __future__ import annotations

import json

import pytest
from loss_traces import CASES, RECORD, traces


def test_losses_of_six_steps_are_as_recorded(tmp_path):
    recorded = json.loads(RECORD.read_text())
    found = traces(tmp_path)
    assert list(found) == list(recorded) == list(CASES)
    for name, steps in found.items():
        for step, (values, before) in enumerate(zip(steps, recorded[name], strict=True)):
            assert values == pytest.approx(before, rel=1e-6, abs=1e-8), (name, step)
            assert values["loss"] == pytest.approx(
                sum(v for key, v in values.items() if key not in ("loss", "gradient_norm"))
            )
