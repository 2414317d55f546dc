"""What places add to scores, inside the graph: exact for every network whose pooling is linear."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import TrainingFailed
from semeion.learn.export import SUMS, refuse_untrue_maps, to_onnx
from semeion.learn.flat_graph import flatten_convolutions
from semeion.learn.network import Scales, ShippedNetwork
from semeion.learn.network3d import make_network
from semeion.learn.penultimate import penultimate_graph
from semeion.learn.places import Encoded, contributions, last_layer
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan, PretrainedPlan
from semeion.prepare.spread import even

TASKS = [("binary", 2), ("multiclass", 3), ("ordinal", 4), ("ordinal", 2), ("multilabel", 2), ("regression", 1)]


def shipped_of(plan, shape, groups=1, task="binary", outputs=2, seed=0):
    """Return a network as after training: batch statistics, place and all that begins at 0 are not the first ones."""
    torch.manual_seed(seed)
    network = make_network(plan, shape, groups, task, outputs)
    network.train()
    network(torch.randn(4, *shape) * 1.3)
    if getattr(network, "place", None) is not None:
        torch.nn.init.normal_(network.place)
    weights = [0.7, 1.9, 1.2, 3.0][:outputs] if task != "regression" else []
    scales = Scales((110.0,) * shape[0], (45.0,) * shape[0], *((300.0, 20.0) if task == "regression" else ()))
    return ShippedNetwork(network, scales, weights, task).eval()


def images_of(n, shape):
    return np.random.default_rng(1).integers(0, 256, (n, *shape), dtype=np.uint8)


def scores_of(shipped, images):
    """Return the scores of the last layer, from the network itself."""
    found = []
    hook = last_layer(shipped.network.head).register_forward_hook(lambda _, __, out: found.append(out))
    with torch.inference_mode():
        shipped(torch.from_numpy(images))
    hook.remove()
    return found[0].numpy()


def looked(shipped, images):
    engine = open_engine(to_onnx(shipped, images.shape[1:]), 1)
    return engine.look(images, engine.extras)


def check_sums(shipped, images, told):
    layer = last_layer(shipped.network.head)
    unit = float(shipped.target[1]) if shipped.task == "regression" else 1.0
    scores = scores_of(shipped, images)
    sums = told["maps"].reshape(*scores.shape, -1).sum(-1, dtype=np.float64) / unit + layer.bias.detach().numpy()
    np.testing.assert_allclose(sums, scores, atol=2e-4 * max(1.0, np.abs(scores).max()))


KINDS = [
    (NetworkPlan(widths=[4, 8]), (1, 12, 16), 1, (12, 16)),
    (NetworkPlan(widths=[4, 8, 8], stem_stride=2), (3, 27, 18), 1, (8, 6)),
    (NetworkPlan(widths=[4, 8], side=16), (1, 48, 32), 1, (16, 12)),
    (NetworkPlan(widths=[4]), (1, 12, 16), 1, (12, 16)),
    (NetworkPlan(widths=[4, 8]), (2, 12, 16), 2, (2, 12, 16)),
    (NetworkPlan(widths=[4, 8], group_pooling="attention"), (3, 12, 16), 3, (3, 12, 16)),
    (NetworkPlan(widths=[4, 8], shared=False, group_pooling="attention"), (4, 12, 16), 2, (2, 12, 16)),
    (NetworkPlan(kind="slices", widths=[4, 8]), (2, 5, 12, 16), 1, (5, 12, 16)),
    (NetworkPlan(kind="slices", widths=[4, 8], pooling="attention"), (1, 5, 12, 16), 1, (5, 12, 16)),
    (NetworkPlan(kind="slices", widths=[4, 8], pooling="attention", group_pooling="attention"),
     (2, 5, 12, 16), 2, (2, 5, 12, 16)),
    (NetworkPlan(kind="slices", widths=[4, 8], pooling="attention", shared=False), (2, 5, 12, 16), 2, (2, 5, 12, 16)),
    (NetworkPlan(kind="slices", widths=[4, 8], side=8, depth=4), (1, 8, 16, 16), 1, (4, 8, 8)),
    (NetworkPlan(kind="residual3d", widths=[4, 8]), (1, 6, 16, 12), 1, (6, 16, 12)),
    (NetworkPlan(kind="residual3d", widths=[4, 8, 8], stem_stride=2), (2, 16, 16, 12), 1, (4, 4, 6)),
    (NetworkPlan(kind="residual3d", widths=[4, 8], shared=False), (2, 6, 16, 12), 2, (2, 6, 16, 12)),
    (PretrainedPlan(side=64), (1, 40, 40), 1, (2, 2)),
    (PretrainedPlan(side=32, group_pooling="attention"), (2, 40, 40), 2, (2, 1, 1)),
    (PretrainedPlan(side=64, pooling="attention"), (1, 3, 40, 20), 1, (3, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "shape", "groups", "cells"), KINDS)
def test_maps_sum_to_the_scores_of_every_network(plan, shape, groups, cells):
    shipped = shipped_of(plan, shape, groups)
    images = images_of(3, shape)
    told = looked(shipped, images)
    assert told["maps"].shape == (3, 2, *cells)
    assert told["maps"].dtype == told["features"].dtype == np.float32
    check_sums(shipped, images, told)
    with torch.inference_mode():
        answers = shipped.answer(shipped.network.head(torch.from_numpy(told["features"]))).numpy()
    np.testing.assert_allclose(answers, told["logits"], atol=1e-4)
    assert refuse_untrue_maps(shipped, lambda _: told, images, "m") <= SUMS


@pytest.mark.parametrize(("plan", "shape", "groups", "cells"), KINDS[::3])
def test_further_outputs_leave_every_bit_of_the_answer(plan, shape, groups, cells):
    shipped = shipped_of(plan, shape, groups)
    images = images_of(4, shape)
    bare = open_engine(to_onnx(shipped, shape, bare=True), 1)
    assert bare.extras == ()
    telling = open_engine(to_onnx(shipped, shape), 1)
    assert np.array_equal(telling.run(images), bare.run(images))
    assert np.array_equal(telling.look(images, telling.extras)["logits"], bare.run(images))


@pytest.mark.parametrize(("task", "outputs"), TASKS)
def test_every_task_has_maps_of_its_scores(task, outputs):
    plan = NetworkPlan(kind="slices", widths=[4, 8], pooling="attention")
    for shape, one in (((1, 12, 16), NetworkPlan(widths=[4, 8])), ((1, 3, 12, 16), plan)):
        shipped = shipped_of(one, shape, 1, task, outputs)
        images = images_of(5, shape)
        told = looked(shipped, images)
        assert told["maps"].shape[1] == (1 if task == "ordinal" and outputs > 2 else outputs)
        check_sums(shipped, images, told)
        assert refuse_untrue_maps(shipped, lambda _, told=told: told, images, "m") <= SUMS


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["residual", "slices", "residual3d"]),
    st.integers(1, 3),
    st.integers(5, 20),
    st.integers(5, 20),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.sampled_from(["mean", "attention"]),
    st.sampled_from(["mean", "attention"]),
)
def test_maps_sum_whatever_the_shape(kind, channels, rows, columns, groups, shared, pooling, group_pooling):
    plan = NetworkPlan(
        kind=kind, widths=[3, 5], stem_stride=2, shared=shared, pooling=pooling, group_pooling=group_pooling
    )
    shape = (channels * groups, *((3,) if kind != "residual" else ()), rows, columns)
    torch.manual_seed(0)
    network = make_network(plan, shape, groups, "multiclass", 3).eval()
    if getattr(network, "place", None) is not None:
        torch.nn.init.normal_(network.place)
    x = torch.randn(2, *shape)
    with torch.inference_mode():
        told, logits = network.told(x), network(x)
    assert torch.equal(told.logits, logits)
    sums = told.maps.flatten(2).sum(2) + network.head.bias
    assert torch.allclose(sums, logits, atol=1e-4)
    if groups > 1:
        assert told.maps.shape[2] == groups


@pytest.mark.parametrize("pooling", ["gru", "lstm"])
def test_recurrent_pooling_has_features_and_no_maps(pooling):
    for plan, shape, groups in (
        (NetworkPlan(kind="slices", widths=[4, 8], pooling=pooling), (1, 4, 12, 16), 1),
        (NetworkPlan(widths=[4, 8], group_pooling=pooling), (2, 12, 16), 2),
    ):
        shipped = shipped_of(plan, shape, groups)
        told = looked(shipped, images_of(2, shape))
        assert set(told) == {"logits", "features"}
        assert refuse_untrue_maps(shipped, lambda _, told=told: told, images_of(2, shape), "m") <= SUMS


def test_groups_that_attention_pools_after_recurrent_slices_have_weights_alone():
    plan = NetworkPlan(kind="slices", widths=[4, 8], pooling="gru", group_pooling="attention")
    told = looked(shipped_of(plan, (2, 4, 12, 16), 2), images_of(2, (2, 4, 12, 16)))
    assert set(told) == {"logits", "features", "weights"}
    assert told["weights"].shape == (2, 2)


def test_weights_are_the_shares_of_the_parts():
    plan = NetworkPlan(kind="slices", widths=[4, 8], pooling="attention", group_pooling="attention")
    shape = (2, 5, 12, 16)
    shipped = shipped_of(plan, shape, 2)
    with torch.no_grad():
        for name, value in shipped.network.named_parameters():
            if "pool" in name:
                value.mul_(8)  # as learned: the parts differ
    images = images_of(3, shape)
    told = looked(shipped, images)
    assert told["weights"].shape == (3, 10)
    assert np.ptp(told["weights"]) > 0.01
    np.testing.assert_allclose(told["weights"].sum(1), 1, atol=1e-5)
    # A slice without weight adds nothing but its share of what the group adds whatever it shows.
    shared, network = told["weights"].reshape(3, 2, 5), shipped.network
    with torch.inference_mode():
        x = (torch.from_numpy(images).float() - shipped.mean) / shipped.std
        encoder = network.encoders[0]
        each = encoder.picture(x.reshape(-1, 1, 12, 16)).reshape(-1, 5, encoder.picture.width)
        slices = encoder.pool.weights(each).reshape(3, 2, 5)
    np.testing.assert_allclose(shared / shared.sum(2, keepdims=True), slices.numpy(), atol=1e-5)
    check_sums(shipped, images, told)


def test_the_map_is_grad_cam_without_its_rectifier():
    # Selvaraju et al., ICCV 2017, section 3: of a mean and a linear layer it is the class activation map.
    network = shipped_of(NetworkPlan(widths=[4, 8]), (1, 12, 16)).network
    x = torch.randn(2, 1, 12, 16)
    seen = network.body(x)
    seen.retain_grad()
    network.head(seen.mean((2, 3)))[:, 1].sum().backward()
    wanted = (seen.grad.mean((2, 3), keepdim=True) * seen).sum(1).detach()
    even_places = tuple(even(side) for side in seen.shape[2:])
    found = contributions(Encoded(seen.mean((2, 3)), seen[:, None]), network.head, even_places)[:, 1, 0].detach()
    assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("stem", [1, 2])
def test_a_place_lies_where_its_convolutions_look(stem):
    # An impulse of a linear body: the middle of the cells that it reaches is where it was.
    plan = NetworkPlan(widths=[2, 2], stem_stride=stem)
    network = make_network(plan, (1, 64, 48), 1, "regression", 1).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.fill_(1.0)
        network.head.weight.fill_(1.0)
    picture = torch.zeros(1, 1, 64, 48)
    picture[0, 0, 32, 20] = 1.0
    with torch.inference_mode():
        found = network.told(picture).maps[0, 0].numpy()
    share = found / found.sum()
    rows, columns = (share.sum(axis) @ np.array(even(share.shape[1 - axis])) for axis in (1, 0))
    assert rows * 64 - 0.5 == pytest.approx(32, abs=0.75)
    assert columns * 48 - 0.5 == pytest.approx(20, abs=0.75)


def test_maps_that_do_not_sum_are_refused():
    shipped = shipped_of(NetworkPlan(widths=[4, 8]), (1, 12, 16))
    images = images_of(9, (1, 12, 16))
    told = looked(shipped, images)
    for name in ("maps", "features", "logits"):
        changed = {**told, name: told[name] * np.float32(1.01)}
        with pytest.raises(TrainingFailed) as caught:
            refuse_untrue_maps(shipped, lambda _, changed=changed: changed, images, "fold1-seed0")
        assert caught.value.where == "member fold1-seed0"
        assert caught.value.what.startswith("what the exported graph says of places differs from its scores by ")
        assert caught.value.what.endswith("of their spread; at most 0.001 is allowed")
    with pytest.raises(TrainingFailed, match="by nan of their spread"):
        refuse_untrue_maps(shipped, lambda _: {**told, "maps": told["maps"] * np.nan}, images, "m")
    bare = {"logits": told["logits"]}
    assert refuse_untrue_maps(shipped, lambda _: bare, images, "m") == 0


def test_maps_of_too_many_numbers_are_left_out(monkeypatch):
    shipped = shipped_of(NetworkPlan(widths=[4, 8]), (1, 12, 16))
    monkeypatch.setattr("semeion.learn.export.MOST", 100)
    assert open_engine(to_onnx(shipped, (1, 12, 16)), 1).extras == ("features",)


def test_features_are_still_found_by_cutting_the_graph():
    shape = (1, 12, 16)
    shipped = shipped_of(NetworkPlan(widths=[4, 8]), shape)
    images = images_of(3, shape)
    cut = penultimate_graph(to_onnx(shipped, shape))
    found = onnxruntime.InferenceSession(cut, providers=["CPUExecutionProvider"]).run(None, {"image": images})
    assert len(found) == 1
    np.testing.assert_array_equal(found[0], looked(shipped, images)["features"])


def test_a_flattened_graph_keeps_the_further_outputs():
    shape = (1, 6, 16, 12)
    shipped = shipped_of(NetworkPlan(kind="residual3d", widths=[4, 8]), shape)
    images = images_of(2, shape)
    graph = to_onnx(shipped, shape)
    plain, flat = open_engine(graph, 1), open_engine(flatten_convolutions(graph), 1)
    assert flat.extras == plain.extras == ("features", "maps")
    one, other = plain.look(images, plain.extras), flat.look(images, flat.extras)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-4)


def test_openvino_gives_the_same_maps():
    pytest.importorskip("openvino")
    for plan, shape in (
        (NetworkPlan(widths=[4, 8]), (1, 12, 16)),
        (NetworkPlan(kind="slices", widths=[4, 8], pooling="attention"), (1, 4, 12, 16)),
    ):
        graph = to_onnx(shipped_of(plan, shape), shape)
        engines = [open_engine(graph, 1, kind=kind) for kind in ("onnxruntime", "openvino")]
        images = images_of(3, shape)
        one, other = (engine.look(images, engine.extras) for engine in engines)
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=1e-4)
