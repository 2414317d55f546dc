from __future__ import annotations

import numpy as np
import pytest
import torch

from semeion.learn.export import to_onnx
from semeion.learn.network import Scales, ShippedNetwork
from semeion.learn.network3d import make_network
from semeion.learn.pretrained import resizing
from semeion.learn.shrink import Shrunk, ShrunkVolume
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan


def network(side, shape=(1, 48, 32), groups=1):
    torch.manual_seed(0)
    return make_network(NetworkPlan(widths=[4, 8], side=side), shape, groups, "binary", 2).eval()


def test_the_network_sees_the_smaller_picture():
    shrunk = network(24)
    assert isinstance(shrunk, Shrunk)
    x = torch.rand(2, 1, 48, 32)
    wanted = torch.nn.functional.interpolate(x, (24, 16), mode="bilinear", antialias=True)
    assert torch.allclose(shrunk(x), shrunk.network(wanted), atol=1e-5)


@pytest.mark.parametrize("side", [None, 48, 64])
def test_pictures_are_never_enlarged(side):
    assert not isinstance(network(side), Shrunk)


def test_views_share_it():
    shrunk = network(24, (2, 48, 32), groups=2)
    assert shrunk(torch.rand(3, 2, 48, 32)).shape == (3, 2)
    assert sum(p.numel() for stage in shrunk.stages() for p in stage) == sum(p.numel() for p in shrunk.parameters())


def test_the_graph_does_it_too():
    shipped = ShippedNetwork(network(24), Scales((127.0,), (60.0,)), [], "binary").eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 32), dtype=np.uint8)
    with torch.inference_mode():
        wanted = shipped(torch.from_numpy(images)).numpy()
    got = open_engine(to_onnx(shipped, (1, 48, 32)), 1).run(images)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(("kind", "depth", "wanted"), [("slices", None, (12, 16, 24)), ("residual3d", 6, (6, 16, 24))])
def test_a_network_of_volumes_sees_smaller_ones(kind, depth, wanted):
    torch.manual_seed(0)
    shape, plan = (2, 12, 32, 48), NetworkPlan(kind=kind, widths=[4, 8], side=24, depth=depth)
    shrunk = make_network(plan, shape, 2, "binary", 2).eval()
    assert isinstance(shrunk, ShrunkVolume)
    x = torch.rand(1, *shape)
    plane = torch.nn.functional.interpolate(x[0], wanted[1:], mode="bilinear", antialias=True)
    along = torch.from_numpy(resizing(12, wanted[0]))
    smaller = torch.einsum("od,cdhw->cohw", along, plane)[None]
    with torch.inference_mode():
        assert torch.allclose(shrunk(x), shrunk.network(smaller), atol=1e-5)
        # As training does, which makes them smaller before it changes them at random.
        assert torch.allclose(shrunk(shrunk.smaller(x)), shrunk(x), atol=1e-5)
    assert sum(p.numel() for stage in shrunk.stages() for p in stage) == sum(p.numel() for p in shrunk.parameters())
    shipped = ShippedNetwork(shrunk, Scales((127.0,) * 2, (60.0,) * 2), [], "binary").eval()
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    with torch.inference_mode():
        said = shipped(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(open_engine(to_onnx(shipped, shape), 1).run(images), said, atol=1e-4)
    # Volumes that are small enough are left as they are.
    assert not isinstance(make_network(plan, (2, 12, 16, 24), 2, "binary", 2), ShrunkVolume)


def test_a_checkpoint_holds_no_size():
    assert not any("rows" in name or "columns" in name for name in network(24).state_dict())
