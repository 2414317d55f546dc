from __future__ import annotations

import torch

from semeion.learn.layouts import laid_in_memory, layout_of
from semeion.plan.recipes import NetworkPlan


def test_layouts_suit_the_convolutions():
    assert layout_of(NetworkPlan(widths=[4], kind="residual3d"), True) == torch.channels_last_3d
    assert layout_of(NetworkPlan(widths=[4], kind="slices"), True) == torch.channels_last
    assert layout_of(NetworkPlan(widths=[4]), False) == torch.contiguous_format


def test_a_network_is_laid_and_says_the_same():
    network = torch.nn.Conv2d(3, 4, 3)
    images = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    said = network(images)
    laid = laid_in_memory(network, "cpu", torch.channels_last)
    assert laid.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(laid(images), said, atol=1e-6)
