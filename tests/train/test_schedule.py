"""Learning rates against torch's own schedulers and hand-worked numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenface.train import load_recipe
from evenface.train.recipe import OptimizerRecipe, ScheduleRecipe
from evenface.train.schedule import Schedule, peak_rate


def rates(schedule, optimizer=None, *, batch_size=512, batches_per_epoch=4):
    made = Schedule(
        schedule,
        optimizer or OptimizerRecipe(lr=0.4),
        batch_size=batch_size,
        batches_per_epoch=batches_per_epoch,
    )
    return [made.rate(step) for step in range(made.steps)]


def torch_rates(make, count):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = make(optimizer)
    found = []
    for _ in range(count):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def test_steps_fall_at_the_milestones_as_torch_does():
    ours = rates(ScheduleRecipe(epochs=6, milestones=(2, 5), gamma=0.1))
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2 * 4, 5 * 4], gamma=0.1), 24
    )
    assert ours == pytest.approx(theirs)


def test_cosine_falls_as_torch_does():
    ours = rates(ScheduleRecipe(kind="cosine", steps=50))
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50), 50)
    assert ours == pytest.approx(theirs)


def test_the_polynomial_falls_from_the_end_of_the_warm_up():
    ours = rates(ScheduleRecipe(kind="polynomial", steps=50, warmup_steps=10))
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.PolynomialLR(o, total_iters=40, power=2), 40
    )
    assert ours[10:] == pytest.approx(theirs)


def test_warm_up_climbs_to_the_peak():
    ours = rates(ScheduleRecipe(kind="cosine", steps=10, warmup_steps=4))
    assert ours[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])


def test_the_paper_trains_26_epochs_from_0_025():
    recipe = load_recipe("student-paper")
    ours = rates(
        recipe.schedule, recipe.optimizer, batch_size=recipe.batch_size, batches_per_epoch=1
    )
    assert ours == pytest.approx(
        [0.025] * 7 + [0.0025] * 6 + [0.00025] * 6 + [0.000025] * 5 + [0.0000025] * 2
    )


@given(
    epochs=st.integers(1, 8),
    kind=st.sampled_from(["cosine", "step"]),
    data=st.data(),
)
def test_a_training_that_stops_early_has_the_rates_of_the_whole(epochs, kind, data):
    stop = data.draw(st.integers(1, epochs))
    milestones = (1,) if kind == "step" else ()
    whole = ScheduleRecipe(kind=kind, epochs=epochs, milestones=milestones, warmup_steps=2)
    early = whole.model_copy(update={"stop_epoch": stop})
    assert rates(early) == rates(whole)[: 4 * stop]


@pytest.mark.parametrize(
    ("length", "message"), [({"epochs": 3}, "has 3 epochs"), ({"steps": 9}, "has no epochs")]
)
def test_a_stop_lies_within_the_schedule(length, message):
    with pytest.raises(ValueError, match=f"stop_epoch 4: the schedule {message}"):
        ScheduleRecipe(stop_epoch=4, **length)


@given(batch=st.integers(2, 4096), lr=st.floats(1e-4, 1.0))
def test_rates_scale_with_the_batch_unless_absolute(batch, lr):
    assert peak_rate(OptimizerRecipe(lr=lr), batch) == pytest.approx(lr * batch / 512)
    assert peak_rate(OptimizerRecipe(lr=lr, lr_batch=None), batch) == lr


@given(
    steps=st.integers(1, 60),
    warmup=st.integers(0, 30),
    kind=st.sampled_from(["cosine", "step"]),
)
def test_rates_stay_between_nothing_and_the_peak_and_fall_after_warm_up(steps, warmup, kind):
    milestones = (3, 7) if kind == "step" else ()
    recipe = ScheduleRecipe(kind=kind, steps=steps, warmup_steps=warmup, milestones=milestones)
    ours = rates(recipe)
    assert len(ours) == steps
    assert all(0 < rate <= 0.4 * (1 + 1e-12) for rate in ours)
    after = ours[warmup:]
    assert after == sorted(after, reverse=True)
