"""Costs, and the front of accuracy against them."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated import Chance, Simulation, student

from evenface.study import model_costs
from evenface.study.answers import Arm, summarise
from evenface.study.model_costs import Cost, energy_wh, power
from evenface.study.record import Pareto

CERTAIN = Chance(0, 0, 0, 0, 0)
ACCURACY = {"real": 0.9, "synthetic": 0.8, "mix": 0.7}
COSTS = {
    "real-plain": Cost(parameters=10, macs=100, seconds=30),
    "synthetic-plain": Cost(parameters=10, macs=100, seconds=20),
    "mix-plain": Cost(parameters=10, macs=100, seconds=25),
}


def fronts(
    known: dict[str, Cost], more: tuple[tuple[Arm, float], ...] = ()
) -> list[dict[str, object]]:
    simulation = Simulation(CERTAIN, 0)
    arms = [(student(name), mean) for name, mean in ACCURACY.items()]
    grid = [*arms, *more]
    evaluations = {
        arm.id: {"groups": simulation.evaluations([mean] * 3, len(arm.seeds))} for arm, mean in grid
    }
    found = summarise([arm for arm, _ in grid], evaluations, rules=[], costs=known).pareto
    return list(found)


def test_a_dominated_model_is_not_on_the_front() -> None:
    (front,) = fronts(COSTS)
    assert front == Pareto(
        benchmark="groups",
        # "mix" is slower than "synthetic" and less accurate.
        models=("real-plain", "synthetic-plain"),
        axes=("accuracy", "parameters", "macs", "seconds"),
    )


def test_costs_that_are_not_known_of_all_students_are_left_out() -> None:
    (front,) = fronts(COSTS | {"mix-plain": Cost(parameters=10)})
    assert front.axes == (
        "accuracy",
        "parameters",
    )
    assert front.models == ("real-plain",)
    assert fronts({}) == []
    assert fronts({name: Cost() for name in COSTS}) == []


def test_a_teacher_takes_part_where_its_costs_are_known() -> None:
    teacher = (Arm("teacher-t", "teacher", "teacher", None, None, "t", ()), 0.99)
    untrained = (Arm("untrained", "untrained", "untrained", None, None, None, (0,)), 0.5)
    known = {name: Cost(parameters=cost.parameters) for name, cost in COSTS.items()}
    known |= {"teacher-t": Cost(parameters=100), "untrained": Cost(parameters=1)}
    (front,) = fronts(known, (teacher, untrained))
    assert front.models == (
        "real-plain",
        "teacher-t",
    )
    (front,) = fronts(COSTS | {"teacher-t": Cost(parameters=100)}, (teacher,))
    assert "teacher-t" not in front.models


def test_equal_models_are_all_on_the_front() -> None:
    twin = (student("real", "t"), 0.9)
    (front,) = fronts(COSTS | {"real-kd-t": COSTS["real-plain"]}, (twin,))
    assert front.models == (
        "real-plain",
        "synthetic-plain",
        "real-kd-t",
    )


@pytest.mark.parametrize(
    ("name", "size", "giga"),
    [("iresnet18", 512, 2.61), ("mobilefacenet", 512, 0.22)],
)
def test_macs_are_those_of_the_literature(name: str, size: int, giga: float) -> None:
    assert model_costs.count_macs(name, size) / 1e9 == pytest.approx(giga, rel=0.03)


def test_macs_of_an_unknown_backbone() -> None:
    with pytest.raises(ValueError, match="unknown backbone"):
        model_costs.count_macs("resnet-none", 8)


def test_energy_is_power_times_time() -> None:
    assert energy_wh(3600, 50) == 50
    assert energy_wh(None, 50) is None
    assert energy_wh(10, None) is None


def test_power_of_a_cpu_is_the_assumption() -> None:
    assert power("cpu", 2) == 20
    assert power("cpu", 2, watts_a_core=7.5) == 15
    assert power("cpu", None) is None
    assert power("mps", 2) is None


def test_power_of_a_gpu_is_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power("cuda", 2) is None
    tool.write_text('#!/bin/sh\n[ "$1" = "--id=1" ] && echo 700.00 || echo "[N/A]"\n')
    tool.chmod(0o755)
    assert power("cuda:1", None) == 700
    assert power("cuda", None) is None
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert power("cuda:1", None) is None
