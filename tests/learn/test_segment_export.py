from __future__ import annotations

import numpy as np
import pytest
import torch

from learn.outlines import network_of
from semeion.errors import TrainingFailed
from semeion.learn.segment_export import refuse_disagreement, to_onnx
from semeion.learn.unet import ShippedUNet, UNet
from semeion.model.engine import open_engine


def shipped_of(dims, **changed):
    torch.manual_seed(0)
    network = UNet(network_of(dims, **changed), 2, 3)
    network.train()(torch.randn(2, 2, *network_of(dims).patch))  # batch statistics that are not those of the start
    return ShippedUNet(network).eval()


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_graph_says_what_the_network_says_for_any_number_of_patches(dims, norm):
    shipped = shipped_of(dims, norm=norm, residual=True)
    patch = network_of(dims).patch
    engine = open_engine(to_onnx(shipped, 2, patch), 1, takes="float32")
    assert engine.size == tuple(patch)
    assert engine.channels == 2
    assert engine.n_outputs == 3
    assert engine.dense
    for n in (1, 3):
        patches = np.random.default_rng(n).standard_normal((n, 2, *patch), dtype=np.float32)
        assert refuse_disagreement(shipped, engine.run, patches, "seed0") < 1e-4


def test_a_graph_that_says_something_else_is_refused():
    shipped = shipped_of(2)
    patches = np.zeros((1, 2, 16, 16), np.float32)
    with pytest.raises(TrainingFailed, match=r"differs from the trained network by .* in probability") as caught:
        refuse_disagreement(
            shipped, lambda x: np.random.default_rng(0).normal(0, 1, (1, 3, 16, 16)).astype("f4"), patches, "m1"
        )
    assert "member m1" in str(caught.value)


def test_a_graph_that_says_no_number_is_refused():
    shipped = shipped_of(2)
    with pytest.raises(TrainingFailed, match="by nan in probability"):
        refuse_disagreement(
            shipped, lambda x: np.full((1, 3, 16, 16), np.nan, np.float32), np.zeros((1, 2, 16, 16), np.float32), "m1"
        )
