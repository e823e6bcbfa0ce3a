"""What an audit says of rates: the widest interval for every group, and none for a tiny group."""

from __future__ import annotations

import pytest
from audits import evaluation

from evenface.evaluate import Evaluation
from evenface.evaluate.results import FailedPairs
from evenface.record import Estimate
from evenface.report.audit import collect_audit
from evenface.report.audit.page import verification
from evenface.report.audit.results import Audit


def _audit(found: Evaluation) -> Audit:
    return collect_audit([("first", found)])


def _with_rates(**rates: tuple[float, float, float]) -> Audit:
    """An audit whose rates of false matches at the first target are these."""
    found = evaluation()
    estimates = {
        group: Estimate(value=value, low=low, high=high)
        for group, (value, low, high) in rates.items()
    }
    points = [p.model_copy(update={"fmr": estimates}) for p in found.operating_points]
    return _audit(found.model_copy(update={"operating_points": points}))


def _said(audit: Audit) -> str:
    (piece,) = verification(audit)
    return " ".join(" ".join((a.answer, *a.more)) for a in piece.answers)


def test_every_group_prints_the_widest_interval() -> None:
    audit = _with_rates(
        african=(0.01, 0.008, 0.012), asian=(0.01, 0.001, 0.04), caucasian=(0.01, 0.009, 0.011)
    )
    assert "accepted in 1.00 % [0.10, 4.00] of cases in every group" in _said(audit)


def test_group_too_small_for_a_rate_is_declined() -> None:
    audit = _with_rates(
        african=(0.001, 0.0, 1.0), asian=(0.01, 0.001, 0.04), caucasian=(0.02, 0.009, 0.03)
    )
    said = _said(audit)
    assert "[0.00, 100.00]" not in said
    assert "most often for caucasian" in said
    assert "too few people or pairs for a rate in african" in said
    (piece,) = verification(audit)
    table = piece.operating[0]
    assert table.rows[0].cells[0].text != "0.10"
    labels = [panel.svg for panel in piece.charts["rates"].panels]
    assert "african 0.10" not in labels[0]


@pytest.mark.parametrize(("low", "high"), [(1.01, None), (1.01, 2.0), (0.5, 0.9)])
def test_interval_is_widened_to_hold_its_estimate(low: float, high: float | None) -> None:
    found = Estimate(value=1.0, low=low, high=high)
    assert found.low is not None
    assert found.low <= 1.0
    assert found.high is None or found.high >= 1.0
    assert Estimate.model_validate(found.model_dump()) == found


def test_every_interval_of_an_audit_holds_its_estimate() -> None:
    def estimates(content: object) -> list[dict[str, float]]:
        if isinstance(content, dict):
            own = [content] if {"value", "low", "high"} <= set(content) else []
            return own + [e for inner in content.values() for e in estimates(inner)]
        if isinstance(content, list):
            return [e for inner in content for e in estimates(inner)]
        return []

    found = [e for e in estimates(evaluation().model_dump()) if isinstance(e["value"], float)]
    assert len(found) > 50
    for one in found:
        assert one["low"] is None or one["low"] <= one["value"]
        assert one["high"] is None or one["value"] <= one["high"]


def test_pairs_without_a_score_are_named_on_the_first_screen() -> None:
    def failed(count: int) -> FailedPairs:
        rate = Estimate(value=count / 200, low=count / 400, high=count / 100)
        return FailedPairs(
            genuine_pairs=200,
            genuine_failed=count,
            impostor_pairs=200,
            impostor_failed=0,
            genuine_failure=rate,
            impostor_failure=Estimate(value=0.0, low=0.0, high=0.02),
        )

    pairs = {"african": failed(12), "asian": failed(1), "caucasian": failed(4)}
    found = evaluation()
    points = [
        point.model_copy(update={"gfnmr": point.fnmr, "gfmr": point.fmr})
        for point in found.operating_points
    ]
    update = {"failed_pairs": pairs, "operating_points": points}
    said = _said(_audit(found.model_copy(update=update)))
    assert "6.00 % [3.00, 12.00] of the genuine pairs of african have none" in said
    assert "and 0.50 % [0.25, 1.00] of asian" in said
    assert "GFNMR count failures" in said
    assert "have none" not in _said(_audit(evaluation()))
