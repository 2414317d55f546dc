from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from learn import tiny
from learn.tiny import Clock, pictures, plan_of, same, sides_of, store_of, train
from semeion.errors import Interrupted, TrainingFailed
from semeion.learn import member as module
from semeion.learn import standing
from semeion.learn.checkpoint import load_tensors
from semeion.learn.member import average, train_member
from semeion.learn.objective import predict_values
from semeion.learn.stages import learning_rate
from semeion.learn.standing import Hooks
from semeion.plan.splits import Sides

CPU = torch.device("cpu")


class Recorder:
    """Keeps what a member says, and asks it to stop after some steps."""

    def __init__(self, stop_after=None):
        self.steps, self.lines, self.stop_after = [], [], stop_after

    def hooks(self, **named):
        return Hooks(
            stop=lambda: self.stop_after is not None and self.steps[-1][0] >= self.stop_after,
            stepped=lambda *told: self.steps.append(told),
            log=self.lines.append,
            **named,
        )


def held_out(learned, task, folder):
    """Return predictions and the reference standard of the cases that a member never saw."""
    rows = sides_of().held_out
    return predict_values(learned.shipped, store_of(pictures(task)[0], folder / "again"), rows, CPU), pictures(task)[1][
        rows
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The member of the plain plan, trained without a pause."""
    torch.set_num_threads(1)
    return train(plan_of(), tmp_path_factory.mktemp("whole"))


# It learns


def test_a_binary_finding(whole, tmp_path):
    p, y = held_out(whole, "binary", tmp_path)
    assert p.shape == (30, 2)
    assert np.allclose(p.sum(1), 1)
    assert roc_auc_score(y, p[:, 1]) > 0.9


def test_bfloat16_learns_too_and_ships_float32(tmp_path):
    learned = train(plan_of(precision="bfloat16"), tmp_path)
    p, y = held_out(learned, "binary", tmp_path)
    assert roc_auc_score(y, p[:, 1]) > 0.9
    assert {tensor.dtype for tensor in learned.shipped.state_dict().values()} == {torch.float32, torch.int64}


def test_several_classes(tmp_path):
    p, y = held_out(train(plan_of("multiclass"), tmp_path), "multiclass", tmp_path)
    assert (p.argmax(1) == y).mean() > 0.8


def test_several_labels_some_of_them_unknown(tmp_path):
    p, y = held_out(train(plan_of("multilabel", class_weights=[1.0, 1.5]), tmp_path), "multilabel", tmp_path)
    for label in (0, 1):
        known = ~np.isnan(y[:, label])
        assert roc_auc_score(y[known, label], p[known, label]) > 0.9


def test_grades(tmp_path):
    p, y = held_out(train(plan_of("ordinal", steps=100), tmp_path), "ordinal", tmp_path)
    assert np.allclose(p.sum(1), 1)
    assert np.corrcoef(p @ np.arange(3), y)[0, 1] > 0.8


def test_a_measured_value_in_its_own_unit(tmp_path):
    p, y = held_out(train(plan_of("regression", steps=100), tmp_path), "regression", tmp_path)
    assert np.abs(p[:, 0] - y).mean() < 0.6 * np.abs(y - y.mean()).mean()


def test_noise_teaches_nothing(tmp_path):
    images, _ = pictures("binary")
    y = np.random.default_rng(3).integers(0, 2, len(images)).astype(float)
    store = store_of(images, tmp_path / "store")
    plan = plan_of(steps=40)
    learned = train_member(plan, plan.members[0], store, y, sides_of(), tmp_path, Hooks())
    rows = np.arange(100, 160)
    p = predict_values(learned.shipped, store, rows, CPU)
    assert 0.2 < roc_auc_score(y[rows], p[:, 1]) < 0.8


# What it says


def test_it_says_how_it_went(tmp_path):
    recorder = Recorder()
    learned = train(plan_of(steps=30), tmp_path, recorder.hooks())
    facts = learned.facts
    assert [step for step, _, _ in recorder.steps] == list(range(1, 31))
    assert {total for _, total, _ in recorder.steps} == {30}
    assert math.isnan(recorder.steps[0][2])
    assert recorder.steps[-1][2] == pytest.approx(np.mean(facts["validation"]["loss"][-3:]))
    assert facts["validation"]["step"] == [5, 10, 15, 20, 25, 30]
    assert [line["step"] for line in recorder.lines] == facts["validation"]["step"]
    assert [line["validation_loss"] for line in recorder.lines] == facts["validation"]["loss"]
    assert {key: facts[key] for key in ("name", "fold", "seed", "steps", "epochs", "stopped", "shortened")} == {
        "name": "seed0",
        "fold": -1,
        "seed": 5,
        "steps": 30,
        "epochs": 5.0,
        "stopped": "all steps done",
        "shortened": [],
    }
    assert facts["best_step"] in facts["validation"]["step"]
    assert 0 <= facts["waited_share"] <= 1
    assert facts["scales"]["mean"][0] == pytest.approx(120, abs=30)
    assert not learned.shipped.training


def test_what_ships_is_the_best_and_not_the_last(tmp_path, monkeypatch):
    # Validation says that it gets worse after the second look: the weights of then are the ones of a shorter look.
    told = iter([0.5, 0.4, 9.0, 9.0, 9.0, 9.0])
    seen = []
    real = module._Loop._evaluate

    def evaluate(self):
        real(self)
        seen.append({name: value.clone() for name, value in self.averaged.named_parameters()})

    monkeypatch.setattr(module, "validation_loss", lambda *_: next(told))
    monkeypatch.setattr(module._Loop, "_evaluate", evaluate)
    learned = train(plan_of(steps=12, patience=20), tmp_path)
    assert learned.facts["best_step"] == 4
    assert learned.facts["val_loss"] == pytest.approx(0.45)
    shipped = learned.shipped.network.state_dict()
    assert all(torch.equal(shipped[name], value) for name, value in seen[1].items())


def test_it_stops_when_validation_stops_improving(tmp_path, monkeypatch):
    told = iter([0.5, 0.4, *[9.0] * 20])
    monkeypatch.setattr(module, "validation_loss", lambda *_: next(told))
    facts = train(plan_of(steps=40, evaluations=20, patience=3), tmp_path).facts
    assert facts["stopped"] == "validation stopped improving"
    # Never before half of the schedule is over, although patience ended long before.
    assert facts["steps"] in (20, 22)
    assert facts["best_step"] == 4


# The same plan, the same weights


def test_it_is_a_pure_function_of_its_plan(whole, tmp_path):
    assert same(whole, train(plan_of(), tmp_path / "again"))
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global generator must not matter
    assert same(whole, train(plan_of(), tmp_path / "once more"))


def test_another_seed_is_another_member(whole, tmp_path):
    assert not same(whole, train(plan_of(seed=6), tmp_path))


@pytest.mark.parametrize("stops", [[1], [10], [59], [7, 8, 33]])
def test_interrupted_and_continued_it_has_the_same_weights(whole, tmp_path, stops):
    for stop in stops:
        with pytest.raises(Interrupted, match="stopped by the user; continue with `semeion resume`"):
            train(plan_of(), tmp_path, Recorder(stop).hooks())
        assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == stop
    recorder = Recorder()
    learned = train(plan_of(), tmp_path, recorder.hooks())
    assert recorder.steps[0][0] == stops[-1] + 1
    assert same(whole, learned)
    for key in ("steps", "val_loss", "best_step", "validation", "stopped"):
        assert learned.facts[key] == whole.facts[key]


@pytest.mark.parametrize("training", [{"precision": "bfloat16"}, {"channels_last": False}])
def test_interrupted_with_other_settings(tmp_path, training):
    plan = plan_of(steps=20, **training)
    with pytest.raises(Interrupted):
        train(plan, tmp_path / "a", Recorder(9).hooks())
    assert same(train(plan, tmp_path / "a"), train(plan, tmp_path / "b"))


def test_killed_in_the_middle_of_a_checkpoint_it_continues_to_the_same_weights(whole, tmp_path):
    command = [sys.executable, tiny.__file__, str(tmp_path), "11"]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 11
    recorder = Recorder()
    learned = train(plan_of(), tmp_path, recorder.hooks())
    assert recorder.steps[0][0] == 12
    assert same(whole, learned)


def test_a_checkpoint_is_kept_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    monkeypatch.setattr(standing, "CHECKPOINT_SECONDS", 10.0)
    saved = []
    real = module._Loop._save
    monkeypatch.setattr(module._Loop, "_save", lambda self: (saved.append(self.at.step), real(self))[1])
    train(plan_of(steps=30), tmp_path)
    # One look a step at a clock that goes a second a look: every eleventh step is more than ten seconds later.
    assert saved == [11, 22]


# Budget


def test_a_slow_machine_shortens_and_the_plan_as_executed_repeats_it(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    plan = plan_of()
    began = []

    def allowed():
        began.append(standing.perf_counter.now)
        return 35.0 - standing.perf_counter.now

    learned = train(plan, tmp_path / "slow", Hooks(allowed=allowed))
    facts = learned.facts
    assert began
    assert facts["steps"] < 60
    assert facts["shortened"]
    assert facts["shortened"][-1]["to"] == facts["steps"]
    assert facts["stopped"] == "all steps done, shortened to keep the budget"
    # One look a step: about 35 steps fit into 35 seconds.
    assert 25 <= facts["steps"] <= 36
    # The schedule comes to its end all the same: the last rate is near to nothing.
    assert [c.model_dump() for c in plan.members[0].shortened][-len(facts["shortened"]) :] == facts["shortened"]
    monkeypatch.undo()
    repeated = plan_of()
    repeated.members[0].shortened = [type(plan.members[0].shortened[0])(**change) for change in facts["shortened"]]
    again = train(repeated, tmp_path / "again")
    assert same(learned, again)
    assert again.facts["shortened"] == facts["shortened"]
    assert not same(learned, whole)


def test_the_rate_comes_to_its_end_when_shortened(tmp_path):
    from semeion.plan.schema import Shortened

    plan, recorder = plan_of(steps=40, evaluations=40, patience=100), Recorder()
    plan.members[0].shortened = [Shortened(at=10, to=25)]
    train(plan, tmp_path, recorder.hooks())
    rates = [line["learning_rate"] for line in recorder.lines]
    assert len(rates) == 25
    assert rates[9] == pytest.approx(0.01 * learning_rate(9 / 40))
    assert max(rates) > 0.0095
    assert rates[-1] < 0.02 * max(rates)


def test_interrupted_after_it_was_shortened(tmp_path, monkeypatch):
    from semeion.plan.schema import Shortened

    def plan():
        made = plan_of(steps=40)
        made.members[0].shortened = [Shortened(at=6, to=20)]
        return made

    with pytest.raises(Interrupted):
        train(plan(), tmp_path / "a", Recorder(9).hooks())
    # The run's own plan does not know of it yet; the checkpoint does.
    learned = train(plan_of(steps=40), tmp_path / "a")
    assert learned.facts["steps"] == 20
    assert learned.facts["shortened"] == [{"at": 6, "to": 20}]
    assert same(learned, train(plan(), tmp_path / "b"))


def test_with_time_enough_nothing_is_shortened(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    learned = train(plan_of(), tmp_path, Hooks(allowed=lambda: 1e6))
    assert learned.facts["shortened"] == []
    assert same(learned, whole)


def test_no_time_at_all_ends_it_after_the_first_look(tmp_path, monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    facts = train(plan_of(), tmp_path, Hooks(allowed=lambda: 0.0)).facts
    # The clock goes a second a step, and the pace is looked at after LOOK_SECONDS.
    assert 1 <= facts["steps"] <= standing.LOOK_SECONDS + 2
    assert facts["validation"]["step"] == [facts["steps"]]


# What goes wrong


def test_a_loss_that_is_no_number_is_a_clear_error(tmp_path):
    with pytest.raises(TrainingFailed) as caught:
        train(plan_of(learning_rate=1.0, weight_decay=1e30), tmp_path)
    assert caught.value.what.startswith("the training loss is not a finite number at step ")
    assert caught.value.where == "member seed0"
    assert caught.value.fix == "lower training.learning_rate in the plan"


def test_an_error_in_reading_ends_the_training(tmp_path):
    images, y = pictures("binary")
    store = store_of(images, tmp_path / "store")
    recorder = Recorder()

    def log(_line):
        (tmp_path / "store" / "shard-0001.bin").unlink(missing_ok=True)

    with pytest.raises(FileNotFoundError, match="shard-0001"):
        plan = plan_of()
        train_member(
            plan, plan.members[0], store, y, sides_of(), tmp_path, Hooks(log=log, stepped=recorder.hooks().stepped)
        )


def test_validation_without_a_known_label_is_a_clear_error(tmp_path):
    images, y = pictures("multilabel")
    y[sides_of().validate] = np.nan
    store, plan = store_of(images, tmp_path / "store"), plan_of("multilabel")
    with pytest.raises(TrainingFailed) as caught:
        train_member(plan, plan.members[0], store, y, sides_of(), tmp_path, Hooks())
    assert caught.value.what == "the validation loss is not a finite number at step 10"
    assert caught.value.where == "member seed0"
    assert (
        caught.value.fix == "see that validation cases have known labels, or lower training.learning_rate in the plan"
    )


def test_fewer_cases_than_a_batch(tmp_path):
    images, y = pictures("binary")
    store, plan = store_of(images, tmp_path / "store"), plan_of(steps=4)
    rows = np.arange(20)
    learned = train_member(plan, plan.members[0], store, y, Sides(0, rows[:5], rows[5:9], rows[9:]), tmp_path, Hooks())
    assert learned.facts["epochs"] == 4


# Pieces


def test_averaging_is_a_moving_average_that_starts_fast():
    kept, new = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        kept.weight.fill_(0.0)
        new.weight.fill_(1.0)
        new.num_batches_tracked.fill_(9)
    average(kept, new, 0.99, 1)
    assert kept.weight.tolist() == pytest.approx([1 - 2 / 11] * 2)
    assert int(kept.num_batches_tracked) == 9
    with torch.no_grad():
        kept.weight.fill_(0.0)
    average(kept, new, 0.99, 10_000)
    assert kept.weight.tolist() == pytest.approx([0.01] * 2)


def test_predictions_come_in_the_order_of_the_rows(whole, tmp_path):
    store = store_of(pictures("binary")[0], tmp_path)
    rows = np.arange(159, -1, -1)
    p = predict_values(whole.shipped, store, rows, CPU)
    assert p.shape == (160, 2)
    assert p.dtype == np.float64
    assert np.allclose(p[::-1], predict_values(whole.shipped, store, np.arange(160), CPU), atol=1e-6)


def test_nothing_is_left_of_a_killed_write(tmp_path):
    # A part of a checkpoint that a killed process left behind goes when the member is trained again.
    (tmp_path / ".checkpoint.safetensors.abc.part").write_bytes(b"half")
    train(plan_of(steps=2), tmp_path)
    assert not list(Path(tmp_path).glob(".*.part"))
