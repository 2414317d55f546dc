from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from learn.tiny import pictures, plan_of, sides_of, store_of, train
from semeion.learn import settle as module
from semeion.learn.objective import predict_values
from semeion.learn.settle import settle, settling_batches

CPU = torch.device("cpu")


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


def test_the_statistics_are_those_of_what_each_layer_sees():
    network, images = small(), torch.randn(40, 1, 8, 8)
    settle(network, iter(images.split(10)))
    maps = network[0](images)
    assert network[1].running_mean.tolist() == pytest.approx(maps.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert network[1].running_var.tolist() == pytest.approx(maps.var((0, 2, 3)).tolist(), rel=0.02)
    deeper = network[3](network[1](maps))  # Nothing is dropped meanwhile.
    assert network[4].running_mean.tolist() == pytest.approx(deeper.mean((0, 2, 3)).tolist(), abs=0.02)


def test_only_the_statistics_change_and_the_network_is_left_in_use():
    network = small()
    before = {name: value.clone() for name, value in network.named_parameters()}
    settle(network, iter([torch.randn(10, 1, 8, 8)]))
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert not any(layer.training for layer in network.modules())
    assert network[1].momentum == 0.1
    assert all(value.grad is None for value in network.parameters())


def test_a_network_without_batch_normalisation_reads_nothing():
    def never():
        raise AssertionError
        yield

    network = nn.Conv2d(1, 2, 3)
    settle(network, never())
    assert not network.training


def test_the_images_are_drawn_by_the_seed_from_those_learned_from(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SETTLED", 90)
    images, _ = pictures("binary")
    store, rows = store_of(images, tmp_path), np.arange(100)
    batches = [part.numpy() for part in settling_batches(store, rows, 3, CPU)]
    assert [len(part) for part in batches] == [90]
    again = [part.numpy() for part in settling_batches(store, rows, 3, CPU)]
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    other = np.concatenate([part.numpy() for part in settling_batches(store, rows, 4, CPU)])
    assert (np.concatenate(batches) != other).any()
    known = {image.tobytes() for image in images[:100]}
    assert {image.tobytes() for image in np.concatenate(batches)} <= known


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_no_batch_is_of_one_image_alone(n):
    class Large:
        def at_once(self, wanted):
            return 2  # As of large volumes.

        def take(self, rows):
            return np.zeros((len(rows), 1, 2, 2), dtype=np.uint8)

    sizes = [len(part) for part in settling_batches(Large(), np.arange(n), 0, CPU)]
    assert sum(sizes) == n
    assert min(sizes) >= 2


def test_what_ships_has_statistics_of_its_own_weights(tmp_path):
    # Strong augmentation and few steps: what training gathered would be of other images and other weights.
    plan = plan_of(steps=12, averaging=0.99, augmentation={"brightness": 0.4, "contrast": 0.4})
    learned = train(plan, tmp_path)
    store = store_of(pictures("binary")[0], tmp_path / "again")
    settled = copy.deepcopy(learned.shipped)
    settle(settled, settling_batches(store, sides_of().learn, plan.members[0].seed, CPU))
    shipped = learned.shipped.state_dict()
    assert all(torch.equal(shipped[name], value) for name, value in settled.state_dict().items())


def test_probabilities_are_right_in_the_large_after_few_steps(tmp_path):
    learned = train(plan_of(steps=30, averaging=0.99, augmentation={"brightness": 0.3, "contrast": 0.3}), tmp_path)
    images, y = pictures("binary")
    rows = sides_of().learn
    p = predict_values(learned.shipped, store_of(images, tmp_path / "again"), rows, CPU)
    assert p[:, 1].mean() == pytest.approx(y[rows].mean(), abs=0.05)
