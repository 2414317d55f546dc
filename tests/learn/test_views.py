from __future__ import annotations

import numpy as np
import pytest
import torch

from learn.tiny import SIDE, pictures, plan_of, same, sides_of, store_of, train
from semeion.errors import InputError, Interrupted
from semeion.learn import views as module
from semeion.learn.efficientnet_lite import pretrained
from semeion.learn.network import outputs_of
from semeion.learn.network3d import make_network
from semeion.learn.standing import Hooks
from semeion.learn.views import views_of
from semeion.plan.recipes import PretrainedPlan

KEPT, STEPS = 6, 24


def kept_plan(task="binary", *, steps=STEPS, views=3, **training):
    """Return the tiny plan with a pretrained network that keeps its first stages."""
    plan = plan_of(task, steps=steps, learning_rate=4e-3, layer_decay=0.4, **training)
    network = {"kind": "pretrained", "side": 32, "kept": KEPT, "views": views}
    fields = plan.model_dump(by_alias=True)
    fields["recipes"] = {"tuned": {"kind": "network", "network": network, "training": fields["training"]}}
    fields["members"][0]["recipe"] = "tuned"
    return type(plan).model_validate(fields)


def standardised(images):
    return (images - 127.5) / 127.5


def network_of(groups=1, planes=1, kept=KEPT):
    torch.manual_seed(0)
    plan = PretrainedPlan(side=32, kept=kept)
    return make_network(plan, (planes, SIDE, SIDE), groups, "binary", outputs_of("binary", ["no", "yes"])).eval()


def made(folder, *, views=3, seed=4, stop=lambda: False, **training):
    plan = kept_plan(views=views, **training)
    images, y = pictures("binary")
    sides, store = sides_of(), store_of(images, folder)
    network = network_of()
    recipe = plan.recipes["tuned"]
    asked = (network, recipe.network, recipe.training, store, sides.learn, sides.validate, standardised)
    found = views_of(*asked, seed, stop)
    return found, network, images, y


@pytest.mark.parametrize(("groups", "planes"), [(1, 1), (1, 2), (2, 2)])
def test_a_network_begun_and_ended_is_the_network(groups, planes):
    network = network_of(groups, planes)
    if network.place is not None:
        torch.nn.init.normal_(network.place)
    images = standardised(torch.rand(3, planes, SIDE, SIDE) * 255)
    with torch.inference_mode():
        begun = network.begun(images)
        assert begun.shape[:2] == (3, groups * 112)
        assert torch.allclose(network.ended(begun), network(images), atol=1e-5)


def test_what_is_kept_does_not_learn_and_the_rest_does(tmp_path):
    learned = train(kept_plan(), tmp_path)
    shipped, first = learned.shipped.network.encoders[0].network, pretrained("lite0")
    stages = zip(shipped.stages(), first.stages(), strict=True)
    changed = [
        any(not torch.equal(own, was) for own, was in zip(ours.parameters(), theirs.parameters(), strict=True))
        for (_, ours), (_, theirs) in stages
    ]
    assert changed == [False] * KEPT + [True] * (9 - KEPT)
    own, were = dict(shipped.named_buffers()), dict(first.named_buffers())
    statistics = [name for name in were if "running" in name]
    assert statistics
    assert all(torch.equal(own[name], were[name]) for name in statistics)


def test_it_learns(tmp_path):
    learned = train(kept_plan(steps=60), tmp_path)
    losses = learned.facts["validation"]["loss"]
    assert min(losses) < 0.5 * losses[0]


@pytest.mark.parametrize("task", ["regression", "multilabel", "ordinal"])
def test_every_task_is_learned_so(tmp_path, task):
    assert train(kept_plan(task, steps=4), tmp_path).facts["steps"] == 4


def test_the_same_plan_gives_the_same_weights_also_when_it_is_interrupted(tmp_path):
    whole = train(kept_plan(), tmp_path / "whole")
    assert same(whole, train(kept_plan(), tmp_path / "again"))
    done = []
    hooks = Hooks(stop=lambda: len(done) >= 7, stepped=lambda step, *_: done.append(step))
    with pytest.raises(Interrupted):
        train(kept_plan(), tmp_path / "part", hooks)
    assert done[-1] < STEPS
    assert same(whole, train(kept_plan(), tmp_path / "part"))


def test_a_stop_while_maps_are_computed_is_heard(tmp_path):
    with pytest.raises(Interrupted):
        made(tmp_path, stop=lambda: True)


def test_the_pictures_to_validate_on_are_seen_as_they_are(tmp_path):
    found, network, images, _ = made(tmp_path, precision="bfloat16")
    with torch.inference_mode():
        wanted = network.begun(standardised(torch.from_numpy(images[found.validate]).float()))
    assert np.allclose(found.plain, wanted.numpy(), atol=2e-2, rtol=1e-2)


def test_views_differ_from_one_another_and_belong_to_their_picture(tmp_path):
    still = {"rotation": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0, "noise": 0}
    found, network, images, _ = made(tmp_path / "still", augmentation=still)
    with torch.inference_mode():
        wanted = network.begun(standardised(torch.from_numpy(images[found.learn]).float())).numpy()
    for view in found.changed:
        assert np.allclose(view, wanted, atol=2e-2, rtol=1e-2)
    changed = made(tmp_path / "changed")[0].changed
    assert all(np.abs(changed[a] - changed[b]).max() > 0.1 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_every_case_is_seen_in_all_its_views_with_its_own_label(tmp_path):
    found, _, _, y = made(tmp_path)
    batches = found.batches_ahead(y, 20, seed=3, first=0)
    seen, by_row = {row: set() for row in range(100)}, found.changed.reshape(3, 100, -1)
    try:
        for step, (maps, labels) in enumerate(batches):
            for one, label in zip(maps.reshape(20, -1), labels, strict=True):
                view, row = np.argwhere((by_row == one).all(axis=2))[0]
                assert label == y[found.learn[row]]
                seen[row].add(int(view))
            if step == 14:
                break
    finally:
        batches.close()
    assert all(views == {0, 1, 2} for views in seen.values()), "three epochs, three views"


def test_batches_from_a_later_step_are_those_of_the_whole(tmp_path):
    found, _, _, y = made(tmp_path)
    whole, later = found.batches_ahead(y, 30, seed=3, first=0), found.batches_ahead(y, 30, seed=3, first=4)
    try:
        first = [item for item, _ in zip(whole, range(6), strict=False)][4:]
        for (maps, labels), (own, told) in zip(first, later, strict=False):
            assert np.array_equal(maps, own)
            assert np.array_equal(labels, told)
    finally:
        whole.close()
        later.close()


def test_maps_that_would_not_fit_are_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "VIEWS_BYTES", 10_000)
    with pytest.raises(InputError, match=r"network.views: the maps of 3 views of 100 cases .*kept: 0"):
        made(tmp_path)


def test_stages_of_volumes_are_not_kept():
    with pytest.raises(InputError, match="pictures alone"):
        make_network(PretrainedPlan(side=32, kept=KEPT), (1, 4, SIDE, SIDE), 1, "binary", 1)
