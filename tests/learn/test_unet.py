from __future__ import annotations

import pytest
import torch

from learn.outlines import network_of
from semeion.learn.unet import ShippedUNet, UNet


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_outputs_have_the_size_of_the_input_and_of_the_supervised_levels(dims, residual, norm):
    three = {
        "widths": [8, 8, 8],
        "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]][:3] if dims == 3 else [[3, 3]] * 3,
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]] if dims == 3 else [[1, 1], [2, 2], [2, 2]],
        "deep_supervision": 1,
    }
    network = UNet(network_of(dims, residual=residual, norm=norm, **three), 2, 4)
    x = torch.randn(2, 2, *network_of(dims).patch)
    outputs = network.train()(x)
    sides = list(x.shape[2:])
    half = [side if dims == 3 and axis == 0 else side // 2 for axis, side in enumerate(sides)]
    assert [list(out.shape) for out in outputs] == [[2, 4, *sides], [2, 4, *half]]
    shipped = ShippedUNet(network).eval()
    assert list(shipped(x).shape) == [2, 4, *sides]


def test_the_shipped_network_says_what_the_finest_level_says():
    torch.manual_seed(0)
    network = UNet(network_of(), 1, 3).eval()
    x = torch.randn(1, 1, 8, 16, 16)
    assert torch.equal(ShippedUNet(network)(x), network(x)[0])


def test_a_kernel_of_one_slice_does_not_mix_slices():
    torch.manual_seed(0)
    flat = {"kernels": [[1, 3, 3], [1, 3, 3]], "norm": "batch"}
    network = UNet(network_of(**flat), 1, 3).eval()
    x = torch.randn(1, 1, 8, 16, 16)
    changed = x.clone()
    changed[:, :, 5] += 1
    difference = (network(changed)[0] - network(x)[0]).abs().amax((0, 1, 3, 4))
    assert difference[5] > 0
    assert difference[[0, 1, 2, 3, 4, 6, 7]].max() == 0


def test_every_weight_is_learned():
    torch.manual_seed(0)
    network = UNet(network_of(residual=True), 1, 3).train()
    network(torch.randn(2, 1, 8, 16, 16))[0].square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
