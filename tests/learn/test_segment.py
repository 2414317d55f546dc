from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from learn.outlines import Balls, plan_of, same, train
from learn.tiny import Clock
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.learn import standing
from semeion.learn.segment import learning_rate
from semeion.learn.segment_look import validation_dice
from semeion.learn.standing import Hooks
from semeion.plan.schema import Shortened

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The member of the plain plan, trained without a pause."""
    return train(plan_of(), tmp_path_factory.mktemp("whole"))


def test_it_learns_to_outline_two_nested_balls(whole):
    assert whole.finished
    assert whole.facts["val_dice"] > 0.75
    assert whole.facts["validation"]["step"] == [10, 20, 30]
    assert whole.facts["val_dice"] == max(whole.facts["validation"]["dice"])
    assert whole.facts["stopped"] == "all steps done"
    assert not any(parameter.dtype != torch.float32 for parameter in whole.shipped.parameters())


def test_slice_by_slice_too(tmp_path):
    plan = plan_of(dims=2, steps=80, network={"norm": "batch"})
    learned = train(plan, tmp_path)
    assert learned.facts["val_dice"] > 0.75
    assert validation_dice(learned.shipped, Balls(), [7, 8, 9], (3, 7), plan.arms[0], CPU) == pytest.approx(
        learned.facts["val_dice"], abs=1e-6
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"network": {"norm": "batch"}, "arm": {"channels_last": True}},
        {"arm": {"precision": "bfloat16"}},
        {"network": {"residual": True}},
        {"schedule": "cosine", "batch_dice": False},
    ],
)
def test_every_kind_of_network_gets_better_with_steps(changed, tmp_path):
    learned = train(plan_of(steps=30, **changed), tmp_path)
    dice = learned.facts["validation"]["dice"]
    assert dice[-1] > dice[0]
    assert learned.facts["val_dice"] > 0.3


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(whole, tmp_path):
    assert same(train(plan_of(), tmp_path / "again"), whole)
    assert not same(train(plan_of(seed=6), tmp_path / "other"), whole)


@pytest.mark.parametrize("at", [1, 13])
def test_a_stopped_member_goes_on_to_the_same_weights(at, whole, tmp_path):
    steps = []
    hooks = Hooks(stop=lambda: steps[-1] >= at, stepped=lambda step, *_: steps.append(step))
    with pytest.raises(Interrupted, match="stopped by the user"):
        train(plan_of(), tmp_path, hooks)
    assert steps == list(range(1, at + 1))
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert same(train(plan_of(), tmp_path), whole)


def two_rounds():
    plan = plan_of()
    plan.members[0] = plan.members[0].model_copy(update={"first": 10})
    return plan


def test_a_trial_ends_after_the_first_round_and_changes_nothing(tmp_path):
    rates = []
    hooks = Hooks(log=lambda line: rates.append((line["step"], line["learning_rate"])))
    through = train(two_rounds(), tmp_path / "through", hooks)
    tried = train(two_rounds(), tmp_path / "tried", trial=True)
    assert not tried.finished
    assert tried.facts["steps"] == 10
    assert tried.facts["stopped"] == "first round done"
    assert not same(tried, through)
    assert same(train(two_rounds(), tmp_path / "tried"), through)
    assert through.facts["steps"] == 30
    # Each round ends at a rate near 0, and the second begins anew.
    looked = dict(rates)
    assert looked[10] < 0.3 * looked[20]
    assert looked[30] < 0.3 * looked[20]


@pytest.mark.parametrize("at", [4, 10, 17])
def test_two_rounds_stopped_anywhere_go_on_to_the_same_weights(at, tmp_path):
    steps = []
    hooks = Hooks(stop=lambda: steps[-1] >= at, stepped=lambda step, *_: steps.append(step))
    with pytest.raises(Interrupted):
        train(two_rounds(), tmp_path / "stopped", hooks)
    assert same(train(two_rounds(), tmp_path / "stopped"), train(two_rounds(), tmp_path / "through"))


def test_steps_follow_the_time_left_and_the_executed_plan_repeats_them(tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    plan = plan_of()
    steps = []
    hooks = Hooks(allowed=lambda: max(0.0, 18.0 - len(steps)), stepped=lambda step, *_: steps.append(step))
    learned = train(plan, tmp_path / "timed", hooks)
    assert 12 <= learned.facts["steps"] <= 24
    assert learned.facts["stopped"] == "all steps done, steps changed to keep the budget"
    monkeypatch.undo()
    fixed = plan_of()
    fixed.members[0].shortened = [Shortened(**change) for change in learned.facts["shortened"]]
    assert same(train(fixed, tmp_path / "again"), learned)


def test_a_faster_machine_is_given_more_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    steps = []
    hooks = Hooks(allowed=lambda: 60.0 - len(steps), stepped=lambda step, *_: steps.append(step))
    assert train(plan_of(), tmp_path, hooks).facts["steps"] > 40


def test_a_loss_that_is_no_number_stops(tmp_path):
    store = Balls()
    for image in store.images:
        image[:] = np.nan
    with pytest.raises(TrainingFailed, match="training loss is not a finite number at step 0"):
        train(plan_of(), tmp_path, store=store)


def test_validation_cases_without_a_label_stop(tmp_path):
    store = Balls()
    for row in (7, 8, 9):
        store.masks[row][:] = 0
    with pytest.raises(TrainingFailed, match="none of the 3 validation cases that are looked at shows any label"):
        train(plan_of(), tmp_path, store=store)


def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    plan = plan_of()
    plan.training.device = "cuda"
    with pytest.raises(InputError, match="trains on a GPU and torch finds none"):
        train(plan, tmp_path)


def test_the_rate_rises_and_falls_to_nothing():
    for schedule in ("polynomial", "cosine"):
        plan = plan_of(schedule=schedule, warm_up=0.1).training
        rates = [learning_rate(phase, plan) for phase in np.linspace(0, 1, 101)]
        assert rates[0] == pytest.approx(0.05)
        assert max(rates) == rates[10] == pytest.approx(1)
        assert rates[-1] == pytest.approx(0, abs=1e-9)
        assert all(a >= b for a, b in pairwise(rates[10:]))
