"""Pictures and pages of evaluations, asked for from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import evaluation

import evenface.evaluate
from evenface import display
from evenface.errors import DataError, UsageError
from evenface.report.drawings.svg import STAND_INS
from evenface.report.drawings.svg_file import light_colours
from evenface.report.from_python import _PICTURES

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

PEOPLE = np.repeat(np.arange(60), 4)
GROUPS = np.where(PEOPLE < 30, "north", "south")
RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.normal(size=(60, 8))[PEOPLE] + 0.4 * RNG.normal(size=(240, 8))


@pytest.fixture(scope="module")
def found() -> Any:
    models = {"a": EMBEDDINGS, "b": EMBEDDINGS + 0.3 * RNG.normal(size=EMBEDDINGS.shape)}
    return evenface.audit(models, identity=PEOPLE, groups=GROUPS, replicates=50, simulated=True)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("what", _PICTURES)
def test_pictures_are_drawn_in_the_page_s_colours(found: Any, what: str) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_hex

    ax = found["a"].plot(what)
    assert "simulated faces" in ax.get_title(loc="left")
    ax.figure.canvas.draw()
    colours = {to_hex(c) for artist in ax.findobj() if (c := _colour(artist)) is not None}
    assert not colours & set(STAND_INS)
    if what in ("roc", "distributions"):
        assert {light_colours()["--series-1"], light_colours()["--series-2"]} <= colours
        assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["north", "south"]
    given = plt.figure().add_subplot()
    assert found["a"].plot(what, ax=given) is given


def _colour(artist: Any) -> Any:
    for name in ("get_color", "get_edgecolor"):
        if hasattr(artist, name) and not hasattr(found := getattr(artist, name)(), "ndim"):
            return found
    return None


def test_the_picture_shows_the_figures(found: Any) -> None:
    evaluation = found["a"]
    point = next(p for p in evaluation.operating_points if p.key == "1e-2")
    ax = evaluation.plot("fnmr")
    drawn = sorted(float(x) for line in ax.get_lines() for x in line.get_xdata())
    best = [p for p in evaluation.operating_points if p.threshold is not None]
    point = next((p for p in best if p.key == "1e-3"), best[-1])
    assert drawn == pytest.approx(sorted(100 * e.value for e in point.fnmr.values()))


def test_an_unknown_picture_and_one_without_data_are_refused(found: Any) -> None:
    with pytest.raises(UsageError, match="no picture 'bars'; there are fnmr"):
        found["a"].plot("bars")
    core = evenface.audit(EMBEDDINGS, identity=PEOPLE, replicates=0, detail=False)
    with pytest.raises(UsageError, match="cross: No cross-table"):
        core.plot("cross")


def test_the_page_of_one_model_and_of_several(found: Any, tmp_path: Path) -> None:
    page = found["a"].report(tmp_path / "one")
    assert page == tmp_path / "one" / "report.html"
    both = found.report(tmp_path / "both").read_text("utf-8")
    assert "b minus a" in both
    assert "Simulated" in both or "simulated" in both
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError):
        found.report(tmp_path / "other")


def test_evaluations_are_drawn_by_what_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Drawer:
        def plot(self, evaluation: Any, what: str, *, ax: Any = None) -> str:
            asked.append(what)
            return "drawn"

    monkeypatch.setattr(display, "_registered", [Drawer])
    assert evaluation().plot("roc") == "drawn"
    assert asked == ["roc"]


def test_evaluating_names_no_report() -> None:
    folder = Path(evenface.evaluate.__file__).parent
    assert [f.name for f in folder.glob("*.py") if "evenface.report" in f.read_text("utf-8")] == []
