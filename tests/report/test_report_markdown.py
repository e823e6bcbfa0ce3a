"""The main table as Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fabricated import one_seed

from evenface.report import markdown_table


def test_table_has_arms_groups_and_intervals(results: dict[str, Any]) -> None:
    lines = markdown_table(results).splitlines()
    assert lines[0] == "| model | african | asian | caucasian | mean | STD | SER | worst group |"
    assert lines[1] == "| :-- | --: | --: | --: | --: | --: | --: | :-- |"
    assert lines[2] == (
        "| real, without KD | 89.80 [88.90, 90.70] | 91.80 [90.90, 92.70] | 92.30 [91.40, 93.20] "
        "| 91.30 [90.70, 91.90] | 1.32 [0.82, 1.82] | 1.32 [1.02, 1.72] | african in 87 % |"
    )
    assert lines[-1] == (
        "Accuracy in %, means over 3 seeds, with 95 % intervals in brackets; STD of the sample in "
        "percentage points. held-out rendered identities (simulated faces)."
    )


def test_one_seed_and_undefined_ratio(results: dict[str, Any]) -> None:
    one_seed(results)
    overall = results["evaluations"]["real-plain"]["groups"]["overall"]
    overall["ser"] = {"value": None, "low": 2.5, "high": None, "note": "no error seen in asian"}
    text = markdown_table(results)
    assert "| ≥ 2.50 |" in text
    assert "one seed each" in text


def test_markup_is_escaped(results: dict[str, Any], tmp_path: Path) -> None:
    results["models"][0]["title"] = "a|b <b>\n& c"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    assert r"| a\|b &lt;b&gt; &amp; c |" in markdown_table(path)


def test_study_without_benchmark(results: dict[str, Any]) -> None:
    results["benchmarks"] = []
    assert markdown_table(results) == "This study has no benchmark.\n"
