"""Names in a model card are text, whatever they hold."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
import yaml

from evenface.export.card import model_card
from evenface.teachers.record import ModelRecord

HOSTILE = (
    "a\n---\n# b <script>alert(1)</script> | x | `</code><img src=x onerror=alert(1)>`"
    " [l](javascript:alert(1)) ![i](http://example.org/x.png) ```\n~~~\n&amp; _e_ **s** $m$"
)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(card: str) -> tuple[dict, Elements]:
    markdown = pytest.importorskip("markdown")
    _, front, body = card.split("---\n", 2)
    elements = Elements()
    elements.feed(markdown.markdown(body, extensions=["tables", "fenced_code"]))
    return yaml.safe_load(front), elements


def card(name: str) -> str:
    record = ModelRecord(
        name=name,
        evenface="0.1.0",
        backbone=name,
        embedding_size=8,
        parameters=1000,
        precision="fp32",
        run=name,
        weights=name,
        training={
            "images": 2,
            "num_identities": 1,
            "data_fingerprint": name,
            "teacher_fingerprint": name,
            "data": {key: {name: 2} for key in ("origins", "datasets", "licences", "groups")},
            "pruned": {"run": name, "keep": 0.5, "parameters": [2, 1]},
        },
        operating_point={
            "threshold": 0.5,
            "target_fmr": 1e-3,
            "fmr": {name: {"value": 0.1, "low": 0.0, "high": 0.2}},
            "fnmr": {name: {"value": 0.1, "low": 0.0, "high": 0.2}},
            "chosen_on": name,
            "protocol": name,
            "simulated": True,
            "notes": [name],
        },
    )
    return model_card(record, recipe=f"name: {json.dumps(name)}\nnote: |\n  ```\n  {name}")


def test_a_hostile_name_adds_nothing_to_a_card() -> None:
    front, found = parsed(card(HOSTILE))
    _, plain = parsed(card("plain"))
    assert front["model_name"] == HOSTILE
    assert found.tags == plain.tags
    assert found.attributes == plain.attributes
    assert "<script>alert(1)</script>" in found.text
