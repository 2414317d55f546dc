"""Images without labels as a part of every batch: their share, their soft targets, and the same weights again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.tiny import pictures, plan_of, same, sides_of, store_of, weights
from semeion.errors import Interrupted
from semeion.learn.efficientnet_lite import pretrained
from semeion.learn.further import Further, passing
from semeion.learn.member import Learned, train_member
from semeion.learn.objective import predict_values, validation_loss
from semeion.learn.standing import Hooks
from semeion.plan.recipes import NetworkRecipe, TaughtPlan
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides

TASKS = ["binary", "multiclass", "ordinal", "multilabel", "regression"]
FEW = Sides(-1, np.arange(6), np.arange(100, 130), np.arange(130, 160))
"""Six labelled cases to learn from."""


def taught_plan(task: str = "binary", steps: int = 60, weight: float = 0.5, **training: Any) -> Plan:
    """Return a plan whose member is taught of images without labels."""
    plan = plan_of(task, steps=steps, **training)
    taught = TaughtPlan(teacher="frozen", weight=weight, images=100)
    fields = plan.model_dump(by_alias=True)
    recipe = NetworkRecipe(taught=taught, network=plan.network, training=plan.training)
    fields["recipes"] = {"taught": recipe.model_dump(), "frozen": {"kind": "frozen", "side": 32}}
    fields["members"][0]["recipe"] = "taught"
    return Plan.model_validate(fields)


def spoiled(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures, of which half of the few labels to learn from are turned round."""
    images, y = pictures(task)
    y = y.copy()
    y[:3] = 1040 - y[:3] if task == "regression" else np.nanmax(y) - y[:3]
    return images, y


def words(task: str, y: np.ndarray) -> np.ndarray:
    """Return what a teacher says that is right and not sure."""
    if task == "regression":
        return y[:, None]
    if task == "multilabel":
        return np.where(np.isnan(y), 0.5, 0.1 + 0.8 * np.nan_to_num(y))
    classes = 2 if task == "binary" else 3
    return 0.1 / classes + 0.9 * np.eye(classes)[y.astype(int)]


def learn(
    folder: Path,
    plan: Plan,
    said: np.ndarray | None = None,
    hooks: Hooks | None = None,
    labels: np.ndarray | None = None,
) -> Learned:
    task = plan.target.task
    folder.mkdir(parents=True, exist_ok=True)
    images, y = spoiled(task)
    y = y if labels is None else labels
    others, truth = pictures(task, seed=9)
    taught = next(iter(plan.taught.values()))
    said = words(task, truth) if said is None else said
    further = Further(store_of(others, folder / "others"), said, taught.share, taught.weight)
    store = store_of(images, folder / "store")
    return train_member(plan, plan.members[0], store, y, FEW, folder, hooks or Hooks(), further=further)


@pytest.mark.parametrize("task", TASKS)
def test_what_a_teacher_says_is_learned_where_labels_are_few(task: str, tmp_path: Path) -> None:
    learned = learn(tmp_path / "taught", taught_plan(task, steps=60, weight=0.9))
    alone = plan_of(task, steps=60)
    images, y = spoiled(task)
    (tmp_path / "alone").mkdir()
    store = store_of(images, tmp_path / "alone" / "store")
    other = train_member(alone, alone.members[0], store, y, FEW, tmp_path / "alone", Hooks())
    losses = [
        validation_loss(predict_values(one.shipped, store, FEW.held_out, torch.device("cpu")), y[FEW.held_out], task)
        for one in (learned, other)
    ]
    assert losses[0] < 0.8 * losses[1]
    # 8 of each batch of 16 are cases, of six.
    assert learned.facts["epochs"] == round(learned.facts["steps"] * 8 / 6, 2)


def test_doubts_are_taught_and_not_the_likeliest_class(tmp_path: Path) -> None:
    said = np.tile([0.35, 0.65], (160, 1))
    # Validation cases too say yes, so that the surest network would be the best.
    learned = learn(tmp_path, taught_plan(steps=80, weight=0.98), said, labels=np.ones(160))
    images, _ = pictures("binary")
    shown = predict_values(
        learned.shipped, store_of(images, tmp_path / "again"), np.arange(100, 160), torch.device("cpu")
    )
    assert abs(shown[:, 1].mean() - 0.65) < 0.08


def test_of_a_handful_of_validation_cases_the_last_weights_are_taken(tmp_path: Path) -> None:
    # Labels of validation cases are wrong, so that they grow less and less content.
    wrong = spoiled("binary")[1].copy()
    wrong[FEW.validate] = 1 - wrong[FEW.validate]
    plan = taught_plan(steps=60, weight=0.9, patience=1)
    stopped = learn(tmp_path / "best", plan, labels=wrong)
    assert stopped.facts["best_step"] < 60
    plan.taught["taught"].last = True
    learned = learn(tmp_path / "last", plan, labels=wrong)
    assert (learned.facts["best_step"], learned.facts["steps"]) == (60, 60)
    assert learned.facts["stopped"] == "all steps done"


