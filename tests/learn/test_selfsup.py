"""What a body learns from images alone."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learn.tiny import pictures, plan_of, sides_of, store_of
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.learn import selfsup, standing
from semeion.learn.bodies import bodies_of, body_tensors, start_from
from semeion.learn.checkpoint import save_tensors
from semeion.learn.member import train_member
from semeion.learn.network3d import make_network
from semeion.learn.selfsup import contrast, pretrain
from semeion.learn.standing import Hooks
from semeion.plan.recipes import NetworkPlan
from semeion.plan.schema import Plan, PretrainingPlan
from semeion.prepare.store import Store

NETWORK = NetworkPlan(widths=[4, 8])


def settings(steps: int = 20, **changes: Any) -> PretrainingPlan:
    return PretrainingPlan(images=160, steps=steps, batch=16, seed=3, **changes)


def learn(folder: Path, plan: PretrainingPlan | None = None, hooks: Hooks | None = None) -> Any:
    folder.mkdir(exist_ok=True)
    store = store_of(pictures("binary")[0], folder / "store")
    return pretrain(plan or settings(), NETWORK, plan_of().training, store, folder, hooks or Hooks())


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return learn(tmp_path_factory.mktemp("whole"))


def test_the_loss_is_that_of_the_paper() -> None:
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)))
    unit = (z / z.norm(dim=1, keepdim=True)).numpy()
    terms = []
    for i in range(6):
        j = (i + 3) % 6
        others = sum(math.exp(unit[i] @ unit[k] / 0.5) for k in range(6) if k != i)
        terms.append(-math.log(math.exp(unit[i] @ unit[j] / 0.5) / others))
    assert float(contrast(z, 0.5)) == pytest.approx(np.mean(terms))


def test_the_loss_by_chance_and_when_all_is_known() -> None:
    assert float(contrast(torch.ones(10, 3), 0.2)) == pytest.approx(math.log(9))
    apart = torch.eye(5).repeat(2, 1)
    assert float(contrast(apart, 0.05)) < 1e-6


def test_images_are_told_apart_better_than_by_chance(whole: Any) -> None:
    _, facts = whole
    assert facts["loss"] < 0.95 * facts["chance"] == pytest.approx(0.95 * math.log(31))
    assert (facts["steps"], facts["images"], facts["batch"], facts["epochs"]) == (20, 160, 16, 2.0)
    assert facts["shortened"] == []


def test_it_is_a_pure_function_of_its_plan(whole: Any, tmp_path: Path) -> None:
    assert equal(learn(tmp_path)[0], whole[0])
    assert not equal(learn(tmp_path, settings().model_copy(update={"seed": 4}))[0], whole[0])


def test_interrupted_and_continued_it_has_the_same_weights(whole: Any, tmp_path: Path) -> None:
    asked = iter([False] * 6 + [True])
    with pytest.raises(Interrupted):
        learn(tmp_path, hooks=Hooks(stop=lambda: next(asked)))
    assert (tmp_path / "checkpoint.safetensors").exists()
    tensors, facts = learn(tmp_path)
    assert equal(tensors, whole[0])
    assert facts["loss"] == whole[1]["loss"]


def test_a_slow_machine_shortens_and_the_plan_as_executed_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_SECONDS", 0.0)
    plan = settings(40)
    tensors, facts = learn(tmp_path / "slow", plan, Hooks(allowed=lambda: 0.0))
    assert facts["steps"] < 40
    assert [change.model_dump() for change in plan.shortened] == facts["shortened"] != []
    again, repeated = learn(tmp_path / "again", plan)
    assert equal(again, tensors)
    assert repeated["steps"] == facts["steps"]


def test_one_image_cannot_be_told_from_others(tmp_path: Path) -> None:
    store = store_of(np.zeros((1, 1, 12, 12), np.uint8), tmp_path)
    with pytest.raises(InputError, match="1 images are too few to be told apart"):
        pretrain(settings(), NETWORK, plan_of().training, store, tmp_path, Hooks())


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfsup, "contrast", lambda z, t: z.sum() * math.nan)
    with pytest.raises(TrainingFailed, match=r"not a finite number at step 0; lower pretraining\.learning_rate"):
        learn(tmp_path)


@pytest.mark.parametrize(
    ("kind", "shape", "groups"),
    [
        ("residual", (1, 12, 12), 1),
        ("residual", (2, 12, 12), 2),
        ("slices", (1, 4, 12, 12), 1),
        ("residual3d", (1, 8, 12, 12), 1),
    ],
)
def test_every_kind_of_body_learns_and_is_handed_over(
    kind: Any, shape: tuple[int, ...], groups: int, tmp_path: Path
) -> None:
    network = NetworkPlan(kind=kind, widths=[4, 8])
    pixels = np.random.default_rng(0).integers(0, 256, (9, shape[0] // groups, *shape[1:]), dtype=np.uint8)
    store = store_of(pixels, tmp_path / "store")
    tensors, _ = pretrain(settings(2), network, plan_of().training, store, tmp_path, Hooks())
    save_tensors(tmp_path / "body.safetensors", tensors, {})
    whole = make_network(network, shape, groups, "binary", 2)
    before = copy.deepcopy(whole.state_dict())
    start_from(whole, tmp_path / "body.safetensors")
    assert equal(body_tensors(whole), tensors)
    inside = {name for name in before if "body." in name}
    changed = {name for name, value in whole.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= inside
    assert any("conv1.weight" in name for name in changed)
    whole.eval()
    assert whole(torch.zeros(2, *shape)).shape == (2, 2)


@pytest.mark.parametrize(
    ("network", "stored", "seen"),
    [
        (NetworkPlan(widths=[4], side=12), (20, 24), (1, 8, 12)),
        (NetworkPlan(kind="slices", widths=[4], side=12, depth=3), (5, 20, 24), (1, 8, 12)),
        (NetworkPlan(kind="residual3d", widths=[4], side=12, depth=3), (5, 20, 24), (1, 3, 8, 12)),
    ],
)
def test_images_that_are_stored_larger_are_seen_as_the_network_will(
    network: NetworkPlan, stored: Any, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    monkeypatch.setattr(selfsup.augment, "apply", lambda images, drawn: (shapes.append(images.shape[1:]), images)[1])
    pixels = np.random.default_rng(0).integers(0, 256, (9, 1, *stored), dtype=np.uint8)
    pretrain(settings(1), network, plan_of().training, store_of(pixels, tmp_path / "store"), tmp_path, Hooks())
    assert set(shapes) == {seen}


def test_views_with_encoders_of_their_own_all_begin_alike(tmp_path: Path) -> None:
    network = NetworkPlan(widths=[4], shared=False)
    whole = make_network(network, (2, 12, 12), 2, "binary", 2)
    first = make_network(network, (2, 12, 12), 2, "binary", 2)
    save_tensors(tmp_path / "body.safetensors", body_tensors(first), {})
    start_from(whole, tmp_path / "body.safetensors")
    bodies = bodies_of(whole)
    assert len(bodies) == 2
    assert equal(bodies[0].state_dict(), bodies[1].state_dict())


def test_weights_of_another_network_are_refused(whole: Any, tmp_path: Path) -> None:
    save_tensors(tmp_path / "body.safetensors", whole[0], {})
    other = make_network(NetworkPlan(widths=[4, 9]), (1, 12, 12), 1, "binary", 2)
    with pytest.raises(InputError, match="of another network than the plan's; pretrain again"):
        start_from(other, tmp_path / "body.safetensors")


def started(steps: int) -> Plan:
    fields = plan_of(steps=steps).model_dump(by_alias=True)
    fields["recipes"] = {
        "pretraining": {
            "kind": "network",
            "start": "pretraining",
            "network": NETWORK.model_dump(),
            "training": {**fields["training"], "learning_rate": 1e-9, "weight_decay": 0.0},
        }
    }
    fields["members"][0]["recipe"] = "pretraining"
    fields["pretraining"] = settings().model_dump()
    return Plan.model_validate(fields)


def test_a_member_begins_with_the_weights_and_only_where_its_recipe_says_so(whole: Any, tmp_path: Path) -> None:
    images, y = pictures("binary")
    store: Store = store_of(images, tmp_path / "store")
    save_tensors(tmp_path / "body.safetensors", whole[0], {})
    file = tmp_path / "body.safetensors"
    plan = started(1)
    # A rate of nearly nothing keeps what it began with.
    learned = train_member(plan, plan.members[0], store, y, sides_of(), tmp_path, Hooks(), file)
    weights = {k: v for k, v in body_tensors(learned.shipped.network).items() if k.endswith("weight")}
    assert all(torch.allclose(weights[name], whole[0][name], atol=1e-6) for name in weights)
    own = plan_of(steps=1, learning_rate=1e-9, weight_decay=0.0)
    random = train_member(own, own.members[0], store, y, sides_of(), tmp_path / "own", Hooks(), file)
    assert not torch.allclose(body_tensors(random.shipped.network)["0.weight"], whole[0]["0.weight"], atol=1e-3)
    with pytest.raises(ValueError, match="starts from pretraining, and no weights were given"):
        train_member(plan, plan.members[0], store, y, sides_of(), tmp_path / "none", Hooks())
