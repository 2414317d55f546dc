"""Networks of volumes and of several images a case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semeion.learn.export import refuse_disagreement, to_onnx
from semeion.learn.network import Network, Scales, ShippedNetwork
from semeion.learn.network3d import PartsNetwork, make_network, strides_of
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan


def network(shape: tuple[int, ...], groups: int = 1, task: str = "binary", outputs: int = 2, **plan: object):
    torch.manual_seed(0)
    return make_network(NetworkPlan(widths=[4, 8], **plan), shape, groups, task, outputs).eval()


@pytest.mark.parametrize("pooling", ["mean", "attention", "gru", "lstm"])
@pytest.mark.parametrize(
    ("shape", "groups", "plan"),
    [
        ((1, 6, 16, 12), 1, {"kind": "slices"}),
        ((2, 6, 16, 12), 1, {"kind": "residual3d"}),
        ((2, 6, 16, 12), 2, {"kind": "slices"}),
        ((4, 6, 16, 12), 2, {"kind": "residual3d", "shared": False}),
        ((6, 16, 12), 2, {"kind": "residual"}),
        ((3, 16, 12), 3, {"kind": "residual", "shared": False}),
    ],
)
def test_the_exported_graph_says_what_the_network_says(shape, groups, plan, pooling):
    shipped = ShippedNetwork(
        network(shape, groups, pooling=pooling, group_pooling=pooling, **plan),
        Scales((100.0,) * shape[0], (40.0,) * shape[0]),
        [],
        "binary",
    )
    engine = open_engine(to_onnx(shipped, shape), 1)
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    difference = refuse_disagreement(shipped, lambda x: from_logits(engine.run(x), "binary"), images, "m")
    assert 0 <= difference < 1e-4
    # What a case is told does not depend on those beside it.
    np.testing.assert_allclose(engine.run(images[:1]), engine.run(images)[:1], atol=1e-5)


def test_one_image_a_case_keeps_its_network():
    assert type(network((1, 16, 16))) is Network
    assert type(network((1, 4, 16, 16), kind="slices")) is PartsNetwork


def test_the_order_of_slices_counts_only_for_recurrent_pooling():
    x = torch.randn(2, 1, 6, 16, 12)
    for pooling in ("mean", "attention"):
        one = network((1, 6, 16, 12), kind="slices", pooling=pooling)
        torch.testing.assert_close(one(x), one(x.flip(2)))
    for pooling in ("gru", "lstm"):
        one = network((1, 6, 16, 12), kind="slices", pooling=pooling)
        assert (one(x) - one(x.flip(2))).abs().max() > 1e-4


def test_own_encoders_see_their_own_view_alone():
    one = network((2, 16, 12), 2, shared=False)
    x = torch.randn(1, 2, 16, 12, requires_grad=True)
    one.encoders[0](x[:, :1]).sum().backward()
    assert x.grad is not None
    assert x.grad[:, 0].abs().max() > 0
    assert x.grad[:, 1].abs().max() == 0


def test_a_shared_encoder_has_the_weights_of_one():
    def weights(**plan):
        return sum(p.numel() for p in network((3, 16, 12), 3, **plan).encoders.parameters())

    assert weights(shared=False) == 3 * weights(shared=True)


def test_short_axes_are_not_halved():
    assert strides_of((8, 64, 64), 2, 4) == [(1, 2, 2), (1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert strides_of((32, 32, 32), 1, 3) == [(1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)]
    assert strides_of((1, 32, 32), 2, 3)[0] == (1, 2, 2)
    assert all(stride[0] == 1 for stride in strides_of((1, 64, 64), 2, 5))