def test_the_same_plan_gives_the_same_weights_stopped_midway_or_not(tmp_path: Path) -> None:
    plan = taught_plan(steps=20, mixup=0.5)
    whole = learn(tmp_path / "whole", plan)
    assert same(whole, learn(tmp_path / "again", taught_plan(steps=20, mixup=0.5)))
    steps = iter(range(100))
    with pytest.raises(Interrupted):
        learn(tmp_path / "stopped", plan, hooks=Hooks(stop=lambda: next(steps) == 6))
    assert same(whole, learn(tmp_path / "stopped", plan))
    others = learn(tmp_path / "others", plan, np.tile([0.5, 0.5], (160, 1)))
    assert not torch.equal(weights(whole)["network.head.weight"], weights(others)["network.head.weight"])


@pytest.mark.parametrize(("share", "cases"), [(0.5, 8), (0.75, 4), (0.01, 15), (0.99, 1)])
def test_every_batch_has_its_share_of_images_without_labels(share: float, cases: int, tmp_path: Path) -> None:
    mine = store_of(np.full((6, 1, 4, 4), 1, np.uint8), tmp_path / "mine")
    others = store_of(
        np.arange(10, 40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8), tmp_path / "o"
    )
    said = np.linspace(0, 1, 30)[:, None] * [1, -1] + [0, 1]
    further = Further(others, said, share)
    lesson = np.column_stack([np.full(6, 3.0), np.eye(2)[[0, 1] * 3]])
    batches = further.batches(mine, lesson, np.arange(6), 16, 5, 0)
    seen: list[int] = []
    for _, (pixels, rows) in zip(range(30), batches, strict=False):
        values = pixels[:, 0, 0, 0]
        assert (values[:cases] == 1).all() and (values[cases:] >= 10).all() and len(values) == 16
        assert (rows[:cases, 0] == 3).all() and (rows[cases:, 0] == 1).all()
        np.testing.assert_allclose(rows[cases:, 1:], said[values[cases:].astype(int) - 10])
        seen += values[cases:].tolist()
    batches.close()
    assert sorted(set(seen[:30])) == list(range(10, 40)), "every image comes once before one comes again"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), st.integers(0, 200), st.integers(1, 40), st.integers(1, 40))
def test_passing_goes_on_where_it_was(n: int, start: int, first: int, second: int) -> None:
    rows = np.arange(n) * 3
    whole = passing(rows, [1, 2], start, first + second)
    parts = [passing(rows, [1, 2], start, first), passing(rows, [1, 2], start + first, second)]
    assert whole.tolist() == np.concatenate(parts).tolist()
    assert sorted(passing(rows, [1, 2], 2 * n, n)) == rows.tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 4096), st.floats(0.01, 0.99))
def test_a_batch_always_has_both(batch: int, share: float) -> None:
    further = Further(None, np.zeros((0, 2)), share)  # type: ignore[arg-type]
    assert 1 <= further.cases_of(batch) < batch
    assert abs(further.cases_of(batch) - (1 - share) * batch) <= 1


def test_the_loss_is_a_weighted_mean_of_both_parts() -> None:
    further = Further(None, np.zeros((0, 2)), 0.5, 0.25)  # type: ignore[arg-type]
    cases = np.array([True, False, False])
    value = further.loss(lambda part, known: torch.tensor(10.0 * part.sum() + known), cases)
    assert value.item() == pytest.approx(0.75 * 11 + 0.25 * 20)


def test_a_recipe_and_its_images_belong_together(tmp_path: Path) -> None:
    images, y = pictures("binary")
    store = store_of(images, tmp_path / "store")
    plan = taught_plan()
    with pytest.raises(ValueError, match="taught of images without labels"):
        train_member(plan, plan.members[0], store, y, sides_of(), tmp_path, Hooks())


def test_a_pretrained_network_keeps_its_stages_beside_images_without_labels(tmp_path: Path) -> None:
    plan = taught_plan(steps=6)
    fields = plan.model_dump(by_alias=True)
    fields["recipes"]["taught"]["network"] = {"kind": "pretrained", "side": 32, "kept": 6}
    learned = learn(tmp_path, Plan.model_validate(fields))
    shipped, first = learned.shipped.network.encoders[0].network, pretrained("lite0")
    stages = zip(shipped.stages(), first.stages(), strict=True)
    changed = [
        any(not torch.equal(own, was) for own, was in zip(ours.parameters(), theirs.parameters(), strict=True))
        for (_, ours), (_, theirs) in stages
    ]
    assert changed == [False] * 6 + [True] * 3
